//! The table of translators: which endpoint can be served by which backend schema.

use crate::endpoint::Endpoint;
use crate::schema::{ApiSchema, BackendSchema};
use crate::translate::count_tokens::aws::{self, CountTokens};
use crate::translate::{
    Answered, Binding, Exchange, Local, Passed, Passthrough, Translate, Translated, chat,
    completions, count_tokens, embeddings, image_edits, image_variations, images, input_tokens,
    messages, rerank, responses, speech, tokenize, transcriptions, translations,
};

/// How a pair serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Bytes go through.
    Passthrough,
    /// Request and reply are rebuilt.
    Translated,
    /// The gateway answers itself.
    Local,
}

impl Service {
    /// Word for tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passthrough => "passthrough",
            Self::Translated => "translated",
            Self::Local => "local",
        }
    }
}

/// One pair.
pub struct Entry {
    /// Client side.
    pub endpoint: Endpoint,
    /// Provider side.
    pub schema: ApiSchema,
    /// How it serves.
    pub service: Service,
    pub(crate) make: fn(&Binding<'_>) -> Box<dyn Exchange>,
}

const fn translated<T: Translate>() -> Entry {
    Entry {
        endpoint: T::ENDPOINT,
        schema: T::SCHEMA,
        service: Service::Translated,
        make: Translated::<T>::boxed,
    }
}

const fn passed<P: Passthrough>() -> Entry {
    Entry {
        endpoint: P::ENDPOINT,
        schema: P::SCHEMA,
        service: Service::Passthrough,
        make: Passed::<P>::boxed,
    }
}

const fn local<L: Local>() -> Entry {
    Entry {
        endpoint: L::ENDPOINT,
        schema: L::SCHEMA,
        service: Service::Local,
        make: Answered::<L>::boxed,
    }
}

/// Every pair that is served.
pub static TRANSLATORS: &[Entry] = &[
    passed::<chat::openai::Chat>(),
    passed::<chat::azure_openai::Chat>(),
    translated::<chat::anthropic::Chat>(),
    translated::<chat::aws_bedrock::Chat>(),
    translated::<chat::aws_anthropic::Chat>(),
    translated::<chat::gcp_anthropic::Chat>(),
    translated::<chat::gcp_vertex_ai::Chat>(),
    translated::<chat::cohere::Chat>(),
    passed::<completions::openai::Completions>(),
    translated::<completions::anthropic::Completions>(),
    translated::<completions::aws_anthropic::Completions>(),
    translated::<completions::aws_bedrock::Completions>(),
    translated::<completions::cohere::Completions>(),
    translated::<completions::gcp_anthropic::Completions>(),
    translated::<completions::gcp_vertex_ai::Completions>(),
    translated::<completions::azure_openai::Completions>(),
    passed::<embeddings::openai::Embeddings>(),
    passed::<embeddings::azure_openai::Embeddings>(),
    translated::<embeddings::aws_bedrock::Embeddings>(),
    translated::<embeddings::gcp_vertex_ai::Embeddings>(),
    translated::<embeddings::cohere::Embeddings>(),
    passed::<responses::openai::Responses>(),
    passed::<responses::azure_openai::Responses>(),
    translated::<responses::anthropic::Responses>(),
    translated::<responses::aws_anthropic::Responses>(),
    translated::<responses::aws_bedrock::Responses>(),
    translated::<responses::cohere::Responses>(),
    translated::<responses::gcp_anthropic::Responses>(),
    translated::<responses::gcp_vertex_ai::Responses>(),
    passed::<input_tokens::openai::InputTokens>(),
    passed::<input_tokens::azure_openai::InputTokens>(),
    passed::<speech::openai::Speech>(),
    passed::<transcriptions::openai::Transcriptions>(),
    passed::<translations::openai::Translations>(),
    passed::<images::openai::Images>(),
    passed::<image_edits::openai::ImageEdits>(),
    passed::<image_variations::openai::ImageVariations>(),
    passed::<rerank::cohere::Rerank>(),
    passed::<messages::anthropic::Messages>(),
    translated::<messages::aws_anthropic::Messages>(),
    translated::<messages::aws_bedrock::Messages>(),
    passed::<messages::gcp_anthropic::Messages>(),
    translated::<messages::openai::Messages>(),
    translated::<messages::azure_openai::Messages>(),
    translated::<messages::gcp_vertex_ai::Messages>(),
    translated::<messages::cohere::Messages>(),
    passed::<tokenize::openai::Tokenize>(),
    translated::<tokenize::aws_bedrock::Tokenize>(),
    translated::<tokenize::aws_anthropic::Tokenize>(),
    translated::<tokenize::gcp_anthropic::Tokenize>(),
    translated::<tokenize::gcp_vertex_ai::Tokenize>(),
    translated::<tokenize::anthropic::Tokenize>(),
    local::<tokenize::azure_openai::Tokenize>(),
    local::<tokenize::cohere::Tokenize>(),
    passed::<count_tokens::anthropic::CountTokens>(),
    translated::<CountTokens<aws::Bedrock>>(),
    translated::<CountTokens<aws::Anthropic>>(),
    passed::<count_tokens::gcp_anthropic::CountTokens>(),
];

/// Pairs of OpenAI-compatible servers that have no endpoint for text but chat.
static CHAT_ONLY: &[Entry] = &[
    translated::<completions::openai_chat::Completions>(),
    translated::<responses::openai_chat::Responses>(),
];

/// Every pair, those of servers that have chat only last.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    TRANSLATORS.iter().chain(CHAT_ONLY)
}

impl Entry {
    /// The pair is for servers that have no endpoint for text but chat.
    pub fn is_chat_only(&self) -> bool {
        CHAT_ONLY.iter().any(|entry| std::ptr::eq(entry, self))
    }
}

/// The entry of a pair.
pub fn find(endpoint: Endpoint, schema: &BackendSchema) -> Option<&'static Entry> {
    let fits = |entry: &&Entry| entry.endpoint == endpoint && entry.schema == schema.name;
    let chat_only = CHAT_ONLY.iter().filter(|_| schema.chat_only);
    chat_only.chain(TRANSLATORS).find(fits)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_pair_is_registered_once() {
        let keys: HashSet<_> = TRANSLATORS
            .iter()
            .map(|entry| (entry.endpoint, entry.schema))
            .collect();
        assert_eq!(keys.len(), TRANSLATORS.len());
    }
}
