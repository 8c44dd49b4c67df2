//! Costs: numbers under metadata keys of the user's choice, made of the usage of a reply.
//!
//! For each key the last entry of the route counts that is for this backend and model; without
//! one, the last entry of the Gateway. An entry that has no value for a reply leaves its key out.
//! Expressions are CEL with arithmetic of mixed numbers; their fractions are rounded down.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::cel::{Answer, CelError, Language, Program, Variable};
use crate::usage::Usage;

/// What an evaluation may touch: about a millisecond.
const BUDGET: u64 = 20_000;

/// What expressions can name.
const TEXTS: [&str; 3] = ["model", "backend", "route_name"];

/// A number under a metadata key of the user's choice.
#[derive(Clone, Debug, Deserialize)]
pub struct Cost {
    /// Key in the dynamic metadata.
    pub metadata_key: String,
    /// Which number.
    pub r#type: CostType,
    /// Expression of the type `CEL`.
    #[serde(default)]
    pub cel: Option<String>,
    /// `<ns>/<backend>` that it is for; `None`: all of them.
    #[serde(default)]
    pub backend: Option<String>,
    /// Model that it is for, after the override; `None`: all of them.
    #[serde(default)]
    pub model: Option<String>,
    #[serde(skip)]
    program: Option<Arc<Program>>,
}

/// Kinds of numbers, named as `AIGatewayRoute.spec.llmRequestCosts[].type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum CostType {
    InputToken,
    CachedInputToken,
    CacheCreationInputToken,
    OutputToken,
    TotalToken,
    ReasoningToken,
    CEL,
}

/// What costs are made of.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Model that the provider is asked for.
    pub model: &'a str,
    /// `<ns>/<backend>`.
    pub backend: &'a str,
    /// `<ns>/<backend>/route/<route>/rule/<i>/ref/<j>`.
    pub backend_name: &'a str,
    /// `<ns>/<route>`.
    pub route: &'a str,
    /// Totals so far.
    pub usage: &'a Usage,
}

/// Why a cost has no value. Texts hold no values of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    /// The expression cannot be used.
    #[error("{0}")]
    Expression(#[from] CelError),
    /// The result is no cost.
    #[error("the result is {0}")]
    Result(&'static str),
    /// The type `CEL` without an expression.
    #[error("the type CEL needs an expression")]
    Missing,
}

/// Compiles expressions, each text once.
#[derive(Default)]
pub struct Expressions {
    language: Option<Language>,
    known: HashMap<String, Arc<Program>>,
}

impl Expressions {
    /// Compiles an expression and tries it, with no tokens and with some.
    ///
    /// # Errors
    /// When it is none, names what there is not, or has no value for a request without tokens.
    pub fn compile(&mut self, text: &str) -> Result<Arc<Program>, CostError> {
        if let Some(program) = self.known.get(text) {
            return Ok(Arc::clone(program));
        }
        let language = self.language.get_or_insert_with(Language::new);
        let program = Arc::new(language.compile_mixed(text)?);
        check(&program)?;
        self.known.insert(text.to_owned(), Arc::clone(&program));
        Ok(program)
    }

    /// How many are known.
    pub fn count(&self) -> usize {
        self.known.len()
    }
}

impl fmt::Debug for Expressions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Expressions({})", self.known.len())
    }
}

