//! Usage of replies whose provider reports none, or that break off.

#![cfg(test)]

use std::sync::Arc;

use aigw_core::config::Config;
use aigw_core::credential::Credentials;
use aigw_core::headers::Headers;
use aigw_core::metadata::{USAGE_ESTIMATED, Value};
use aigw_core::record::{AttemptRecord, Outcome};
use aigw_core::session::{Attempt, AttemptInput, Ended, HeadStep, Patience, Prepared, on_head};
use proptest::prelude::*;

const CHAT: &str =
    r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"How deep?"}]}"#;
const HELLO: &str = "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"hello\"}}]}\n\n";
const WORLD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\" world\"}}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9,\
    \"total_tokens\":16}}\n\n";
const FAULT: &str = "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\"}}\n\n";

/// An attempt at a backend of this schema, prepared.
fn attempt(schema: &str, path: &str, body: &str) -> Attempt {
    let config = format!(
        r#"{{"version":1,"generation":"g","gateways":{{"g":{{}}}},"backends":{{"b":{{
        "name":"n/b/route/r/rule/0/ref/0","backend":"n/b","route":"n/r","host":"h",
        "schema":{{"name":"{schema}"}},
        "costs":[{{"metadata_key":"cost","type":"TotalToken"}}]}}}}}}"#
    );
    let config = Arc::new(Config::parse(config.as_bytes()).unwrap());
    let head: Headers = [
        (":method", "POST"),
        (":path", path),
        ("content-type", "application/json"),
    ]
    .into_iter()
    .collect();
    let gateway = config.gateway("g").unwrap();
    let HeadStep::Body(pending) = on_head(&config, gateway, head, Ended::No) else {
        panic!("{path} has no body")
    };
    let (request, _) = pending.on_body(1, body.as_bytes()).unwrap();
    let backend = Arc::clone(config.backend("b").unwrap());
    let mut attempt = Attempt::bind(Arc::new(request), backend, 0).unwrap();
    let prepared = attempt.prepare(&AttemptInput {
        body: body.as_bytes(),
        credentials: &Credentials::default(),
        now: 0,
        patience: Patience::MayWait,
    });
    assert!(matches!(prepared, Ok(Prepared::Done(_))), "{prepared:?}");
    attempt
}

fn head(attempt: &mut Attempt, status: u16, content_type: &str) {
    let headers: Headers = [("content-type", content_type)].into_iter().collect();
    attempt.response_head(status, &headers, Ended::No);
}

/// A stream of these events that the client leaves.
fn aborted(schema: &str, path: &str, body: &str, events: &[&str]) -> Attempt {
    let mut attempt = attempt(schema, path, body);
    head(&mut attempt, 200, "text/event-stream");
    for event in events {
        attempt.response_body(event.as_bytes(), Ended::No, 1, &mut Vec::new());
    }
    attempt.take_metadata();
    attempt.abort(Outcome::Aborted);
    attempt
}

fn counters(record: &AttemptRecord) -> (Option<u64>, Option<u64>, Option<u64>, bool) {
    let usage = record.usage;
    (
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        record.estimated,
    )
}

fn chat(events: &[&str]) -> AttemptRecord {
    aborted("OpenAI", "/v1/chat/completions", CHAT, events).record()
}

#[test]
fn an_aborted_stream_is_charged_for_what_was_seen() {
    let mut attempt = aborted("OpenAI", "/v1/chat/completions", CHAT, &[HELLO, WORLD]);
    let record = attempt.record();
    assert_eq!(record.outcome, Outcome::Aborted);
    assert_eq!(counters(&record), (Some(10), Some(2), Some(12), true));
    let metadata = attempt.take_metadata();
    let value = |key: &str| {
        let found = metadata.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.clone())
    };
    assert_eq!(value(USAGE_ESTIMATED), Some(Value::Text("true".into())));
    assert_eq!(value("output_tokens"), Some(Value::Number(2.0)));
    assert_eq!(value("cost"), Some(Value::Number(12.0)));
}

#[test]
fn a_stream_that_the_provider_breaks_off_counts_the_same() {
    let mut attempt = attempt("OpenAI", "/v1/chat/completions", CHAT);
    head(&mut attempt, 200, "text/event-stream");
    for event in [HELLO, WORLD, FAULT] {
        attempt.response_body(event.as_bytes(), Ended::No, 1, &mut Vec::new());
    }
    let record = attempt.record();
    assert_eq!(record.outcome, Outcome::Failed);
    assert_eq!(counters(&record), (Some(10), Some(2), Some(12), true));
}

