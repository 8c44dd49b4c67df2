//! Passthrough pairs through the public session API: bytes go on, usage is seen, attempts
//! start from the pristine request.
#![cfg(test)]

use std::sync::Arc;

use aigw_core::config::Config;
use aigw_core::credential::Credentials;
use aigw_core::headers::Headers;
use aigw_core::metadata::Value;
use aigw_core::record::Outcome;
use aigw_core::session::{
    Attempt, AttemptInput, BodyOut, BodyPlan, Ended, HeadStep, Patience, Prepared, Request,
    UpstreamRequest, WaitFor, on_head,
};
use proptest::prelude::*;

const CONFIG: &str = r#"{
  "version": 1, "generation": "g", "credential_wait_ms": 50,
  "gateways": {"ns/gw": {"models": [{"name":"m","owned_by":"o","created":1,"created_at":"x"}]}},
  "backends": {
    "a": {"name":"ns/a/route/r/rule/0/ref/0","backend":"ns/a","route":"ns/r","host":"a.test",
          "schema":{"name":"OpenAI","prefix":"v1"},"model_name_override":"model-a","force_usage":true,
          "auth":{"type":"APIKey","credential":"ns/key-a"},
          "costs":[{"metadata_key":"tok","type":"TotalToken"}],
          "header_mutation":{"set":[{"name":"x-a","value":"canary-a"}],"remove":["x-team"]},
          "body_mutation":{"set":[{"path":"canary","value":"a"}]}},
    "b": {"name":"ns/b/route/r/rule/0/ref/1","backend":"ns/b","route":"ns/r","host":"b.test",
          "schema":{"name":"OpenAI","prefix":"/other/v1/"}},
    "c": {"name":"ns/c/route/r/rule/0/ref/2","backend":"ns/c","route":"ns/r","host":"c.test",
          "schema":{"name":"Anthropic"}}
  }}"#;
const CREDENTIALS: &[u8] =
    br#"{"version":1,"credentials":{"ns/key-a":{"type":"APIKey","key":"canary-key-a"}}}"#;

fn request(path: &str, body: &str) -> Arc<Request> {
    let config = Arc::new(Config::parse(CONFIG.as_bytes()).unwrap());
    let head: Headers = [
        (":method", "POST"),
        (":path", path),
        ("content-type", "application/json"),
        ("authorization", "Bearer client-secret"),
        ("x-api-key", "client-secret"),
        ("x-team", "hive"),
        ("x-many", "1"),
        ("x-many", "2"),
        ("x-ai-eg-model", "forged"),
    ]
    .into_iter()
    .collect();
    let gateway = config.gateway("ns/gw").unwrap();
    let HeadStep::Body(pending) = on_head(&config, gateway, head, Ended::No) else {
        panic!("a reply")
    };
    let (request, edits) = pending.on_body(7, body.as_bytes()).unwrap();
    assert_eq!(edits.value("authorization"), Some(None));
    assert_eq!(edits.value("x-api-key"), Some(None));
    Arc::new(request)
}

fn bind(request: &Arc<Request>, backend: &str) -> Attempt {
    let backend = Arc::clone(request.config.backend(backend).unwrap());
    Attempt::bind(Arc::clone(request), backend, 1_767_225_600).unwrap()
}

fn prepare(attempt: &mut Attempt, body: &str) -> UpstreamRequest {
    let credentials = Credentials::parse(CREDENTIALS).unwrap();
    let input = AttemptInput {
        body: body.as_bytes(),
        credentials: &credentials,
        now: 1_767_225_600,
        patience: Patience::MayWait,
    };
    let Prepared::Done(upstream) = attempt.prepare(&input).unwrap() else {
        panic!("a wait")
    };
    upstream
}

#[expect(clippy::option_option, reason = "the shape of HeaderEdits::value")]
fn text(value: Option<Option<&[u8]>>) -> String {
    String::from_utf8(value.flatten().unwrap_or_default().to_vec()).unwrap()
}

const BODY: &str = r#"{"model":"m", "messages":[],"big":12345678901234567890123,"stream":true}"#;

