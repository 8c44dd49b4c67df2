//! The hooks as Envoy calls them, against a stream in memory.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::*;
use crate::fake::{Buffer, FakeStream};

const REQUEST: usize = 0;
const RESPONSE: usize = 2;
const RECEIVED: usize = 0;
const BUFFERED: usize = 1;
const BODY: &str = r#"{"model":"m","messages":[]}"#;

const CONFIG: &str = r#"{"version":1,"generation":"g","credential_wait_ms":60000,
    "gateways":{"ns/gw":{}},"backends":{
    "plain":{"name":"ns/p/route/r/rule/0/ref/0","backend":"ns/p","route":"ns/r",
        "schema":{"name":"OpenAI","prefix":"v2"},"host":"p.example"},
    "other":{"name":"ns/o/route/r/rule/0/ref/1","backend":"ns/o","route":"ns/r",
        "schema":{"name":"OpenAI","prefix":"v1"},"host":"o.example","model_name_override":"big"},
    "keyed":{"name":"ns/k/route/r/rule/0/ref/2","backend":"ns/k","route":"ns/r",
        "schema":{"name":"OpenAI","prefix":"v1"},"host":"k.example",
        "auth":{"type":"APIKey","credential":"ns/k"}},
    "own":{"name":"ns/w/route/r/rule/0/ref/3","backend":"ns/w","route":"ns/r",
        "schema":{"name":"OpenAI","prefix":"v1"},"host":"w.example",
        "auth":{"type":"APIKey","override":{"without":"refused",
            "source":{"metadata":{"namespace":"ns.auth","key":"k"}}}}},
    "own-aws":{"name":"ns/x/route/r/rule/0/ref/4","backend":"ns/x","route":"ns/r",
        "schema":{"name":"OpenAI","prefix":"v1"},"host":"x.example",
        "auth":{"type":"AWSCredentials","region":"eu-west-1","override":{"without":"refused",
            "source":{"metadata":{"namespace":"ns.auth","key":"k"}}}}}}}"#;

/// A filter of ours, as Envoy holds it.
struct Filter {
    config: Config,
    module: Module,
}

