//! What a load run counts, and its report.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{Answer, Failure};

/// Longest recorded duration: ten minutes, in nanoseconds.
const LONGEST: u64 = 600_000_000_000;
/// Significant decimal digits kept of a duration.
const DIGITS: u8 = 3;
const PERCENTILES: [(&str, f64); 6] = [
    ("p50", 50.0),
    ("p75", 75.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p999", 99.9),
    ("max", 100.0),
];

/// Counts of a run.
pub(crate) struct Tally {
    latency: Histogram<u64>,
    first_byte: Histogram<u64>,
    statuses: BTreeMap<u16, u64>,
    errors: BTreeMap<String, u64>,
    events: u64,
    streams_completed: u64,
    streams_truncated: u64,
    reconnects: u64,
    finished: Option<Instant>,
}

impl Tally {
    /// An empty tally.
    pub(crate) fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            latency: Histogram::new_with_bounds(1000, LONGEST, DIGITS)?,
            first_byte: Histogram::new_with_bounds(1000, LONGEST, DIGITS)?,
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            events: 0,
            streams_completed: 0,
            streams_truncated: 0,
            reconnects: 0,
            finished: None,
        })
    }

    /// Takes one exchange; both durations count from `start`, the time it was meant to begin.
    ///
    /// Failures and statuses other than 2xx are counted but not timed.
    pub(crate) fn record(&mut self, start: Instant, outcome: &Result<Answer, Failure>) {
        let now = Instant::now();
        self.finished = Some(now);
        let answer = match outcome {
            Ok(answer) => answer,
            Err(failure) => return self.count_error(&failure.to_string(), 1),
        };
        *self.statuses.entry(answer.status).or_default() += 1;
        if !(200..300).contains(&answer.status) {
            return self.count_error(&format!("status {}", answer.status), 1);
        }
        self.latency.saturating_record(nanoseconds(now - start));
        self.first_byte
            .saturating_record(nanoseconds(answer.first_byte - start));
        if answer.events.is_stream() {
            self.events += answer.events.count();
            if answer.events.is_finished() {
                self.streams_completed += 1;
            } else {
                self.streams_truncated += 1;
            }
        }
    }

    /// Counts `times` errors of a kind.
    pub(crate) fn count_error(&mut self, kind: &str, times: u64) {
        *self.errors.entry(kind.to_owned()).or_default() += times;
    }

    /// Counts connections opened again.
    pub(crate) fn count_reconnects(&mut self, times: u64) {
        self.reconnects += times;
    }

    /// The report: counts, rates over the time from `start` to the last answer, durations in µs.
    pub(crate) fn report(&self, start: Instant) -> Value {
        let elapsed = self.finished.map_or(Duration::ZERO, |end| end - start);
        let requests = self.latency.len();
        let seconds = elapsed.as_secs_f64();
        json!({
            "requests": requests,
            "seconds": seconds,
            "rate": if seconds > 0.0 { as_float(requests) / seconds } else { 0.0 },
            "latency_us": percentiles(&self.latency),
            "first_byte_us": percentiles(&self.first_byte),
            "latency_histogram_us": buckets(&self.latency),
            "events": self.events,
            "streams": {"completed": self.streams_completed, "truncated": self.streams_truncated},
            "statuses": self.statuses,
            "errors": self.errors,
            "reconnects": self.reconnects,
        })
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(LONGEST)
}

fn percentiles(histogram: &Histogram<u64>) -> Value {
    let mut shown: serde_json::Map<String, Value> = PERCENTILES
        .iter()
        .map(|(name, percentile)| {
            let value = histogram.value_at_percentile(*percentile);
            ((*name).to_owned(), json!(microseconds(value)))
        })
        .collect();
    shown.insert("mean".to_owned(), json!(histogram.mean() / 1000.0));
    shown.into()
}

/// `[highest value in µs, count]` of each filled bucket, ascending.
fn buckets(histogram: &Histogram<u64>) -> Value {
    histogram
        .iter_recorded()
        .map(|step| {
            json!([
                microseconds(step.value_iterated_to()),
                step.count_since_last_iteration()
            ])
        })
        .collect()
}

fn microseconds(nanoseconds: u64) -> f64 {
    as_float(nanoseconds) / 1000.0
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and durations stay far below 2^53"
)]
fn as_float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Counter, Kind};

    fn answer(status: u16) -> Answer {
        Answer {
            status,
            first_byte: Instant::now(),
            events: Counter::new(Kind::Document),
        }
    }

    #[test]
    fn only_successes_are_timed_and_failures_are_counted_by_kind() {
        let mut tally = Tally::new().unwrap();
        let start = Instant::now();
        tally.record(start, &Ok(answer(200)));
        tally.record(start, &Ok(answer(503)));
        tally.record(start, &Err(Failure::Timeout));
        let report = tally.report(start);
        assert_eq!(report["requests"], 1);
        assert_eq!(report["errors"]["timeout"], 1);
        assert_eq!(report["errors"]["status 503"], 1);
        assert_eq!(report["statuses"]["200"], 1);
    }
}
