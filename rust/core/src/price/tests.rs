use proptest::prelude::*;
use serde_json::json;

use super::*;

/// $2.50, $0.25, $3 and $10 per million tokens.
const RATES: Rates = Rates {
    input: Some(2_500_000),
    cached_input: Some(250_000),
    cache_creation_input: Some(3_000_000),
    output: Some(10_000_000),
    reasoning: None,
    request: None,
};

fn usage(input: u64, output: u64) -> Usage {
    Usage {
        input_tokens: Some(input),
        output_tokens: Some(output),
        ..Usage::default()
    }
}

#[test]
fn money_is_exact() {
    let caching = Usage {
        cached_input_tokens: Some(800),
        cache_creation_input_tokens: Some(100),
        ..usage(1_000, 50)
    };
    let reasoning = Usage {
        reasoning_tokens: Some(40),
        ..usage(1_000, 50)
    };
    let dear_thoughts = Rates {
        reasoning: Some(20_000_000),
        ..RATES
    };
    let per_request = Rates {
        request: Some(5_000_000_000),
        ..RATES
    };
    for (rates, usage, want) in [
        // 1000 × 2.5 + 50 × 10 = 3000 millionths of a dollar
        (RATES, usage(1_000, 50), Some(3_000_000_000)),
        // 100 × 2.5 + 800 × 0.25 + 100 × 3 + 50 × 10 = 1250
        (RATES, caching, Some(1_250_000_000)),
        // reasoning is output where it has no rate
        (RATES, reasoning, Some(3_000_000_000)),
        // 1000 × 2.5 + 10 × 10 + 40 × 20 = 3400
        (dear_thoughts, reasoning, Some(3_400_000_000)),
        (per_request, usage(0, 0), Some(5_000_000_000)),
        (per_request, Usage::default(), Some(5_000_000_000)),
        (RATES, Usage::default(), None),
        (RATES, usage(u64::MAX, u64::MAX), Some(u64::MAX)),
    ] {
        assert_eq!(rates.of(&usage), want, "{usage:?}");
    }
}

#[test]
fn tokens_without_a_rate_have_no_price() {
    let only_input = Rates {
        output: None,
        ..RATES
    };
    assert_eq!(only_input.of(&usage(2, 0)), Some(5_000_000));
    assert_eq!(only_input.of(&usage(2, 1)), None);
    let no_caches = Rates {
        cached_input: None,
        cache_creation_input: None,
        ..RATES
    };
    let cached = Usage {
        cached_input_tokens: Some(1),
        ..usage(2, 0)
    };
    assert_eq!(no_caches.of(&cached), Some(5_000_000));
}

#[test]
fn more_cached_tokens_than_input_are_all_paid() {
    let odd = Usage {
        cached_input_tokens: Some(10),
        ..usage(3, 0)
    };
    assert_eq!(RATES.of(&odd), Some(2_500_000));
}

#[test]
fn rates_read_as_dollars() {
    let found = Rates {
        request: Some(1_000_000_000),
        cached_input: None,
        ..RATES
    };
    let want = "input $2.5, cache creation $3, output $10 per million tokens, $0.001 per request";
    assert_eq!(found.to_string(), want);
}

fn lists() -> Lists {
    let rates = |input: u64| json!([{"input": input}]);
    let document = json!({"source": "a list, 2026-01-01", "lists": {
        "cloud": {"fallback": ["maker"], "paths": true, "entries": [
            {"id": "big", "match": ["*vendor.big-v1"], "periods": [{"levels": rates(10)}]},
            {"id": "dated", "match": ["=thing-2026-02-03"], "periods": [{"levels": rates(11)}]},
        ]},
        "maker": {"entries": [
            {"id": "spoken", "match": [["^small", "$-audio"]], "periods": [{"levels": rates(1)}]},
            {"id": "small", "match": ["=small", "~small"], "periods": [
                {"levels": [{"input": 2}, {"above": 100, "input": 4}]},
                {"since": 1000, "levels": [{"input": 3}]},
                {"since": 1000, "daily": [3600, 7200], "levels": [{"input": 5}]},
                {"since": 1000, "daily": [82_800, 60], "levels": [{"input": 6}]}]},
            {"id": "any", "match": [["^", "!*-free"]], "periods": [{"levels": rates(7)}]},
        ]},
    }});
    Lists::new(serde_json::from_value(document).unwrap())
}

fn names<'a>(routed: &'a str, response: &'a str) -> Names<'a> {
    Names {
        requested: "",
        routed,
        response,
    }
}

