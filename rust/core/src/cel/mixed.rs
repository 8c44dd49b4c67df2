//! Arithmetic of ints, uints and doubles with each other, which CEL itself does not have.
//!
//! The five operators become functions of any two values. Of two kinds of numbers, a double makes
//! both doubles, and an int makes both ints; everything else is as in CEL.

use cel::common::ast::{EntryExpr, Expr};
use cel::common::types::{CelDouble, CelInt, CelUInt, DYN_TYPE};
use cel::common::value::CowVal;
use cel::parser::Expression;
use cel::{Env, ExecutionError};

/// Operators by the name of the function that takes their place; no expression can spell these.
const FUNCTIONS: [(&str, &str); 5] = [
    ("_+_", "@+"),
    ("_-_", "@-"),
    ("_*_", "@*"),
    ("_/_", "@/"),
    ("_%_", "@%"),
];

/// Adds the functions.
pub(super) fn declare(env: &mut Env) {
    let operators = [add, sub, mul, div, modulo];
    for ((_, name), operator) in FUNCTIONS.iter().zip(operators) {
        // Fails only for a name that is taken; the tests call all of them.
        let _ = env.add_overload(name, name, vec![DYN_TYPE, DYN_TYPE], operator);
    }
}

/// Puts the functions in the place of operators.
pub(super) fn rename(expression: &mut Expression) {
    match &mut expression.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => {}
        Expr::Select(select) => rename(&mut select.operand),
        Expr::Call(call) => {
            let known = FUNCTIONS.iter().find(|(name, _)| *name == call.func_name);
            if let Some((_, function)) = known {
                (*function).clone_into(&mut call.func_name);
            }
            if let Some(target) = &mut call.target {
                rename(target);
            }
            call.args.iter_mut().for_each(rename);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(rename),
        Expr::Map(map) => map
            .entries
            .iter_mut()
            .for_each(|it| rename_in(&mut it.expr)),
        Expr::Struct(object) => {
            let entries = object.entries.iter_mut();
            entries.for_each(|it| rename_in(&mut it.expr));
        }
        Expr::Comprehension(loops) => {
            rename(&mut loops.iter_range);
            rename(&mut loops.accu_init);
            rename(&mut loops.loop_cond);
            rename(&mut loops.loop_step);
            rename(&mut loops.result);
        }
    }
}

fn rename_in(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => rename(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            rename(&mut entry.key);
            rename(&mut entry.value);
        }
    }
}

macro_rules! operators {
    ($($name:ident as $side:ident)*) => {
        $(fn $name<'b, 'v>(
            args: Vec<CowVal<'b, 'v>>,
        ) -> Result<CowVal<'b, 'v>, ExecutionError> {
            let (left, right) = same_kind(args)?;
            let side = left.$side().ok_or_else(not_a_number)?;
            Ok(CowVal::Owned(side.$name(right.as_ref())?.into_owned()))
        })*
    };
}

operators! {
    add as as_adder
    sub as as_subtractor
    mul as as_multiplier
    div as as_divider
    modulo as as_modder
}

#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    UInt(u64),
    Double(f64),
}

fn same_kind<'b, 'v>(
    args: Vec<CowVal<'b, 'v>>,
) -> Result<(CowVal<'b, 'v>, CowVal<'b, 'v>), ExecutionError> {
    let [left, right]: [CowVal<'b, 'v>; 2] = args.try_into().map_err(|_| not_a_number())?;
    let ints = |left, right| {
        (
            CowVal::owned(CelInt::from(left)),
            CowVal::owned(CelInt::from(right)),
        )
    };
    Ok(match (number(&left), number(&right)) {
        (Some(Number::Int(int)), Some(Number::UInt(uint))) => ints(int, small(uint)?),
        (Some(Number::UInt(uint)), Some(Number::Int(int))) => ints(small(uint)?, int),
        (Some(Number::Double(_)), Some(number)) => (left, double(number)),
        (Some(number), Some(Number::Double(_))) => (double(number), right),
        _ => (left, right),
    })
}

fn number(value: &CowVal<'_, '_>) -> Option<Number> {
    let value = value.as_ref();
    if let Some(int) = value.downcast_ref::<CelInt>() {
        return Some(Number::Int(*int.inner()));
    }
    if let Some(uint) = value.downcast_ref::<CelUInt>() {
        return Some(Number::UInt(*uint.inner()));
    }
    let double = value.downcast_ref::<CelDouble>()?;
    Some(Number::Double(*double.inner()))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "who writes a fraction asks for a rounded result"
)]
fn double<'b, 'v>(number: Number) -> CowVal<'b, 'v> {
    let double = match number {
        Number::Int(int) => int as f64,
        Number::UInt(uint) => uint as f64,
        Number::Double(double) => double,
    };
    CowVal::owned(CelDouble::from(double))
}

fn small(uint: u64) -> Result<i64, ExecutionError> {
    i64::try_from(uint).map_err(|_| ExecutionError::UnexpectedType {
        got: "a huge count".to_owned(),
        want: "an int".to_owned(),
    })
}

fn not_a_number() -> ExecutionError {
    ExecutionError::UnexpectedType {
        got: "another type".to_owned(),
        want: "a number".to_owned(),
    }
}