/// Tries an expression before there are requests.
fn check(program: &Program) -> Result<(), CostError> {
    let none = Usage::default();
    let mut known: Vec<&str> = none.fields().iter().map(|(name, _)| *name).collect();
    known.extend(TEXTS);
    if let Some(name) = program.unknown_name(&known) {
        let text = format!("undeclared reference to '{name}'");
        return Err(CelError::Evaluation(text).into());
    }
    evaluate(program, &dummy(&none))?;
    // Another branch may be taken: what cannot be calculated then is found now. What depends on
    // the counts is not held against it.
    let some = Usage {
        input_tokens: Some(1_000_003),
        output_tokens: Some(500_009),
        total_tokens: Some(1_500_012),
        cached_input_tokens: Some(300_007),
        cache_creation_input_tokens: Some(200_003),
        reasoning_tokens: Some(100_003),
    };
    match evaluate(program, &dummy(&some)) {
        Err(CostError::Expression(CelError::Evaluation(text))) if !is_of_values(&text) => {
            Err(CelError::Evaluation(text).into())
        }
        Err(CostError::Result(kind)) if !kind.starts_with("not ") => Ok(()),
        Err(CostError::Expression(_)) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_of_values(text: &str) -> bool {
    [
        "integer overflow",
        "division by zero",
        "modulus by zero",
        "index out of bounds",
    ]
    .contains(&text)
        || text.starts_with("no such key")
        || text.ends_with(" failed")
}

fn dummy(usage: &Usage) -> Subject<'_> {
    Subject {
        model: "dummy",
        backend: "dummy",
        backend_name: "dummy",
        route: "dummy",
        usage,
    }
}

impl Cost {
    /// Prepares an expression.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub(crate) fn prepare(&mut self, expressions: &mut Expressions) -> Result<(), String> {
        if self.r#type != CostType::CEL {
            return Ok(());
        }
        let text = self.cel.as_deref().filter(|text| !text.trim().is_empty());
        let program = text
            .ok_or(CostError::Missing)
            .and_then(|text| expressions.compile(text))
            .map_err(|error| format!("cost {}: {error}", self.metadata_key))?;
        self.program = Some(program);
        Ok(())
    }

    fn is_for(&self, backend: &str, model: &str) -> bool {
        self.backend.as_deref().is_none_or(|it| it == backend)
            && self.model.as_deref().is_none_or(|it| it == model)
    }

    /// The number. Unknown counts are zero.
    ///
    /// # Errors
    /// An expression may have no value for these counts.
    pub fn value(&self, subject: &Subject<'_>) -> Result<u64, CostError> {
        let usage = subject.usage;
        let count = match self.r#type {
            CostType::InputToken => usage.input_tokens,
            CostType::CachedInputToken => usage.cached_input_tokens,
            CostType::CacheCreationInputToken => usage.cache_creation_input_tokens,
            CostType::OutputToken => usage.output_tokens,
            CostType::TotalToken => usage.total_tokens,
            CostType::ReasoningToken => usage.reasoning_tokens,
            CostType::CEL => {
                let program = self.program.as_deref().ok_or(CostError::Missing)?;
                return evaluate(program, subject);
            }
        };
        Ok(count.unwrap_or(0))
    }
}

fn evaluate(program: &Program, subject: &Subject<'_>) -> Result<u64, CostError> {
    let counts = subject.usage.fields();
    let mut variables = Vec::with_capacity(TEXTS.len() + counts.len());
    // The name of a backend ends in that of its Gateway where several have it.
    let name = subject.backend_name.split('@').next().unwrap_or_default();
    let texts = [subject.model, name, subject.route];
    variables.extend(TEXTS.into_iter().zip(texts.map(Variable::Text)));
    let counts = counts.into_iter();
    variables.extend(counts.map(|(name, count)| (name, Variable::UInt(count.unwrap_or(0)))));
    whole(&program.evaluate(&variables, BUDGET)?)
}

/// A result as a cost.
fn whole(answer: &Answer) -> Result<u64, CostError> {
    /// 2^64, exactly.
    const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;
    match *answer {
        Answer::UInt(number) => Ok(number),
        Answer::Int(number) => u64::try_from(number).map_err(|_| CostError::Result("negative")),
        Answer::Double(number) if number.is_nan() => Err(CostError::Result("undefined")),
        Answer::Double(number) if number < 0.0 => Err(CostError::Result("negative")),
        Answer::Double(number) if number >= TOO_LARGE => Err(CostError::Result("too large")),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 2^64; the fraction is cut"
        )]
        Answer::Double(number) => Ok(number as u64),
        Answer::Bool(_) | Answer::Text(_) => Err(CostError::Result("not a number")),
    }
}

/// The costs of one attempt as they grow.
#[derive(Debug, Default)]
pub(crate) struct RunningCosts {
    /// Entry, value and whether it failed already, for each key.
    keys: Option<Vec<Running>>,
    errors: u64,
}

#[derive(Debug)]
struct Running {
    /// Place in the entries of the route, followed by those of the Gateway.
    place: usize,
    value: Option<u64>,
    failed: bool,
}

