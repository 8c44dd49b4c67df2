//! How a request ended: what its host saw, and what that makes of it.

use aigw_core::record::{AttemptRecord, Outcome};

/// Envoy's response-code details: who ended a reply, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Details {
    /// Nothing special, or nothing that is known.
    #[default]
    Plain,
    /// The client went away first.
    ClientGone,
    /// Envoy ended it, for a reason with this name.
    Envoy(&'static str),
}

const OVERFLOW: &str = "overflow";
const RESET: &str = "upstream_reset";
const TIMEOUT: &str = "timeout";
const UNREACHABLE: &str = "unreachable";
const NO_ROUTE: &str = "no_route";

/// Starts of Envoy's words; the first match counts.
const WORDS: &[(&str, Details)] = &[
    ("downstream_remote_disconnect", Details::ClientGone),
    ("downstream_local_disconnect", Details::ClientGone),
    ("downstream_remote_reset", Details::ClientGone),
    ("http2.remote_reset", Details::ClientGone),
    ("http2.remote_refuse", Details::ClientGone),
    ("http3.remote_reset", Details::ClientGone),
    ("overload", Details::Envoy(OVERFLOW)),
    ("maintenance_mode", Details::Envoy(UNREACHABLE)),
    ("no_healthy_upstream", Details::Envoy(UNREACHABLE)),
    ("cluster_not_found", Details::Envoy(UNREACHABLE)),
    ("route_not_found", Details::Envoy(NO_ROUTE)),
    ("direct_response", Details::Envoy(NO_ROUTE)),
    ("upstream_response_timeout", Details::Envoy(TIMEOUT)),
    ("upstream_per_try", Details::Envoy(TIMEOUT)),
    ("upstream_max_stream_duration", Details::Envoy(TIMEOUT)),
    ("response_timeout", Details::Envoy(TIMEOUT)),
    ("request_overall_timeout", Details::Envoy(TIMEOUT)),
    ("stream_idle_timeout", Details::Envoy(TIMEOUT)),
    ("max_duration_timeout", Details::Envoy(TIMEOUT)),
    ("request_rate_limited", Details::Envoy("rate_limited")),
    ("local_rate_limited", Details::Envoy("rate_limited")),
];

impl Details {
    /// Reads what Envoy says.
    pub fn of(text: &str) -> Self {
        if let Some((_, reason)) = text.split_once('{')
            && text.starts_with("upstream_reset_")
        {
            return Self::Envoy(match reason {
                _ if reason.starts_with("overflow") => OVERFLOW,
                _ if reason.contains("connection_failure")
                    || reason.starts_with("connection_timeout") =>
                {
                    UNREACHABLE
                }
                _ => RESET,
            });
        }
        let found = WORDS.iter().find(|(word, _)| text.starts_with(word));
        found.map_or(Self::Plain, |(_, details)| *details)
    }
}

/// What a host knows of the end of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct End {
    /// Status that the client got; 0: none.
    pub status: u16,
    /// Who ended it.
    pub details: Details,
    /// Bytes of the body that went to the client.
    pub response_bytes: u64,
    /// First byte to the client; nanoseconds since the Unix epoch.
    pub first_byte_at: Option<u64>,
    /// The end; nanoseconds since the Unix epoch. `None`: now.
    pub ended_at: Option<u64>,
}

/// A reply that the gateway made itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnReply {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) status: u16,
    pub(crate) outcome: Outcome,
    pub(crate) error_kind: String,
}

impl Verdict {
    fn new(status: u16, outcome: Outcome, kind: impl Into<String>) -> Self {
        Self {
            status,
            outcome,
            error_kind: kind.into(),
        }
    }
}

/// The last attempt of a request.
pub(crate) struct Last<'a> {
    pub(crate) record: &'a AttemptRecord,
    /// Its reply did not come to an end by itself.
    pub(crate) cut: bool,
}

