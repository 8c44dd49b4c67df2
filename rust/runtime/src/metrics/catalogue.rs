//! What is measured: the one table behind `/metrics`, the export and `docs/reference/metrics.md`.

use serde::Serialize;

/// What kind of numbers a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound, and one more for what is above all of them.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Metric {
    /// Name in OpenTelemetry.
    pub name: &'static str,
    /// Name in Prometheus, without the suffixes of a histogram.
    pub prometheus: &'static str,
    /// Unit, as UCUM has it.
    pub unit: &'static str,
    /// Kind of its numbers.
    pub kind: Kind,
    /// Value of one unit of the whole numbers that are kept.
    pub scale: f64,
    /// Attributes.
    pub labels: &'static str,
    /// What it says and when it is recorded.
    pub help: &'static str,
}

const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
const DURATION: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
const FIRST_TOKEN: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    15.0, 20.0, 30.0, 45.0, 60.0,
];
const PER_TOKEN: &[f64] = &[
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];
const ROUTER: &[f64] = &[
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];
const NANO: f64 = 1e-9;
const GEN_AI: &str = "gen_ai.operation.name, gen_ai.provider.name, gen_ai.original.model, \
                      gen_ai.request.model, gen_ai.response.model, mapped headers";

/// All metrics, in the order of their documentation.
pub static METRICS: [Metric; 18] = [
    Metric {
        name: "gen_ai.client.token.usage",
        prometheus: "gen_ai_client_token_usage",
        unit: "token",
        kind: Kind::Histogram(TOKENS),
        scale: 1.0,
        labels: "gen_ai.token.type, and those of the duration but error.type",
        help: "Tokens of an attempt, one observation for each type that is known: input, \
               cached_input, cache_creation_input, output, reasoning. Estimates count.",
    },
    Metric {
        name: "gen_ai.server.request.duration",
        prometheus: "gen_ai_server_request_duration_seconds",
        unit: "s",
        kind: Kind::Histogram(DURATION),
        scale: NANO,
        labels: "gen_ai.operation.name, gen_ai.provider.name, gen_ai.original.model, \
                 gen_ai.request.model, gen_ai.response.model, mapped headers; error.type of a \
                 failure",
        help: "Time of an attempt at a provider, to the end of its reply or to the failure.",
    },
    Metric {
        name: "gen_ai.server.time_to_first_token",
        prometheus: "gen_ai_server_time_to_first_token_seconds",
        unit: "s",
        kind: Kind::Histogram(FIRST_TOKEN),
        scale: NANO,
        labels: GEN_AI,
        help: "Time from the start of an attempt to the first output of its stream.",
    },
    Metric {
        name: "gen_ai.server.time_per_output_token",
        prometheus: "gen_ai_server_time_per_output_token_seconds",
        unit: "s",
        kind: Kind::Histogram(PER_TOKEN),
        scale: NANO,
        labels: GEN_AI,
        help: "Time per token after the first one of a stream with at least two tokens.",
    },
    Metric {
        name: "aigw.cost",
        prometheus: "aigw_cost_usd_total",
        unit: "{USD}",
        kind: Kind::Counter,
        scale: NANO,
        labels: GEN_AI,
        help: "Price of the usage of attempts in US dollars.",
    },
    Metric {
        name: "aigw.unpriced",
        prometheus: "aigw_unpriced_total",
        unit: "{attempt}",
        kind: Kind::Counter,
        scale: 1.0,
        labels: GEN_AI,
        help: "Attempts whose usage is known and whose price is not.",
    },
    Metric {
        name: "aigw.requests",
        prometheus: "aigw_requests_total",
        unit: "{request}",
        kind: Kind::Counter,
        scale: 1.0,
        labels: "aigw.gateway, aigw.route, gen_ai.operation.name, aigw.outcome, \
                 http.response.status_code",
        help: "Requests of clients that are over, refused ones too.",
    },
    Metric {
        name: "aigw.attempts",
        prometheus: "aigw_attempts_total",
        unit: "{attempt}",
        kind: Kind::Counter,
        scale: 1.0,
        labels: "aigw.route, aigw.backend, aigw.outcome",
        help: "Attempts at providers.",
    },
    Metric {
        name: "aigw.retries",
        prometheus: "aigw_retries_total",
        unit: "{attempt}",
        kind: Kind::Counter,
        scale: 1.0,
        labels: "aigw.route, aigw.backend",
        help: "Attempts at the backend of the attempt before.",
    },
    Metric {
        name: "aigw.failovers",
        prometheus: "aigw_failovers_total",
        unit: "{attempt}",
        kind: Kind::Counter,
        scale: 1.0,
        labels: "aigw.route, aigw.backend",
        help: "Attempts at another backend than the attempt before; the backend is the new one.",
    },
    Metric {
        name: "aigw.router.duration",
        prometheus: "aigw_router_duration_seconds",
        unit: "s",
        kind: Kind::Histogram(ROUTER),
        scale: NANO,
        labels: "aigw.route, aigw.backend",
        help: "Time from the start of a request to its first attempt.",
    },
    Metric {
        name: "aigw.requests.in_flight",
        prometheus: "aigw_requests_in_flight",
        unit: "{request}",
        kind: Kind::Gauge,
        scale: 1.0,
        labels: "",
        help: "Requests that began and are not over.",
    },
    Metric {
        name: "aigw.losses",
        prometheus: "aigw_losses_total",
        unit: "{loss}",
        kind: Kind::Counter,
        scale: 1.0,
        labels: "aigw.what",
        help: "What did not find room. in_flight: requests that a crash would lose; \
               request_table: requests that were refused; ledger: usage records; series: \
               observations that went to the series otel.metric.overflow.",
    },
    Metric {
        name: "aigw.waits",
        prometheus: "aigw_waits_total",
        unit: "{wait}",
        kind: Kind::Counter,
        scale: 1.0,
        labels: "aigw.for",
        help: "Attempts that waited for a credential, or for the tokens of a long text to be \
               counted.",
    },
    Metric {
        name: "aigw.wait.timeouts",
        prometheus: "aigw_wait_timeouts_total",
        unit: "{wait}",
        kind: Kind::Counter,
        scale: 1.0,
        labels: "aigw.for",
        help: "Waits that ended without what was waited for.",
    },
    Metric {
        name: "aigw.reloads",
        prometheus: "aigw_reloads_total",
        unit: "{reload}",
        kind: Kind::Counter,
        scale: 1.0,
        labels: "aigw.file, aigw.result",
        help: "Changed files that the data plane took over, or refused.",
    },
    Metric {
        name: "aigw.cost.errors",
        prometheus: "aigw_cost_errors_total",
        unit: "{error}",
        kind: Kind::Counter,
        scale: 1.0,
        labels: "",
        help: "Cost expressions that failed.",
    },
    Metric {
        name: "aigw.ledger.faults",
        prometheus: "aigw_ledger_faults_total",
        unit: "{fault}",
        kind: Kind::Counter,
        scale: 1.0,
        labels: "",
        help: "Times that the disk refused to take usage records, which wait meanwhile.",
    },
];

