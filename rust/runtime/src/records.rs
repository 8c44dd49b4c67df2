//! Where usage records go: every request adds exactly one, when it is over.

use std::io;
use std::path::Path;

use aigw_core::config;
use aigw_core::record::UsageRecord;
use aigw_core::redact;

use crate::debug;
use crate::ledger::{self, Ledger};
use crate::metrics::{Event, Metrics};

/// The takers of usage records. Called by any thread, on the request path: no I/O, no locks that
/// workers share.
pub(crate) struct Records {
    ledger: Option<Ledger>,
    pub(crate) metrics: Metrics,
}

impl Records {
    /// `name` is this process's own.
    pub(crate) fn open(
        runtime: &Path,
        name: &str,
        ledger: Option<&config::Ledger>,
    ) -> io::Result<Self> {
        let ledger = ledger.map(|config| Ledger::open(runtime, name, config));
        if ledger.is_none() {
            ledger::forget(runtime);
        }
        Ok(Self {
            ledger: ledger.transpose()?,
            metrics: Metrics::create(runtime),
        })
    }

    /// Takes the record of a request that is over.
    pub(crate) fn add(&self, record: &UsageRecord) {
        if let Some(ledger) = &self.ledger {
            ledger.add(record);
        }
        debug::log(|| {
            let text = redact::record(record.clone());
            format!("event=end id={} record={text}", record.id)
        });
        self.metrics.add(record);
    }

    /// Metrics of what is counted elsewhere; called now and then.
    pub(crate) fn keep_up(&self) {
        if let Some(counts) = self.ledger_counts() {
            self.metrics.set(Event::RecordLost, counts.lost);
            self.metrics.set(Event::LedgerFault, counts.faults);
        }
    }

    pub(crate) fn ledger_counts(&self) -> Option<ledger::Counts> {
        self.ledger.as_ref().map(Ledger::counts)
    }
}
