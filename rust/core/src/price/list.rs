//! The price list of a provider: entries by the names of its models.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use super::{Asked, Found, Rates};

const DAY: u64 = 24 * 60 * 60;

/// `prices` of the filter config.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListsDocument {
    source: String,
    lists: BTreeMap<String, ListDocument>,
}

#[derive(Debug, Deserialize)]
struct ListDocument {
    /// Lists of providers whose models this one offers too.
    #[serde(default)]
    fallback: Vec<String>,
    /// Models may be paths, of which the last part is the name.
    #[serde(default)]
    paths: bool,
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    id: String,
    r#match: Vec<Rule>,
    periods: Vec<Period>,
}

/// One condition, or several that all hold.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Rule {
    One(String),
    All(Vec<String>),
}

/// When rates hold. The last period that does counts; without one, the first.
#[derive(Debug, Deserialize)]
struct Period {
    /// Unix seconds.
    #[serde(default)]
    since: u64,
    /// Seconds of the day, UTC; the end does not belong to it.
    #[serde(default)]
    daily: Option<(u64, u64)>,
    /// By the size of the prompt, smallest first.
    levels: Vec<Level>,
}

#[derive(Debug, Deserialize)]
struct Level {
    /// Prompts with more tokens than this.
    #[serde(default)]
    above: u64,
    #[serde(flatten)]
    rates: Rates,
}

/// Prices of one provider.
pub struct PriceList {
    id: String,
    source: Arc<str>,
    paths: bool,
    entries: Vec<Entry>,
    /// The first entry of each full name.
    exact: HashMap<String, usize>,
    /// Other conditions, in the order of their entries.
    patterns: Vec<(usize, usize)>,
}

impl fmt::Debug for PriceList {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PriceList({}, {})", self.id, self.entries.len())
    }
}

/// All lists of a filter config.
#[derive(Debug, Default)]
pub(crate) struct Lists(BTreeMap<String, (Arc<PriceList>, Vec<String>)>);

impl Lists {
    pub(crate) fn new(document: ListsDocument) -> Self {
        let source: Arc<str> = document.source.into();
        let lists = document.lists.into_iter().map(|(id, list)| {
            let fallback = list.fallback.clone();
            let list = Arc::new(PriceList::new(id.clone(), Arc::clone(&source), list));
            (id, (list, fallback))
        });
        Self(lists.collect())
    }

    /// The list `id`, and behind it those that it falls back to.
    pub(crate) fn of(&self, id: &str) -> Vec<Arc<PriceList>> {
        let Some((list, fallback)) = self.0.get(id) else {
            return Vec::new();
        };
        let behind = fallback.iter().filter_map(|id| self.0.get(id));
        let behind = behind.map(|(list, _)| Arc::clone(list));
        std::iter::once(Arc::clone(list)).chain(behind).collect()
    }
}

impl PriceList {
    fn new(id: String, source: Arc<str>, document: ListDocument) -> Self {
        let mut exact = HashMap::new();
        let mut patterns = Vec::new();
        for (place, entry) in document.entries.iter().enumerate() {
            for (number, rule) in entry.r#match.iter().enumerate() {
                match rule {
                    Rule::One(text) if text.starts_with('=') => {
                        let name = text.trim_start_matches('=').to_owned();
                        exact.entry(name).or_insert(place);
                    }
                    Rule::One(_) | Rule::All(_) => patterns.push((place, number)),
                }
            }
        }
        Self {
            id,
            source,
            paths: document.paths,
            entries: document.entries,
            exact,
            patterns,
        }
    }

    /// The price of a model.
    pub(super) fn find(&self, model: &str, asked: Asked) -> Option<Found> {
        if model.is_empty() {
            return None;
        }
        let entry = self.entry(&model.to_ascii_lowercase())?;
        Some(Found {
            entry: format!("{}/{}", self.id, entry.id),
            source: Arc::clone(&self.source),
            rates: rates(&entry.periods, asked)?,
        })
    }

    fn entry(&self, model: &str) -> Option<&Entry> {
        let found = self.named(model).or_else(|| {
            // Names in clouds have the day of a release without dashes.
            self.named(&dashed_date(model)?)
        });
        let last = || model.rsplit_once('/').map(|(_, last)| last);
        match found {
            None if self.paths => self.entry(last()?),
            found => found,
        }
    }

    /// The first entry with this name.
    fn named(&self, model: &str) -> Option<&Entry> {
        let exact = self.exact.get(model).copied();
        let before = exact.unwrap_or(usize::MAX);
        let mut patterns = self.patterns.iter();
        let pattern = patterns
            .by_ref()
            .take_while(|(place, _)| *place < before)
            .find(|(place, number)| self.holds(*place, *number, model));
        self.entries.get(pattern.map(|it| it.0).or(exact)?)
    }

    fn holds(&self, place: usize, number: usize, model: &str) -> bool {
        let rule = self
            .entries
            .get(place)
            .and_then(|it| it.r#match.get(number));
        match rule {
            Some(Rule::One(text)) => holds(text, model),
            Some(Rule::All(texts)) => texts.iter().all(|text| holds(text, model)),
            None => false,
        }
    }
}

/// Whether a condition holds: `=name`, `^start`, `$end`, `*part`, `~name` with a date behind it,
/// `#start` with a digit behind it; `!` negates.
fn holds(rule: &str, model: &str) -> bool {
    let mut letters = rule.chars();
    let kind = letters.next();
    let text = letters.as_str();
    match kind {
        Some('=') => model == text,
        Some('^') => model.starts_with(text),
        Some('$') => model.ends_with(text),
        Some('*') => model.contains(text),
        Some('~') => model.strip_prefix(text).is_some_and(is_date),
        Some('#') => model
            .strip_prefix(text)
            .is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit())),
        Some('!') => !holds(text, model),
        Some(_) | None => false,
    }
}

/// `-20260203`, `@20260203` or `-2026-02-03`.
fn is_date(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match text.as_bytes() {
        [b'-' | b'@', rest @ ..] if rest.len() == 8 => text.get(1..).is_some_and(digits),
        [b'-', _, _, _, _, b'-', _, _, b'-', _, _] => digits(&text.replace('-', "")),
        _ => false,
    }
}

/// The name with its first compact date `-20260203` as `-2026-02-03`.
fn dashed_date(model: &str) -> Option<String> {
    let starts = model.match_indices("-20").map(|(at, _)| at);
    for at in starts {
        let date = model.get(at + 1..at + 9)?;
        let rest = model.get(at + 9..)?;
        let ends = rest.is_empty() || rest.starts_with(['-', ':']);
        if ends && date.bytes().all(|byte| byte.is_ascii_digit()) {
            let (year, day) = date.split_at(4);
            let (month, day) = day.split_at(2);
            let before = model.get(..at)?;
            return Some(format!("{before}-{year}-{month}-{day}{rest}"));
        }
    }
    None
}

fn rates(periods: &[Period], asked: Asked) -> Option<Rates> {
    let mut latest_first = periods.iter().rev();
    let active = latest_first.find(|period| period.holds(asked.now));
    let levels = &active.or_else(|| periods.first())?.levels;
    let mut largest_first = levels.iter().rev();
    let level = largest_first.find(|level| level.above == 0 || level.above < asked.input_tokens);
    level.map(|level| level.rates)
}

impl Period {
    fn holds(&self, now: u64) -> bool {
        let time = now % DAY;
        let in_time = match self.daily {
            None => true,
            Some((start, end)) if end < start => time >= start || time < end,
            Some((start, end)) => start <= time && time < end,
        };
        now >= self.since && in_time
    }
}
