//! What a bug costs: one stream, never the process.

use std::panic::Location;

use aigw_core::endpoint::ClientApi;
use aigw_core::error::Error;

use crate::abi::{self, Side};
use crate::filter::Step;

/// Logs where a panic came from. Its message may quote request text, so it is left out.
pub(crate) fn install_hook() {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(Location::to_string);
        let at = at.as_deref().unwrap_or("an unknown place");
        abi::log_error(&format!("aigw: panic at {at}"));
    }));
}

/// What happens to a stream whose filter panicked.
pub(crate) fn step(side: Side) -> Step {
    match side {
        Side::Request => Step::Reply(Error::Internal("panic".into()).reply(ClientApi::OpenAI)),
        Side::Response => Step::Reset("aigw_internal"),
    }
}

#[cfg(not(feature = "test-panic"))]
mod on_demand {
    use crate::abi::Stream;

    pub(crate) fn at_request(_stream: &mut Stream<'_>) {}
    pub(crate) fn at_attempt(_stream: &Stream<'_>) {}
    pub(crate) fn at_response(_stream: &Stream<'_>) {}
}

#[cfg(feature = "test-panic")]
mod on_demand {
    use crate::abi::{Side, Stream};

    const HEADER: &str = "x-aigw-test-panic";
    const STATE_KEY: &str = "aigw.test_panic";

    /// The header is gone when an attempt begins, so its value travels as filter state.
    pub(crate) fn at_request(stream: &mut Stream<'_>) {
        let head = stream.headers(Side::Request);
        if let Some(place) = head.get(HEADER) {
            stream.set_filter_state(STATE_KEY, place);
        }
        panic_at(stream, b"request");
    }

    pub(crate) fn at_attempt(stream: &Stream<'_>) {
        panic_at(stream, b"attempt");
    }

    pub(crate) fn at_response(stream: &Stream<'_>) {
        panic_at(stream, b"response");
    }

    fn panic_at(stream: &Stream<'_>, place: &[u8]) {
        assert!(stream.filter_state(STATE_KEY) != Some(place), "asked to");
    }
}

pub(crate) use on_demand::{at_attempt, at_request, at_response};
