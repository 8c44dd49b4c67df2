//! Requests between their two filters.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Exchange;

const SHARDS: usize = 16;

/// Exchanges by request id. Bounded: beyond the cap a request is refused and counted.
///
/// One table per worker thread needs no contention (module); one table for all connections is
/// sharded (ext_proc).
pub struct RequestTable {
    shards: Vec<Mutex<HashMap<u128, Arc<Exchange>>>>,
    cap: usize,
    len: AtomicUsize,
    refused: AtomicU64,
}

impl RequestTable {
    /// A table for several threads.
    pub fn sharded(cap: usize) -> Self {
        Self::with_shards(SHARDS, cap)
    }

    /// A table for one thread.
    pub fn local(cap: usize) -> Self {
        Self::with_shards(1, cap)
    }

    fn with_shards(count: usize, cap: usize) -> Self {
        Self {
            shards: (0..count).map(|_| Mutex::default()).collect(),
            cap,
            len: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        }
    }

    fn shard(&self, id: u128) -> Option<&Mutex<HashMap<u128, Arc<Exchange>>>> {
        let count = self.shards.len() as u128;
        self.shards
            .get(usize::try_from(id % count.max(1)).unwrap_or(0))
    }

    /// Adds an exchange; false when the table is full.
    pub fn insert(&self, exchange: &Arc<Exchange>) -> bool {
        if self.len.load(Ordering::Relaxed) >= self.cap {
            self.refused.fetch_add(1, Ordering::Relaxed);
            exchange.refused();
            return false;
        }
        let Some(shard) = self.shard(exchange.id()) else {
            return false;
        };
        let old = lock(shard).insert(exchange.id(), Arc::clone(exchange));
        if old.is_none() {
            self.len.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// The exchange of a request.
    pub fn get(&self, id: u128) -> Option<Arc<Exchange>> {
        lock(self.shard(id)?).get(&id).cloned()
    }

    /// Forgets a request.
    pub fn remove(&self, id: u128) {
        if let Some(shard) = self.shard(id)
            && lock(shard).remove(&id).is_some()
        {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Requests in the table.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// True when no request is in the table.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Requests refused because the table was full.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
