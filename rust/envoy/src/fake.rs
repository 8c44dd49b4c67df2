//! Envoy, as far as the hooks call it: one stream in memory.
