//! CEL for Python: many expressions over the parts of one value in one call.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use aigw_core::cel::{CelError, Language, Program, Variable};
use aigw_core::cost::Expressions;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::errors::{Fault, enter};

/// What one evaluation may touch. Rules are ours and polynomial; only the value is the user's.
const BUDGET: u64 = 1_000_000_000;

/// Compiled expressions that are kept.
const MAX_PROGRAMS: usize = 1024;

static LANGUAGE: LazyLock<Language> = LazyLock::new(Language::new);
static PROGRAMS: LazyLock<Mutex<HashMap<String, Arc<Program>>>> = LazyLock::new(Mutex::default);

static COSTS: LazyLock<Mutex<Expressions>> = LazyLock::new(Mutex::default);

#[derive(Deserialize)]
struct Request {
    object: Value,
    old: Option<Value>,
    checks: Vec<(String, Vec<Step>)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Index(usize),
    Name(String),
}

/// Evaluates CEL expressions over parts of one value.
///
/// Reads `{"object": value, "old": value?, "checks": [[expression, [name | index, …]], …]}` and
/// returns, for each check, `{"value": …}` or `{"error": kind, "message": text}`; the path says
/// what `self` (and `oldSelf`) is.
#[pyfunction]
pub(crate) fn evaluate_cel<'py>(py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let reply = enter(py, || {
        let request: Request = serde_json::from_slice(request)
            .map_err(|_| Fault::Order("the request of evaluate_cel is malformed"))?;
        let found =
            request
                .checks
                .iter()
                .map(|(text, path)| match evaluate(text, path, &request) {
                    Ok(value) => json!({"value": value}),
                    Err(error) => json!({"error": error.kind(), "message": error.to_string()}),
                });
        Ok(Value::Array(found.collect()).to_string())
    })?;
    Ok(PyBytes::new(py, reply.as_bytes()))
}

/// Why an expression cannot be used as a cost; `None` when it can.
#[pyfunction]
pub(crate) fn cost_fault(py: Python<'_>, expression: &str) -> PyResult<Option<String>> {
    enter(py, || {
        let mut costs = COSTS.lock().unwrap_or_else(PoisonError::into_inner);
        if costs.count() >= MAX_PROGRAMS {
            *costs = Expressions::default();
        }
        Ok(costs
            .compile(expression)
            .err()
            .map(|fault| fault.to_string()))
    })
}

fn evaluate(
    text: &str,
    path: &[Step],
    request: &Request,
) -> Result<aigw_core::cel::Answer, CelError> {
    let program = program(text)?;
    let missing = || CelError::Evaluation("there is nothing at this path".to_owned());
    let value = at(&request.object, path).ok_or_else(missing)?;
    let mut variables = vec![("self", Variable::Json(value))];
    if let Some(old) = request.old.as_ref().and_then(|old| at(old, path)) {
        variables.push(("oldSelf", Variable::Json(old)));
    }
    program.evaluate(&variables, BUDGET)
}

fn at<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Index(index) => value.get(index),
        Step::Name(name) => value.get(name),
    })
}

fn program(text: &str) -> Result<Arc<Program>, CelError> {
    let mut programs = PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = programs.get(text) {
        return Ok(Arc::clone(program));
    }
    let program = Arc::new(LANGUAGE.compile(text)?);
    if programs.len() >= MAX_PROGRAMS {
        programs.clear();
    }
    programs.insert(text.to_owned(), Arc::clone(&program));
    Ok(program)
}
