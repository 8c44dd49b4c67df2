use proptest::prelude::*;
use serde_json::json;

use super::{Answer, CelError, Language, Variable};

const BUDGET: u64 = 1_000_000;

fn run(text: &str, value: &serde_json::Value) -> Result<Answer, CelError> {
    let program = Language::new().compile(text)?;
    program.evaluate(&[("self", Variable::Json(value))], BUDGET)
}

fn holds(text: &str, value: &serde_json::Value) -> bool {
    run(text, value) == Ok(Answer::Bool(true))
}

#[test]
fn rules_of_resources_are_evaluated() {
    let kinds = "self.all(p, p.kind == 'Gateway')";
    assert!(holds(kinds, &json!([{"kind": "Gateway"}])));
    assert!(!holds(
        kinds,
        &json!([{"kind": "Gateway"}, {"kind": "Service"}])
    ));
    let unique = "self.all(a, self.exists_one(b, b.name == a.name))";
    assert!(holds(unique, &json!([{"name": "a"}, {"name": "b"}])));
    assert!(!holds(unique, &json!([{"name": "a"}, {"name": "a"}])));
    assert!(holds("has(self.a) != has(self.b)", &json!({"a": 1})));
    assert!(holds(
        "self.lowerAscii() == 'authorization'",
        &json!("Authorization")
    ));
    assert!(holds(
        "self.matches('^[a-z]+(:[0-9]+)?$')",
        &json!("repo:8080")
    ));
    assert!(holds("self.n / 2 == 3", &json!({"n": 7})));
}

#[test]
fn durations_compare_by_length() {
    for (text, expected) in [
        ("duration('1m30s') == duration('90s')", true),
        ("duration('1h') > duration('59m')", true),
        ("duration('0s') != duration('0')", false),
        ("duration('-1ms') < duration('0s')", true),
        (
            "duration('99999h99999h99999h99999h') > duration('1h')",
            true,
        ),
    ] {
        assert_eq!(
            run(text, &json!(null)),
            Ok(Answer::Bool(expected)),
            "{text}"
        );
    }
    for text in ["", "1", "s", "1d", "1.5s", "1s2", "9999999999999999h"] {
        let result = run(&format!("duration('{text}')"), &json!(null));
        let failure = CelError::Evaluation("duration failed".to_owned());
        assert_eq!(result, Err(failure), "{text}");
    }
}

#[test]
fn counts_are_unsigned() {
    let language = Language::new();
    let variables = [
        ("input_tokens", Variable::UInt(7)),
        ("model", Variable::Text("m")),
    ];
    for (text, expected) in [
        ("input_tokens * 6u", Answer::UInt(42)),
        ("uint(double(input_tokens) * 0.5)", Answer::UInt(3)),
        ("model == 'm' ? 1 : 2", Answer::Int(1)),
        ("double(input_tokens)", Answer::Double(7.0)),
        ("model + '!'", Answer::Text("m!".to_owned())),
    ] {
        let program = language.compile(text).unwrap();
        assert_eq!(program.evaluate(&variables, BUDGET), Ok(expected), "{text}");
    }
    let below_zero = language.compile("input_tokens - 8u").unwrap();
    let failure = CelError::Evaluation("integer overflow".to_owned());
    assert_eq!(below_zero.evaluate(&variables, BUDGET), Err(failure));
}

#[test]
fn errors_say_what_is_wrong_without_values() {
    for (text, expected) in [
        ("self.b", "no such key: b"),
        ("other", "undeclared reference to 'other'"),
        ("self.a + 1", "no matching overload"),
        ("1 / 0", "division by zero"),
        ("[1][2]", "index out of bounds"),
        ("[1]", "the result is a list"),
    ] {
        let found = run(text, &json!({"a": "secret"})).unwrap_err().to_string();
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(run("self.", &json!(1)).unwrap_err().kind(), "syntax");
}

#[test]
fn an_error_is_absorbed_by_an_operand_that_decides() {
    assert!(holds("self.missing == 1 || true", &json!({})));
    assert!(holds("!(self.missing == 1 && false)", &json!({})));
}

#[test]
fn what_could_take_too_long_is_refused() {
    on_large_stack(evaluate_expensive);
}

fn evaluate_expensive() {
    let nested = format!("{}true{}", "[1,2].all(x, ".repeat(20), ")".repeat(20));
    let doubling = format!("['aaaaaaaa']{}", ".map(x, x+x)".repeat(40));
    let wide = format!("'{}'.matches('{}')", "a".repeat(2000), "a".repeat(900));
    for text in [&nested, &doubling, &wide] {
        let found = run(text, &json!(null)).unwrap_err();
        assert_eq!(found.kind(), "limit", "{}", &text[..20]);
    }
    let names: Vec<_> = (0..100).map(|number| json!({"name": number})).collect();
    let unique = "self.all(a, self.exists_one(b, b.name == a.name))";
    assert!(holds(unique, &json!(names)));
    let many: Vec<_> = (0..3000).map(|number| json!({"name": number})).collect();
    assert_eq!(run(unique, &json!(many)).unwrap_err().kind(), "limit");
}

/// Runs on a large stack: frames of the parser are about ten times larger in a debug build.
fn on_large_stack(step: fn()) {
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    thread.spawn(step).unwrap().join().unwrap();
}

#[test]
fn long_and_deep_expressions_are_refused_or_evaluated() {
    on_large_stack(evaluate_long_and_deep);
}

fn evaluate_long_and_deep() {
    let patterns = r"1+1 a. [0] ( ! - [ {1: f( 1< x~in~ a?b: a? a&& .map(x,x) ' \ a.all(x,";
    for pattern in patterns.split(' ') {
        for times in [40, 90, 300, 490, 2000] {
            let text = pattern.replace('~', " ").repeat(times);
            let _ = run(&text, &json!(1));
            let _ = run(&format!("{text}1"), &json!(1));
        }
    }
    for text in ["+1".repeat(501), "1".repeat(4097)] {
        assert_eq!(run(&text, &json!(1)).unwrap_err().kind(), "limit");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_is_compiled_and_evaluated_without_panic(
        parts in prop::collection::vec(prop_oneof![
            Just("self"), Just(".a"), Just("[0]"), Just("("), Just(")"), Just("'x'"), Just("1u"),
            Just("+"), Just("&&"), Just("?"), Just(":"), Just("has(self.a)"), Just("!"), Just("-"),
            Just(".map(x, x)"), Just(".all(x, "), Just("{'a': 1}"), Just("["), Just("]"),
            Just("duration("), Just("9223372036854775807"), Just("1e308"), Just("/"), Just("%"),
            Just("string("), Just("matches"), Just("in"), Just("dyn("), Just(".?a"), Just("b'\\xff'"),
        ], 0..24)
    ) {
        let _ = run(&parts.concat(), &json!({"a": [1, {"a": "b"}], "b": -1}));
    }

    #[test]
    fn any_unicode_is_compiled_without_panic(text in "\\PC{0,60}") {
        let _ = run(&text, &json!(1));
    }
}
