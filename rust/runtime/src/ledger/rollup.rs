//! Hourly sums: the rows of rollup files, made from records.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use aigw_core::record::Outcome;
use aigw_core::usage::Usage;
use serde::{Deserialize, Serialize};

use crate::ledger::disk::Disk;
use crate::ledger::files::{Name, ROLLUP, SEGMENT};
use crate::ledger::frame::{self, Frames, Kind};
use crate::ledger::loss::{Loss, Losses};

pub(crate) const HOUR_NS: u64 = 3_600_000_000_000;

/// Text that is read without a copy where it has no escapes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl std::borrow::Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What the requests of one row have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Key<'a> {
    /// Hours since the Unix epoch.
    pub(crate) hour: u64,
    /// Model that the provider was asked for; empty where none was.
    #[serde(borrow)]
    pub(crate) model: Text<'a>,
    #[serde(borrow)]
    pub(crate) backend: Text<'a>,
    #[serde(borrow)]
    pub(crate) route: Text<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<Text<'a>, Text<'a>>,
    pub(crate) outcome: u8,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) estimated: bool,
    /// Something was used whose price is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unpriced: bool,
}

/// What they used together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub(crate) requests: u64,
    pub(crate) input_tokens: u64,
    pub(crate) cached_input_tokens: u64,
    pub(crate) cache_creation_input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) reasoning_tokens: u64,
    pub(crate) total_tokens: u64,
    #[serde(with = "decimal")]
    pub(crate) pico_usd: u128,
}

impl Sums {
    /// Adds; a sum that is too large stays the largest number.
    pub(crate) fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        for (mine, more) in self.counts_mut().into_iter().zip(other.counts()) {
            *mine = mine.saturating_add(more);
        }
        self.pico_usd = self.pico_usd.saturating_add(other.pico_usd);
    }

    fn counts_mut(&mut self) -> [&mut u64; 6] {
        [
            &mut self.input_tokens,
            &mut self.cached_input_tokens,
            &mut self.cache_creation_input_tokens,
            &mut self.output_tokens,
            &mut self.reasoning_tokens,
            &mut self.total_tokens,
        ]
    }

    fn counts(&self) -> [u64; 6] {
        [
            self.input_tokens,
            self.cached_input_tokens,
            self.cache_creation_input_tokens,
            self.output_tokens,
            self.reasoning_tokens,
            self.total_tokens,
        ]
    }
}

/// Numbers beyond those of JSON are text.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        let text = super::Text::deserialize(from)?;
        text.0.parse().map_err(D::Error::custom)
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row<'a> {
    #[serde(borrow)]
    pub(crate) key: Key<'a>,
    pub(crate) sums: Sums,
}

/// What a rollup is about; its first frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Summary {
    pub(crate) from_hour: u64,
    pub(crate) to_hour: u64,
    /// Single records in the segment.
    pub(crate) records: u64,
    /// Bytes that could not be read.
    pub(crate) damaged_bytes: u64,
}

/// The part of a record that counts here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Lean<'a> {
    started_at: u64,
    #[serde(borrow)]
    attributes: BTreeMap<Text<'a>, Text<'a>>,
    #[serde(borrow)]
    identity: Option<Text<'a>>,
    #[serde(borrow)]
    route: Cow<'a, str>,
    #[serde(borrow)]
    backend: Cow<'a, str>,
    #[serde(borrow)]
    requested_model: Cow<'a, str>,
    #[serde(borrow)]
    routed_model: Cow<'a, str>,
    outcome: Outcome,
    usage: Usage,
    estimated: bool,
    price: Option<Price>,
}

#[derive(Deserialize)]
struct Price {
    pico_usd: u64,
}

/// The row of a single record; `None` when it is not one.
pub(crate) fn row_of(record: &[u8]) -> Option<Row<'_>> {
    let lean: Lean<'_> = serde_json::from_slice(record).ok()?;
    // A request that no backend saw may name any model: it stands for none.
    let model = match (lean.routed_model.is_empty(), lean.backend.is_empty()) {
        (false, _) => lean.routed_model,
        (true, false) => lean.requested_model,
        (true, true) => Cow::Borrowed(""),
    };
    let used = match lean.outcome {
        Outcome::Completed | Outcome::Aborted | Outcome::Crashed => !lean.backend.is_empty(),
        Outcome::Failed | Outcome::Rejected => false,
    };
    Some(Row {
        key: Key {
            hour: lean.started_at / HOUR_NS,
            model: Text(model),
            backend: Text(lean.backend),
            route: Text(lean.route),
            identity: lean.identity,
            attributes: lean.attributes,
            outcome: number_of(lean.outcome),
            estimated: lean.estimated,
            unpriced: lean.price.is_none() && (used || !lean.usage.is_empty()),
        },
        sums: sums_of(&lean.usage, lean.price.map_or(0, |price| price.pico_usd)),
    })
}

