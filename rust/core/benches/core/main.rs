//! What the core costs beside a bare JSON parser; `benches/README.md` tells how to read it.
//! Nothing fails here: times are reported, allocations are what tests assert.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark"
)]

mod gateway;
mod inputs;
mod measure;

use aigw_core::schema::ApiSchema::{AWSBedrock, Anthropic, GCPVertexAI, OpenAI};
use gateway::{CHAT, Gateway, MESSAGES};
use inputs::Case;
use measure::{Compared, compare};
use serde::de::IgnoredAny;
use serde_json::Value;

/// Events of a long stream, and of a short one.
const LONG: usize = 100_000;
const SHORT: usize = 1000;

fn main() {
    // Cargo passes `--bench`; a name runs the rows that contain it.
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let table = Table {
        gateway: Gateway::new(),
        wanted: wanted.unwrap_or_default(),
    };
    println!(
        "| What | µs | Beside | µs | Ratio (of medians) | Target | |\n|---|---|---|---|---|---|---|"
    );
    table.passthrough_requests();
    table.translated_requests();
    table.events();
    table.long_streams();
}

struct Table {
    gateway: Gateway,
    wanted: String,
}

impl Table {
    fn wants(&self, name: &str) -> bool {
        name.contains(&self.wanted)
    }

    fn passthrough_requests(&self) {
        for (name, length) in [("1 KiB", 1 << 10), ("16 KiB", 1 << 14), ("1 MiB", 1 << 20)] {
            let name = format!("passthrough request, {name}");
            if !self.wants(&name) {
                continue;
            }
            let body = inputs::chat(length);
            let found = compare(
                || self.gateway.request(CHAT, OpenAI, &body),
                || serde_json::from_slice::<IgnoredAny>(&body).unwrap(),
            );
            // The fixed part of a request outweighs a body so small: see its time.
            let target = (length > 1 << 10).then_some(1.3);
            row(&name, "`IgnoredAny`", &found, target);
        }
    }

    fn translated_requests(&self) {
        let (chat, messages) = (inputs::chat(1 << 14), inputs::messages(1 << 14));
        for (name, path, schema, body) in [
            ("chat to Bedrock", CHAT, AWSBedrock, &chat),
            ("chat to Anthropic", CHAT, Anthropic, &chat),
            ("chat to Gemini", CHAT, GCPVertexAI, &chat),
            ("messages to OpenAI", MESSAGES, OpenAI, &messages),
        ] {
            let name = format!("{name}, 16 KiB");
            if self.wants(&name) {
                let found = compare(
                    || self.gateway.request(path, schema, body),
                    || reserialized(body),
                );
                row(&name, "parse and write", &found, Some(3.0));
            }
        }
    }

    fn events(&self) {
        for Case {
            name,
            path,
            schema,
            piece,
        } in inputs::streams()
        {
            // A passthrough is no translation; its row is for the record.
            let target = (name != "passthrough").then_some(3.0);
            let name = format!("{name}, one event");
            if self.wants(&name) {
                let mut stream = self
                    .gateway
                    .stream(path, schema, inputs::STREAM, &piece.start);
                let found = compare(
                    || stream.feed(&piece.bytes),
                    || reserialized(piece.json.as_bytes()),
                );
                row(&name, "parse and write", &found, target);
            }
        }
    }

    /// An event late in a long stream costs what an early one does.
    fn long_streams(&self) {
        for Case {
            name,
            path,
            schema,
            piece,
        } in inputs::streams()
        {
            let name = format!("{name}, event after {LONG}");
            if !self.wants(&name) {
                continue;
            }
            let begin = || {
                self.gateway
                    .stream(path, schema, inputs::STREAM, &piece.start)
            };
            let (mut long, mut short, mut fed) = (begin(), begin(), 0);
            for _ in 0..LONG {
                long.feed(&piece.bytes);
            }
            let found = compare(
                || long.feed(&piece.bytes),
                || {
                    fed += 1;
                    if fed % SHORT == 0 {
                        short = begin();
                    }
                    short.feed(&piece.bytes)
                },
            );
            row(&name, "early event", &found, None);
        }
    }
}

fn reserialized(body: &[u8]) -> Vec<u8> {
    let value: Value = serde_json::from_slice(body).unwrap();
    serde_json::to_vec(&value).unwrap()
}

fn row(name: &str, beside: &str, found: &Compared, target: Option<f64>) {
    let (ours, theirs) = (&found.ours, &found.theirs);
    let ratio = ours.fast / theirs.fast;
    let outcome = target.map_or(
        "",
        |target| {
            if ratio <= target { "met" } else { "**missed**" }
        },
    );
    let target = target.map_or_else(String::new, |target| format!("{target}x"));
    println!(
        "| {name} | {:.3} | {beside} | {:.3} | {ratio:.2} ({:.2}) | {target} | {outcome} |",
        ours.fast / 1e3,
        theirs.fast / 1e3,
        ours.median / theirs.median,
    );
}
