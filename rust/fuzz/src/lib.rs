//! The fuzz targets of the core, as libFuzzer calls them. What they check stands in
//! `rust/core/tests/golden/bodies.rs`, and runs in every `cargo test` as well.

#![cfg(feature = "libfuzzer")]
#![allow(dead_code, reason = "the tests of the core use the rest")]

#[path = "../../core/tests/golden/bodies.rs"]
mod bodies;
#[path = "../../core/tests/golden/cell.rs"]
mod cell;
#[path = "../../core/tests/golden/exchange.rs"]
mod exchange;
#[path = "../../core/tests/golden/frames.rs"]
mod frames;

macro_rules! targets {
    ($($name:ident)+) => {
        $(
            /// The body of this name.
            pub fn $name(data: &[u8]) {
                bodies::$name(data);
            }
        )+
    };
}

targets!(request reply events sse event_stream members packed mutation head cel);