fn sums_of(usage: &Usage, pico_usd: u64) -> Sums {
    let input = usage.input_tokens.unwrap_or(0);
    let output = usage.output_tokens.unwrap_or(0);
    Sums {
        requests: 1,
        input_tokens: input,
        cached_input_tokens: usage.cached_input_tokens.unwrap_or(0),
        cache_creation_input_tokens: usage.cache_creation_input_tokens.unwrap_or(0),
        output_tokens: output,
        reasoning_tokens: usage.reasoning_tokens.unwrap_or(0),
        total_tokens: usage.total_tokens.unwrap_or(input.saturating_add(output)),
        pico_usd: u128::from(pico_usd),
    }
}

/// Outcomes as rows have them.
pub(crate) fn number_of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Completed => 0,
        Outcome::Rejected => 1,
        Outcome::Failed => 2,
        Outcome::Aborted => 3,
        Outcome::Crashed => 4,
    }
}

/// Sums of a segment in the making.
#[derive(Default)]
struct Rollup {
    rows: BTreeMap<Vec<u8>, (u64, Sums)>,
    losses: Losses,
    summary: Summary,
}

impl Rollup {
    fn take(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        match kind {
            Kind::Record => match row_of(payload) {
                Some(row) => {
                    self.summary.records += 1;
                    let key = serde_json::to_vec(&row.key)?;
                    let sums = self.rows.entry(key);
                    sums.or_insert((row.key.hour, Sums::default()))
                        .1
                        .add(&row.sums);
                }
                None => self.summary.damaged_bytes += payload.len() as u64,
            },
            Kind::Loss => match serde_json::from_slice::<Loss>(payload) {
                Ok(loss) => self.losses.add(&loss),
                Err(_) => self.summary.damaged_bytes += payload.len() as u64,
            },
            // Not in segments.
            Kind::Row | Kind::Summary => self.summary.damaged_bytes += payload.len() as u64,
        }
        Ok(())
    }

    fn into_bytes(mut self) -> io::Result<Vec<u8>> {
        let hours = self.rows.values().map(|(hour, _)| *hour);
        self.summary.from_hour = hours.clone().min().unwrap_or(u64::MAX);
        self.summary.to_hour = hours.max().unwrap_or(0);
        let mut out = Vec::new();
        frame::append(
            &mut out,
            Kind::Summary,
            0,
            &serde_json::to_vec(&self.summary)?,
        );
        for loss in self.losses.by_hour() {
            frame::append(&mut out, Kind::Loss, 0, &serde_json::to_vec(&loss)?);
        }
        let mut row = Vec::new();
        for (key, (_, sums)) in self.rows {
            row.clear();
            row.extend_from_slice(b"{\"key\":");
            row.extend_from_slice(&key);
            row.extend_from_slice(b",\"sums\":");
            serde_json::to_writer(&mut row, &sums)?;
            row.push(b'}');
            frame::append(&mut out, Kind::Row, 0, &row);
        }
        Ok(out)
    }
}

/// Writes the rollup of a segment that grows no more. It follows from the segment alone: to write
/// it again changes nothing.
pub(crate) fn write(disk: &Disk, directory: &Path, name: &Name) -> io::Result<()> {
    let file = File::open(name.path(directory, SEGMENT))?;
    let mut frames = Frames::new(file, 0);
    let mut rollup = Rollup::default();
    while let Some(frame) = frames.next()? {
        rollup.take(frame.kind, frame.payload)?;
    }
    rollup.summary.damaged_bytes += frames.damaged() + frames.torn();
    disk.place(&name.path(directory, ROLLUP), &rollup.into_bytes()?)
}

/// The summary of a rollup.
pub(crate) fn summary(directory: &Path, name: &Name) -> io::Result<Summary> {
    let file = File::open(name.path(directory, ROLLUP))?;
    let mut frames = Frames::new(file, 0);
    let found = match frames.next()? {
        Some(frame) if frame.kind == Kind::Summary => serde_json::from_slice(frame.payload).ok(),
        _ => None,
    };
    Ok(found.unwrap_or_default())
}