impl Filter {
    fn new(dir: &Path, name: &str, rest: &str) -> Self {
        let text = format!(r#"{{"runtime":"{}"{rest}}}"#, dir.display());
        let config = new_config(name, &text);
        assert!(!config.is_null());
        let module = http_filter_new(config, std::ptr::null_mut());
        Self { config, module }
    }

    fn request(dir: &Path) -> Self {
        Self::new(dir, "request", r#","gateway":"ns/gw""#)
    }

    fn attempt(dir: &Path, backend: &str) -> Self {
        Self::new(dir, "attempt", &format!(r#","backend":"{backend}""#))
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        http_filter_destroy(self.module);
        http_filter_config_destroy(self.config);
    }
}

/// `envoy_buffer` of both sides has one layout; the test's own is handed over as ours.
fn new_config(name: &str, config: &str) -> Config {
    let bytes = |text: &str| {
        // SAFETY: both types are `repr(C)` with the same fields.
        unsafe { std::mem::transmute::<Buffer, Bytes>(Buffer::of(text.as_bytes())) }
    };
    http_filter_config_new(std::ptr::null_mut(), bytes(name), bytes(config))
}

fn runtime() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), CONFIG).unwrap();
    dir
}

fn chat() -> FakeStream {
    let mut stream = FakeStream::default();
    for (name, value) in [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        ("authorization", "Bearer client"),
    ] {
        stream.maps[REQUEST].push((name.into(), value.into()));
    }
    stream
}

/// Runs the request filter over a body of one piece.
fn read(filter: &Filter, stream: &mut FakeStream) {
    let handle = stream.handle();
    assert_eq!(
        http_filter_request_headers(handle, filter.module, false),
        STOP
    );
    stream.bodies[RECEIVED] = vec![BODY.into()];
    assert_eq!(http_filter_request_body(handle, filter.module, true), 0);
}

#[test]
fn a_request_leaves_its_model_and_its_id_and_no_credential() {
    let dir = runtime();
    let filter = Filter::request(dir.path());
    let mut stream = chat();
    read(&filter, &mut stream);
    assert_eq!(stream.header(REQUEST, "x-ai-eg-model"), Some("m"));
    assert_eq!(stream.header(REQUEST, "authorization"), None);
    assert_eq!(stream.state["aigw.request_id"].len(), 16);
    assert_eq!(stream.metadata["original_model"], "m");
    assert!(stream.route_cleared);
}

#[test]
fn a_body_in_many_pieces_is_one_body() {
    let dir = runtime();
    let filter = Filter::request(dir.path());
    let mut stream = chat();
    let handle = stream.handle();
    http_filter_request_headers(handle, filter.module, false);
    stream.bodies[RECEIVED] = vec![b"{".to_vec()];
    assert_eq!(http_filter_request_body(handle, filter.module, false), STOP);
    let pieces = |text: &str| text.bytes().map(|byte| vec![byte]).collect();
    stream.bodies[BUFFERED] = pieces(&BODY[..20]);
    stream.bodies[RECEIVED] = pieces(&BODY[20..]);
    assert_eq!(http_filter_request_body(handle, filter.module, true), 0);
    assert_eq!(stream.header(REQUEST, "x-ai-eg-model"), Some("m"));
}

#[test]
fn a_body_that_another_filter_held_back_is_read_once() {
    let dir = runtime();
    let filter = Filter::request(dir.path());
    let mut stream = chat();
    let handle = stream.handle();
    http_filter_request_headers(handle, filter.module, false);
    stream.received_is_buffered = true;
    stream.bodies[BUFFERED] = vec![BODY.into()];
    assert_eq!(http_filter_request_body(handle, filter.module, true), 0);
    assert_eq!(stream.header(REQUEST, "x-ai-eg-model"), Some("m"));
}

#[test]
fn trailers_end_a_body() {
    let dir = runtime();
    let filter = Filter::request(dir.path());
    let mut stream = chat();
    let handle = stream.handle();
    http_filter_request_headers(handle, filter.module, false);
    stream.bodies[BUFFERED] = vec![BODY.into()];
    assert_eq!(http_filter_request_trailers(handle, filter.module), 0);
    assert_eq!(stream.header(REQUEST, "x-ai-eg-model"), Some("m"));
}

#[test]
fn an_attempt_that_needs_no_body_goes_on_at_the_head() {
    let dir = runtime();
    let (request, attempt) = (
        Filter::request(dir.path()),
        Filter::attempt(dir.path(), "plain"),
    );
    let mut stream = chat();
    read(&request, &mut stream);
    let handle = stream.handle();
    assert_eq!(
        http_filter_request_headers(handle, attempt.module, false),
        0
    );
    assert_eq!(
        stream.header(REQUEST, ":path"),
        Some("/v2/chat/completions")
    );
    assert_eq!(stream.metadata["backend_name"], "ns/p/route/r/rule/0/ref/0");
}

#[test]
fn an_attempt_replaces_what_is_held_back_and_what_just_came() {
    let dir = runtime();
    let (request, attempt) = (
        Filter::request(dir.path()),
        Filter::attempt(dir.path(), "other"),
    );
    let mut stream = chat();
    read(&request, &mut stream);
    let handle = stream.handle();
    assert_eq!(
        http_filter_request_headers(handle, attempt.module, false),
        STOP
    );
    stream.bodies[BUFFERED] = vec![BODY[..5].into()];
    stream.bodies[RECEIVED] = vec![BODY[5..].into()];
    assert_eq!(http_filter_request_body(handle, attempt.module, true), 0);
    assert_eq!(stream.body(BUFFERED), b"");
    assert_eq!(stream.body(RECEIVED), br#"{"model":"big","messages":[]}"#);
    assert_eq!(stream.header(REQUEST, "content-length"), Some("29"));
}

#[test]
fn an_attempt_finds_its_backend_in_host_metadata() {
    let dir = runtime();
    let request = Filter::request(dir.path());
    let attempt = Filter::new(dir.path(), "attempt", "");
    let mut stream = chat();
    read(&request, &mut stream);
    let handle = stream.handle();
    stream
        .host_metadata
        .insert("per_route_rule_backend_name".into(), "plain".into());
    assert_eq!(
        http_filter_request_headers(handle, attempt.module, false),
        0
    );
    assert_eq!(
        stream.header(REQUEST, ":path"),
        Some("/v2/chat/completions")
    );
}

#[test]
fn a_credential_of_the_request_stands_in_dynamic_metadata() {
    let dir = runtime();
    let request = Filter::request(dir.path());
    let attempt = Filter::attempt(dir.path(), "own");
    let mut stream = chat();
    read(&request, &mut stream);
    stream
        .request_metadata
        .insert("k".into(), " of-the-user ".into());
    let handle = stream.handle();
    assert_eq!(
        http_filter_request_headers(handle, attempt.module, false),
        0
    );
    let sent = stream.header(REQUEST, "authorization");
    assert_eq!(sent, Some("Bearer of-the-user"));
}

#[test]
fn the_parts_of_an_aws_credential_of_the_request_stand_in_filter_state() {
    let dir = runtime();
    let request = Filter::request(dir.path());
    let attempt = Filter::attempt(dir.path(), "own-aws");
    let mut stream = chat();
    read(&request, &mut stream);
    for (member, value) in [("accessKeyId", "AKID"), ("secretAccessKey", "s")] {
        let name = format!("aigw.metadata:ns.auth:k:{member}");
        stream.state.insert(name, value.into());
    }
    let handle = stream.handle();
    http_filter_request_headers(handle, attempt.module, false);
    stream.bodies[RECEIVED] = vec![BODY.into()];
    assert_eq!(http_filter_request_body(handle, attempt.module, true), 0);
    let sent = stream.header(REQUEST, "authorization").unwrap();
    assert!(sent.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"));
}

#[test]
fn a_route_with_another_security_policy_than_the_first_is_a_403() {
    for (first, last, status) in [("p1", "p1", 0), ("p1", "p2", 403), ("", "p1", 403)] {
        let dir = runtime();
        let request = Filter::request(dir.path());
        let attempt = Filter::attempt(dir.path(), "plain");
        let mut stream = chat();
        let policy = |text: &str| ("security_policy".to_owned(), text.to_owned());
        stream.route_metadata.extend([policy(first)]);
        read(&request, &mut stream);
        stream.route_metadata.extend([policy(last)]);
        http_filter_request_headers(stream.handle(), attempt.module, false);
        let answered = stream.sent.as_ref().map_or(0, |sent| sent.status);
        assert_eq!(answered, status, "{first} and {last}");
    }
}

#[test]
fn an_attempt_without_its_request_is_a_503() {
    let dir = runtime();
    let (request, attempt) = (
        Filter::request(dir.path()),
        Filter::attempt(dir.path(), "plain"),
    );
    let mut stream = chat();
    read(&request, &mut stream);
    let handle = stream.handle();
    http_filter_stream_complete(handle, request.module);
    assert_eq!(
        http_filter_request_headers(handle, attempt.module, false),
        STOP
    );
    let sent = stream.sent.unwrap();
    assert_eq!(
        (sent.status, sent.details.as_str()),
        (503, "aigw_not_ready")
    );
    assert!(sent.headers.contains(&("retry-after".into(), "5".into())));
    assert!(sent.body.starts_with(b"{\"type\":\"error\""));
}

#[test]
fn a_waiting_attempt_is_woken_by_its_credential() {
    let dir = runtime();
    let (request, attempt) = (
        Filter::request(dir.path()),
        Filter::attempt(dir.path(), "keyed"),
    );
    let mut stream = chat();
    read(&request, &mut stream);
    let handle = stream.handle();
    assert_eq!(
        http_filter_request_headers(handle, attempt.module, false),
        STOP
    );
    assert_eq!(http_filter_request_body(handle, attempt.module, true), STOP);
    let file = r#"{"version":1,"credentials":{"ns/k":{"type":"APIKey","key":"late"}}}"#;
    std::fs::write(dir.path().join("draft"), file).unwrap();
    std::fs::rename(
        dir.path().join("draft"),
        dir.path().join("credentials.json"),
    )
    .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while stream.wakes.load(Ordering::SeqCst) == 0 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    http_filter_scheduled(handle, attempt.module, 0);
    assert!(stream.resumed);
    assert_eq!(stream.header(REQUEST, "authorization"), Some("Bearer late"));
}

#[test]
fn usage_of_a_reply_becomes_metadata() {
    let dir = runtime();
    let (request, attempt) = (
        Filter::request(dir.path()),
        Filter::attempt(dir.path(), "plain"),
    );
    let mut stream = chat();
    read(&request, &mut stream);
    let handle = stream.handle();
    http_filter_request_headers(handle, attempt.module, false);
    stream.maps[RESPONSE] = vec![
        (":status".into(), "200".into()),
        ("content-type".into(), "application/json".into()),
    ];
    assert_eq!(
        http_filter_response_headers(handle, attempt.module, false),
        0
    );
    let reply = br#"{"model":"m-1","usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
    stream.bodies[RESPONSE] = vec![reply[..30].to_vec(), reply[30..].to_vec()];
    assert_eq!(http_filter_response_body(handle, attempt.module, true), 0);
    assert_eq!(stream.metadata["input_tokens"], "3");
    assert_eq!(stream.metadata["response_model"], "m-1");
    assert_eq!(stream.body(RESPONSE), reply);
}

#[test]
fn usage_of_a_stream_that_breaks_off_is_there_before_the_access_log() {
    let dir = runtime();
    let (request, attempt) = (
        Filter::request(dir.path()),
        Filter::attempt(dir.path(), "plain"),
    );
    let mut stream = chat();
    let handle = stream.handle();
    http_filter_request_headers(handle, request.module, false);
    stream.bodies[RECEIVED] = vec![br#"{"model":"m","stream":true,"messages":[]}"#.to_vec()];
    http_filter_request_body(handle, request.module, true);
    http_filter_request_headers(handle, attempt.module, false);
    stream.maps[RESPONSE] = vec![
        (":status".into(), "200".into()),
        ("content-type".into(), "text/event-stream".into()),
    ];
    http_filter_response_headers(handle, attempt.module, false);
    let event = b"data: {\"choices\":[{\"delta\":{\"content\":\"hello world\"}}]}\n\n";
    stream.bodies[RESPONSE] = vec![event.to_vec()];
    http_filter_response_body(handle, attempt.module, false);
    assert!(!stream.metadata.contains_key("output_tokens"));
    http_filter_stream_complete(handle, request.module);
    assert_eq!(stream.metadata["output_tokens"], "2");
    assert_eq!(stream.metadata["usage_estimated"], "true");
    // Envoy tells the attempt only now; nothing is counted twice.
    stream.metadata.clear();
    http_filter_stream_complete(handle, attempt.module);
    assert!(stream.metadata.is_empty());
}

#[test]
fn a_held_head_gets_the_status_of_an_error_in_the_first_event() {
    let dir = runtime();
    let (request, attempt) = (
        Filter::request(dir.path()),
        Filter::attempt(dir.path(), "plain"),
    );
    let mut stream = chat();
    let handle = stream.handle();
    http_filter_request_headers(handle, request.module, false);
    stream.bodies[RECEIVED] = vec![br#"{"model":"m","stream":true}"#.to_vec()];
    http_filter_request_body(handle, request.module, true);
    http_filter_request_headers(handle, attempt.module, false);
    stream.maps[RESPONSE] = vec![
        (":status".into(), "200".into()),
        ("content-type".into(), "text/event-stream".into()),
    ];
    assert_eq!(
        http_filter_response_headers(handle, attempt.module, false),
        STOP
    );
    stream.bodies[RESPONSE] = vec![b": ping\n\n".to_vec()];
    assert_eq!(
        http_filter_response_body(handle, attempt.module, false),
        STOP
    );
    stream.bodies[RESPONSE + BUFFERED] = std::mem::take(&mut stream.bodies[RESPONSE]);
    stream.bodies[RESPONSE] =
        vec![b"data: {\"error\":{\"code\":503,\"message\":\"x\"}}\n\n".to_vec()];
    assert_eq!(http_filter_response_body(handle, attempt.module, false), 0);
    assert_eq!(stream.header(RESPONSE, ":status"), Some("503"));
    assert_eq!(stream.body(RESPONSE + BUFFERED), b"");
    assert!(stream.body(RESPONSE).starts_with(b"{\"type\":\"error\""));
}

#[test]
fn a_runtime_that_cannot_start_makes_no_config() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        r#"{{"runtime":"{}","gateway":"ns/gw"}}"#,
        dir.path().display()
    );
    assert!(new_config("request", &text).is_null());
}

#[test]
fn a_panic_is_answered_once_and_the_filter_is_out_of_service() {
    let dir = runtime();
    let filter = Filter::request(dir.path());
    let mut stream = chat();
    let handle = stream.handle();
    let event = |_: &mut crate::filter::Filter, _: &mut Stream<'_>| -> Step { panic!("test") };
    let done = drive(handle, filter.module, Side::Request, event);
    assert_eq!(done.body_status(), STOP_AND_DROP_BODY);
    let sent = stream.sent.take().unwrap();
    assert_eq!((sent.status, sent.details.as_str()), (500, "aigw_internal"));
    assert_eq!(
        http_filter_request_headers(handle, filter.module, false),
        STOP
    );
    assert_eq!(stream.sent.unwrap().status, 503);
}

/// Debug lines of all tests of this process.
static LINES: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

/// The part of a request's record that a test asks for; every record has these members.
fn record_of(id: u128) -> String {
    let start = format!("event=end id={id:032x} ");
    let lines = LINES.lock().unwrap();
    let mut found = lines.iter().filter(|line| line.starts_with(&start));
    let record = found.next().cloned().unwrap_or_default();
    assert!(found.next().is_none(), "two records of one request");
    record
}

fn log_lines() {
    aigw_runtime::debug::enable(|line| LINES.lock().unwrap().push(line.to_owned()));
}

fn id_of(stream: &FakeStream) -> u128 {
    u128::from_str_radix(&stream.metadata["request_id"], 16).unwrap()
}

#[test]
fn a_refused_request_makes_one_record() {
    log_lines();
    let dir = runtime();
    let filter = Filter::request(dir.path());
    let mut stream = chat();
    stream.maps[REQUEST][1].1 = "/v1/nothing".into();
    let handle = stream.handle();
    http_filter_request_headers(handle, filter.module, false);
    assert_eq!(stream.sent.as_ref().unwrap().status, 404);
    stream.status = 404;
    http_filter_stream_complete(handle, filter.module);
    let id = id_of(&stream);
    drop(filter);
    let record = record_of(id);
    for part in [
        r#""gateway":"ns/gw""#,
        r#""status":404"#,
        r#""outcome":"rejected""#,
        r#""error_kind":"unknown_path""#,
        r#""attempts":[]"#,
    ] {
        assert!(record.contains(part), "{part} in {record}");
    }
}

#[test]
fn a_client_that_leaves_aborts_its_request_unless_it_has_the_whole_reply() {
    log_lines();
    for (ended, outcome) in [(false, "aborted"), (true, "completed")] {
        let dir = runtime();
        let (request, attempt) = (
            Filter::request(dir.path()),
            Filter::attempt(dir.path(), "plain"),
        );
        let mut stream = chat();
        read(&request, &mut stream);
        let handle = stream.handle();
        http_filter_request_headers(handle, attempt.module, false);
        stream.maps[RESPONSE] = vec![(":status".into(), "200".into())];
        stream.bodies[RESPONSE] = vec![br#"{"model":"m-1"}"#.to_vec()];
        for filter in [&attempt, &request] {
            http_filter_response_headers(handle, filter.module, false);
            http_filter_response_body(handle, filter.module, ended);
        }
        stream.status = 200;
        stream.details = "downstream_remote_disconnect".into();
        http_filter_stream_complete(handle, request.module);
        let record = record_of(id_of(&stream));
        let outcome = format!(r#""status":200,"outcome":"{outcome}""#);
        assert!(record.contains(&outcome), "{outcome} in {record}");
        assert!(record.contains(r#""response_bytes":15"#), "{record}");
        assert!(record.contains(r#""provider":"openai""#), "{record}");
    }
}
