//! From a usage record to numbers.

use aigw_core::record::{AttemptRecord, Outcome, UsageRecord};
use aigw_core::usage::Usage;

use super::catalogue::{Block, attempt as places, backend};
use super::table::{Table, Trust};

/// Longest value of an attribute, in bytes.
const LONGEST: usize = 128;
const UNKNOWN: &str = "unknown";

/// Attributes as they are kept: the block, then `name\0value\0` each.
struct Key<'a>(&'a mut Vec<u8>);

impl<'a> Key<'a> {
    fn new(buffer: &'a mut Vec<u8>, block: Block) -> Self {
        buffer.clear();
        buffer.push(block as u8);
        Self(buffer)
    }

    fn with(self, name: &str, value: &str) -> Self {
        for text in [name, cut(value)] {
            if text.contains('\0') {
                self.0.extend(text.bytes().filter(|byte| *byte != 0));
            } else {
                self.0.extend_from_slice(text.as_bytes());
            }
            self.0.push(0);
        }
        self
    }
}

fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(LONGEST);
    text.get(..end).unwrap_or_default()
}

/// Takes a record in. `buffer` is for keys, and is kept for the next one.
/// `attributes` are those of the record that metrics have.
pub(super) fn observe(
    table: &Table,
    record: &UsageRecord,
    attributes: &[String],
    buffer: &mut Vec<u8>,
) {
    request(table, record, buffer);
    for (index, attempt) in record.attempts.iter().enumerate() {
        let before = index
            .checked_sub(1)
            .and_then(|index| record.attempts.get(index));
        backend_of(table, record, attempt, before, buffer);
        outcome_of(table, record, attempt, buffer);
        let seen = Seen {
            record,
            attempt,
            attributes,
            is_last: index + 1 == record.attempts.len(),
            duration: end_of(record, index, attempt).saturating_sub(attempt.started_ns),
        };
        gen_ai(table, &seen, buffer);
    }
}

/// An attempt of a request.
struct Seen<'a> {
    record: &'a UsageRecord,
    attempt: &'a AttemptRecord,
    attributes: &'a [String],
    is_last: bool,
    /// Nanoseconds.
    duration: u64,
}

fn request(table: &Table, record: &UsageRecord, buffer: &mut Vec<u8>) {
    let mut digits = [0; 5];
    let key = Key::new(buffer, Block::Request)
        .with("aigw.gateway", &record.gateway)
        .with("aigw.route", &record.route)
        .with("gen_ai.operation.name", &record.operation)
        .with("aigw.outcome", outcome(record.outcome))
        .with(
            "http.response.status_code",
            decimal(record.status, &mut digits),
        );
    let place = table.place(Block::Request, key.0, Trust::Served);
    table.add(Block::Request, place, 0, 1);
}

fn backend_of(
    table: &Table,
    record: &UsageRecord,
    attempt: &AttemptRecord,
    before: Option<&AttemptRecord>,
    buffer: &mut Vec<u8>,
) {
    let key = Key::new(buffer, Block::Backend)
        .with("aigw.route", &record.route)
        .with("aigw.backend", backend_name(&attempt.backend_name));
    let place = table.place(Block::Backend, key.0, Trust::Served);
    let (index, value) = match before {
        None => (backend::ROUTER, attempt.started_ns),
        Some(before) if before.backend_name == attempt.backend_name => (backend::RETRIES, 1),
        Some(_) => (backend::FAILOVERS, 1),
    };
    table.add(Block::Backend, place, index, value);
}

fn outcome_of(table: &Table, record: &UsageRecord, attempt: &AttemptRecord, buffer: &mut Vec<u8>) {
    let key = Key::new(buffer, Block::Outcome)
        .with("aigw.route", &record.route)
        .with("aigw.backend", backend_name(&attempt.backend_name))
        .with("aigw.outcome", outcome(attempt.outcome));
    let place = table.place(Block::Outcome, key.0, Trust::Served);
    table.add(Block::Outcome, place, 0, 1);
}

/// The `gen_ai` metrics of one attempt.
fn gen_ai(table: &Table, seen: &Seen<'_>, buffer: &mut Vec<u8>) {
    let attempt = seen.attempt;
    let mut digits = [0; 5];
    let failure = failure(seen, &mut digits);
    if let Some(kind) = failure {
        let key = labels(Key::new(buffer, Block::Failure), seen).with("error.type", kind);
        let place = table.place(Block::Failure, key.0, Trust::Failed);
        table.add(Block::Failure, place, 0, seen.duration);
        if attempt.usage.is_empty() {
            return;
        }
    }
    let trust = if failure.is_some() {
        Trust::Failed
    } else {
        Trust::Served
    };
    let key = labels(Key::new(buffer, Block::Attempt), seen);
    let place = table.place(Block::Attempt, key.0, trust);
    let add = |index, value| table.add(Block::Attempt, place, index, value);
    usage(attempt, add);
    if failure.is_none() {
        add(places::DURATION, seen.duration);
        if seen.record.stream {
            stream_times(attempt, add);
        }
    }
}

