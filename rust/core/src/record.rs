//! The usage record: what one request was, where it went, what it used.

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

/// One try at one backend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// `<ns>/<backend>/route/<route>/rule/<i>/ref/<j>`.
    pub backend_name: String,
    /// Model that the provider was asked for.
    pub routed_model: String,
    /// Status of the provider's reply; 0 when there was none.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Error kind of the gateway, empty when none.
    pub error_kind: String,
    /// What the provider reported, and estimates where it did not.
    pub usage: Usage,
    /// There are estimates in `usage`.
    #[serde(default)]
    pub estimated: bool,
    /// Model that the provider reported.
    pub response_model: Option<String>,
    /// Nanoseconds from the start of the request to the first event or byte of the reply body.
    pub first_output_ns: Option<u64>,
    /// Fields of the request that the provider was not told.
    pub dropped_fields: Vec<String>,
}

/// One request. Times are nanoseconds; `started_at` since the Unix epoch, others since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Random id, 32 hex digits.
    pub id: String,
    /// Start of the request.
    pub started_at: u64,
    /// First output, from the start.
    pub first_output_ns: Option<u64>,
    /// End, from the start.
    pub duration_ns: u64,
    /// Endpoint operation, such as `chat`.
    pub operation: String,
    /// `<ns>/<route>`.
    pub route: String,
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
    #[serde(default)]
    pub estimated: bool,
    /// Every try, in order.
    pub attempts: Vec<AttemptRecord>,
}
