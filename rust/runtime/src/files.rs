//! The runtime directory: what the control side writes and what we report back.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use aigw_core::config::Config;
use aigw_core::credential::Credentials;
use serde::Serialize;

use crate::metrics::Event;
use crate::{Runtime, StartError};

const CONFIG: &str = "config.json";
const CREDENTIALS: &str = "credentials.json";
const STATUS: &str = "status.json";

/// `status.json`: which config is in force.
#[derive(Serialize)]
pub struct Status<'a> {
    /// Generation in force.
    pub generation: &'a str,
    /// Why the newest files are not in force.
    pub error: Option<&'a str>,
}

pub(crate) fn load_config(dir: &Path) -> Result<Config, StartError> {
    let bytes = read(dir, CONFIG)?;
    Config::parse(&bytes).map_err(|reason| fault(dir, CONFIG, reason))
}

/// A missing credentials file is an empty one: backends without credentials work.
pub(crate) fn load_credentials(dir: &Path) -> Result<Credentials, StartError> {
    match fs::read(dir.join(CREDENTIALS)) {
        Ok(bytes) => Credentials::parse(&bytes).map_err(|reason| fault(dir, CREDENTIALS, reason)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Credentials::default()),
        Err(error) => Err(fault(dir, CREDENTIALS, error.to_string())),
    }
}

fn read(dir: &Path, name: &str) -> Result<Vec<u8>, StartError> {
    fs::read(dir.join(name)).map_err(|error| fault(dir, name, error.to_string()))
}

fn fault(dir: &Path, name: &str, reason: String) -> StartError {
    StartError::File {
        path: dir.join(name),
        reason,
    }
}

/// Writes `status.json` by rename. A failure is not fatal: the publisher times out and says so.
pub(crate) fn report(runtime: &Runtime, error: Option<&str>) {
    let config = runtime.config();
    let status = Status {
        generation: &config.generation,
        error,
    };
    let Ok(text) = serde_json::to_vec(&status) else {
        return;
    };
    let draft = runtime
        .dir()
        .join(format!(".{STATUS}.{}", std::process::id()));
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(&text));
    if written.is_ok() {
        let _ = fs::rename(&draft, runtime.dir().join(STATUS));
    }
}

/// Identity of a file's content: replaced files have another inode or time.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stamp(u64, i64, i64, u64);

fn stamp(dir: &Path, name: &str) -> Stamp {
    fs::metadata(dir.join(name))
        .map(|m| Stamp(m.ino(), m.mtime(), m.mtime_nsec(), m.size()))
        .unwrap_or_default()
}

/// A file as it was read last.
#[derive(Default)]
struct Read {
    stamp: Stamp,
    /// Why its content is not in force.
    fault: Option<String>,
}

impl Read {
    /// What is counted once it was read again.
    fn event(&self, accepted: Event, rejected: Event) -> Event {
        if self.fault.is_none() {
            accepted
        } else {
            rejected
        }
    }

    /// Takes the stamp of the file, then reads it. True when `load` was to be called.
    fn again(
        &mut self,
        dir: &Path,
        name: &str,
        load: impl FnOnce() -> Result<(), StartError>,
    ) -> bool {
        let now = stamp(dir, name);
        if now == self.stamp {
            return false;
        }
        self.stamp = now;
        self.fault = load().err().map(|fault| fault.to_string());
        true
    }
}

/// Both files as they were read last. Stamps are taken before a file is read: one that is
/// replaced meanwhile is read again.
#[derive(Default)]
pub(crate) struct Seen {
    config: Read,
    credentials: Read,
}

impl Seen {
    pub(crate) fn now(dir: &Path) -> Self {
        let read = |name| Read {
            stamp: stamp(dir, name),
            fault: None,
        };
        Self {
            config: read(CONFIG),
            credentials: read(CREDENTIALS),
        }
    }
}

/// Takes over changed files; a bad one leaves the last good content in force and is reported
/// for as long as it stands.
pub(crate) fn refresh(runtime: &Runtime, seen: &mut Seen) {
    let dir = runtime.dir();
    let config = seen.config.again(dir, CONFIG, || {
        load_config(dir).map(|config| runtime.set_config(config))
    });
    let credentials = seen.credentials.again(dir, CREDENTIALS, || {
        load_credentials(dir).map(|credentials| runtime.set_credentials(credentials))
    });
    let metrics = &runtime.records.metrics;
    if config {
        metrics.count(
            seen.config
                .event(Event::ConfigAccepted, Event::ConfigRejected),
        );
    }
    if credentials {
        let faults = &seen.credentials;
        metrics.count(faults.event(Event::CredentialsAccepted, Event::CredentialsRejected));
    }
    if config || credentials {
        let faults = [&seen.config.fault, &seen.credentials.fault];
        let faults: Vec<&str> = faults.into_iter().flatten().map(String::as_str).collect();
        let text = (!faults.is_empty()).then(|| faults.join("; "));
        report(runtime, text.as_deref());
    }
}
