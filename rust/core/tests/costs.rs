//! Costs and prices of attempts through the public session API.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;

use aigw_core::config::Config;
use aigw_core::headers::Headers;
use aigw_core::metadata::Value;
use aigw_core::record::Outcome;
use aigw_core::session::{Attempt, Ended, HeadStep, Request, on_head};
use proptest::prelude::*;
use serde_json::json;

const NOW: u64 = 1_767_225_600;

/// Prices in pico-USD per token: 2 and 10 at OpenAI, 3 and 15 at Anthropic, own ones for `m`.
fn config() -> Config {
    let backend = |name: &str, schema: &str, list: &str| {
        json!({
            "name": format!("n/{name}/route/r/rule/0/ref/0"), "backend": format!("n/{name}"),
            "route": "n/r", "host": "h", "schema": {"name": schema, "prefix": "v1"},
            "price_list": list,
            "costs": [
                {"metadata_key": "out", "type": "OutputToken"},
                {"metadata_key": "mix", "type": "CEL", "cel": "input_tokens * 0.5 + output_tokens"},
            ],
        })
    };
    let list = |input: u64, output: u64| {
        let levels = json!([{"input": input, "output": output, "cached_input": 1}]);
        json!({"entries": [{"id": "x", "match": ["^x"], "periods": [{"levels": levels}]}]})
    };
    let document = json!({
        "version": 1, "generation": "g",
        "gateways": {
            "n/g": {"billing": {
                "costs": [{"metadata_key": "out", "type": "InputToken"},
                          {"metadata_key": "all", "type": "TotalToken"}],
                "prices": {"source": "GatewayConfig n/g",
                           "entries": [{"model": "m", "input": 100, "output": 1000}]}}},
            "n/bare": {},
        },
        "backends": {
            "openai": backend("openai", "OpenAI", "openai"),
            "claude": backend("claude", "Anthropic", "anthropic"),
            "other": backend("other", "OpenAI", ""),
        },
        "prices": {"source": "a list", "lists": {"openai": list(2, 10), "anthropic": list(3, 15)}},
    });
    Config::parse(document.to_string().as_bytes()).unwrap()
}

fn request(gateway: &str, path: &str, model: &str) -> Arc<Request> {
    let config = Arc::new(config());
    let head: Headers = [(":method", "POST"), (":path", path)].into_iter().collect();
    let gateway = config.gateway(gateway).unwrap();
    let HeadStep::Body(pending) = on_head(&config, gateway, head, Ended::No) else {
        panic!("a reply")
    };
    let body = json!({"model": model, "stream": true, "max_tokens": 9,
                      "messages": [{"role": "user", "content": "hello"}]});
    Arc::new(pending.on_body(7, body.to_string().as_bytes()).unwrap().0)
}

fn attempt(request: &Arc<Request>, backend: &str) -> Attempt {
    let backend = Arc::clone(request.config.backend(backend).unwrap());
    Attempt::bind(Arc::clone(request), backend, NOW).unwrap()
}

const SSE: [(&str, &str); 1] = [("content-type", "text/event-stream")];

/// A reply in pieces, and the metadata after each.
fn reply(attempt: &mut Attempt, pieces: &[&[u8]], ended: Ended) -> Vec<BTreeMap<String, f64>> {
    attempt.response_head(200, &SSE.into_iter().collect(), Ended::No);
    let mut found = Vec::new();
    for (number, piece) in pieces.iter().enumerate() {
        let last = if number + 1 == pieces.len() {
            ended
        } else {
            Ended::No
        };
        let mut out = Vec::new();
        attempt.response_body(piece, last, number as u64, &mut out);
        let numbers = attempt.take_metadata().into_iter();
        let numbers = numbers.filter_map(|(key, value)| match value {
            Value::Number(number) => Some((key.into_owned(), number)),
            Value::Text(_) => None,
        });
        found.push(numbers.collect());
    }
    found
}

fn costs(attempt: &Attempt) -> Vec<(String, u64)> {
    attempt.record().costs.into_iter().collect()
}

fn pairs(values: &[(&str, u64)]) -> Vec<(String, u64)> {
    values
        .iter()
        .map(|(key, value)| ((*key).to_owned(), *value))
        .collect()
}

fn usage(usage: &serde_json::Value) -> Vec<u8> {
    let event =
        json!({"model": "x-1", "choices": [{"delta": {"content": "hello"}}], "usage": usage});
    format!("data: {event}\n\n").into_bytes()
}

#[test]
fn usage_that_comes_again_replaces_what_was_said() {
    let request = request("n/g", "/v1/chat/completions", "x");
    let mut attempt = attempt(&request, "openai");
    let [first, second] = [(10, 1), (10, 6)].map(|(input, output)| {
        usage(&json!({"prompt_tokens": input, "completion_tokens": output,
                      "total_tokens": input + output}))
    });
    let found = reply(
        &mut attempt,
        &[&first, &second, b"data: [DONE]\n\n"],
        Ended::Yes,
    );
    assert_eq!(
        (found[0]["out"], found[0]["mix"], found[0]["all"]),
        (1.0, 6.0, 11.0)
    );
    assert_eq!(
        (found[1]["out"], found[1]["mix"], found[1]["all"]),
        (6.0, 11.0, 16.0)
    );
    assert_eq!(
        costs(&attempt),
        pairs(&[("all", 16), ("mix", 11), ("out", 6)])
    );
    let price = attempt.record().price.unwrap();
    // 10 × 2 + 6 × 10
    assert_eq!(
        (price.pico_usd, price.entry.as_str(), price.source.as_str()),
        (80, "openai/x", "a list")
    );
}

