//! Where usage records go: every request adds exactly one, when it is over.

use aigw_core::record::UsageRecord;
use std::path::Path;

use aigw_core::redact;

use crate::debug;
use crate::metrics::Metrics;

/// The takers of usage records. Called by any thread, on the request path: no I/O, no locks that
/// workers share.
pub(crate) struct Records {
    pub(crate) metrics: Metrics,
}

impl Records {
    /// The takers of a runtime directory.
    pub(crate) fn open(dir: &Path) -> Self {
        Self {
            metrics: Metrics::create(dir),
        }
    }

    /// Takes the record of a request that is over.
    pub(crate) fn add(&self, record: &UsageRecord) {
        debug::log(|| {
            let text = redact::record(record.clone());
            format!("event=end id={} record={text}", record.id)
        });
        self.metrics.add(record);
    }
}
