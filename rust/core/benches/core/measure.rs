//! Two things measured beside each other, since only their ratio is compared with a target.
//!
//! Measurements are short and many, in turns, and their fastest tenth counts: other work on the
//! machine adds to a time and never takes from it.

use std::hint::black_box;
use std::time::Instant;

/// How long one measurement takes, in seconds.
const SAMPLE: f64 = 0.000_4;
/// Measurements of each.
const SAMPLES: usize = 501;

/// Nanoseconds per call of two things.
pub(crate) struct Compared {
    pub(crate) ours: Times,
    pub(crate) theirs: Times,
}

/// Quantiles of nanoseconds per call.
pub(crate) struct Times {
    /// What nine of ten measurements exceed.
    pub(crate) fast: f64,
    pub(crate) median: f64,
}

/// Measures `ours` and `theirs` in turns.
pub(crate) fn compare<A, B>(
    mut ours: impl FnMut() -> A,
    mut theirs: impl FnMut() -> B,
) -> Compared {
    let mut ours = || drop(black_box(ours()));
    let mut theirs = || drop(black_box(theirs()));
    let (calls, their_calls) = (calls_of(&mut ours), calls_of(&mut theirs));
    let pairs = (0..SAMPLES).map(|_| (time(&mut ours, calls), time(&mut theirs, their_calls)));
    let (ours, theirs) = pairs.unzip();
    Compared {
        ours: Times::of(ours),
        theirs: Times::of(theirs),
    }
}

impl Times {
    fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self {
            fast: samples[samples.len() / 10],
            median: samples[samples.len() / 2],
        }
    }
}

/// Calls that fill one measurement.
fn calls_of(work: &mut impl FnMut()) -> u32 {
    let mut calls = 1;
    while time(work, calls) * f64::from(calls) < SAMPLE * 1e9 {
        calls *= 2;
    }
    calls
}

fn time(work: &mut impl FnMut(), calls: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        work();
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}
