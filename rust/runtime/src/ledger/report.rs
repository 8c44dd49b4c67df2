//! Usage of a time, grouped: from rollups, and from the segments that have none yet.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ledger::files::{Listing, Name, Parts, ROLLUP, SEGMENT};
use crate::ledger::frame::{Frame, Frames, Kind};
use crate::ledger::loss::Loss;
use crate::ledger::rollup::{HOUR_NS, Key, Row, Summary, Sums, row_of};

/// What is asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    /// Nanoseconds since the Unix epoch, rounded down to the hour.
    pub since: u64,
    /// What makes a group.
    pub by: By,
}

/// What makes a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The model that the provider was asked for.
    #[default]
    Model,
    /// `<ns>/<backend>`.
    Backend,
    /// `<ns>/<route>`.
    Route,
    /// The client that the gateway verified.
    Identity,
    /// The value of an attribute.
    Attribute(String),
}

impl By {
    fn of<'a>(&self, key: &'a Key<'_>) -> &'a str {
        let value = match self {
            Self::Model => Some(&key.model),
            Self::Backend => Some(&key.backend),
            Self::Route => Some(&key.route),
            Self::Identity => key.identity.as_ref(),
            Self::Attribute(name) => key.attributes.get(name.as_str()),
        };
        value.map_or("", |text| &text.0)
    }
}

/// Usage of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Group {
    /// What its requests have in common; empty: nothing is known of it.
    pub key: String,
    #[serde(flatten)]
    sums: Sums,
    /// Requests by their end.
    completed: u64,
    rejected: u64,
    failed: u64,
    aborted: u64,
    crashed: u64,
    /// Requests with estimated counts, and their part of the money.
    estimated: u64,
    #[serde(serialize_with = "as_text")]
    estimated_pico_usd: u128,
    /// Requests that used something whose price is not known.
    unpriced: u64,
}

fn as_text<S: serde::Serializer>(value: &u128, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

impl Group {
    fn add(&mut self, row: &Row<'_>) {
        let requests = row.sums.requests;
        self.sums.add(&row.sums);
        let outcome = match row.key.outcome {
            0 => &mut self.completed,
            1 => &mut self.rejected,
            2 => &mut self.failed,
            3 => &mut self.aborted,
            _ => &mut self.crashed,
        };
        *outcome += requests;
        if row.key.estimated {
            self.estimated += requests;
            self.estimated_pico_usd += row.sums.pico_usd;
        }
        if row.key.unpriced {
            self.unpriced += requests;
        }
    }
}

/// An answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Groups, the most expensive first.
    pub groups: Vec<Group>,
    /// All groups together.
    pub total: Group,
    /// Requests whose usage is not in the ledger.
    pub lost: u64,
    /// Single records that were removed before an exporter had them.
    pub unexported: u64,
    /// Bytes that cannot be read.
    pub damaged_bytes: u64,
    /// From when on, in nanoseconds since the Unix epoch.
    pub since: u64,
}

/// Reads a ledger, file by file.
///
/// # Errors
/// The file that cannot be read, and why.
pub fn report(directory: &Path, query: &Query) -> Result<Report, (PathBuf, io::Error)> {
    let mut reading = Reading::new(query);
    let listing = Listing::of(directory).map_err(|error| (directory.to_path_buf(), error))?;
    for (name, parts) in &listing.segments {
        reading.add(directory, name, *parts)?;
    }
    Ok(reading.finish())
}

struct Reading<'a> {
    query: &'a Query,
    since_hour: u64,
    groups: BTreeMap<String, Group>,
    report: Report,
}

impl<'a> Reading<'a> {
    fn new(query: &'a Query) -> Self {
        let since_hour = query.since / HOUR_NS;
        Self {
            query,
            since_hour,
            groups: BTreeMap::new(),
            report: Report {
                since: since_hour * HOUR_NS,
                ..Report::default()
            },
        }
    }

    fn add(
        &mut self,
        directory: &Path,
        name: &Name,
        parts: Parts,
    ) -> Result<(), (PathBuf, io::Error)> {
        let order = match parts.rollup {
            Some(_) => [ROLLUP, SEGMENT],
            // If it is sealed and removed before it is opened, its rollup is there.
            None => [SEGMENT, ROLLUP],
        };
        for extension in order {
            let path = name.path(directory, extension);
            match File::open(&path) {
                Ok(file) => {
                    let done = self.read(file, extension);
                    return done.map_err(|error| (path, error));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err((path, error)),
            }
        }
        Ok(())
    }

    fn read(&mut self, file: File, extension: &str) -> io::Result<()> {
        let mut frames = Frames::new(file, 0);
        while let Some(frame) = frames.next()? {
            if !self.take(&frame) {
                return Ok(());
            }
        }
        self.report.damaged_bytes += frames.damaged();
        if extension == ROLLUP {
            self.report.damaged_bytes += frames.torn();
        }
        Ok(())
    }

    /// False when the rest of the file is older than what is asked for.
    fn take(&mut self, frame: &Frame<'_>) -> bool {
        let read = match frame.kind {
            Kind::Record => row_of(frame.payload).map(|row| self.add_row(&row)),
            Kind::Row => serde_json::from_slice(frame.payload)
                .map(|row: Row<'_>| self.add_row(&row))
                .ok(),
            Kind::Loss => serde_json::from_slice(frame.payload)
                .map(|loss: Loss| self.add_loss(&loss))
                .ok(),
            Kind::Summary => match serde_json::from_slice::<Summary>(frame.payload) {
                Ok(summary) if summary.to_hour < self.since_hour => return false,
                Ok(summary) => {
                    self.report.damaged_bytes += summary.damaged_bytes;
                    Some(())
                }
                Err(_) => None,
            },
        };
        if read.is_none() {
            self.report.damaged_bytes += frame.payload.len() as u64;
        }
        true
    }

    fn add_row(&mut self, row: &Row<'_>) {
        if row.key.hour < self.since_hour {
            return;
        }
        let key = Cow::Borrowed(self.query.by.of(&row.key));
        if let Some(group) = self.groups.get_mut(&*key) {
            group.add(row);
        } else {
            let mut group = Group {
                key: key.into_owned(),
                ..Group::default()
            };
            group.add(row);
            self.groups.insert(group.key.clone(), group);
        }
        self.report.total.add(row);
    }

    fn add_loss(&mut self, loss: &Loss) {
        if loss.at / HOUR_NS >= self.since_hour {
            self.report.lost = self.report.lost.saturating_add(loss.lost);
            self.report.unexported = self.report.unexported.saturating_add(loss.unexported);
        }
    }

    fn finish(self) -> Report {
        let mut groups: Vec<Group> = self.groups.into_values().collect();
        let rank = |group: &Group| {
            let sums = &group.sums;
            std::cmp::Reverse((sums.pico_usd, sums.total_tokens, sums.requests))
        };
        groups.sort_by_key(rank);
        Report {
            groups,
            ..self.report
        }
    }
}
