//! What is gone, as the ledger says it of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::rollup::HOUR_NS;
use crate::unix_nanos;

/// A note in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Loss {
    /// When it was noticed.
    pub(crate) at: u64,
    /// Requests whose usage is not in the ledger.
    pub(crate) lost: u64,
    /// Lost records of this writer until now; 0 where the queue is not the reason.
    pub(crate) queue_total: u64,
    /// Single records that were removed before an exporter had them; their sums are kept.
    pub(crate) unexported: u64,
}

impl Loss {
    /// Nothing yet, now.
    pub(crate) fn now() -> Self {
        Self {
            at: unix_nanos(),
            ..Self::default()
        }
    }
}

/// Losses by hour.
#[derive(Default)]
pub(crate) struct Losses(BTreeMap<u64, Loss>);

impl Losses {
    pub(crate) fn add(&mut self, loss: &Loss) {
        let hour = loss.at / HOUR_NS;
        let sum = self.0.entry(hour).or_default();
        sum.at = hour * HOUR_NS;
        sum.lost = sum.lost.saturating_add(loss.lost);
        sum.unexported = sum.unexported.saturating_add(loss.unexported);
    }

    pub(crate) fn by_hour(&self) -> impl Iterator<Item = &Loss> {
        self.0.values()
    }
}
