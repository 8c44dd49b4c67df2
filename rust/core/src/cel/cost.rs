//! What an evaluation can cost at most, from the expression and the sizes of its variables.
//!
//! Without this, nested loops and texts that double in each step take hours or all memory.

use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue};
use cel::parser::Expression;
use serde_json::Value;

/// What is known about a value before it exists.
#[derive(Clone)]
pub(super) enum Extent<'v> {
    /// It is one of these.
    OneOf(Vec<&'v Value>),
    /// It is not larger than this.
    Within(Size),
}

/// Upper bound of a size.
#[derive(Clone, Copy)]
pub(super) struct Size {
    /// Members of the widest list, map or text in it.
    widest: u64,
    /// Values and bytes of all of it.
    total: u64,
}

/// A scalar as text has at most this many bytes.
const SCALAR_SIZE: usize = 400;

/// Price of an expression that is compiled at each evaluation, per byte.
const REGEX_PRICE: u64 = 200;

/// Functions with results of bounded size.
const SCALAR_RESULTS: [&str; 30] = [
    "_&&_",
    "_||_",
    "!_",
    "_==_",
    "_!=_",
    "_<_",
    "_<=_",
    "_>_",
    "_>=_",
    "@in",
    "_-_",
    "_*_",
    "_/_",
    "_%_",
    "@-",
    "@*",
    "@/",
    "@%",
    "-_",
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "int",
    "uint",
    "double",
    "bool",
    "duration",
    "type",
];

impl Size {
    const SCALAR: Self = Self {
        widest: 0,
        total: 1,
    };

    fn text(bytes: usize) -> Self {
        let bytes = bytes as u64;
        Self {
            widest: bytes,
            total: bytes.saturating_add(1),
        }
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::SCALAR,
            Value::String(text) => Self::text(text.len()),
            Value::Array(items) => Self::collection(items.len(), items.iter().map(Self::of)),
            Value::Object(members) => {
                let parts = members
                    .iter()
                    .map(|(name, value)| Self::text(name.len()).and(Self::of(value)));
                Self::collection(members.len(), parts)
            }
        }
    }

    fn collection(len: usize, parts: impl Iterator<Item = Self>) -> Self {
        let all = Self {
            widest: len as u64,
            total: 1,
        };
        parts.fold(all, Self::and)
    }

    /// Both, side by side.
    fn and(self, other: Self) -> Self {
        Self {
            widest: self.widest.max(other.widest),
            total: self.total.saturating_add(other.total),
        }
    }

    /// Either of both.
    fn or(self, other: Self) -> Self {
        Self {
            widest: self.widest.max(other.widest),
            total: self.total.max(other.total),
        }
    }

    /// Both, one appended to the other.
    fn joined(self, other: Self) -> Self {
        Self {
            widest: self.widest.saturating_add(other.widest),
            total: self.total.saturating_add(other.total),
        }
    }
}

impl Extent<'_> {
    pub(super) const SCALAR: Self = Self::Within(Size::SCALAR);

    pub(super) fn text(bytes: usize) -> Self {
        Self::Within(Size::text(bytes))
    }

    fn size(&self) -> Size {
        match self {
            Self::OneOf(values) => {
                let sizes = values.iter().map(|value| Size::of(value));
                sizes.fold(Size::SCALAR, Size::or)
            }
            Self::Within(size) => *size,
        }
    }

    /// How often a loop over it runs.
    fn rounds(&self) -> u64 {
        match self {
            Self::OneOf(values) => values.iter().map(|value| len(value)).max().unwrap_or(0),
            Self::Within(size) => size.widest,
        }
    }

    fn member(self, name: &str) -> Self {
        match self {
            Self::OneOf(values) => {
                Self::OneOf(values.iter().filter_map(|value| value.get(name)).collect())
            }
            Self::Within(size) => Self::Within(size),
        }
    }

    /// Any member or item.
    fn part(self) -> Self {
        match self {
            Self::OneOf(values) => Self::OneOf(values.into_iter().flat_map(parts).collect()),
            Self::Within(size) => Self::Within(size),
        }
    }

    /// What a loop over it yields: items of lists, names of members.
    fn item(self) -> Self {
        let longest = match &self {
            Self::OneOf(values) => values.iter().filter_map(|value| longest_name(value)).max(),
            Self::Within(_) => None,
        };
        let part = self.part();
        match longest {
            Some(bytes) => Self::Within(part.size().or(Size::text(bytes))),
            None => part,
        }
    }
}

