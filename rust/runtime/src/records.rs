//! Where usage records go: every request adds exactly one, when it is over.

use aigw_core::record::UsageRecord;
use aigw_core::redact;

use crate::debug;

/// The takers of usage records. Called by any thread, on the request path: no I/O, no locks that
/// workers share.
#[derive(Default)]
pub(crate) struct Records {}

impl Records {
    /// Takes the record of a request that is over.
    pub(crate) fn add(&self, record: &UsageRecord) {
        debug::log(|| {
            let text = redact::record(record.clone());
            format!("event=end id={} record={text}", record.id)
        });
    }
}
