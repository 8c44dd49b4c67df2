//! The usage record: what one request was, where it went, what it used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::usage::Usage;

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A 2xx reply went to its end.
    Completed,
    /// The gateway refused the request.
    Rejected,
    /// The provider answered outside 2xx, or broke off.
    #[default]
    Failed,
    /// The client went away first.
    Aborted,
    /// The process died; found by recovery.
    Crashed,
}

/// An amount of money and where its price comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priced {
    /// Millionths of a millionth of a US dollar.
    pub pico_usd: u64,
    /// The price entry that was applied, such as `openai/gpt-4o`.
    pub entry: String,
    /// Who says so: `GatewayConfig`, or the catalogue and its date.
    pub source: String,
}

/// One try at one backend. Times are nanoseconds from the start of the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttemptRecord {
    /// `<ns>/<backend>/route/<route>/rule/<i>/ref/<j>`.
    pub backend_name: String,
    /// `gen_ai.provider.name` of the backend's schema.
    pub provider: String,
    /// Model that the provider was asked for.
    pub routed_model: String,
    /// Start of the attempt.
    pub started_ns: u64,
    /// Head of the provider's reply.
    pub head_ns: Option<u64>,
    /// First event or byte of the reply body.
    pub first_output_ns: Option<u64>,
    /// Latest event or byte of the reply body.
    pub last_output_ns: Option<u64>,
    /// Status of the provider's reply; 0 when there was none.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Error kind of the gateway, empty when none.
    pub error_kind: String,
    /// What the provider reported, and estimates where it did not.
    pub usage: Usage,
    /// There are estimates in `usage`.
    pub estimated: bool,
    /// Model that the provider reported.
    pub response_model: Option<String>,
    /// Price of `usage`; `None` where no price is known.
    pub price: Option<Priced>,
    /// Values of `llmRequestCosts`; the request's record has those of the serving attempt.
    #[serde(skip)]
    pub costs: BTreeMap<String, u64>,
    /// Fields of the request that the provider was not told.
    pub dropped_fields: Vec<String>,
}

/// One request. Times are nanoseconds; `started_at` since the Unix epoch, others since the start.
///
/// Written as JSON to the ledger: fields may be added, with a default for older records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageRecord {
    /// Random id, 32 hex digits.
    pub id: String,
    /// Start of the request.
    pub started_at: u64,
    /// First byte of the reply to the client.
    pub first_byte_ns: Option<u64>,
    /// First output, from the start.
    pub first_output_ns: Option<u64>,
    /// End, from the start.
    pub duration_ns: u64,
    /// `<ns>/<gateway>`.
    pub gateway: String,
    /// Endpoint operation, such as `chat`; empty where the path is none of ours.
    pub operation: String,
    /// The client asked for a stream.
    pub stream: bool,
    /// Mapped request headers, by attribute.
    pub attributes: BTreeMap<String, String>,
    /// Client id that the gateway verified: of an API key, or a JWT claim.
    pub identity: Option<String>,
    /// `<ns>/<route>`.
    pub route: String,
    /// Index of the rule in its route.
    pub rule: Option<u32>,
    /// `<ns>/<backend>` of the serving attempt.
    pub backend: String,
    /// Model that the client asked for.
    pub requested_model: String,
    /// Model that the provider was asked for.
    pub routed_model: String,
    /// Model that the provider reported.
    pub response_model: Option<String>,
    /// Status that the client got; 0 when unknown.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Error kind of the gateway, empty when none.
    pub error_kind: String,
    /// Totals of the serving attempt.
    pub usage: Usage,
    /// There are estimates in `usage`.
    pub estimated: bool,
    /// Values of `llmRequestCosts`, by metadata key.
    pub costs: BTreeMap<String, u64>,
    /// Price of `usage`; `None` where no price is known.
    pub price: Option<Priced>,
    /// Bytes of the client's body; 0 when it was not read to its end.
    pub request_bytes: u64,
    /// Bytes of the body that the client got.
    pub response_bytes: u64,
    /// Every try, in order.
    pub attempts: Vec<AttemptRecord>,
}
