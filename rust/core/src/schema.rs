//! API schemas of backends, spelled as in the AIServiceBackend resource.

use serde::{Deserialize, Serialize};

/// The API that a backend speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum ApiSchema {
    OpenAI,
    AzureOpenAI,
    AWSBedrock,
    GCPVertexAI,
    GCPAnthropic,
    Anthropic,
    AWSAnthropic,
    Cohere,
}

impl ApiSchema {
    /// Every schema.
    pub const ALL: [Self; 8] = [
        Self::OpenAI,
        Self::AzureOpenAI,
        Self::AWSBedrock,
        Self::GCPVertexAI,
        Self::GCPAnthropic,
        Self::Anthropic,
        Self::AWSAnthropic,
        Self::Cohere,
    ];

    /// The resource spelling.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAI => "OpenAI",
            Self::AzureOpenAI => "AzureOpenAI",
            Self::AWSBedrock => "AWSBedrock",
            Self::GCPVertexAI => "GCPVertexAI",
            Self::GCPAnthropic => "GCPAnthropic",
            Self::Anthropic => "Anthropic",
            Self::AWSAnthropic => "AWSAnthropic",
            Self::Cohere => "Cohere",
        }
    }

    /// `gen_ai.provider.name`.
    pub fn provider(self) -> &'static str {
        match self {
            Self::OpenAI => "openai",
            Self::AzureOpenAI => "azure.openai",
            Self::AWSBedrock => "aws.bedrock",
            Self::GCPVertexAI => "gcp.vertex_ai",
            Self::GCPAnthropic => "gcp.anthropic",
            Self::Anthropic => "anthropic",
            Self::AWSAnthropic => "aws.anthropic",
            Self::Cohere => "cohere",
        }
    }
}

/// Schema of one backend with its path settings.
#[derive(Clone, Debug, Deserialize)]
pub struct BackendSchema {
    /// Which API.
    pub name: ApiSchema,
    /// Path prefix (OpenAI, Anthropic). Anthropic reads an empty one as `v1`.
    #[serde(default)]
    pub prefix: String,
    /// API version (the other schemas).
    #[serde(default)]
    pub version: String,
    /// The server has no other endpoint for text than chat completions (OpenAI): completions
    /// and responses are served by these.
    #[serde(default)]
    pub chat_only: bool,
}
