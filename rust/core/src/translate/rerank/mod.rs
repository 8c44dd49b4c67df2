//! Cohere rerank.

pub(crate) mod cohere;
