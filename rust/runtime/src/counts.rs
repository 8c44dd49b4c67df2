//! The thread that cuts long texts into tokens, started when the first one comes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aigw_core::session::CountJob;

use crate::wait::Alarm;

/// Counts to make. The thread ends with the last of them once this is dropped.
#[derive(Default)]
pub(crate) struct Counts {
    queue: Mutex<Option<Sender<Weak<CountJob>>>>,
}

impl Counts {
    /// Makes the count after those that were added before; `alarm` rings when it is there. Where
    /// no thread can be started, the wait for it ends at its deadline.
    pub(crate) fn add(&self, job: Weak<CountJob>, alarm: &Arc<Alarm>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.is_none() {
            *queue = start(Arc::clone(alarm));
        }
        if let Some(sender) = queue.as_ref() {
            let _ = sender.send(job);
        }
    }
}

fn start(alarm: Arc<Alarm>) -> Option<Sender<Weak<CountJob>>> {
    let (sender, jobs) = channel();
    let thread = std::thread::Builder::new().name("aigw-tokens".into());
    thread.spawn(move || run(&jobs, &alarm)).ok()?;
    Some(sender)
}

fn run(jobs: &Receiver<Weak<CountJob>>, alarm: &Alarm) {
    for job in jobs {
        // The one who asked may have given up.
        let Some(job) = job.upgrade() else { continue };
        let _ = catch_unwind(AssertUnwindSafe(|| job.run()));
        alarm.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use aigw_core::config::Config;
    use aigw_core::credential::Credentials;
    use aigw_core::headers::Headers;
    use aigw_core::session::{
        Attempt, AttemptInput, Ended, HeadStep, Patience, Prepared, WaitFor, on_head,
    };

    use super::*;

    const CONFIG: &[u8] = br#"{"version":1,"generation":"g","gateways":{"g":{}},"backends":{"b":{
        "name":"n/b/route/r/rule/0/ref/0","backend":"n/b","route":"n/r","host":"h",
        "schema":{"name":"Cohere"}}}}"#;

    /// What an attempt at a long text waits for; given up with the attempt.
    fn waiting() -> (Attempt, Arc<CountJob>) {
        let config = Arc::new(Config::parse(CONFIG).unwrap());
        let body = format!(r#"{{"model":"m","prompt":"{}"}}"#, "word ".repeat(8_000));
        let head = [(":method", "POST"), (":path", "/tokenize")];
        let head: Headers = head.into_iter().collect();
        let gateway = config.gateway("g").unwrap();
        let HeadStep::Body(pending) = on_head(&config, gateway, head, Ended::No) else {
            panic!("answered at once")
        };
        let (request, _) = pending.on_body(1, body.as_bytes()).unwrap();
        let backend = Arc::clone(config.backend("b").unwrap());
        let mut attempt = Attempt::bind(Arc::new(request), backend, 0).unwrap();
        let prepared = attempt.prepare(&AttemptInput {
            body: body.as_bytes(),
            credentials: &Credentials::default(),
            now: 0,
            patience: Patience::MayWait,
        });
        let Ok(Prepared::Wait(WaitFor::Count(job))) = prepared else {
            panic!("nothing to count: {prepared:?}")
        };
        (attempt, job)
    }

    #[test]
    fn counts_are_made_in_turn_and_none_for_those_who_left() {
        let (counts, alarm) = (Counts::default(), Arc::new(Alarm::default()));
        let (left, first, second) = (waiting(), waiting(), waiting());
        let gone = Arc::downgrade(&left.1);
        drop(left);
        assert!(!first.1.is_done());
        for job in [gone, Arc::downgrade(&first.1), Arc::downgrade(&second.1)] {
            counts.add(job, &alarm);
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while !second.1.is_done() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(first.1.is_done() && second.1.is_done());
    }
}