const START: &[u8] =
    b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"x\",\
    \"usage\":{\"input_tokens\":30,\"cache_read_input_tokens\":10,\"output_tokens\":1}}}\n\n";
const DELTA: &[u8] =
    b"event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":9}}\n\n";
const STOP: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

#[test]
fn a_start_and_a_delta_of_usage_are_not_added() {
    let request = request("n/bare", "/anthropic/v1/messages", "x");
    let mut attempt = attempt(&request, "claude");
    reply(&mut attempt, &[START, DELTA, STOP], Ended::Yes);
    assert_eq!(costs(&attempt), pairs(&[("mix", 29), ("out", 9)]));
    // 30 × 3 + 10 × 1 + 9 × 15
    assert_eq!(attempt.record().price.unwrap().pico_usd, 235);
}

#[test]
fn a_reply_that_is_cut_off_costs_what_is_known() {
    let request = request("n/bare", "/anthropic/v1/messages", "x");
    let mut attempt = attempt(&request, "claude");
    reply(&mut attempt, &[START], Ended::No);
    attempt.abort(Outcome::Aborted);
    assert_eq!(costs(&attempt), pairs(&[("mix", 21), ("out", 1)]));
    assert_eq!(attempt.record().price.unwrap().pico_usd, 30 * 3 + 10 + 15);
}

#[test]
fn odd_counts_are_bounded() {
    for (count, want) in [
        (json!(-5), 0),
        (json!(2.9), 2),
        (json!(1e300), u64::MAX),
        (json!(u64::MAX), u64::MAX),
    ] {
        let request = request("n/g", "/v1/chat/completions", "x");
        let mut attempt = attempt(&request, "openai");
        let event = usage(&json!({"prompt_tokens": count, "completion_tokens": count,
                                  "total_tokens": count}));
        reply(&mut attempt, &[&event, b"data: [DONE]\n\n"], Ended::Yes);
        let record = attempt.record();
        assert_eq!(record.costs["all"], want, "{count}");
        let rate = if want < 10 { want * 12 } else { u64::MAX };
        assert_eq!(record.price.unwrap().pico_usd, rate, "{count}");
    }
}

#[test]
fn a_provider_without_usage_is_priced_by_estimate() {
    let request = request("n/g", "/v1/chat/completions", "x");
    let mut attempt = attempt(&request, "openai");
    let event = usage(&json!(null));
    reply(&mut attempt, &[&event, b"data: [DONE]\n\n"], Ended::Yes);
    let record = attempt.record();
    assert!(record.estimated);
    let (input, output) = (
        record.usage.input_tokens.unwrap(),
        record.usage.output_tokens.unwrap(),
    );
    assert_eq!(
        (record.costs["out"], record.costs["all"]),
        (output, input + output)
    );
    assert_eq!(record.price.unwrap().pico_usd, input * 2 + output * 10);
}

#[test]
fn each_attempt_has_its_own_price_and_unknown_ones_have_none() {
    let x = request("n/g", "/v1/chat/completions", "x");
    let m = request("n/g", "/v1/chat/completions", "m");
    let bare = request("n/bare", "/v1/chat/completions", "m");
    let odd = request("n/bare", "/v1/chat/completions", "odd");
    for (request, backend, want) in [
        (&x, "openai", Some(80)),
        (&m, "openai", Some(7_000)),
        (&m, "other", Some(7_000)),
        // What it reports is in the list, what it was asked for is not.
        (&bare, "openai", Some(80)),
        (&odd, "other", None),
    ] {
        let mut attempt = attempt(request, backend);
        let event = usage(&json!({"prompt_tokens": 10, "completion_tokens": 6}));
        reply(&mut attempt, &[&event, b"data: [DONE]\n\n"], Ended::Yes);
        let price = attempt.record().price.map(|price| price.pico_usd);
        assert_eq!(price, want, "{backend} {}", request.model());
    }
    let counting = request("n/bare", "/anthropic/v1/messages/count_tokens", "x");
    let mut counted = attempt(&counting, "claude");
    counted.response_head(200, &Headers::new(), Ended::No);
    counted.response_body(br#"{"input_tokens":1000}"#, Ended::Yes, 0, &mut Vec::new());
    let record = counted.record();
    assert_eq!(record.usage.input_tokens, Some(1000));
    assert_eq!(record.price.unwrap().pico_usd, 0);
    let mut refused = attempt(&x, "openai");
    refused.response_head(429, &Headers::new(), Ended::Yes);
    let record = refused.record();
    assert_eq!((record.price, record.costs.len()), (None, 0));
}

proptest! {
    #[test]
    fn costs_do_not_depend_on_how_a_stream_is_cut(
        cuts in prop::collection::vec(0_usize..300, 0..6),
    ) {
        let request = request("n/g", "/anthropic/v1/messages", "x");
        let mut attempt = attempt(&request, "claude");
        let whole = [START, DELTA, STOP].concat();
        let mut cuts: Vec<_> = cuts.into_iter().filter(|cut| *cut < whole.len()).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&whole[from..cut]);
            from = cut;
        }
        pieces.push(&whole[from..]);
        let mut last = BTreeMap::new();
        for step in reply(&mut attempt, &pieces, Ended::Yes) {
            for (key, value) in step {
                if ["out", "mix", "all"].contains(&key.as_str()) {
                    let before = last.insert(key, value).unwrap_or(0.0);
                    prop_assert!(before <= value);
                }
            }
        }
        prop_assert_eq!((last["out"], last["mix"], last["all"]), (9.0, 29.0, 49.0));
        prop_assert_eq!(costs(&attempt), pairs(&[("all", 49), ("mix", 29), ("out", 9)]));
    }
}
