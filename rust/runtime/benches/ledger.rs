//! What a usage record costs the thread that adds it: `cargo bench -p aigw-runtime`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that measures"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use aigw_core::config;
use aigw_core::record::{AttemptRecord, Outcome, Priced, UsageRecord};
use aigw_core::usage::Usage;
use aigw_runtime::ledger::{Ledger, new_writer};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RECORDS: u32 = 200_000;
/// Few enough for the queue, with a pause for the writer between them.
const ROUND: u32 = 1000;

fn record() -> UsageRecord {
    let usage = Usage {
        input_tokens: Some(1234),
        output_tokens: Some(567),
        total_tokens: Some(1801),
        cached_input_tokens: Some(1024),
        ..Usage::default()
    };
    let price = Some(Priced {
        pico_usd: 8_755_000_000,
        entry: "openai/gpt-4o".into(),
        source: "catalogue 2026-11-01".into(),
    });
    UsageRecord {
        id: "0123456789abcdef0123456789abcdef".into(),
        started_at: 1_790_000_000_000_000_000,
        duration_ns: 1_234_567_890,
        gateway: "default/gateway".into(),
        operation: "chat".into(),
        attributes: [
            ("team".into(), "blue".into()),
            ("user".into(), "alice".into()),
        ]
        .into(),
        route: "default/route".into(),
        backend: "default/openai".into(),
        requested_model: "gpt-4o".into(),
        routed_model: "gpt-4o".into(),
        response_model: Some("gpt-4o-2024-08-06".into()),
        status: 200,
        outcome: Outcome::Completed,
        usage,
        price: price.clone(),
        attempts: vec![AttemptRecord {
            backend_name: "default/openai/route/route/rule/0/ref/0".into(),
            provider: "openai".into(),
            routed_model: "gpt-4o".into(),
            status: 200,
            outcome: Outcome::Completed,
            usage,
            price,
            ..AttemptRecord::default()
        }],
        ..UsageRecord::default()
    }
}

fn main() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("ledger").to_str().unwrap().to_owned();
    let config = config::Ledger {
        directory,
        max_bytes: 1 << 30,
    };
    let ledger = Ledger::open(home.path(), &new_writer(), &config).unwrap();
    let record = record();
    ledger.add(&record);
    let (mut spent, mut allocations) = (Duration::ZERO, 0);
    for _ in 0..RECORDS / ROUND {
        let (before, begin) = (COUNT.with(Cell::get), Instant::now());
        for _ in 0..ROUND {
            ledger.add(&record);
        }
        spent += begin.elapsed();
        allocations += COUNT.with(Cell::get) - before;
        while ledger.counts().waiting_bytes > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let size = serde_json::to_vec(&record).unwrap().len();
    let each = spent.as_nanos() / u128::from(RECORDS);
    println!("add: {each} ns for a record of {size} bytes, {allocations} allocations in {RECORDS}");
    println!("lost: {}", ledger.counts().lost);
}
