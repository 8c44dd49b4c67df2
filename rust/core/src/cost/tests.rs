use proptest::prelude::*;
use serde_json::json;

use super::*;

fn costs(entries: serde_json::Value) -> Vec<Cost> {
    let mut costs: Vec<Cost> = serde_json::from_value(entries).unwrap();
    let mut expressions = Expressions::default();
    for cost in &mut costs {
        cost.prepare(&mut expressions).unwrap();
    }
    costs
}

fn usage(input: u64, output: u64) -> Usage {
    Usage {
        input_tokens: Some(input),
        output_tokens: Some(output),
        total_tokens: Some(input.saturating_add(output)),
        cached_input_tokens: Some(input / 2),
        cache_creation_input_tokens: None,
        reasoning_tokens: Some(output / 4),
    }
}

fn subject(usage: &Usage) -> Subject<'_> {
    Subject {
        model: "m",
        backend: "n/b",
        backend_name: "n/b/route/r/rule/0/ref/1@n/gateway",
        route: "n/r",
        usage,
    }
}

fn result(text: &str, usage: &Usage) -> Result<u64, String> {
    let program = Expressions::default().compile(text);
    let program = program.map_err(|error| format!("refused: {error}"))?;
    evaluate(&program, &subject(usage)).map_err(|error| error.to_string())
}

#[test]
fn every_type_is_its_count_and_unknown_ones_are_zero() {
    let usage = usage(100, 40);
    for (kind, want) in [
        ("InputToken", 100),
        ("CachedInputToken", 50),
        ("CacheCreationInputToken", 0),
        ("OutputToken", 40),
        ("TotalToken", 140),
        ("ReasoningToken", 10),
    ] {
        let found = costs(json!([{"metadata_key": "k", "type": kind}]));
        assert_eq!(found[0].value(&subject(&usage)), Ok(want), "{kind}");
    }
}

#[test]
fn numbers_of_all_kinds_work_with_each_other() {
    let usage = usage(1_000, 301);
    for (text, want) in [
        ("input_tokens", 1_000),
        ("input_tokens * 2", 2_000),
        ("2 * input_tokens", 2_000),
        ("input_tokens * 2u + output_tokens * 6u", 3_806),
        ("input_tokens * 0.1", 100),
        ("output_tokens * 0.5", 150),
        ("0.25 * output_tokens + input_tokens", 1_075),
        ("output_tokens / 2", 150),
        ("output_tokens / 2.0", 150),
        ("output_tokens % 2", 1),
        (
            "input_tokens - cached_input_tokens + cached_input_tokens * 0.1",
            550,
        ),
        ("uint(double(input_tokens) * 0.3)", 300),
        ("model == 'm' ? input_tokens : 0", 1_000),
        ("input_tokens > 999 ? 7 : 3", 7),
        ("input_tokens > 1e3 ? 7 : 3", 3),
        ("input_tokens - 2000 > 0 ? input_tokens : 5", 5),
        (
            "total_tokens == 0u ? 0u : output_tokens * 100u / total_tokens",
            23,
        ),
        ("backend == 'n/b/route/r/rule/0/ref/1' ? 1 : 2", 1),
        ("route_name.startsWith('n/') ? 1 : 2", 1),
        ("(model + '!').size() + 1", 3),
        ("[1, 2].map(x, x * 3)[1] * input_tokens", 6_000),
        ("-1 + 2", 1),
    ] {
        assert_eq!(result(text, &usage), Ok(want), "{text}");
    }
}

#[test]
fn what_is_no_cost_is_an_error() {
    let usage = usage(1_000, 301);
    for (text, want) in [
        (
            "200 - output_tokens > 0 ? 1 : 200 - output_tokens",
            "the result is negative",
        ),
        (
            "output_tokens == 0u ? 1.0 : -0.5 * output_tokens",
            "the result is negative",
        ),
        (
            "output_tokens == 0u ? 1.0 : output_tokens * 1e300 * 1e300",
            "the result is too large",
        ),
        (
            "output_tokens == 0u ? 1.0 : output_tokens * 1e300 * 1e300 * 0.0",
            "the result is undefined",
        ),
        (
            "output_tokens == 0u ? 1u : input_tokens - 2000u",
            "integer overflow",
        ),
        (
            "18446744073709551615u * (output_tokens - 300u)",
            "refused: integer overflow",
        ),
    ] {
        assert_eq!(result(text, &usage), Err(want.to_owned()), "{text}");
    }
}

#[test]
fn bad_expressions_are_refused_before_there_are_requests() {
    for (text, want) in [
        ("input_tokens +", "1:15"),
        ("tokens * 2u", "undeclared reference to 'tokens'"),
        (
            "input_tokens > 5u ? tokens : 1u",
            "undeclared reference to 'tokens'",
        ),
        ("model", "the result is not a number"),
        (
            "input_tokens > 5u ? 'x' : 'y'",
            "the result is not a number",
        ),
        (
            "input_tokens > 5u ? 'x' : '1' == '1' ? 1 : 2",
            "the result is not a number",
        ),
        ("model * 2", "got another type where a number is meant"),
        ("10u / output_tokens", "division by zero"),
        ("input_tokens - 1u", "integer overflow"),
        ("input_tokens - 1", "the result is negative"),
        (
            "input_tokens > 5u ? nothing(1) : 1",
            "undeclared reference to 'nothing'",
        ),
        ("'a'.matches(model)", "the result is not a number"),
    ] {
        let found = Expressions::default()
            .compile(text)
            .unwrap_err()
            .to_string();
        assert!(found.starts_with(want), "{text}: {found}");
    }
    for text in ["", " "] {
        let entry = json!({"metadata_key": "k", "type": "CEL", "cel": text});
        let mut cost: Cost = serde_json::from_value(entry).unwrap();
        let found = cost.prepare(&mut Expressions::default()).unwrap_err();
        assert_eq!(found, "cost k: the type CEL needs an expression");
    }
}

