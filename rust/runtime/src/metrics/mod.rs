//! Counters and histograms in shared memory: `metrics.map` in the runtime directory.
//!
//! Workers add with relaxed atomics and share no lock: a lock is taken when a thread meets a set
//! of attributes for the first time. Another process reads the file ([`read`]). A new data plane
//! starts at zero.

mod catalogue;
mod observe;
mod read;
mod table;
#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of a few whole numbers")]
mod tests;
mod text;

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use aigw_core::attributes::Attributes;
use aigw_core::record::UsageRecord;
use arc_swap::ArcSwap;

pub use catalogue::{Event, Kind, METRICS, Metric};
pub use read::{Family, Point, Reading, read};
pub use text::text;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The numbers of this process.
pub struct Metrics {
    table: table::Table,
    attributes: ArcSwap<Vec<String>>,
}

impl Metrics {
    /// Fresh numbers in `dir`; in memory that nobody else sees where no file can be made.
    pub fn create(dir: &Path) -> Self {
        Self {
            table: table::Table::create(dir),
            attributes: ArcSwap::default(),
        }
    }

    /// Attributes of records that metrics have too.
    pub(crate) fn set_attributes(&self, attributes: &Attributes) {
        let names = attributes.metrics.iter().map(|(_, name)| name.clone());
        self.attributes.store(Arc::new(names.collect()));
    }

    /// Takes in a request that is over.
    pub fn add(&self, record: &UsageRecord) {
        let attributes = self.attributes.load();
        BUFFER.with_borrow_mut(|buffer| {
            observe::observe(&self.table, record, &attributes, buffer);
        });
    }

    /// Counts something that is no request.
    pub fn count(&self, event: Event) {
        self.table.count(event);
    }

    /// Sets a count that is kept elsewhere.
    pub(crate) fn set(&self, event: Event, count: u64) {
        self.table.set(event, count);
    }

    /// A request began.
    pub(crate) fn began(&self) {
        self.table.in_flight(1);
    }

    /// A request is over.
    pub(crate) fn ended(&self) {
        self.table.in_flight(-1);
    }
}
