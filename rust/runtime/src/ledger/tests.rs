//! The ledger against kills, full disks and files cut anywhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use aigw_core::record::{Outcome, Priced, UsageRecord};
use aigw_core::usage::Usage;
use tempfile::TempDir;

use super::files::{Listing, ROLLUP, SEGMENT};
use super::writer::{Settings, Shared, Writer};
use super::*;
use crate::InFlight;
use crate::inflight::{Client, Completed, Description};

const HOUR: u64 = rollup::HOUR_NS;

fn record(id: u128) -> UsageRecord {
    UsageRecord {
        id: format!("{id:032x}"),
        started_at: 500_000 * HOUR + (u64::try_from(id).unwrap() % 7) * (HOUR / 3),
        backend: format!("default/b{}", id % 3),
        route: "default/r".into(),
        requested_model: "asked".into(),
        routed_model: "served".into(),
        outcome: Outcome::Completed,
        usage: Usage {
            input_tokens: Some(10),
            output_tokens: Some(1),
            total_tokens: Some(11),
            ..Usage::default()
        },
        price: id.is_multiple_of(2).then(|| Priced {
            pico_usd: u64::MAX,
            ..Priced::default()
        }),
        attributes: BTreeMap::from([("team".into(), format!("t{}", id % 2))]),
        ..UsageRecord::default()
    }
}

/// A process that can be killed: its directories are copied as they are.
struct Process {
    home: TempDir,
    ledger: Ledger,
    writer: Writer,
    inflight: InFlight,
    disk: disk::Disk,
}

fn settings_in(home: &Path) -> Settings {
    Settings {
        segment_bytes: 4 << 10,
        sync_every: Duration::ZERO,
        disk: disk::Disk {
            space: Some(Arc::new(AtomicU64::new(u64::MAX))),
        },
        ..settings(
            &home.join("run"),
            &config::Ledger {
                directory: home.join("ledger").to_str().unwrap().into(),
                max_bytes: 1 << 30,
            },
        )
    }
}

impl Process {
    fn start() -> Self {
        Self::start_with(|_| {})
    }

    fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("run")).unwrap();
        let mut settings = settings_in(home.path());
        change(&mut settings);
        let name = new_writer();
        let inflight = InFlight::create(&settings.runtime, &name);
        let shared = Arc::new(Shared {
            queue: Queue::create(&settings.runtime, &name),
            name,
            stop: AtomicBool::new(false),
            written: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        });
        let disk = settings.disk.clone();
        Self {
            home,
            ledger: Ledger {
                shared: Arc::clone(&shared),
                thread: None,
                ended: Mutex::new(channel().1),
            },
            writer: Writer::new(shared, settings),
            inflight,
            disk,
        }
    }

    fn add(&self, ids: std::ops::Range<u128>) {
        for id in ids {
            self.ledger.add(&record(id));
        }
    }

    fn directory(&self) -> PathBuf {
        self.home.path().join("ledger")
    }

    /// What is left of it when it is killed now.
    fn kill(&self) -> TempDir {
        let left = tempfile::tempdir().unwrap();
        for part in ["run", "ledger"] {
            let to = left.path().join(part);
            fs::create_dir(&to).unwrap();
            for entry in fs::read_dir(self.home.path().join(part))
                .into_iter()
                .flatten()
            {
                let entry = entry.unwrap();
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        left
    }
}

fn recover_in(home: &Path) -> io::Result<()> {
    let settings = settings_in(home);
    recover::all(&settings.disk, &settings.runtime, &settings.directory)
}

/// Ids of single records, in their order.
fn ids_in(home: &Path) -> Vec<u128> {
    records_in(home)
        .iter()
        .map(|record| u128::from_str_radix(&record.id, 16).unwrap())
        .collect()
}

fn records_in(home: &Path) -> Vec<UsageRecord> {
    let mut reader = Records::open(&home.join("ledger"), b"").unwrap();
    let mut found = Vec::new();
    loop {
        let part = reader.read(1000).unwrap();
        if part.is_empty() {
            return found;
        }
        found.extend(
            part.iter()
                .map(|text| serde_json::from_slice(text).unwrap()),
        );
    }
}

fn report_in(home: &Path) -> serde_json::Value {
    let report = report(&home.join("ledger"), &Query::default()).unwrap();
    serde_json::to_value(report).unwrap()
}

fn sorted(mut ids: Vec<u128>) -> Vec<u128> {
    ids.sort_unstable();
    ids
}

#[test]
fn records_pass_through_a_thread_and_leave_no_map() {
    let home = tempfile::tempdir().unwrap();
    let settings = settings_in(home.path());
    fs::create_dir(&settings.runtime).unwrap();
    let ledger = Ledger::start(&new_writer(), settings).unwrap();
    for id in 1..=300 {
        ledger.add(&record(id));
    }
    drop(ledger);
    assert_eq!(ids_in(home.path()), (1..=300).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(home.path().join("run")).unwrap().count(), 0);
    let listing = Listing::of(&home.path().join("ledger")).unwrap();
    assert!(
        listing
            .segments
            .values()
            .all(|parts| parts.rollup.is_some())
    );
}

#[test]
fn sums_are_the_same_from_segments_and_from_rollups_which_change_nothing_when_made_again() {
    let mut process = Process::start_with(|settings| settings.segment_bytes = u64::MAX);
    process.writer.step();
    process.add(1..200);
    while process.writer.step() {}
    let tail = report_in(process.home.path());
    assert_eq!(tail["total"]["requests"], 199);
    assert_eq!(tail["total"]["unpriced"], 100);
    assert_eq!(
        tail["total"]["pico_usd"],
        (99 * u128::from(u64::MAX)).to_string()
    );
    assert_eq!(tail["total"]["total_tokens"], 199 * 11);
    let left = process.kill();
    let settings = settings_in(left.path());
    for _ in 0..2 {
        retain::roll_up(&settings.disk, &settings.directory).unwrap();
        assert_eq!(report_in(left.path()), tail);
    }
    let listing = Listing::of(&settings.directory).unwrap();
    for name in listing.segments.keys() {
        fs::remove_file(name.path(&settings.directory, SEGMENT)).unwrap();
    }
    assert_eq!(report_in(left.path()), tail);
}

#[test]
fn groups_are_those_asked_for() {
    let mut process = Process::start();
    process.writer.step();
    process.add(0..12);
    while process.writer.step() {}
    let groups = |by: &str, since: u64| {
        let query = format!("{{\"by\":{by},\"since\":{since}}}");
        let query = serde_json::from_str(&query).unwrap();
        let found = report(&process.directory(), &query).unwrap();
        let found = serde_json::to_value(found).unwrap();
        let groups = found["groups"].as_array().unwrap().iter();
        let pairs = groups.map(|group| {
            (
                group["key"].as_str().unwrap().to_owned(),
                group["requests"].as_u64().unwrap(),
            )
        });
        pairs.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(
        groups("\"model\"", 0),
        BTreeMap::from([("served".into(), 12)])
    );
    assert_eq!(groups("\"backend\"", 0).len(), 3);
    let teams = BTreeMap::from([("t0".into(), 6), ("t1".into(), 6)]);
    assert_eq!(groups("{\"attribute\":\"team\"}", 0), teams);
    assert_eq!(
        groups("{\"attribute\":\"other\"}", 0),
        BTreeMap::from([(String::new(), 12)])
    );
    // Thirds of hours: 0, 1, 2 | 3, 4, 5 | 6.
    let later = groups("\"model\"", 500_001 * HOUR + 5);
    assert_eq!(later, BTreeMap::from([("served".into(), 6)]));
    assert!(groups("\"model\"", 600_000 * HOUR).is_empty());
}

#[test]
fn a_killed_process_loses_nothing_and_nothing_comes_twice() {
    let mut process = Process::start();
    process.writer.step();
    process.add(1..50);
    while process.writer.step() {}
    process.add(50..80);
    // Its record is in the queue, and in a segment, and its slot was not closed yet.
    let _queued = process.inflight.open(60, 5, "m").unwrap();
    let _written = process.inflight.open(10, 5, "m").unwrap();
    let open = process.inflight.open(900, 5 * HOUR, "m").unwrap();
    let team = BTreeMap::from([("team".into(), "blue".into())]);
    let request = Description {
        operation: "chat",
        gateway: "default/g",
        client: Client {
            identity: Some("alice"),
            attributes: &team,
        },
    };
    process.inflight.describe(open, &request);
    process
        .inflight
        .set_backend(open, "default/b/route/r/rule/0/ref/0", "gpt");
    let usage = Usage {
        output_tokens: Some(3),
        ..Usage::default()
    };
    process.inflight.set_usage(open, &usage);

    let left = process.kill();
    recover_in(left.path()).unwrap();
    let expected: Vec<u128> = (1..80).chain([900]).collect();
    assert_eq!(sorted(ids_in(left.path())), expected);
    let records = records_in(left.path());
    let crashed = records.iter().find(|found| found.id.ends_with("384"));
    let crashed = crashed.unwrap();
    assert_eq!(crashed.outcome, Outcome::Crashed);
    assert!(crashed.estimated);
    assert_eq!(
        (crashed.identity.as_deref(), &crashed.attributes),
        (Some("alice"), &team)
    );
    assert_eq!((crashed.started_at, crashed.usage), (5 * HOUR, usage));
    assert_eq!(
        (crashed.route.as_str(), crashed.backend.as_str()),
        ("default/r", "default/b")
    );
    assert_eq!(
        (crashed.routed_model.as_str(), crashed.operation.as_str()),
        ("gpt", "chat")
    );
    let total = &report_in(left.path())["total"];
    assert_eq!(
        (&total["crashed"], &total["requests"]),
        (&1.into(), &80.into())
    );
    assert_eq!(fs::read_dir(left.path().join("run")).unwrap().count(), 0);
}

#[test]
fn a_reply_that_came_to_its_end_is_not_crashed() {
    let process = Process::start();
    for id in [1, 2] {
        let slot = process.inflight.open(id, 5, "m").unwrap();
        process
            .inflight
            .set_backend(slot, "default/b/route/r/rule/0/ref/0", "gpt");
        let end = Completed {
            status: 200,
            estimated: false,
            pico_usd: Some(7),
        };
        process.inflight.set_completed(slot, &end);
        if id == 2 {
            // Its reply may still be replaced: another attempt began.
            process
                .inflight
                .set_backend(slot, "default/c/route/r/rule/0/ref/1", "gpt");
        }
    }
    let left = process.kill();
    recover_in(left.path()).unwrap();
    let records = records_in(left.path());
    let of = |id| records.iter().find(|found| found.id.ends_with(id)).unwrap();
    assert_eq!(
        (of("1").outcome, of("1").estimated, of("1").status),
        (Outcome::Completed, false, 200)
    );
    assert_eq!(of("1").price.as_ref().unwrap().pico_usd, 7);
    assert_eq!(
        (of("2").outcome, of("2").estimated),
        (Outcome::Crashed, true)
    );
    assert_eq!(of("2").price, None);
}

#[test]
fn recovery_that_is_killed_is_done_again_without_a_second_copy() {
    let mut process = Process::start();
    process.writer.step();
    process.add(1..30);
    process.writer.step();
    process.add(30..60);
    let _open = process.inflight.open(900, 5, "m").unwrap();
    let maps = process.kill();
    let left = process.kill();
    let expected: Vec<u128> = (1..60).chain([900]).collect();
    for round in 0..3 {
        // Killed after the segment was there: the maps are still there.
        for entry in fs::read_dir(maps.path().join("run")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(
                entry.path(),
                left.path().join("run").join(entry.file_name()),
            )
            .unwrap();
        }
        if round == 2 {
            let settings = settings_in(left.path());
            retain::roll_up(&settings.disk, &settings.directory).unwrap();
        }
        recover_in(left.path()).unwrap();
        assert_eq!(sorted(ids_in(left.path())), expected);
    }
    // Killed before: the disk took only a part.
    let left = process.kill();
    let settings = settings_in(left.path());
    settings.disk.space.as_ref().unwrap().store(700, SeqCst);
    assert!(recover::all(&settings.disk, &settings.runtime, &settings.directory).is_err());
    recover_in(left.path()).unwrap();
    assert_eq!(sorted(ids_in(left.path())), expected);
}

#[test]
fn a_living_process_is_left_alone() {
    let process = Process::start();
    process.add(1..5);
    recover_in(process.home.path()).unwrap();
    assert_eq!(
        fs::read_dir(process.home.path().join("run"))
            .unwrap()
            .count(),
        2
    );
    assert!(ids_in(process.home.path()).is_empty());
}

#[test]
fn a_ledger_cut_at_any_byte_keeps_what_was_before_and_repeats_nothing() {
    let mut process = Process::start_with(|settings| settings.segment_bytes = u64::MAX);
    process.writer.step();
    process.add(1..12);
    while process.writer.step() {}
    process.add(12..15);
    let left = process.kill();
    let listing = Listing::of(&left.path().join("ledger")).unwrap();
    let (name, parts) = listing.segments.into_iter().next().unwrap();
    let (whole, path) = (
        parts.segment.unwrap(),
        name.path(&left.path().join("ledger"), SEGMENT),
    );
    let bytes = fs::read(&path).unwrap();
    let per_record = whole / 11;
    for _ in 0..60 {
        let cut = fastrand::u64(..=whole);
        let left = process.kill();
        let path = name.path(&left.path().join("ledger"), SEGMENT);
        fs::write(path, &bytes[..usize::try_from(cut).unwrap()]).unwrap();
        recover_in(left.path()).unwrap();
        let ids = sorted(ids_in(left.path()));
        let kept = ids.len() as u64 - 3;
        let expected: Vec<u128> = (1..=u128::from(kept)).chain(12..15).collect();
        assert_eq!(ids, expected);
        assert!(
            kept + 1 >= cut / (per_record + 2),
            "{cut} of {whole} keeps {kept}"
        );
        assert_eq!(report_in(left.path())["total"]["requests"], kept + 3);
    }
}

#[test]
fn a_full_disk_keeps_records_waiting_then_counts_losses_then_takes_them() {
    let mut process = Process::start();
    process.writer.step();
    let space = process.disk.space.clone().unwrap();
    process.add(1..10);
    process.writer.step();
    space.store(100, SeqCst);
    process.add(10..20);
    assert!(!process.writer.step());
    assert_eq!(process.ledger.counts().faults, 1);
    assert!(process.ledger.counts().waiting_bytes > 0);
    let mut id = 20;
    while process.ledger.counts().lost < 5 {
        process.ledger.add(&record(id));
        id += 1;
    }
    assert_eq!(report_in(process.home.path())["total"]["requests"], 9);
    space.store(u64::MAX, SeqCst);
    std::thread::sleep(Duration::from_millis(260));
    while process.writer.step() {}
    let ids = sorted(ids_in(process.home.path()));
    assert!(ids == (1..id - 5).collect::<Vec<_>>());
    let found = report_in(process.home.path());
    assert_eq!(
        (&found["lost"], &found["damaged_bytes"]),
        (&5.into(), &0.into())
    );
    // Said once, also by recovery.
    let left = process.kill();
    recover_in(left.path()).unwrap();
    assert_eq!(report_in(left.path())["lost"], 5);
}

#[test]
fn losses_that_nobody_wrote_down_are_recovered_once() {
    let process = Process::start();
    let mut id = 1;
    while process.ledger.counts().lost < 3 {
        process.ledger.add(&record(id));
        id += 1;
    }
    let left = process.kill();
    let maps = process.kill();
    for _ in 0..2 {
        for entry in fs::read_dir(maps.path().join("run")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(
                entry.path(),
                left.path().join("run").join(entry.file_name()),
            )
            .unwrap();
        }
        recover_in(left.path()).unwrap();
        let found = report_in(left.path());
        assert_eq!(found["lost"], 3);
        assert_eq!(found["total"]["requests"], u64::try_from(id).unwrap() - 4);
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_tried_again() {
    let mut process = Process::start();
    let place = process.directory();
    fs::write(&place, b"a file").unwrap();
    process.add(1..4);
    assert!(!process.writer.step());
    assert!(process.ledger.counts().faults > 0);
    fs::remove_file(&place).unwrap();
    std::thread::sleep(Duration::from_millis(260));
    while process.writer.step() {}
    while process.writer.step() {}
    assert_eq!(ids_in(process.home.path()), [1, 2, 3]);
}

#[test]
fn a_clock_that_steps_back_changes_no_sum() {
    let mut process = Process::start();
    process.writer.step();
    for (id, started_at) in [(1, 9 * HOUR), (2, 0), (3, u64::MAX), (4, 8 * HOUR)] {
        process.ledger.add(&UsageRecord {
            started_at,
            ..record(id)
        });
    }
    process.writer.step();
    assert_eq!(report_in(process.home.path())["total"]["requests"], 4);
    let left = process.kill();
    let settings = settings_in(left.path());
    retain::roll_up(&settings.disk, &settings.directory).unwrap();
    let query = Query {
        since: 8 * HOUR,
        ..Query::default()
    };
    let found = report(&settings.directory, &query).unwrap();
    let found = serde_json::to_value(found).unwrap();
    assert_eq!(found["total"]["requests"], 3);
}

#[test]
fn the_bound_removes_exported_segments_first_and_says_what_nobody_exported() {
    let mut process = Process::start_with(|settings| settings.max_bytes = u64::MAX);
    process.writer.step();
    for id in 1..200 {
        process.add(id..id + 1);
        process.writer.step();
    }
    let left = process.kill();
    let settings = settings_in(left.path());
    retain::roll_up(&settings.disk, &settings.directory).unwrap();
    let before = report_in(left.path());
    let segments = |listing: &Listing| {
        let there = listing.segments.values();
        there.filter(|parts| parts.segment.is_some()).count()
    };
    let size = |listing: &Listing| {
        let parts = listing.segments.values();
        parts
            .map(|parts| parts.segment.unwrap_or(0) + parts.rollup.unwrap_or(0))
            .sum::<u64>()
    };
    let listing = Listing::of(&settings.directory).unwrap();
    let all = segments(&listing);
    assert!(all > 5);
    let mut reader = Records::resume(&settings.directory, "otlp").unwrap();
    let exported = reader.read(50).unwrap().len();
    reader.keep("otlp").unwrap();
    let half = size(&listing) / 2;
    let loss = retain::prune(&settings.directory, half).unwrap();
    let listing = Listing::of(&settings.directory).unwrap();
    assert!(size(&listing) <= half && segments(&listing) > 0);
    assert_eq!(report_in(left.path()), before);
    let kept = records_in(left.path()).len() as u64;
    assert!(loss.unexported > 0 && loss.lost == 0);
    assert!(199 - kept - loss.unexported <= exported as u64);
    // In the end, sums go too, and it is said.
    let loss = retain::prune(&settings.directory, 0).unwrap();
    assert_eq!(
        (
            loss.lost,
            segments(&Listing::of(&settings.directory).unwrap())
        ),
        (199, 0)
    );
    assert_eq!(report_in(left.path())["total"]["requests"], 0);
}

#[test]
fn a_reader_goes_on_where_it_was_also_in_a_segment_that_grows() {
    let mut process = Process::start_with(|settings| settings.segment_bytes = u64::MAX);
    process.writer.step();
    let mut seen = Vec::new();
    let mut cursor = Vec::new();
    for round in 0..5_u128 {
        process.add(round * 10..round * 10 + 10);
        process.writer.step();
        let mut reader = Records::open(&process.directory(), &cursor).unwrap();
        let part = reader.read(8).unwrap();
        seen.extend(part);
        cursor = reader.cursor();
    }
    let mut reader = Records::open(&process.directory(), &cursor).unwrap();
    seen.extend(reader.read(1000).unwrap());
    assert!(reader.read(10).unwrap().is_empty());
    let ids = seen.iter().map(|text| {
        let found: UsageRecord = serde_json::from_slice(text).unwrap();
        u128::from_str_radix(&found.id, 16).unwrap()
    });
    assert_eq!(ids.collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
    assert!(Records::open(&process.directory(), b"7").is_err());
    assert!(reader.keep("../x").is_err());
}

#[test]
fn two_writers_share_a_directory() {
    let mut first = Process::start();
    let directory = first.directory();
    let mut second = Process::start_with(|settings| settings.directory.clone_from(&directory));
    for id in 0..40 {
        first.add(id..id + 1);
        second.add(100 + id..101 + id);
        first.writer.step();
        second.writer.step();
    }
    while first.writer.step() || second.writer.step() {}
    let ids = sorted(ids_in(first.home.path()));
    assert_eq!(ids, (0..40).chain(100..140).collect::<Vec<_>>());
    assert_eq!(report_in(first.home.path())["total"]["requests"], 80);
    let listing = Listing::of(&directory).unwrap();
    let rollups = listing
        .segments
        .keys()
        .filter(|name| name.path(&directory, ROLLUP).exists());
    assert!(rollups.count() > 2);
}