const TOKEN_USAGE: &Metric = &METRICS[0];
const REQUEST_DURATION: &Metric = &METRICS[1];
const TIME_TO_FIRST_TOKEN: &Metric = &METRICS[2];
const TIME_PER_OUTPUT_TOKEN: &Metric = &METRICS[3];
const COST: &Metric = &METRICS[4];
const UNPRICED: &Metric = &METRICS[5];
const REQUESTS: &Metric = &METRICS[6];
const ATTEMPTS: &Metric = &METRICS[7];
const RETRIES: &Metric = &METRICS[8];
const FAILOVERS: &Metric = &METRICS[9];
const ROUTER_DURATION: &Metric = &METRICS[10];
const IN_FLIGHT: &Metric = &METRICS[11];
const LOSSES: &Metric = &METRICS[12];
const WAITS: &Metric = &METRICS[13];
const WAIT_TIMEOUTS: &Metric = &METRICS[14];
const RELOADS: &Metric = &METRICS[15];
const COST_ERRORS: &Metric = &METRICS[16];
const LEDGER_FAULTS: &Metric = &METRICS[17];

/// A metric in a block, with the attributes that tell it from its neighbours.
pub(crate) struct Member {
    pub(crate) metric: &'static Metric,
    pub(crate) labels: &'static [(&'static str, &'static str)],
}

const fn one(metric: &'static Metric) -> Member {
    Member {
        metric,
        labels: &[],
    }
}

const fn with(metric: &'static Metric, labels: &'static [(&'static str, &'static str)]) -> Member {
    Member { metric, labels }
}

/// What is kept side by side for one set of attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// Counts without attributes of requests.
    Process,
    /// An attempt, by the `gen_ai` attributes.
    Attempt,
    /// A failed attempt: the same and `error.type`.
    Failure,
    /// A request.
    Request,
    /// Attempts at a backend and how they ended.
    Outcome,
    /// A backend of a route.
    Backend,
}

pub(crate) const BLOCKS: [Block; 6] = [
    Block::Process,
    Block::Attempt,
    Block::Failure,
    Block::Request,
    Block::Outcome,
    Block::Backend,
];

