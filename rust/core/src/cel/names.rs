//! Names that an expression uses and nobody has given a meaning.

use cel::common::ast::{EntryExpr, Expr};
use cel::parser::Expression;

/// Names of types, which are values in CEL.
const TYPES: [&str; 12] = [
    "bool",
    "bytes",
    "double",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "timestamp",
    "type",
    "uint",
];

/// The first name that is neither known nor a variable of a loop around it.
pub(super) fn unknown<'e>(expression: &'e Expression, known: &mut Vec<&'e str>) -> Option<&'e str> {
    let unknown_in = |entry: &'e EntryExpr, known: &mut Vec<&'e str>| match entry {
        EntryExpr::StructField(field) => unknown(&field.value, known),
        EntryExpr::MapEntry(entry) => {
            unknown(&entry.key, known).or_else(|| unknown(&entry.value, known))
        }
    };
    match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) => None,
        Expr::Ident(name) => {
            let name = name.as_str();
            (!known.contains(&name) && !TYPES.contains(&name)).then_some(name)
        }
        Expr::Select(select) => unknown(&select.operand, known),
        Expr::Call(call) => {
            let mut parts = call.target.as_deref().into_iter().chain(&call.args);
            parts.find_map(|part| unknown(part, known))
        }
        Expr::List(list) => list.elements.iter().find_map(|part| unknown(part, known)),
        Expr::Map(map) => {
            let mut entries = map.entries.iter();
            entries.find_map(|entry| unknown_in(&entry.expr, known))
        }
        Expr::Struct(object) => {
            let mut entries = object.entries.iter();
            entries.find_map(|entry| unknown_in(&entry.expr, known))
        }
        Expr::Comprehension(loops) => {
            if let Some(name) = unknown(&loops.iter_range, known) {
                return Some(name);
            }
            let outside = known.len();
            known.extend(loops.iter_var2.as_deref());
            known.extend([loops.iter_var.as_str(), loops.accu_var.as_str()]);
            let parts = [
                &loops.accu_init,
                &loops.loop_cond,
                &loops.loop_step,
                &loops.result,
            ];
            let found = parts.into_iter().find_map(|part| unknown(part, known));
            known.truncate(outside);
            found
        }
    }
}
