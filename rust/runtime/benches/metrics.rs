//! What metrics cost the thread that adds a record, and whoever reads them: `cargo bench -p
//! aigw-runtime --bench metrics`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that measures"
)]

use std::path::Path;
use std::time::Instant;

use aigw_core::record::{AttemptRecord, Outcome, Priced, UsageRecord};
use aigw_core::usage::Usage;
use aigw_runtime::metrics::{Metrics, read, text};

const RECORDS: u32 = 500_000;
/// Models that fill the table.
const MODELS: usize = 3_000;

fn record(model: &str) -> UsageRecord {
    let usage = Usage {
        input_tokens: Some(1234),
        output_tokens: Some(567),
        total_tokens: Some(1801),
        cached_input_tokens: Some(1024),
        ..Usage::default()
    };
    UsageRecord {
        duration_ns: 1_234_567_890,
        gateway: "default/gateway".into(),
        operation: "chat".into(),
        stream: true,
        route: "default/route".into(),
        backend: "default/openai".into(),
        requested_model: model.into(),
        status: 200,
        outcome: Outcome::Completed,
        attempts: vec![AttemptRecord {
            backend_name: "default/openai/route/route/rule/0/ref/0".into(),
            provider: "openai".into(),
            routed_model: model.into(),
            response_model: Some("gpt-4o-2024-08-06".into()),
            started_ns: 50_000,
            first_output_ns: Some(300_000_000),
            last_output_ns: Some(1_200_000_000),
            status: 200,
            outcome: Outcome::Completed,
            usage,
            price: Some(Priced {
                pico_usd: 8_755_000_000,
                ..Priced::default()
            }),
            ..AttemptRecord::default()
        }],
        ..UsageRecord::default()
    }
}

fn main() {
    let home = tempfile::tempdir().unwrap();
    let metrics = Metrics::create(home.path());
    for threads in [1, 2] {
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let record = record("gpt-4o");
                    (0..RECORDS).for_each(|_| metrics.add(&record));
                });
            }
        });
        let each = begin.elapsed().as_nanos() / u128::from(RECORDS);
        println!("add: {each} ns on each of {threads} threads");
    }
    for model in 0..MODELS {
        metrics.add(&record(&format!("model-{model}")));
    }
    read_all(home.path());
}

fn read_all(directory: &Path) {
    let begin = Instant::now();
    let found = text(&read(directory).unwrap());
    let (lines, bytes) = (found.lines().count(), found.len());
    println!(
        "read: {:?} for {lines} lines, {bytes} bytes",
        begin.elapsed()
    );
}