#[test]
fn nothing_counts_until_the_client_has_the_head() {
    assert_eq!(counters(&chat(&[])), (None, None, None, false));
    assert_eq!(counters(&chat(&[FAULT])), (None, None, None, false));
    let mut refused = attempt("OpenAI", "/v1/chat/completions", CHAT);
    head(&mut refused, 429, "application/json");
    refused.abort(Outcome::Aborted);
    assert_eq!(counters(&refused.record()), (None, None, None, false));
}

#[test]
fn what_the_provider_reported_stands() {
    let record = chat(&[HELLO, WORLD, USAGE]);
    assert_eq!(counters(&record), (Some(7), Some(9), Some(16), false));
    assert_eq!(record.outcome, Outcome::Aborted);
}

#[test]
fn a_running_count_is_raised_to_what_was_seen() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\
        \"c\",\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n";
    let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
        \"delta\":{\"type\":\"text_delta\",\"text\":\"hello world, hello\"}}\n\n";
    let body = r#"{"model":"c","max_tokens":9,"stream":true,"messages":[]}"#;
    let path = "/anthropic/v1/messages";
    let seen = aborted("Anthropic", path, body, &[start, delta]).record();
    assert_eq!(counters(&seen), (Some(25), Some(4), Some(29), true));
    let nothing_seen = aborted("Anthropic", path, body, &[start]).record();
    assert_eq!(
        counters(&nothing_seen),
        (Some(25), Some(1), Some(26), false)
    );
}

#[test]
fn replies_that_are_rebuilt_count_what_the_client_sees() {
    let body = r#"{"model":"m","max_tokens":9,"stream":true,
        "messages":[{"role":"user","content":"How deep?"}]}"#;
    let path = "/anthropic/v1/messages";
    let record = aborted("OpenAI", path, body, &[HELLO, WORLD]).record();
    assert_eq!(counters(&record), (Some(10), Some(2), Some(12), true));
}

#[test]
fn large_requests_count_by_bytes() {
    let words = "depth ".repeat(20_000);
    let body = format!(
        r#"{{"model":"m","stream":true,"messages":[{{"role":"user","content":"{words}"}}]}}"#
    );
    let record = aborted("OpenAI", "/v1/chat/completions", &body, &[HELLO]).record();
    let want = (body.len() as u64).div_ceil(4);
    assert_eq!(
        counters(&record),
        (Some(want), Some(1), Some(want + 1), true)
    );
}

#[test]
fn other_endpoints_are_not_estimated() {
    let mut attempt = attempt(
        "OpenAI",
        "/v1/images/generations",
        r#"{"model":"m","prompt":"a"}"#,
    );
    head(&mut attempt, 200, "application/json");
    attempt.response_body(br#"{"data":[]}"#, Ended::Yes, 1, &mut Vec::new());
    let record = attempt.record();
    assert_eq!(record.outcome, Outcome::Completed);
    assert_eq!(counters(&record), (None, None, None, false));
}

proptest! {
    #[test]
    fn any_split_gives_the_same_estimate(
        words in proptest::collection::vec("[ -~é⚓]{0,12}", 1..12),
        sizes in proptest::collection::vec(1..90_usize, 1..6),
        cut in 0..40_usize,
    ) {
        let event = |word: String| {
            let chunk = serde_json::json!({"choices": [{"delta": {"content": word}}]});
            format!("data: {chunk}\n\n")
        };
        let body = String::from(HELLO) + &words.into_iter().map(event).collect::<String>();
        let body = &body.as_bytes()[..body.len() - cut];
        let feed = |sizes: &[usize]| {
            let mut attempt = attempt("OpenAI", "/v1/chat/completions", CHAT);
            head(&mut attempt, 200, "text/event-stream");
            let (mut rest, mut sizes) = (body, sizes.iter().cycle());
            while !rest.is_empty() {
                let (chunk, more) = rest.split_at(sizes.next().unwrap().min(&rest.len()).to_owned());
                attempt.response_body(chunk, Ended::No, 1, &mut Vec::new());
                rest = more;
            }
            attempt.abort(Outcome::Aborted);
            counters(&attempt.record())
        };
        prop_assert_eq!(feed(&sizes), feed(&[body.len()]));
    }
}