/// The entries that apply to a route: its own, and those of its Gateway.
#[derive(Clone, Copy, Debug)]
pub struct Entries<'a> {
    /// `llmRequestCosts`.
    pub route: &'a [Cost],
    /// `globalLLMRequestCosts`.
    pub gateway: &'a [Cost],
}

impl<'a> Entries<'a> {
    fn get(&self, place: usize) -> Option<&'a Cost> {
        let global = place.checked_sub(self.route.len());
        global.map_or_else(|| self.route.get(place), |place| self.gateway.get(place))
    }

    /// Places of the entry of each key.
    fn selected(&self, backend: &str, model: &str) -> Vec<usize> {
        let mut chosen: Vec<(usize, &str)> = Vec::new();
        let own = self.route.iter().enumerate();
        let own = own.filter(|(_, cost)| cost.is_for(backend, model));
        for (place, cost) in own {
            put(&mut chosen, 0, (place, &cost.metadata_key));
        }
        let written = chosen.len();
        for (place, cost) in self.gateway.iter().enumerate() {
            let key = cost.metadata_key.as_str();
            let (own, _) = chosen.split_at(written);
            if !own.iter().any(|(_, known)| *known == key) {
                put(&mut chosen, written, (self.route.len() + place, key));
            }
        }
        chosen.into_iter().map(|(place, _)| place).collect()
    }
}

/// Adds an entry, in the place of one with the same key.
fn put<'k>(chosen: &mut Vec<(usize, &'k str)>, from: usize, entry: (usize, &'k str)) {
    let known = chosen.iter_mut().skip(from).find(|it| it.1 == entry.1);
    match known {
        Some(known) => *known = entry,
        None => chosen.push(entry),
    }
}

impl RunningCosts {
    /// Calculates all costs again. Yields those that are new or have changed.
    pub(crate) fn update<'a>(
        &mut self,
        entries: Entries<'a>,
        subject: &Subject<'_>,
    ) -> Vec<(&'a str, u64)> {
        let mut changed = Vec::new();
        if entries.route.is_empty() && entries.gateway.is_empty() {
            return changed;
        }
        let keys = self.keys.get_or_insert_with(|| {
            let selected = entries.selected(subject.backend, subject.model);
            let running = selected.into_iter().map(|place| Running {
                place,
                value: None,
                failed: false,
            });
            running.collect()
        });
        for key in keys {
            let Some(cost) = entries.get(key.place) else {
                continue;
            };
            match cost.value(subject) {
                Ok(value) if key.value != Some(value) => {
                    key.value = Some(value);
                    changed.push((cost.metadata_key.as_str(), value));
                }
                Ok(_) => {}
                Err(_) if key.failed => {}
                Err(_) => {
                    key.failed = true;
                    self.errors += 1;
                }
            }
        }
        changed
    }

    /// Keys and values as they were calculated last.
    pub(crate) fn values<'a>(
        &'a self,
        entries: Entries<'a>,
    ) -> impl Iterator<Item = (&'a str, u64)> {
        let keys = self.keys.iter().flatten();
        keys.filter_map(move |key| {
            let cost = entries.get(key.place)?;
            Some((cost.metadata_key.as_str(), key.value?))
        })
    }

    /// Keys and values as an update would leave them.
    pub(crate) fn after<'a>(
        &self,
        entries: Entries<'a>,
        subject: &Subject<'_>,
    ) -> Vec<(&'a str, u64)> {
        let known: Vec<_> = if let Some(keys) = &self.keys {
            keys.iter().map(|key| (key.place, key.value)).collect()
        } else {
            let selected = entries.selected(subject.backend, subject.model);
            selected.into_iter().map(|place| (place, None)).collect()
        };
        let values = known.into_iter().filter_map(|(place, last)| {
            let cost = entries.get(place)?;
            let value = cost.value(subject).ok().or(last)?;
            Some((cost.metadata_key.as_str(), value))
        });
        values.collect()
    }

    /// Keys that could not be calculated since the last call.
    pub(crate) fn take_errors(&mut self) -> u64 {
        std::mem::take(&mut self.errors)
    }
}

#[cfg(test)]
#[path = "cost/tests.rs"]
mod tests;
