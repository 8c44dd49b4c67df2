//! Responder and load generator behind `benches/run`.
//!
//! `respond` plays the provider, `load` measures a gateway with a closed or an open loop, and
//! `streams` holds idle streams open while somebody else looks at the gateway's memory. All of
//! them speak plain HTTP/1.1 to loopback and put one JSON object a line on standard output.

mod body;
mod client;
mod events;
mod load;
mod replies;
mod respond;
mod streams;
mod tally;
mod target;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Command line of the tool.
#[derive(Parser)]
#[command(
    name = "aigw-bench",
    about = "Responder and load generator for benches/run"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Subcommand)]
enum Command {
    /// Answer like a provider, from prebuilt bytes
    Respond(respond::Options),
    /// Send requests and report latencies, events and errors
    Load(load::Options),
    /// Hold idle streams open until standard input ends
    Streams(streams::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match execute(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do when even standard error is closed.
            let _ = writeln!(io::stderr(), "aigw-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> io::Result<()> {
    // One thread: the machine's other cores belong to the gateway under test.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match command {
        Command::Respond(options) => runtime.block_on(respond::serve(&options)),
        Command::Load(options) => runtime.block_on(load::execute(options)),
        Command::Streams(options) => runtime.block_on(streams::execute(options)),
    }
}

/// Writes one JSON object as a line to standard output.
fn print_line(value: &serde_json::Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}