fn usage(attempt: &AttemptRecord, add: impl Fn(usize, u64)) {
    for (index, count) in tokens(&attempt.usage).into_iter().enumerate() {
        if let Some(count) = count {
            add(index, count);
        }
    }
    match &attempt.price {
        Some(price) => add(places::COST, price.pico_usd / 1_000),
        None if !attempt.usage.is_empty() => add(places::UNPRICED, 1),
        None => {}
    }
}

fn stream_times(attempt: &AttemptRecord, add: impl Fn(usize, u64)) {
    let Some(first) = attempt.first_output_ns else {
        return;
    };
    add(
        places::FIRST_TOKEN,
        first.saturating_sub(attempt.started_ns),
    );
    let last = attempt.last_output_ns.unwrap_or(first);
    let more = attempt.usage.output_tokens.unwrap_or(0).saturating_sub(1);
    if last > first
        && let Some(time) = (last - first).checked_div(more)
    {
        add(places::PER_TOKEN, time);
    }
}

fn labels<'a>(key: Key<'a>, seen: &Seen<'_>) -> Key<'a> {
    let (record, attempt) = (seen.record, seen.attempt);
    let requested = or(&record.requested_model, UNKNOWN);
    let response = attempt.response_model.as_deref().unwrap_or_default();
    let mut key = key
        .with("gen_ai.operation.name", &record.operation)
        .with("gen_ai.provider.name", or(&attempt.provider, UNKNOWN))
        .with("gen_ai.original.model", requested)
        .with("gen_ai.request.model", or(&attempt.routed_model, requested))
        .with("gen_ai.response.model", or(response, UNKNOWN));
    for name in seen.attributes {
        if let Some(value) = record.attributes.get(name) {
            key = key.with(name, value);
        }
    }
    key
}

fn or<'a>(text: &'a str, instead: &'a str) -> &'a str {
    if text.is_empty() { instead } else { text }
}

/// In the order of the block.
fn tokens(usage: &Usage) -> [Option<u64>; 5] {
    [
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_creation_input_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
    ]
}

/// `error.type`, `None` of a success.
fn failure<'a>(seen: &Seen<'a>, digits: &'a mut [u8; 5]) -> Option<&'a str> {
    let (record, attempt) = (seen.record, seen.attempt);
    if attempt.outcome == Outcome::Completed {
        return None;
    }
    // What ended the last attempt may be known of the request alone.
    let is_last = seen.is_last;
    if attempt.outcome == Outcome::Aborted || (is_last && record.outcome == Outcome::Aborted) {
        return Some("client_disconnected");
    }
    let kind = match attempt.error_kind.as_str() {
        "" if is_last => record.error_kind.as_str(),
        kind => kind,
    };
    Some(match kind {
        "missing_credential" | "credential_unavailable" | "other_policy" => "auth_error",
        "untranslatable" | "unsupported_schema" | "upstream_protocol" => "translation_error",
        "timeout" | "unreachable" | "reset" | "overflow" => kind,
        _ if attempt.status >= 300 => decimal(attempt.status, digits),
        _ => "_OTHER",
    })
}

/// When an attempt was over, from the start of the request.
fn end_of(record: &UsageRecord, index: usize, attempt: &AttemptRecord) -> u64 {
    let heard = attempt.last_output_ns.max(attempt.head_ns);
    let next = record.attempts.get(index + 1).map(|next| next.started_ns);
    match attempt.outcome {
        Outcome::Aborted => next.unwrap_or(record.duration_ns),
        Outcome::Completed | Outcome::Rejected | Outcome::Failed | Outcome::Crashed => {
            heard.or(next).unwrap_or(record.duration_ns)
        }
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Rejected => "rejected",
        Outcome::Failed => "failed",
        Outcome::Aborted => "aborted",
        Outcome::Crashed => "crashed",
    }
}

/// `<ns>/<backend>` of `<ns>/<backend>/route/<route>/rule/<i>/ref/<j>`.
fn backend_name(name: &str) -> &str {
    let end = name
        .match_indices('/')
        .nth(1)
        .map_or(name.len(), |(at, _)| at);
    name.get(..end).unwrap_or(name)
}

fn decimal(number: u16, digits: &mut [u8; 5]) -> &str {
    let mut rest = number;
    let mut start = digits.len();
    for (index, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        start = index;
        if rest == 0 {
            break;
        }
    }
    let found = digits.get(start..).unwrap_or_default();
    std::str::from_utf8(found).unwrap_or_default()
}
