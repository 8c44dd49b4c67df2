//! Tokenization by a server that has `/tokenize` itself: bytes go through.

use crate::endpoint::Endpoint;
use crate::framing::TopLevel;
use crate::schema::ApiSchema;
use crate::translate::{Binding, Findings, Passthrough};

pub(crate) struct Tokenize;

impl Passthrough for Tokenize {
    const ENDPOINT: Endpoint = Endpoint::Tokenize;
    const SCHEMA: ApiSchema = ApiSchema::OpenAI;
    const KEYS: &'static [&'static str] = &[];

    /// Servers have it outside of their versioned API.
    fn path(_binding: &Binding<'_>) -> String {
        "/tokenize".into()
    }

    fn unary(_members: &TopLevel, _findings: &mut Findings) {}
}