fn len(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.len() as u64,
        Value::Object(members) => members.len() as u64,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn longest_name(value: &Value) -> Option<usize> {
    value.as_object()?.keys().map(String::len).max()
}

fn parts(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// Variables in scope, the innermost last.
struct Scope<'e, 'v>(Vec<(&'e str, Extent<'v>)>);

/// The most that `expression` can cost.
pub(super) fn estimate<'e, 'v>(
    expression: &'e Expression,
    variables: impl Iterator<Item = (&'e str, Extent<'v>)>,
) -> u64 {
    let mut scope = Scope(variables.collect());
    scope.cost(expression).0
}

impl<'e, 'v> Scope<'e, 'v> {
    fn variable(&self, name: &str) -> Extent<'v> {
        let mut inner_first = self.0.iter().rev();
        let found = inner_first.find(|(known, _)| *known == name);
        found.map_or(Extent::SCALAR, |(_, extent)| extent.clone())
    }

    /// Cost and result of an expression.
    fn cost(&mut self, expression: &'e Expression) -> (u64, Extent<'v>) {
        match &expression.expr {
            Expr::Unspecified => (1, Extent::SCALAR),
            Expr::Literal(literal) => (1, Extent::Within(literal_size(literal))),
            Expr::Ident(name) => (1, self.variable(name)),
            Expr::Select(select) => {
                let (cost, extent) = self.cost(&select.operand);
                (cost.saturating_add(1), extent.member(&select.field))
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let parts = list.elements.iter();
                self.literal(list.elements.len(), parts)
            }
            Expr::Map(map) => {
                let entries = map.entries.iter();
                let parts = entries.flat_map(|entry| entry_parts(&entry.expr));
                self.literal(map.entries.len(), parts)
            }
            Expr::Struct(object) => {
                let entries = object.entries.iter();
                let parts = entries.flat_map(|entry| entry_parts(&entry.expr));
                self.literal(object.entries.len(), parts)
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn literal(
        &mut self,
        len: usize,
        parts: impl Iterator<Item = &'e Expression>,
    ) -> (u64, Extent<'v>) {
        let mut cost = 1_u64;
        let mut size = Size::collection(len, std::iter::empty());
        for part in parts {
            let (added, extent) = self.cost(part);
            let part = extent.size();
            cost = cost.saturating_add(added).saturating_add(part.total);
            size = size.and(part);
        }
        (cost, Extent::Within(size))
    }

    fn call(&mut self, call: &'e CallExpr) -> (u64, Extent<'v>) {
        if let ("_[_]", [value, index]) = (call.func_name.as_str(), call.args.as_slice()) {
            let (value_cost, extent) = self.cost(value);
            let (index_cost, _) = self.cost(index);
            return (
                value_cost.saturating_add(index_cost).saturating_add(1),
                extent.part(),
            );
        }
        let mut cost = 1_u64;
        let mut all = Size::SCALAR;
        let mut product = REGEX_PRICE;
        for argument in call.target.as_deref().into_iter().chain(&call.args) {
            let (added, extent) = self.cost(argument);
            let size = extent.size();
            cost = cost.saturating_add(added).saturating_add(size.total);
            all = all.joined(size);
            product = product.saturating_mul(size.total);
        }
        if call.func_name == "matches" {
            cost = cost.saturating_add(product);
        }
        let result = match call.func_name.as_str() {
            name if SCALAR_RESULTS.contains(&name) => Size::SCALAR,
            "_+_" | "@+" | "_?_:_" => all,
            _ => all.joined(Size::text(SCALAR_SIZE)),
        };
        (cost, Extent::Within(result))
    }

    fn comprehension(&mut self, loops: &'e ComprehensionExpr) -> (u64, Extent<'v>) {
        let (range_cost, range) = self.cost(&loops.iter_range);
        let (init_cost, init) = self.cost(&loops.accu_init);
        let (rounds, passed) = (range.rounds(), range.size().total);
        let known = self.0.len();
        if let Some(second) = &loops.iter_var2 {
            self.0.push((second, range.clone().part()));
        }
        self.0.push((&loops.iter_var, range.item()));
        self.0.push((&loops.accu_var, init.clone()));
        let (condition_cost, _) = self.cost(&loops.loop_cond);
        let (step_cost, step) = self.cost(&loops.loop_step);
        self.0.truncate(known);
        // Steps of macros add a bounded part to what there is, or replace it.
        let (init, step) = (init.size(), step.size());
        let accumulated = Size {
            widest: rounds.saturating_add(step.widest).max(init.widest),
            total: rounds.saturating_mul(step.total).max(init.total),
        };
        self.0.push((&loops.accu_var, Extent::Within(accumulated)));
        let (result_cost, result) = self.cost(&loops.result);
        self.0.truncate(known);
        let round_cost = condition_cost.saturating_add(step_cost).saturating_add(2);
        let loop_cost = rounds.saturating_mul(round_cost);
        let costs = [range_cost, init_cost, passed, loop_cost, result_cost];
        (costs.into_iter().fold(0, u64::saturating_add), result)
    }
}

fn entry_parts(entry: &EntryExpr) -> impl Iterator<Item = &Expression> {
    let (key, value) = match entry {
        EntryExpr::StructField(field) => (None, &field.value),
        EntryExpr::MapEntry(entry) => (Some(&entry.key), &entry.value),
    };
    key.into_iter().chain(std::iter::once(value))
}

fn literal_size(literal: &LiteralValue) -> Size {
    match literal {
        LiteralValue::String(text) => Size::text(text.inner().len()),
        LiteralValue::Bytes(bytes) => Size::text(bytes.inner().len()),
        LiteralValue::Boolean(_)
        | LiteralValue::Double(_)
        | LiteralValue::Int(_)
        | LiteralValue::Null
        | LiteralValue::UInt(_) => Size::SCALAR,
    }
}