/// Judges a request whose host could not tell (`None`), or told, how it ended.
pub(crate) fn judge(own: Option<OwnReply>, last: Option<Last<'_>>, end: Option<&End>) -> Verdict {
    if let Some(own) = own {
        let status = end.map_or(own.status, |end| end.status);
        return match own.status {
            ..400 => Verdict::new(status, Outcome::Completed, ""),
            // A fault of the gateway itself.
            500 => Verdict::new(status, Outcome::Failed, own.kind),
            _ => Verdict::new(status, Outcome::Rejected, own.kind),
        };
    }
    match (last, end) {
        (last, Some(end)) => ended(last.as_ref(), end),
        (Some(last), None) if last.cut && is_ok(last.record.status) => {
            Verdict::new(last.record.status, Outcome::Aborted, CLIENT_GONE)
        }
        (Some(last), None) => {
            let record = last.record;
            Verdict::new(record.status, record.outcome, record.error_kind.as_str())
        }
        // The client left before the host could note whose request it is.
        (None, None) => Verdict::new(0, Outcome::Aborted, CLIENT_GONE),
    }
}

const CLIENT_GONE: &str = "client_disconnected";

fn ended(last: Option<&Last<'_>>, end: &End) -> Verdict {
    let status = end.status;
    match last {
        Some(last) if last.record.outcome == Outcome::Completed && is_ok(status) => {
            Verdict::new(status, Outcome::Completed, "")
        }
        _ if end.details == Details::ClientGone => {
            Verdict::new(status, Outcome::Aborted, CLIENT_GONE)
        }
        None => untried(end),
        Some(last) => tried(last, end),
    }
}

/// A request of which no provider is known to have seen anything.
fn untried(end: &End) -> Verdict {
    match kind(end) {
        // The attempt broke off before the filter in front of the provider was told of it.
        Some(reason @ (UNREACHABLE | RESET | TIMEOUT)) => {
            Verdict::new(end.status, Outcome::Failed, reason)
        }
        reason => Verdict::new(end.status, Outcome::Rejected, reason.unwrap_or("rejected")),
    }
}

/// A request that went to a provider and did not end well.
fn tried(last: &Last<'_>, end: &End) -> Verdict {
    let record = last.record;
    if !record.error_kind.is_empty() {
        return Verdict::new(end.status, Outcome::Failed, record.error_kind.as_str());
    }
    // The provider's own reply is not an error of the gateway.
    if !last.cut && record.status == end.status {
        return Verdict::new(end.status, Outcome::Failed, "");
    }
    match kind(end) {
        Some(OVERFLOW) => Verdict::new(end.status, Outcome::Rejected, OVERFLOW),
        found => Verdict::new(end.status, Outcome::Failed, found.unwrap_or(RESET)),
    }
}

/// What Envoy's own reply, or its reset, is called. A direct response may have any status.
fn kind(end: &End) -> Option<&'static str> {
    match (end.details, end.status) {
        (Details::Envoy(NO_ROUTE), 404) => Some(NO_ROUTE),
        (Details::Envoy(reason), _) if reason != NO_ROUTE => Some(reason),
        (_, 400) => Some("invalid_request"),
        (_, 401 | 403) => Some("denied"),
        (_, 408) => Some("request_timeout"),
        (_, 413) => Some("body_too_large"),
        (_, 429) => Some("rate_limited"),
        (_, 504) => Some(TIMEOUT),
        _ => None,
    }
}

