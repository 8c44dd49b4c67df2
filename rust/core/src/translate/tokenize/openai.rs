//! Tokenization by a server that has `/tokenize` itself: bytes go through.

use crate::endpoint::{Endpoint, join_path};
use crate::framing::TopLevel;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Findings, Passthrough};

pub(crate) struct Tokenize;

impl Passthrough for Tokenize {
    const ENDPOINT: Endpoint = Endpoint::Tokenize;
    const SCHEMA: ApiSchema = ApiSchema::OpenAI;
    const KEYS: &'static [&'static str] = &[];

    /// Servers have it beside their versioned API: below the same prefix, without the version.
    fn path(binding: &Binding<'_>) -> String {
        let prefix = binding.backend.schema.prefix.trim_end_matches('/');
        let root = match prefix.rsplit_once('/') {
            Some((root, "v1")) => root,
            None if prefix == "v1" => "",
            Some(_) | None => prefix,
        };
        join_path(&[root, "tokenize"])
    }

    fn unary(_members: &TopLevel, _findings: &mut Findings) {}
}