/// Places in [`Block::Attempt`]; token types come first, in the order of [`TOKEN_TYPES`].
pub(crate) mod attempt {
    pub(crate) const DURATION: usize = 5;
    pub(crate) const FIRST_TOKEN: usize = 6;
    pub(crate) const PER_TOKEN: usize = 7;
    pub(crate) const COST: usize = 8;
    pub(crate) const UNPRICED: usize = 9;
}

/// Places in [`Block::Backend`].
pub(crate) mod backend {
    pub(crate) const RETRIES: usize = 0;
    pub(crate) const FAILOVERS: usize = 1;
    pub(crate) const ROUTER: usize = 2;
}

/// Counts of the process; also their places in [`Block::Process`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request found no slot in the table of requests in flight.
    InFlightLost = 1,
    /// A request was refused because the request table was full.
    RequestRefused = 2,
    /// A usage record could not be kept.
    RecordLost = 3,
    /// An observation went to the series for all that found no room.
    SeriesLost = 4,
    /// An attempt waits for its credential.
    CredentialWait = 5,
    /// An attempt waits for a count of tokens.
    CountWait = 6,
    /// A credential did not come.
    CredentialTimeout = 7,
    /// A count of tokens did not come.
    CountTimeout = 8,
    /// A filter config is in force.
    ConfigAccepted = 9,
    /// A filter config is refused.
    ConfigRejected = 10,
    /// Credentials are in force.
    CredentialsAccepted = 11,
    /// Credentials are refused.
    CredentialsRejected = 12,
    /// A cost expression failed.
    CostError = 13,
    /// The disk refused usage records.
    LedgerFault = 14,
}

const TYPE: &str = "gen_ai.token.type";
const WHAT: &str = "aigw.what";
const FOR: &str = "aigw.for";
const FILE: &str = "aigw.file";
const RESULT: &str = "aigw.result";

const PROCESS: &[Member] = &[
    one(IN_FLIGHT),
    with(LOSSES, &[(WHAT, "in_flight")]),
    with(LOSSES, &[(WHAT, "request_table")]),
    with(LOSSES, &[(WHAT, "ledger")]),
    with(LOSSES, &[(WHAT, "series")]),
    with(WAITS, &[(FOR, "credential")]),
    with(WAITS, &[(FOR, "token_count")]),
    with(WAIT_TIMEOUTS, &[(FOR, "credential")]),
    with(WAIT_TIMEOUTS, &[(FOR, "token_count")]),
    with(RELOADS, &[(FILE, "config"), (RESULT, "accepted")]),
    with(RELOADS, &[(FILE, "config"), (RESULT, "rejected")]),
    with(RELOADS, &[(FILE, "credentials"), (RESULT, "accepted")]),
    with(RELOADS, &[(FILE, "credentials"), (RESULT, "rejected")]),
    one(COST_ERRORS),
    one(LEDGER_FAULTS),
];
const ATTEMPT: &[Member] = &[
    with(TOKEN_USAGE, &[(TYPE, "input")]),
    with(TOKEN_USAGE, &[(TYPE, "cached_input")]),
    with(TOKEN_USAGE, &[(TYPE, "cache_creation_input")]),
    with(TOKEN_USAGE, &[(TYPE, "output")]),
    with(TOKEN_USAGE, &[(TYPE, "reasoning")]),
    one(REQUEST_DURATION),
    one(TIME_TO_FIRST_TOKEN),
    one(TIME_PER_OUTPUT_TOKEN),
    one(COST),
    one(UNPRICED),
];
const FAILURE: &[Member] = &[one(REQUEST_DURATION)];
const REQUEST: &[Member] = &[one(REQUESTS)];
const OUTCOME: &[Member] = &[one(ATTEMPTS)];
const BACKEND: &[Member] = &[one(RETRIES), one(FAILOVERS), one(ROUTER_DURATION)];

impl Block {
    pub(crate) fn members(self) -> &'static [Member] {
        match self {
            Self::Process => PROCESS,
            Self::Attempt => ATTEMPT,
            Self::Failure => FAILURE,
            Self::Request => REQUEST,
            Self::Outcome => OUTCOME,
            Self::Backend => BACKEND,
        }
    }

    /// Words that the numbers of a block take.
    pub(crate) fn words(self) -> usize {
        self.members().iter().map(Member::words).sum()
    }
}

impl Member {
    /// A counter or gauge is one word; a histogram has its counts, then the sum.
    pub(crate) fn words(&self) -> usize {
        match self.metric.kind {
            Kind::Counter | Kind::Gauge => 1,
            Kind::Histogram(bounds) => bounds.len() + 2,
        }
    }
}
