//! The API paths that clients call.

use serde::{Deserialize, Serialize};

/// Whose API a client speaks. Decides the shape of error replies and model lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientApi {
    /// OpenAI-compatible.
    OpenAI,
    /// Anthropic Messages.
    Anthropic,
    /// Cohere v2.
    Cohere,
}

/// One API path class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/responses/input_tokens`
    ResponsesInputTokens,
    /// `POST /v1/audio/speech`
    Speech,
    /// `POST /v1/audio/transcriptions`
    Transcriptions,
    /// `POST /v1/audio/translations`
    Translations,
    /// `POST /v1/images/generations`
    ImageGenerations,
    /// `POST /v1/images/edits`
    ImageEdits,
    /// `POST /v1/images/variations`
    ImageVariations,
    /// `POST /cohere/v2/rerank`
    Rerank,
    /// `GET /v1/models`
    Models,
    /// `GET /anthropic/v1/models`
    AnthropicModels,
    /// `POST /anthropic/v1/messages`
    Messages,
    /// `POST /tokenize`
    Tokenize,
    /// `POST /anthropic/v1/messages/count_tokens`
    CountTokens,
}

/// How a JSON request asks for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streaming {
    /// Not at all.
    Never,
    /// By `stream: true`.
    Member,
    /// By `stream_format: "sse"`.
    Format,
}

/// Which tokens of text an endpoint uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// None that text would tell: it counts tokens itself, or works on media.
    Nothing,
    /// Those of the request.
    Input,
    /// Those of request and reply.
    Both,
}

/// Fixed facts of an endpoint.
struct Facts {
    api: ClientApi,
    path: &'static str,
    method: &'static str,
    operation: &'static str,
}

const fn facts(
    api: ClientApi,
    method: &'static str,
    path: &'static str,
    operation: &'static str,
) -> Facts {
    Facts {
        api,
        path,
        method,
        operation,
    }
}

impl Endpoint {
    /// Every endpoint. Where two have the same path the later one wins.
    pub const ALL: [Self; 17] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::ResponsesInputTokens,
        Self::Speech,
        Self::Transcriptions,
        Self::Translations,
        Self::ImageGenerations,
        Self::ImageEdits,
        Self::ImageVariations,
        Self::Rerank,
        Self::Models,
        Self::AnthropicModels,
        Self::Messages,
        Self::Tokenize,
        Self::CountTokens,
    ];

    const fn facts(self) -> Facts {
        use ClientApi::{Anthropic, Cohere, OpenAI};
        match self {
            Self::ChatCompletions => facts(OpenAI, "POST", "/v1/chat/completions", "chat"),
            Self::Completions => facts(OpenAI, "POST", "/v1/completions", "completion"),
            Self::Embeddings => facts(OpenAI, "POST", "/v1/embeddings", "embeddings"),
            Self::Responses => facts(OpenAI, "POST", "/v1/responses", "responses"),
            Self::ResponsesInputTokens => facts(
                OpenAI,
                "POST",
                "/v1/responses/input_tokens",
                "responses_input_tokens",
            ),
            Self::Speech => facts(OpenAI, "POST", "/v1/audio/speech", "speech"),
            Self::Transcriptions => {
                facts(OpenAI, "POST", "/v1/audio/transcriptions", "transcription")
            }
            Self::Translations => facts(OpenAI, "POST", "/v1/audio/translations", "translation"),
            Self::ImageGenerations => {
                facts(OpenAI, "POST", "/v1/images/generations", "image_generation")
            }
            Self::ImageEdits => facts(OpenAI, "POST", "/v1/images/edits", "image_edit"),
            Self::ImageVariations => {
                facts(OpenAI, "POST", "/v1/images/variations", "image_variation")
            }
            Self::Rerank => facts(Cohere, "POST", "/v2/rerank", "rerank"),
            Self::Models => facts(OpenAI, "GET", "/v1/models", "models"),
            Self::AnthropicModels => facts(Anthropic, "GET", "/v1/models", "models"),
            Self::Messages => facts(Anthropic, "POST", "/v1/messages", "messages"),
            Self::Tokenize => facts(OpenAI, "POST", "/tokenize", "tokenize"),
            Self::CountTokens => facts(
                Anthropic,
                "POST",
                "/v1/messages/count_tokens",
                "count_tokens",
            ),
        }
    }

    /// The API family.
    pub fn client_api(self) -> ClientApi {
        self.facts().api
    }

    /// The path behind the prefix of the API family; also the name used in error texts.
    pub fn path(self) -> &'static str {
        self.facts().path
    }

    /// The only method that the endpoint answers.
    pub fn method(self) -> &'static str {
        self.facts().method
    }

    /// How a JSON request asks for a stream.
    pub(crate) fn streaming(self) -> Streaming {
        match self {
            Self::ChatCompletions
            | Self::Completions
            | Self::Responses
            | Self::ImageGenerations
            | Self::Messages => Streaming::Member,
            Self::Speech => Streaming::Format,
            Self::Embeddings
            | Self::ResponsesInputTokens
            | Self::Transcriptions
            | Self::Translations
            | Self::ImageEdits
            | Self::ImageVariations
            | Self::Rerank
            | Self::Models
            | Self::AnthropicModels
            | Self::Tokenize
            | Self::CountTokens => Streaming::Never,
        }
    }

    /// Which tokens of text it uses up.
    pub(crate) fn counted(self) -> Counted {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Responses | Self::Messages => {
                Counted::Both
            }
            Self::Embeddings => Counted::Input,
            Self::ResponsesInputTokens
            | Self::Speech
            | Self::Transcriptions
            | Self::Translations
            | Self::ImageGenerations
            | Self::ImageEdits
            | Self::ImageVariations
            | Self::Rerank
            | Self::Models
            | Self::AnthropicModels
            | Self::Tokenize
            | Self::CountTokens => Counted::Nothing,
        }
    }

    /// Requests are multipart forms, not JSON.
    pub(crate) fn takes_form(self) -> bool {
        matches!(
            self,
            Self::Transcriptions | Self::Translations | Self::ImageEdits | Self::ImageVariations
        )
    }

    /// Operation name in metrics and records.
    pub fn operation(self) -> &'static str {
        self.facts().operation
    }
}

