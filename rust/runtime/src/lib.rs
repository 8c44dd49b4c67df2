//! What a running data plane needs around the core, the same in both hosts.
//!
//! ```text
//! Runtime::shared(dir)                       one per process and directory
//!   .begin(gateway, policy, headers, ended)  ─▶ Exchange, and reply | pending
//!     exchange.read(pending, body)           ─▶ header edits, metadata | reply
//!   .attempt(&exchange, backend, policy)     ─▶ Flow: prepare, response_head, response_body, end
//!     exchange.finish(end)                   ─▶ the usage record
//! ```
//!
//! Std threads only: this library also lives inside Envoy.

mod counts;
pub mod debug;
mod end;
mod exchange;
mod files;
mod flow;
mod inflight;
pub mod ledger;
mod mapping;
pub mod metrics;
mod records;
mod table;
mod wait;

pub use end::{Details, End};
pub use exchange::{Begun, Exchange, RequestParts};
pub use files::Status;
pub use flow::{Flow, Prepared};
pub use inflight::{Completed, InFlight, OpenSlot, recover};
pub use table::RequestTable;
pub use wait::{Ticket, Wake};

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use aigw_core::config::Config;
use aigw_core::credential::Credentials;
use arc_swap::ArcSwap;

/// Why a runtime cannot start. Texts name files, never their content.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The filter config is missing or wrong.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The watcher thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// One data plane's state: config, credentials, requests in flight.
pub struct Runtime {
    dir: PathBuf,
    config: ArcSwap<Config>,
    credentials: ArcSwap<Credentials>,
    pub(crate) inflight: InFlight,
    pub(crate) waits: wait::Waits,
    pub(crate) records: records::Records,
}

impl Runtime {
    /// The runtime of a directory: opened at the first call, the same one afterwards.
    ///
    /// # Errors
    /// [`StartError`] when `config.json` or `credentials.json` cannot be used.
    pub fn shared(dir: &Path) -> Result<Arc<Self>, StartError> {
        static RUNTIMES: OnceLock<Mutex<HashMap<PathBuf, Weak<Runtime>>>> = OnceLock::new();
        let runtimes = RUNTIMES.get_or_init(Mutex::default);
        let mut runtimes = runtimes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = runtimes.get(dir).and_then(Weak::upgrade) {
            return Ok(runtime);
        }
        let runtime = Self::open(dir)?;
        runtimes.insert(dir.to_path_buf(), Arc::downgrade(&runtime));
        Ok(runtime)
    }

    fn open(dir: &Path) -> Result<Arc<Self>, StartError> {
        let seen = files::Seen::now(dir);
        let config = files::load_config(dir)?;
        let credentials = files::load_credentials(dir)?;
        let name = ledger::new_writer();
        // The table comes first: a slot is closed after its record is in the queue.
        let inflight = InFlight::create(dir, &name);
        let records = records::Records::open(dir, &name, config.ledger.as_ref());
        let runtime = Arc::new(Self {
            dir: dir.to_path_buf(),
            config: ArcSwap::from_pointee(config),
            credentials: ArcSwap::from_pointee(credentials),
            inflight,
            waits: wait::Waits::default(),
            records: records.map_err(StartError::Thread)?,
        });
        let attributes = &runtime.config.load().attributes;
        runtime.records.metrics.set_attributes(attributes);
        files::report(&runtime, None);
        wait::spawn_watcher(&runtime, seen).map_err(StartError::Thread)?;
        Ok(runtime)
    }

    /// The config in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// The credentials in force.
    pub fn credentials(&self) -> Arc<Credentials> {
        self.credentials.load_full()
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> &InFlight {
        &self.inflight
    }

    /// What became of usage records; `None` without a ledger.
    pub fn ledger_counts(&self) -> Option<ledger::Counts> {
        self.records.ledger_counts()
    }

    pub(crate) fn set_config(&self, config: Config) {
        self.records.metrics.set_attributes(&config.attributes);
        self.config.store(Arc::new(config));
    }

    pub(crate) fn set_credentials(&self, credentials: Credentials) {
        self.credentials.store(Arc::new(credentials));
    }
}

/// Seconds since the Unix epoch.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn unix_nanos() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| {
            u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
        })
}
