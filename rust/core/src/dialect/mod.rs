//! Maps shared by the translators of one provider dialect.
