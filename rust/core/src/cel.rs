//! CEL expressions: the rules of resources, and what users write as costs and conditions.
//!
//! The language is the standard library of CEL with `lowerAscii`, as the API server has it.
//! [`Language::compile_mixed`] adds arithmetic of numbers of different kinds.
//! `duration` yields nanoseconds as an int; there are no timestamps. Every evaluation is bounded:
//! [`Program::evaluate`] first estimates from the sizes of the variables what it can cost at
//! most, and refuses what is over the budget. Texts of errors hold no values.

mod cost;
mod mixed;
mod names;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::types::{CelInt, CelString};
use cel::objects::{Key, Map};
use cel::parser::Expression;
use cel::{Context, Env, ExecutionError, ParseErrors};
use serde::Serialize;

use cost::Extent;

/// Longest expression, in bytes; as long as the API lets one be.
pub const MAX_LENGTH: usize = 4096;

/// Most operators of an expression. Each can be a level of the parser's stack: with these two
/// limits less than 1 MiB is used in a release build.
const MAX_OPERATORS: usize = 500;

/// Deepest nesting of parentheses, brackets and braces.
const MAX_NESTING: u16 = 48;

/// A language to compile in; cheap to clone.
#[derive(Clone)]
pub struct Language(Arc<Env>);

/// A compiled expression.
pub struct Program {
    expression: Expression,
    language: Language,
}

/// The value of a variable.
#[derive(Clone, Copy)]
pub enum Variable<'v> {
    /// Whole numbers are ints, others doubles.
    Json(&'v serde_json::Value),
    /// A count.
    UInt(u64),
    /// Text.
    Text(&'v str),
}

/// What an expression yields.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// A condition.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    UInt(u64),
    /// A fraction.
    Double(f64),
    /// Text.
    Text(String),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CelError {
    /// The text is no expression.
    #[error("{0}")]
    Syntax(String),
    /// The expression is too long or would take too long.
    #[error("{0}")]
    Limit(&'static str),
    /// The expression has no value for these variables.
    #[error("{0}")]
    Evaluation(String),
}

impl CelError {
    /// Stable name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "syntax",
            Self::Limit(_) => "limit",
            Self::Evaluation(_) => "evaluation",
        }
    }
}

impl Default for Language {
    fn default() -> Self {
        Self::new()
    }
}

impl Language {
    /// Builds the library of functions.
    pub fn new() -> Self {
        let mut env = Env::stdlib();
        // Fails only for a name that is taken; the tests call both.
        let _ = cel::add_overload!(env, fn duration: (CelString) -> Result<CelInt>);
        let _ = cel::add_member_overload!(env, fn lower_ascii: (CelString) -> CelString);
        mixed::declare(&mut env);
        Self(Arc::new(env))
    }

    /// Compiles an expression.
    ///
    /// # Errors
    /// When it is too long or no expression. Names are not looked up before evaluation.
    pub fn compile(&self, text: &str) -> Result<Program, CelError> {
        if text.len() > MAX_LENGTH {
            return Err(CelError::Limit("the expression is too long"));
        }
        if operators(text) > MAX_OPERATORS {
            return Err(CelError::Limit("the expression has too many operators"));
        }
        let expression = guarded(|| {
            let parser = self.0.parser().max_recursion_depth(MAX_NESTING);
            parser.parse(text).map_err(|errors| syntax(&errors))
        })?;
        Ok(Program {
            expression,
            language: self.clone(),
        })
    }

    /// As [`Self::compile`], with arithmetic of ints, uints and doubles with each other.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_mixed(&self, text: &str) -> Result<Program, CelError> {
        let mut program = self.compile(text)?;
        mixed::rename(&mut program.expression);
        Ok(program)
    }
}

impl Program {
    /// A name that is none of `known`, wherever it stands.
    pub fn unknown_name(&self, known: &[&str]) -> Option<String> {
        names::unknown(&self.expression, &mut known.to_vec()).map(str::to_owned)
    }