/// Path prefixes of one Gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct EndpointPrefixes {
    /// Prefix of all endpoints.
    pub root: String,
    /// Prefix of the OpenAI endpoints behind `root`.
    pub openai: String,
    /// Prefix of the Cohere endpoints behind `root`.
    pub cohere: String,
    /// Prefix of the Anthropic endpoints behind `root`.
    pub anthropic: String,
}

impl Default for EndpointPrefixes {
    fn default() -> Self {
        Self {
            root: "/".into(),
            openai: "/".into(),
            cohere: "/cohere".into(),
            anthropic: "/anthropic".into(),
        }
    }
}

/// Exact paths of one Gateway and what they mean.
#[derive(Clone, Debug)]
pub struct PathTable {
    paths: Vec<(String, Endpoint)>,
}

impl PathTable {
    /// Joins the prefixes with the endpoint paths.
    pub fn new(prefixes: &EndpointPrefixes) -> Self {
        let mut paths: Vec<(String, Endpoint)> = Vec::new();
        for endpoint in Endpoint::ALL {
            let family = match endpoint.client_api() {
                ClientApi::OpenAI => &prefixes.openai,
                ClientApi::Anthropic => &prefixes.anthropic,
                ClientApi::Cohere => &prefixes.cohere,
            };
            let path = join_path(&[&prefixes.root, family, endpoint.path()]);
            paths.retain(|(known, _)| *known != path);
            paths.push((path, endpoint));
        }
        Self { paths }
    }

    /// Endpoint of a `:path`; a query string is ignored, the match is exact.
    pub fn lookup(&self, path: &[u8]) -> Option<Endpoint> {
        let end = memchr::memchr2(b'?', b'#', path).unwrap_or(path.len());
        let path = path.get(..end)?;
        self.paths
            .iter()
            .find(|(known, _)| known.as_bytes() == path)
            .map(|(_, e)| *e)
    }

    /// Every path with its endpoint.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Endpoint)> {
        self.paths
            .iter()
            .map(|(path, endpoint)| (path.as_str(), *endpoint))
    }

    /// The paths on offer.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|(path, _)| path.as_str())
    }
}

/// Joins path parts with single slashes: a leading one, none at the end, `.` and `..` resolved.
pub fn join_path(parts: &[&str]) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in parts.iter().flat_map(|part| part.split('/')) {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut path = String::with_capacity(parts.iter().map(|p| p.len() + 1).sum());
    for segment in segments {
        path.push('/');
        path.push_str(segment);
    }
    if path.is_empty() {
        path.push('/');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_prefixes_give_the_documented_paths() {
        let table = PathTable::new(&EndpointPrefixes::default());
        assert_eq!(
            table.lookup(b"/v1/chat/completions?x=1"),
            Some(Endpoint::ChatCompletions)
        );
        assert_eq!(
            table.lookup(b"/anthropic/v1/messages"),
            Some(Endpoint::Messages)
        );
        assert_eq!(table.lookup(b"/v1/messages"), None);
        assert_eq!(table.lookup(b"?a=b"), None);
    }

    #[test]
    fn equal_prefixes_give_models_to_the_later_endpoint() {
        let prefixes = EndpointPrefixes {
            anthropic: "/".into(),
            ..EndpointPrefixes::default()
        };
        let table = PathTable::new(&prefixes);
        assert_eq!(table.lookup(b"/v1/models"), Some(Endpoint::AnthropicModels));
    }

    #[test]
    fn joined_paths_are_clean() {
        assert_eq!(
            join_path(&["/", "/v1beta/openai/", "chat/completions"]),
            "/v1beta/openai/chat/completions"
        );
        assert_eq!(join_path(&["/", "a/../b", "./c"]), "/b/c");
        assert_eq!(join_path(&["/"]), "/");
    }
}
