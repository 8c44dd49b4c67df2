//! Heap allocations of the hot path: a deterministic companion of the benchmarks.
#![cfg(test)]

#[path = "../benches/core/gateway.rs"]
mod gateway;
#[path = "../benches/core/inputs.rs"]
mod inputs;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use aigw_core::headers::Headers;
use aigw_core::schema::ApiSchema::{AWSBedrock, Anthropic, GCPVertexAI, OpenAI};
use aigw_core::session::Ended;
use gateway::{CHAT, Gateway, MESSAGES};
use inputs::{Case, STREAM};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

fn count(more: usize, less: usize) {
    let _ = COUNT.try_with(|count| count.set(count.get() + usize::from(more > 0)));
    let _ = LIVE.try_with(|live| live.set(live.get().wrapping_add(more).wrapping_sub(less)));
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
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

/// Allocations of the request step, once it has run before.
fn of_request(path: &str, schema: aigw_core::schema::ApiSchema, body: &[u8]) -> usize {
    let gateway = Gateway::new();
    drop(gateway.request(path, schema, body));
    allocations(|| gateway.request(path, schema, body)).0
}

#[test]
fn a_passthrough_request_allocates_alike_for_any_body() {
    for length in [1 << 10, 1 << 14, 1 << 20] {
        let count = of_request(CHAT, OpenAI, &inputs::chat(length));
        assert!(count <= 26, "{count} allocations for {length} bytes");
    }
}

#[test]
fn a_translated_request_allocates_far_less_than_its_bytes() {
    let (chat, messages) = (inputs::chat(1 << 14), inputs::messages(1 << 14));
    for (path, schema, body, most) in [
        (CHAT, AWSBedrock, &chat, 225),
        (CHAT, Anthropic, &chat, 235),
        (CHAT, GCPVertexAI, &chat, 700),
        (MESSAGES, OpenAI, &messages, 215),
    ] {
        let count = of_request(path, schema, body);
        assert!(count <= most, "{path} to {schema:?}: {count} allocations");
    }
}

/// Events of a long stream.
const EVENTS: usize = 100_000;
/// Most allocations of one event of each of [`inputs::streams`].
const MOST: [usize; 5] = [0, 10, 2, 6, 4];

#[test]
fn an_event_allocates_little_and_a_long_stream_keeps_nothing() {
    let gateway = Gateway::new();
    for (
        Case {
            name,
            path,
            schema,
            piece,
        },
        most,
    ) in inputs::streams().into_iter().zip(MOST)
    {
        let mut stream = gateway.stream(path, schema, STREAM, &piece.start);
        // Generated text is kept up to a bound.
        for _ in 0..10_000 {
            stream.feed(&piece.bytes);
        }
        let live = LIVE.with(Cell::get);
        let (count, ()) = allocations(|| {
            for _ in 0..EVENTS {
                stream.feed(&piece.bytes);
            }
        });
        let kept = LIVE.with(Cell::get).wrapping_sub(live).cast_signed();
        assert!(kept <= 0, "{name}: {kept} bytes more are kept");
        let per_event = count.div_ceil(EVENTS);
        assert!(per_event <= most, "{name}: {per_event} per event");
    }
}

#[test]
fn a_unary_passthrough_allocates_little() {
    let gateway = Gateway::new();
    let body = inputs::chat(1 << 10);
    let filler = "x".repeat(900);
    let reply = format!(
        r#"{{"id":"1","model":"m-1","choices":[{{"message":{{"content":"{filler}"}}}}],
        "usage":{{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}}}"#
    );
    let head: Headers = [(":status", "200"), ("content-type", "application/json")]
        .into_iter()
        .collect();
    let run = || {
        let (mut attempt, _upstream) = gateway.request(CHAT, OpenAI, &body);
        let _metadata = attempt.request().metadata();
        attempt.response_head(200, &head, Ended::No);
        let mut out = Vec::new();
        attempt.response_body(reply.as_bytes(), Ended::Yes, 9, &mut out);
        attempt.take_metadata()
    };
    run();
    let (count, metadata) = allocations(run);
    assert!(metadata.iter().any(|(key, _)| key == "total_tokens"));
    assert!(count <= 47, "{count} allocations");
}
