//! `streams`: opens streams, leaves them idle and waits, so that memory can be measured.

use std::io;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::print_line;
use crate::target;

/// Streams being opened at the same time.
const OPENING: usize = 32;

/// Options of `streams`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: target::Options,
    /// Streams to hold open
    #[arg(long, default_value_t = 200)]
    connections: u32,
}

/// Opens the streams, prints `{"open": N, "errors": {...}}` and holds them until standard input
/// ends.
pub(crate) async fn execute(options: Options) -> io::Result<()> {
    let target = options.target.resolve().await?;
    let opening = Arc::new(Semaphore::new(OPENING));
    let mut attempts = JoinSet::new();
    for _ in 0..options.connections {
        let (target, opening) = (target.clone(), Arc::clone(&opening));
        attempts.spawn(async move {
            let _permit = opening.acquire().await;
            let mut client = Client::new(target);
            let status = client.begin().await;
            (client, status)
        });
    }
    let mut held = Vec::new();
    let mut errors = std::collections::BTreeMap::<String, u64>::new();
    while let Some(attempt) = attempts.join_next().await {
        let (client, status) = attempt.map_err(io::Error::other)?;
        match status {
            Ok(200) => held.push(client),
            Ok(status) => *errors.entry(format!("status {status}")).or_default() += 1,
            Err(failure) => *errors.entry(failure.to_string()).or_default() += 1,
        }
    }
    print_line(&json!({"open": held.len(), "errors": errors}))?;
    // Nothing else is to run: the streams are only held, so the runtime's thread may block.
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    drop(held);
    Ok(())
}