#[test]
fn each_text_is_compiled_once() {
    let mut expressions = Expressions::default();
    let first = expressions.compile("input_tokens * 2").unwrap();
    let second = expressions.compile("input_tokens * 2").unwrap();
    assert!(Arc::ptr_eq(&first, &second));
}

fn selected(route: serde_json::Value, gateway: serde_json::Value) -> Vec<(String, u64)> {
    let (route, gateway) = (costs(route), costs(gateway));
    let entries = Entries {
        route: &route,
        gateway: &gateway,
    };
    let usage = usage(100, 40);
    let mut running = RunningCosts::default();
    let found = running.update(entries, &subject(&usage));
    let values: Vec<_> = running.values(entries).collect();
    assert_eq!(found, values);
    found
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

#[test]
fn the_last_entry_of_the_route_wins_and_the_gateway_fills_in() {
    let entry = |key: &str, kind: &str| json!({"metadata_key": key, "type": kind});
    let filtered = |kind: &str, backend: &str, model: &str| json!({"metadata_key": "k", "type": kind, "backend": backend, "model": model});
    let (input, output) = (entry("k", "InputToken"), entry("k", "OutputToken"));
    for (route, gateway, want) in [
        (json!([input, output]), json!([]), vec![("k", 40)]),
        (json!([]), json!([input, output]), vec![("k", 40)]),
        (
            json!([input]),
            json!([output, entry("g", "TotalToken")]),
            vec![("k", 100), ("g", 140)],
        ),
        (
            json!([input, filtered("TotalToken", "n/b", "m")]),
            json!([]),
            vec![("k", 140)],
        ),
        (
            json!([input, filtered("TotalToken", "n/x", "m")]),
            json!([]),
            vec![("k", 100)],
        ),
        (
            json!([filtered("TotalToken", "n/b", "x")]),
            json!([output]),
            vec![("k", 40)],
        ),
        (
            json!([filtered("TotalToken", "n/b", "x")]),
            json!([]),
            vec![],
        ),
    ] {
        let want: Vec<_> = want
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        assert_eq!(
            selected(route.clone(), gateway.clone()),
            want,
            "{route} {gateway}"
        );
    }
}

#[test]
fn an_error_leaves_out_its_key_and_is_counted_once() {
    let route = costs(json!([
        {"metadata_key": "bad", "type": "CEL", "cel": "output_tokens > 5u ? 1u - output_tokens : 9u"},
        {"metadata_key": "good", "type": "OutputToken"},
    ]));
    let entries = Entries {
        route: &route,
        gateway: &costs(json!([{"metadata_key": "bad", "type": "InputToken"}])),
    };
    let mut running = RunningCosts::default();
    for (output, want) in [(1, vec![("bad", 9), ("good", 1)]), (8, vec![("good", 8)])] {
        assert_eq!(running.update(entries, &subject(&usage(3, output))), want);
    }
    assert!(running.update(entries, &subject(&usage(3, 8))).is_empty());
    assert_eq!(running.take_errors(), 1);
    assert_eq!(running.take_errors(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn running_totals_end_at_the_value_of_the_final_usage(
        mut counts in prop::collection::vec((0_u64..1 << 40, 0_u64..1 << 40), 1..8),
    ) {
        let route = costs(json!([
            {"metadata_key": "in", "type": "InputToken"},
            {"metadata_key": "sum", "type": "CEL", "cel": "input_tokens * 3 + output_tokens * 0.5"},
        ]));
        let entries = Entries { route: &route, gateway: &[] };
        counts.sort_unstable();
        let mut running = RunningCosts::default();
        let mut last = std::collections::BTreeMap::new();
        let mut output = 0;
        for (input, more) in &counts {
            output += more;
            let usage = usage(*input, output);
            for (key, value) in running.update(entries, &subject(&usage)) {
                let before = last.insert(key.to_owned(), value).unwrap_or(0);
                prop_assert!(before < value || before == 0);
            }
            let known: std::collections::BTreeMap<_, _> =
                running.values(entries).map(|(key, value)| (key.to_owned(), value)).collect();
            prop_assert_eq!(&known, &last);
            prop_assert_eq!(Ok(known["sum"]), route[1].value(&subject(&usage)));
        }
    }

    #[test]
    fn huge_counts_never_panic(input in any::<u64>(), output in any::<u64>()) {
        for text in ["input_tokens * 2", "input_tokens + output_tokens", "input_tokens * 1.5"] {
            let _ = result(text, &usage(input, output));
        }
    }
}