fn listed(list: &str, names: Names<'_>, input_tokens: u64, now: u64) -> Option<(String, u64)> {
    let asked = Asked { input_tokens, now };
    let found = find(
        &OwnPrices::default(),
        &lists().of(list),
        "n/b",
        names,
        asked,
    )?;
    assert_eq!(&*found.source, "a list, 2026-01-01");
    Some((found.entry, found.rates.input.unwrap()))
}

#[test]
fn models_are_found_by_their_names() {
    for (list, routed, response, want) in [
        ("maker", "small", "", Some(("maker/small", 2))),
        ("maker", "SMALL", "", Some(("maker/small", 2))),
        ("maker", "small-20260102", "", Some(("maker/small", 2))),
        ("maker", "small@20260102", "", Some(("maker/small", 2))),
        ("maker", "small-2026-01-02", "", Some(("maker/small", 2))),
        ("maker", "small-audio", "", Some(("maker/spoken", 1))),
        ("maker", "small-2", "", Some(("maker/any", 7))),
        ("maker", "x-free", "", None),
        ("maker", "x-free", "small", Some(("maker/small", 2))),
        ("maker", "x", "small", Some(("maker/small", 2))),
        ("cloud", "eu.vendor.big-v1:0", "", Some(("cloud/big", 10))),
        (
            "cloud",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.vendor.big-v1:0",
            "",
            Some(("cloud/big", 10)),
        ),
        ("cloud", "thing-20260203", "", Some(("cloud/dated", 11))),
        (
            "cloud",
            "publishers/v/models/thing-20260203",
            "",
            Some(("cloud/dated", 11)),
        ),
        ("cloud", "small", "", Some(("maker/small", 2))),
        ("other", "small", "", None),
        ("maker", "", "", None),
    ] {
        let want = want.map(|(entry, rate)| (entry.to_owned(), rate));
        assert_eq!(
            listed(list, names(routed, response), 1, 0),
            want,
            "{list} {routed}"
        );
    }
}

#[test]
fn rates_depend_on_the_time_and_on_the_size_of_the_prompt() {
    for (tokens, now, want) in [
        (100, 0, 2),
        (101, 0, 4),
        (101, 1000, 3),
        (1, 3600, 5),
        (1, 7200, 3),
        (1, 82_800, 6),
        (1, 86_400 + 59, 6),
        (1, 86_400 + 60, 3),
    ] {
        let found = listed("maker", names("small", ""), tokens, now);
        assert_eq!(
            found,
            Some(("maker/small".to_owned(), want)),
            "{tokens} {now}"
        );
    }
}

#[test]
fn own_prices_come_first_and_the_backend_before_the_model() {
    let own: OwnPrices = serde_json::from_value(json!({"source": "GatewayConfig n/g", "entries": [
        {"backend": "n/b", "model": "small", "input": 20},
        {"backend": "n/b", "input": 21},
        {"model": "small", "input": 22},
        {"model": "asked", "input": 23},
    ]}))
    .unwrap();
    let asked = Asked {
        input_tokens: 1,
        now: 0,
    };
    let lists = lists().of("maker");
    for (backend, names, entry, rate) in [
        ("n/b", names("small", ""), "n/b/small", 20),
        ("n/b", names("x", "small"), "n/b/small", 20),
        ("n/b", names("x", ""), "n/b", 21),
        ("n/c", names("small", ""), "small", 22),
        (
            "n/c",
            Names {
                requested: "asked",
                ..names("x", "")
            },
            "asked",
            23,
        ),
        ("n/c", names("small-audio", ""), "maker/spoken", 1),
    ] {
        let found = find(&own, &lists, backend, names, asked).unwrap();
        assert_eq!(
            (found.entry.as_str(), found.rates.input),
            (entry, Some(rate)),
            "{backend}"
        );
    }
}

proptest! {
    #[test]
    fn any_name_is_looked_up(model in "[a-z0-9@:/.-]{0,40}", other in "\\PC{0,20}") {
        let _ = listed("cloud", names(&model, &other), 1, 1);
        let _ = listed("cloud", names(&format!("x-20{model}"), ""), 1, 1);
    }

    #[test]
    fn more_tokens_never_cost_less(input in 0_u64..1 << 50, output in 0_u64..1 << 50) {
        let less = RATES.of(&usage(input, output));
        let more = RATES.of(&usage(input + 1, output + 1));
        prop_assert!(less < more || more == Some(u64::MAX));
    }
}
