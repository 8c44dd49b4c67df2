//! `load`: closed loop (each connection sends when it has its answer) and open loop (requests
//! become due at a fixed rate, whether or not earlier ones are answered).
//!
//! In the open loop a duration counts from the time a request was due. A stalled gateway so
//! shows in every request that had to wait for it, not only in the one it stalled.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::Client;
use crate::print_line;
use crate::tally::Tally;
use crate::target::{self, Target};

/// Time for the gateway to accept the connections in, before the first request.
const PREPARATION: Duration = Duration::from_millis(100);

/// Options of `load`.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: target::Options,
    /// Keep-alive connections; with --rate, the most requests in flight
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// Seconds to send for
    #[arg(long, required_unless_present = "requests")]
    duration: Option<f64>,
    /// Requests to send
    #[arg(long, conflicts_with = "duration")]
    requests: Option<u64>,
    /// Requests that become due in a second; without it the loop is closed
    #[arg(long)]
    rate: Option<f64>,
}

/// When requests begin and when the run ends; shared by the workers.
struct Schedule {
    start: Instant,
    /// Requests given out so far.
    taken: AtomicU64,
    /// Requests of the run; the closed loop's duration has no such limit.
    total: u64,
    /// No request begins after it.
    end: Option<Instant>,
    pace: Option<Pace>,
}

/// The open loop's clock.
struct Pace {
    period: Duration,
    /// A permit for each request that is due.
    due: Semaphore,
}

/// Sends as told and prints the report.
pub(crate) async fn execute(options: Options) -> io::Result<()> {
    let target = options.target.resolve().await?;
    let tally = Tally::new().map_err(io::Error::other)?;
    let tally = Arc::new(Mutex::new(tally));
    let clients = prepare(&target, options.connections).await;
    let schedule = Arc::new(Schedule::new(&options, target.timeout)?);
    let workers: JoinSet<()> = clients
        .into_iter()
        .map(|client| work(client, Arc::clone(&schedule), Arc::clone(&tally)))
        .collect();
    let ticker = tick_from_thread(&schedule, options.connections);
    workers.join_all().await;
    drop(ticker);
    let mut tally = exclusive(&tally);
    schedule.count_unsent(&mut tally);
    let mut report = tally.report(schedule.start);
    if let Some(members) = report.as_object_mut() {
        members.insert("connections".to_owned(), options.connections.into());
        members.insert("intended_rate".to_owned(), options.rate.into());
    }
    print_line(&report)
}

/// Clients with their connections open, so that no request pays for its connection.
async fn prepare(target: &Target, count: u32) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = Client::new(target.clone());
        client.prepare().await;
        clients.push(client);
    }
    clients
}

/// The tally for one worker at a time; all of them run on one thread.
fn exclusive(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn work(mut client: Client, schedule: Arc<Schedule>, tally: Arc<Mutex<Tally>>) {
    tokio::time::sleep_until(schedule.start).await;
    while let Some(start) = schedule.next().await {
        let outcome = client.exchange().await;
        exclusive(&tally).record(start, &outcome);
        if outcome.is_err() {
            // A gateway that refuses connections must not turn the closed loop into a spin.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    exclusive(&tally).count_reconnects(client.reconnects);
}

impl Schedule {
    fn new(options: &Options, grace: Duration) -> io::Result<Self> {
        let start = Instant::now() + PREPARATION;
        let duration = options
            .duration
            .map(Duration::try_from_secs_f64)
            .transpose()
            .map_err(io::Error::other)?;
        let mut schedule = Self {
            start,
            taken: AtomicU64::new(0),
            total: options.requests.unwrap_or(u64::MAX),
            end: duration.map(|duration| start + duration),
            pace: None,
        };
        if let Some(rate) = options.rate {
            let period = Duration::try_from_secs_f64(rate.recip()).map_err(io::Error::other)?;
            if let Some(duration) = duration {
                let count = duration.as_nanos() / period.as_nanos().max(1);
                schedule.total = u64::try_from(count).map_err(io::Error::other)?;
            }
            // Requests that are due get the grace of one time-out to be sent late.
            schedule.end = Some(schedule.due(period, schedule.total) + grace);
            schedule.pace = Some(Pace {
                period,
                due: Semaphore::new(0),
            });
        }
        Ok(schedule)
    }

    fn due(&self, period: Duration, number: u64) -> Instant {
        let offset = period.as_nanos().saturating_mul(u128::from(number));
        self.start + Duration::from_nanos(u64::try_from(offset).unwrap_or(u64::MAX))
    }

    /// Waits for the next request and tells when it was to begin; `None` ends the worker.
    async fn next(&self) -> Option<Instant> {
        if let Some(pace) = &self.pace {
            pace.due.acquire().await.ok()?.forget();
        }
        if self.end.is_some_and(|end| Instant::now() >= end) {
            return None;
        }
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        if number >= self.total {
            return None;
        }
        let now = Instant::now();
        Some(
            self.pace
                .as_ref()
                .map_or(now, |pace| self.due(pace.period, number)),
        )
    }

    /// Counts requests of the open loop that never left, because all connections stayed busy.
    fn count_unsent(&self, tally: &mut Tally) {
        let unsent = self
            .total
            .saturating_sub(self.taken.load(Ordering::Relaxed));
        if self.pace.is_some() && unsent > 0 {
            tally.count_error("unsent", unsent);
        }
    }
}

/// Makes requests due from a thread of its own: its sleep is precise to some 50 µs, while the
/// runtime's timers tick once a millisecond.
fn tick_from_thread(
    schedule: &Arc<Schedule>,
    connections: u32,
) -> Option<std::thread::JoinHandle<()>> {
    schedule.pace.as_ref()?;
    let schedule = Arc::clone(schedule);
    Some(std::thread::spawn(move || {
        let Some(pace) = &schedule.pace else { return };
        for number in 0..schedule.total {
            let due = schedule.due(pace.period, number);
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            pace.due.add_permits(1);
        }
        // One more for each worker, so that all of them see the end.
        pace.due.add_permits(connections as usize);
    }))
}
