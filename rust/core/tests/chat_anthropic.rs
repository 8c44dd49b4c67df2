//! What golden folders cannot say about chat over the Messages API: headers of the client and
//! the user's own mutations.

#![cfg(test)]

use std::sync::Arc;

use aigw_core::config::Config;
use aigw_core::credential::Credentials;
use aigw_core::headers::Headers;
use aigw_core::session::{
    Attempt, AttemptInput, Ended, HeadStep, Patience, Prepared, UpstreamRequest, on_head,
};
use serde_json::Value;

const CONFIG: &str = r#"{
  "version": 1, "generation": "g", "gateways": {"ns/gw": {}},
  "backends": {
    "plain": {"name":"ns/a/route/r/rule/0/ref/0","backend":"ns/a","route":"ns/r","host":"a.test",
              "schema":{"name":"Anthropic"}},
    "limit": {"name":"ns/a/route/r/rule/0/ref/1","backend":"ns/a","route":"ns/r","host":"a.test",
              "schema":{"name":"Anthropic"},
              "body_mutation":{"set":[{"path":"max_tokens","value":"64000"}]}}
  }}"#;
const BODY: &[u8] = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;

fn send(backend: &str, headers: &[(&str, &str)]) -> UpstreamRequest {
    let config = Arc::new(Config::parse(CONFIG.as_bytes()).unwrap());
    let fixed = [(":method", "POST"), (":path", "/v1/chat/completions")];
    let head: Headers = fixed.iter().chain(headers).copied().collect();
    let gateway = config.gateway("ns/gw").unwrap();
    let HeadStep::Body(pending) = on_head(&config, gateway, head, Ended::No) else {
        panic!("a reply")
    };
    let (request, _) = pending.on_body(7, BODY).unwrap();
    let backend = Arc::clone(config.backend(backend).unwrap());
    let mut attempt = Attempt::bind(Arc::new(request), backend, 1_767_225_600).unwrap();
    let prepared = attempt.prepare(&AttemptInput {
        body: BODY,
        credentials: &Credentials::default(),
        now: 1_767_225_600,
        patience: Patience::Exhausted,
    });
    let Ok(Prepared::Done(upstream)) = prepared else {
        panic!("no request")
    };
    upstream
}

#[test]
fn the_api_version_is_a_default_only() {
    let added = send("plain", &[]);
    let version: &[u8] = b"2023-06-01";
    assert_eq!(added.edits.value("anthropic-version"), Some(Some(version)));
    let kept = send("plain", &[("anthropic-version", "2024-01-01")]);
    assert_eq!(kept.edits.value("anthropic-version"), None);
}

#[test]
fn a_body_mutation_sets_the_limit_of_a_backend() {
    let upstream = send("limit", &[]);
    let body: Value = serde_json::from_slice(&upstream.body.unwrap()).unwrap();
    assert_eq!(body["max_tokens"], 64000);
}
