//! Requests between their filters. A request and its attempts run on one worker thread, so each
//! thread has a table of its own.

use std::sync::Arc;

use aigw_runtime::{Exchange, RequestTable};

/// Requests that one worker serves at a time; far above what its memory allows with bodies.
const CAP: usize = 16_384;

/// Name of the filter state that holds the request's id.
pub(crate) const STATE_KEY: &str = "aigw.request_id";

thread_local! {
    static TABLE: RequestTable = RequestTable::local(CAP);
}

/// Adds an exchange; false when the table is full.
pub(crate) fn insert(exchange: &Arc<Exchange>) -> bool {
    TABLE.with(|table| table.insert(exchange))
}

/// The exchange of a request, by the bytes of its filter state.
pub(crate) fn find(state: Option<&[u8]>) -> Option<Arc<Exchange>> {
    let id = u128::from_ne_bytes(state?.try_into().ok()?);
    TABLE.with(|table| table.get(id))
}

/// Forgets a request. A thread that ends has no table any more.
pub(crate) fn remove(id: u128) {
    let _ = TABLE.try_with(|table| table.remove(id));
}