    /// The value for these variables. `budget` is about the number of values and bytes that may
    /// be touched; a million takes well under a second.
    ///
    /// # Errors
    /// When there is no value, or finding it can cost more than `budget`.
    pub fn evaluate(
        &self,
        variables: &[(&str, Variable<'_>)],
        budget: u64,
    ) -> Result<Answer, CelError> {
        let extents = variables
            .iter()
            .map(|(name, variable)| (*name, variable.extent()));
        if cost::estimate(&self.expression, extents) > budget {
            return Err(CelError::Limit("the expression could take too long"));
        }
        let mut context = Context::with_env(Arc::clone(&self.language.0));
        for (name, variable) in variables {
            context.add_variable_from_value(*name, variable.value());
        }
        guarded(|| {
            let value = cel::Value::resolve(&self.expression, &context);
            value.map_err(|error| failed(&error)).and_then(answer)
        })
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Program")
    }
}

impl<'v> Variable<'v> {
    fn value(self) -> cel::Value {
        match self {
            Self::Json(value) => json(value),
            Self::UInt(number) => cel::Value::UInt(number),
            Self::Text(text) => cel::Value::from(text),
        }
    }

    fn extent(self) -> Extent<'v> {
        match self {
            Self::Json(value) => Extent::OneOf(vec![value]),
            Self::UInt(_) => Extent::SCALAR,
            Self::Text(text) => Extent::text(text.len()),
        }
    }
}

fn json(value: &serde_json::Value) -> cel::Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => cel::Value::Null,
        Json::Bool(boolean) => cel::Value::Bool(*boolean),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => cel::Value::Int(int),
            (None, Some(uint)) => cel::Value::UInt(uint),
            (None, None) => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => cel::Value::from(text.as_str()),
        Json::Array(items) => cel::Value::List(Arc::new(items.iter().map(json).collect())),
        Json::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (Key::from(name.as_str()), json(value)));
            cel::Value::Map(Map {
                map: Arc::new(members.collect()),
            })
        }
    }
}

fn answer(value: cel::Value) -> Result<Answer, CelError> {
    match value {
        cel::Value::Bool(boolean) => Ok(Answer::Bool(boolean)),
        cel::Value::Int(number) => Ok(Answer::Int(number)),
        cel::Value::UInt(number) => Ok(Answer::UInt(number)),
        cel::Value::Float(number) => Ok(Answer::Double(number)),
        cel::Value::String(text) => Ok(Answer::Text(text.to_string())),
        other => Err(CelError::Evaluation(format!(
            "the result is a {}",
            other.type_of()
        ))),
    }
}

/// Runs code of the interpreter; a panic in it is an error like others.
fn guarded<T>(step: impl FnOnce() -> Result<T, CelError>) -> Result<T, CelError> {
    catch_unwind(AssertUnwindSafe(step))
        .unwrap_or_else(|_| Err(CelError::Evaluation("the interpreter failed".to_owned())))
}

fn operators(text: &str) -> usize {
    let symbols = text.bytes().filter(|byte| b".[({+-*/%<>=?".contains(byte));
    symbols.count() + text.matches("in").count()
}

fn syntax(errors: &ParseErrors) -> CelError {
    let first = errors.errors.first();
    let text = first.map_or_else(String::new, |error| {
        let (line, column) = error.pos;
        format!("{line}:{column}: {}", error.msg)
    });
    CelError::Syntax(text.lines().next().unwrap_or_default().to_owned())
}

fn failed(error: &ExecutionError) -> CelError {
    let text = match error {
        ExecutionError::NoSuchKey(name) => format!("no such key: {name}"),
        ExecutionError::UndeclaredReference(name) => format!("undeclared reference to '{name}'"),
        ExecutionError::NoSuchOverload(overload) => overload.to_string(),
        ExecutionError::UnexpectedType { got, want } => format!("got {got} where {want} is meant"),
        ExecutionError::InvalidArgumentCount { .. } => "wrong number of arguments".to_owned(),
        ExecutionError::FunctionError { function, .. } => format!("{function} failed"),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => "index out of bounds".to_owned(),
        _ => "no matching overload".to_owned(),
    };
    CelError::Evaluation(text)
}

/// `1m30s` in nanoseconds.
fn duration(text: &CelString<'_>) -> Result<CelInt, ExecutionError> {
    nanoseconds(text.inner())
        .map(CelInt::from)
        .ok_or_else(|| ExecutionError::function_error("duration", "not a duration"))
}

fn nanoseconds(text: &str) -> Option<i64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0_i64;
    while !rest.is_empty() || total == 0 {
        let unit_at = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (digits, tail) = rest.split_at(unit_at);
        let unit_end = tail.find(|letter: char| letter.is_ascii_digit());
        let (unit, tail) = tail.split_at(unit_end.unwrap_or(tail.len()));
        let number = digits.parse::<i64>().ok()?;
        total = total.checked_add(number.checked_mul(unit_nanoseconds(unit)?)?)?;
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    Some(sign * total)
}

fn unit_nanoseconds(unit: &str) -> Option<i64> {
    match unit {
        "ns" => Some(1),
        "us" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        _ => None,
    }
}

/// ASCII letters in lower case.
fn lower_ascii(text: &CelString<'_>) -> CelString<'static> {
    CelString::from(text.inner().to_ascii_lowercase())
}

#[cfg(test)]
#[path = "cel/tests.rs"]
mod tests;
