//! Debug log of exchanges, redacted: one line per event, the same in both hosts.

use std::fmt::Display;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Takes one line; called from any thread.
pub type Sink = fn(&str);

static ENABLED: AtomicBool = AtomicBool::new(false);
static SINK: OnceLock<Sink> = OnceLock::new();

/// Turns the log on for this process. The first sink stays.
pub fn enable(sink: Sink) {
    let _ = SINK.set(sink);
    ENABLED.store(true, Ordering::Release);
}

/// Logs the line that `line` makes; nothing is made while the log is off.
pub(crate) fn log<T: Display>(line: impl FnOnce() -> T) {
    if !ENABLED.load(Ordering::Acquire) {
        return;
    }
    if let Some(sink) = SINK.get() {
        sink(&line().to_string());
    }
}