#[test]
fn a_second_attempt_shows_nothing_of_the_first() {
    let request = request("/v1/chat/completions?q=1", BODY);
    let first = prepare(&mut bind(&request, "a"), BODY);
    assert_eq!(text(first.edits.value(":path")), "/v1/chat/completions");
    assert_eq!(
        text(first.edits.value("authorization")),
        "Bearer canary-key-a"
    );
    assert_eq!(first.edits.value("x-team"), Some(None));
    let sent: serde_json::Value = serde_json::from_slice(first.body.as_ref().unwrap()).unwrap();
    assert_eq!(sent["model"], "model-a");
    assert_eq!(sent["stream_options"]["include_usage"], true);

    let second = prepare(&mut bind(&request, "b"), BODY);
    assert_eq!(second.body, None);
    assert_eq!(
        text(second.edits.value(":path")),
        "/other/v1/chat/completions"
    );
    assert_eq!(text(second.edits.value("x-team")), "hive");
    assert_eq!(
        text(second.edits.value("authorization")),
        "Bearer client-secret"
    );
    for name in ["x-a", "x-ai-eg-model"] {
        assert_eq!(second.edits.value(name), Some(None), "{name}");
    }
    assert_eq!(
        text(second.edits.value("content-length")),
        BODY.len().to_string()
    );
    let third = prepare(&mut bind(&request, "a"), BODY);
    assert_eq!(third.edits.value("x-api-key"), Some(None));
    let all: Vec<_> = second.edits.iter().collect();
    assert!(!format!("{all:?}").contains("canary"));
}

#[test]
fn splices_keep_every_other_byte() {
    let config_a = request("/v1/completions", BODY);
    let mut attempt = bind(&config_a, "b");
    assert!(!attempt.needs_body());
    assert_eq!(prepare(&mut attempt, BODY).body, None);
}

