//! What stands in the shared memory of a data plane, for its metrics endpoint and export.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::Serialize;

use super::catalogue::{BLOCKS, Block, Kind, METRICS, Metric};
use super::table::{FILE, FIRST, MAGIC, USED};

/// The numbers of a metric under one set of attributes.
#[derive(Debug, PartialEq, Serialize)]
pub struct Point {
    /// Attributes.
    pub labels: Vec<(String, String)>,
    /// The value, or the sum of what was observed.
    pub value: f64,
    /// Observations in each bucket of a histogram.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<u64>,
}

/// A metric and what is known of it.
#[derive(Debug, Serialize)]
pub struct Family {
    /// Which one.
    #[serde(flatten)]
    pub metric: &'static Metric,
    /// Its numbers.
    pub points: Vec<Point>,
}

/// All numbers at one time.
#[derive(Debug, Serialize)]
pub struct Reading {
    /// When counting began, in nanoseconds since the Unix epoch.
    pub started_at: u64,
    /// Metrics with numbers.
    pub families: Vec<Family>,
}

/// Reads the numbers of the data plane that runs in `dir`.
///
/// # Errors
/// No data plane has run there, or the file is none of ours.
pub fn read(dir: &Path) -> Result<Reading> {
    let file = File::open(dir.join(FILE))?;
    let head = words(&file, 0, FIRST)?;
    let word = |index: usize| head.get(index).copied().unwrap_or_default();
    if word(0) != MAGIC {
        return Err(Error::new(ErrorKind::InvalidData, "not a metrics file"));
    }
    let used = usize::try_from(word(USED)).unwrap_or(0);
    let all = words(&file, FIRST, used.saturating_sub(FIRST))?;
    let mut families: Vec<Family> = METRICS
        .iter()
        .map(|metric| Family {
            metric,
            points: Vec::new(),
        })
        .collect();
    let mut rest = all.as_slice();
    while let Some(after) = entry(rest, &mut families) {
        rest = after;
    }
    families.retain(|family| !family.points.is_empty());
    Ok(Reading {
        started_at: word(1),
        families,
    })
}

fn words(file: &File, from: usize, count: usize) -> Result<Vec<u64>> {
    let mut bytes = vec![0; count * 8];
    file.read_exact_at(&mut bytes, from as u64 * 8)?;
    let (chunks, _) = bytes.as_chunks();
    Ok(chunks
        .iter()
        .map(|word| u64::from_ne_bytes(*word))
        .collect())
}

/// Takes in the first entry; what follows it.
fn entry<'a>(words: &'a [u64], families: &mut [Family]) -> Option<&'a [u64]> {
    let (head, rest) = words.split_first()?;
    let block = *BLOCKS.get(usize::from(head.to_le_bytes()[0]))?;
    let length = usize::try_from(head >> 8).ok()?;
    let (text, rest) = rest.split_at_checked(length.div_ceil(8))?;
    let (mut numbers, rest) = rest.split_at_checked(block.words())?;
    let bytes: Vec<u8> = text.iter().flat_map(|word| word.to_le_bytes()).collect();
    let labels = labels(bytes.get(..length)?);
    for member in block.members() {
        let (mine, others) = numbers.split_at_checked(member.words())?;
        numbers = others;
        if block != Block::Process && mine.iter().all(|word| *word == 0) {
            continue;
        }
        let mut labels = labels.clone();
        let own = member.labels.iter();
        labels.extend(own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let family = families
            .iter_mut()
            .find(|family| std::ptr::eq(family.metric, member.metric))?;
        family.points.push(point(member.metric, labels, mine));
    }
    Some(rest)
}

fn labels(text: &[u8]) -> Vec<(String, String)> {
    let mut texts = text
        .split(|byte| *byte == 0)
        .map(|text| String::from_utf8_lossy(text).into_owned());
    let mut found = Vec::new();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        found.push((name, value));
    }
    found
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
fn point(metric: &Metric, labels: Vec<(String, String)>, numbers: &[u64]) -> Point {
    let last = numbers.last().copied().unwrap_or_default();
    let (value, counts) = match metric.kind {
        Kind::Counter => (last as f64, Vec::new()),
        Kind::Gauge => (last.cast_signed() as f64, Vec::new()),
        Kind::Histogram(bounds) => {
            let counts = numbers.get(..=bounds.len()).unwrap_or_default();
            (last as f64, counts.to_vec())
        }
    };
    Point {
        labels,
        value: scaled(value, metric.scale),
        counts,
    }
}

/// Decimal fractions are divided: 0.3 stays 0.3.
fn scaled(value: f64, scale: f64) -> f64 {
    value / (1.0 / scale).round()
}
