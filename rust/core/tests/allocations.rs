//! Heap allocations of the hot path: a deterministic companion of the benchmarks.
#![cfg(test)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use aigw_core::config::Config;
use aigw_core::credential::Credentials;
use aigw_core::headers::Headers;
use aigw_core::session::{Attempt, AttemptInput, Ended, HeadStep, Patience, on_head};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.with(Cell::get);
    let result = work();
    (COUNT.with(Cell::get) - before, result)
}

fn head() -> Headers {
    [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        (":authority", "gateway.test"),
        ("content-type", "application/json"),
        ("content-length", "1024"),
        ("authorization", "Bearer client"),
        ("user-agent", "OpenAI/Python 3"),
        ("accept", "application/json"),
        ("x-stainless-lang", "python"),
        ("x-request-id", "0"),
    ]
    .into_iter()
    .collect()
}

#[test]
fn a_unary_passthrough_allocates_little() {
    let config = br#"{"version":1,"generation":"g","gateways":{"g":{}},"backends":{"a":{
        "name":"n/a/route/r/rule/0/ref/0","backend":"n/a","route":"n/r","host":"h",
        "schema":{"name":"OpenAI","prefix":"v1"}}}}"#;
    let config = Arc::new(Config::parse(config).unwrap());
    let filler = "x".repeat(900);
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{filler}"}}]}}"#);
    let reply = format!(
        r#"{{"id":"1","model":"m-1","choices":[{{"message":{{"content":"{filler}"}}}}],
        "usage":{{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}}}"#
    );
    let credentials = Credentials::default();
    let reply_head: Headers = [(":status", "200"), ("content-type", "application/json")]
        .into_iter()
        .collect();
    let run = || {
        let gateway = config.gateway("g").unwrap();
        let HeadStep::Body(pending) = on_head(&config, gateway, head(), Ended::No) else {
            panic!()
        };
        let (request, _edits) = pending.on_body(1, body.as_bytes()).unwrap();
        let _metadata = request.metadata();
        let backend = Arc::clone(config.backend("a").unwrap());
        let mut attempt = Attempt::bind(Arc::new(request), backend, 0).unwrap();
        let input = AttemptInput {
            body: b"",
            credentials: &credentials,
            now: 0,
            patience: Patience::MayWait,
        };
        let _upstream = attempt.prepare(&input).unwrap();
        attempt.response_head(200, &reply_head, Ended::No);
        let mut out = Vec::new();
        attempt.response_body(reply.as_bytes(), Ended::Yes, 9, &mut out);
        attempt.take_metadata()
    };
    run();
    let (count, metadata) = allocations(run);
    assert!(metadata.iter().any(|(key, _)| key == "total_tokens"));
    assert!(count <= 47, "{count} allocations");
}

#[test]
fn a_watched_stream_allocates_nothing_per_event() {
    let config = br#"{"version":1,"generation":"g","gateways":{"g":{}},"backends":{"a":{
        "name":"n/a/route/r/rule/0/ref/0","backend":"n/a","route":"n/r","host":"h",
        "schema":{"name":"OpenAI","prefix":"v1"}}}}"#;
    let config = Arc::new(Config::parse(config).unwrap());
    let gateway = config.gateway("g").unwrap();
    let HeadStep::Body(pending) = on_head(&config, gateway, head(), Ended::No) else {
        panic!()
    };
    let (request, _) = pending
        .on_body(1, br#"{"model":"m","stream":true}"#)
        .unwrap();
    let backend = Arc::clone(config.backend("a").unwrap());
    let mut attempt = Attempt::bind(Arc::new(request), backend, 0).unwrap();
    let reply_head: Headers = [("content-type", "text/event-stream")]
        .into_iter()
        .collect();
    attempt.response_head(200, &reply_head, Ended::No);
    let event = b"data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n";
    let mut out = Vec::new();
    // Generated text is kept up to a bound.
    for _ in 0..10_000 {
        attempt.response_body(event, Ended::No, 1, &mut out);
        attempt.take_metadata();
    }
    let (count, ()) = allocations(|| {
        for at in 0..100_000 {
            attempt.response_body(event, Ended::No, at, &mut out);
            attempt.take_metadata();
        }
    });
    assert_eq!(count, 0);
}