#[test]
fn forced_usage_holds_whichever_of_two_options_is_read() {
    for (options, want) in [
        (
            r#""stream_options": null,"x":1.0, "stream_options":{"a":1}"#,
            r#""stream_options": {"a":1,"include_usage":true},"x":1.0, "stream_options":{"a":1,"include_usage":true}"#,
        ),
        (
            r#""stream_options":{"include_usage":true},"stream_options":{"include_usage":false}"#,
            r#""stream_options":{"include_usage":true},"stream_options":{"include_usage":true}"#,
        ),
        (
            r#""stream_options":{"include_usage":true, "include_usage":false}"#,
            r#""stream_options":{"include_usage":true}"#,
        ),
    ] {
        let body = |options| format!(r#"{{"model":"model-a","stream":true,{options}}}"#);
        let request = request("/v1/chat/completions", &body(options));
        let sent = prepare(&mut bind(&request, "a"), &body(options)).body;
        let sent = String::from_utf8(sent.unwrap()).unwrap();
        assert_eq!(sent.replace(r#","canary":"a""#, ""), body(want));
    }
}

#[test]
fn a_repeated_model_is_one_model_for_every_provider() {
    let body = r#"{"model":"dear","messages":[],"model":"m"}"#;
    let request = request("/v1/chat/completions", body);
    assert_eq!(request.model(), "m");
    let mut attempt = bind(&request, "b");
    assert!(attempt.needs_body());
    let sent = prepare(&mut attempt, body).body.unwrap();
    assert_eq!(sent, br#"{"model":"m","messages":[],"model":"m"}"#);
}

#[test]
fn a_missing_credential_is_waited_for_and_then_refused() {
    let request = request("/v1/chat/completions", BODY);
    let mut attempt = bind(&request, "a");
    let none = Credentials::default();
    let input = |patience| AttemptInput {
        body: BODY.as_bytes(),
        credentials: &none,
        now: 1,
        patience,
    };
    let Prepared::Wait(WaitFor::Credential { name, timeout_ms }) =
        attempt.prepare(&input(Patience::MayWait)).unwrap()
    else {
        panic!("no wait")
    };
    assert_eq!((name.as_str(), timeout_ms), ("ns/key-a", 50));
    let reply = attempt.prepare(&input(Patience::Exhausted)).unwrap_err();
    assert_eq!((reply.status, reply.kind), (503, "credential_unavailable"));
}

#[test]
fn a_schema_that_cannot_serve_the_endpoint_is_422() {
    let request = request("/v1/embeddings", r#"{"model":"m","input":"x"}"#);
    let backend = Arc::clone(request.config.backend("c").unwrap());
    let reply = Attempt::bind(request, backend, 0).err().unwrap();
    assert_eq!(reply.status, 422);
    let body = String::from_utf8(reply.body).unwrap();
    assert!(
        body.contains("Anthropic") && body.contains("/v1/embeddings"),
        "{body}"
    );
}

#[test]
fn a_status_that_has_no_body_becomes_an_error_with_one() {
    let body = r#"{"model":"m","messages":[]}"#;
    for backend in ["b", "c"] {
        for status in [101, 304] {
            let mut attempt = bind(&request("/v1/chat/completions", body), backend);
            prepare(&mut attempt, body);
            let head = attempt.response_head(status, &Headers::new(), Ended::Yes);
            assert_eq!(text(head.edits.value(":status")), "502");
            let added = String::from_utf8(head.added_body.unwrap()).unwrap();
            assert!(added.contains(&format!("the status {status} is no answer")));
        }
    }
}

fn sse_head() -> Headers {
    [(":status", "200"), ("content-type", "text/event-stream")]
        .into_iter()
        .collect()
}

#[test]
fn an_error_in_the_first_event_becomes_a_status() {
    let request = request("/v1/chat/completions", BODY);
    let mut attempt = bind(&request, "b");
    let head = attempt.response_head(200, &sse_head(), Ended::No);
    assert!(head.hold && head.body == BodyPlan::Watch);
    let mut out = Vec::new();
    let comment = attempt.response_body(b": ping\n\n", Ended::No, 1, &mut out);
    assert!(comment.release.is_none());
    let event = b"data: {\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    let step = attempt.response_body(event, Ended::No, 2, &mut out);
    let edits = step.release.unwrap();
    assert_eq!(text(edits.value(":status")), "529");
    assert_eq!(step.body, BodyOut::Replace);
    let body: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(body["error"]["message"], "busy");
    out.clear();
    let late = attempt.response_body(b"data: x\n\n", Ended::Yes, 3, &mut out);
    assert!(late.body == BodyOut::Replace && out.is_empty());
}

#[test]
fn a_stream_after_its_first_event_is_never_touched() {
    let request = request("/v1/chat/completions", BODY);
    let mut attempt = bind(&request, "b");
    attempt.response_head(200, &sse_head(), Ended::No);
    let mut out = Vec::new();
    let first = attempt.response_body(b"data: {\"model\":\"x\"}\n\n", Ended::No, 1, &mut out);
    assert!(first.release.is_some_and(|edits| edits.is_empty()));
    for chunk in [
        &b"data: {\"error\":{\"message\":\"late\"}}\n\n"[..],
        b"data: y\n\n",
    ] {
        let step = attempt.response_body(chunk, Ended::No, 2, &mut out);
        assert!(step.body == BodyOut::Pass && step.release.is_none() && out.is_empty());
    }
}

#[test]
fn provider_errors_keep_their_status_and_become_json() {
    let request = request("/v1/chat/completions", BODY);
    let html: Headers = [("content-type", "text/html"), ("content-length", "4")]
        .into_iter()
        .collect();
    let mut attempt = bind(&request, "b");
    let head = attempt.response_head(503, &html, Ended::No);
    assert!(!head.hold && head.body == BodyPlan::Replace);
    let mut out = Vec::new();
    attempt.response_body(b"<h1>\"", Ended::Yes, 1, &mut out);
    let body: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(body["error"]["type"], "OpenAIBackendError");
    assert_eq!(body["error"]["message"], "<h1>\"");
    assert_eq!(body["error"]["code"], "503");

    let json: Headers = [("content-type", "Application/problem+JSON")]
        .into_iter()
        .collect();
    let head = bind(&request, "b").response_head(429, &json, Ended::No);
    assert_eq!(head.body, BodyPlan::Skip);
}

#[test]
fn a_watched_reply_that_cannot_be_followed_goes_on() {
    let request = request("/v1/chat/completions", BODY);
    let mut out = Vec::new();
    let mut attempt = bind(&request, "b");
    attempt.response_head(200, &sse_head(), Ended::No);
    let step = attempt.response_body(&vec![b'x'; 17 << 20], Ended::No, 1, &mut out);
    assert!(step.release.is_some_and(|edits| edits.is_empty()));
    assert_eq!(step.body, BodyOut::Pass);
    let step = attempt.response_body(b"data: {}\n\n", Ended::Yes, 2, &mut out);
    assert!(step.body == BodyOut::Pass && out.is_empty());
    assert_eq!(attempt.record().outcome, Outcome::Completed);

    let packed: Headers = [
        ("content-type", "text/event-stream"),
        ("content-encoding", "gzip"),
    ]
    .into_iter()
    .collect();
    let mut attempt = bind(&request, "b");
    attempt.response_head(200, &packed, Ended::No);
    let step = attempt.response_body(b"\x1f\x8bnonsense", Ended::Yes, 1, &mut out);
    assert!(step.release.is_some() && step.body == BodyOut::Pass);
    assert_eq!(attempt.record().outcome, Outcome::Completed);
}

#[test]
fn a_stream_needs_no_content_type_to_be_one() {
    let request = request("/v1/chat/completions", BODY);
    let head: Headers = [(":status", "200")].into_iter().collect();
    let mut attempt = bind(&request, "b");
    assert!(attempt.response_head(200, &head, Ended::No).hold);
    let event = b"data: {\"usage\":{\"prompt_tokens\":9}}";
    attempt.response_body(event, Ended::Yes, 1, &mut Vec::new());
    assert_eq!(attempt.record().usage.input_tokens, Some(9));
}

#[test]
fn an_error_in_an_unknown_encoding_is_no_text() {
    let request = request("/v1/chat/completions", BODY);
    let html: Headers = [("content-type", "text/html"), ("content-encoding", "zstd")]
        .into_iter()
        .collect();
    let mut attempt = bind(&request, "b");
    let head = attempt.response_head(503, &html, Ended::No);
    assert_eq!(head.edits.value("content-encoding"), Some(None));
    let mut out = Vec::new();
    attempt.response_body(b"\x28\xb5\x2f\xfd", Ended::Yes, 1, &mut out);
    let body: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(body["error"]["code"], "503");
    assert_eq!(body["error"].get("message"), None);
}

const STREAM: &str = "data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\"\"}}]}\n\n\
    : comment\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\
    \"total_tokens\":12,\"prompt_tokens_details\":{\"cached_tokens\":8}}}\n\ndata: [DONE]\n\n";

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_the_same_usage(cuts in proptest::collection::vec(0usize..300, 0..6)) {
        let request = request("/v1/chat/completions", BODY);
        let mut attempt = bind(&request, "a");
        attempt.response_head(200, &sse_head(), Ended::No);
        let bytes = STREAM.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let mut metadata = Vec::new();
        for window in cuts.windows(2) {
            let mut out = Vec::new();
            let ended = Ended::from(window[1] == bytes.len());
            let step = attempt.response_body(&bytes[window[0]..window[1]], ended, 5, &mut out);
            prop_assert_eq!(step.body, BodyOut::Pass);
            metadata.extend(attempt.take_metadata());
        }
        let record = attempt.record();
        prop_assert_eq!(record.usage.input_tokens, Some(9));
        prop_assert_eq!(record.usage.cached_input_tokens, Some(8));
        prop_assert_eq!(record.response_model.as_deref(), Some("m-1"));
        prop_assert!(metadata.contains(&("tok".into(), Value::Number(12.0))));
    }
}