fn is_ok(status: u16) -> bool {
    (200..=299).contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(status: u16, outcome: Outcome, error_kind: &str) -> AttemptRecord {
        AttemptRecord {
            status,
            outcome,
            error_kind: error_kind.into(),
            ..AttemptRecord::default()
        }
    }

    fn end(status: u16, details: &str) -> End {
        End {
            status,
            details: Details::of(details),
            ..End::default()
        }
    }

    fn tell(record: Option<&AttemptRecord>, cut: bool, end: &End) -> (Outcome, String) {
        let last = record.map(|record| Last { record, cut });
        let verdict = judge(None, last, Some(end));
        assert_eq!(verdict.status, end.status);
        (verdict.outcome, verdict.error_kind)
    }

    #[test]
    fn a_client_that_leaves_before_the_end_aborts_and_afterwards_does_not() {
        let open = attempt(0, Outcome::Failed, "");
        let gone = "downstream_remote_disconnect";
        let aborted = (Outcome::Aborted, CLIENT_GONE.to_owned());
        assert_eq!(tell(None, false, &end(0, gone)), aborted);
        assert_eq!(tell(Some(&open), true, &end(0, gone)), aborted);
        let cut = attempt(200, Outcome::Failed, "");
        assert_eq!(
            tell(Some(&cut), true, &end(200, "http2.remote_reset")),
            aborted
        );
        let whole = attempt(200, Outcome::Completed, "");
        let completed = (Outcome::Completed, String::new());
        assert_eq!(tell(Some(&whole), false, &end(200, gone)), completed);
        assert_eq!(
            tell(Some(&whole), false, &end(200, "via_upstream")),
            completed
        );
    }

    #[test]
    fn replies_of_envoy_have_names() {
        use Outcome::{Failed, Rejected};
        let none = attempt(0, Failed, "");
        let some = Some(&none);
        for (record, status, details, outcome, kind) in [
            (None, 404, "route_not_found", Rejected, NO_ROUTE),
            (None, 404, "direct_response", Rejected, NO_ROUTE),
            (None, 400, "direct_response", Rejected, "invalid_request"),
            (
                None,
                413,
                "request_payload_too_large",
                Rejected,
                "body_too_large",
            ),
            (
                some,
                503,
                "upstream_reset_before_response_started{overflow}",
                Rejected,
                OVERFLOW,
            ),
            (some, 504, "upstream_response_timeout", Failed, TIMEOUT),
            (some, 503, "no_healthy_upstream", Failed, UNREACHABLE),
            (
                some,
                503,
                "upstream_reset_before_response_started{remote_connection_failure|refused}",
                Failed,
                UNREACHABLE,
            ),
        ] {
            let found = tell(record, true, &end(status, details));
            assert_eq!(found, (outcome, kind.to_owned()), "{details}");
        }
    }

    #[test]
    fn an_error_of_a_provider_is_none_of_the_gateway() {
        let refused = attempt(429, Outcome::Failed, "");
        let failed = (Outcome::Failed, String::new());
        assert_eq!(
            tell(Some(&refused), false, &end(429, "via_upstream")),
            failed
        );
        let broken = attempt(200, Outcome::Failed, "upstream_stream");
        let failed = (Outcome::Failed, "upstream_stream".to_owned());
        assert_eq!(
            tell(Some(&broken), false, &end(200, "via_upstream")),
            failed
        );
        let cut = attempt(200, Outcome::Failed, "");
        let reset = (Outcome::Failed, RESET.to_owned());
        let details = "upstream_reset_after_response_started{connection_termination}";
        assert_eq!(tell(Some(&cut), true, &end(200, details)), reset);
    }

    #[test]
    fn replies_of_the_gateway_reject_unless_they_serve() {
        let own = |status, kind| judge(Some(OwnReply { status, kind }), None, None);
        let refused = Verdict::new(405, Outcome::Rejected, "method_not_allowed");
        assert_eq!(own(405, "method_not_allowed"), refused);
        let served = Verdict::new(200, Outcome::Completed, "");
        assert_eq!(own(200, "model_list"), served);
    }

    #[test]
    fn without_word_of_the_host_the_last_attempt_tells() {
        let cut = attempt(200, Outcome::Failed, "");
        let last = |record, cut| judge(None, Some(Last { record, cut }), None);
        assert_eq!(last(&cut, true).outcome, Outcome::Aborted);
        let failed = attempt(500, Outcome::Failed, "");
        assert_eq!(last(&failed, false), Verdict::new(500, Outcome::Failed, ""));
        assert_eq!(judge(None, None, None).outcome, Outcome::Aborted);
    }
}
