//! The fuzz targets over damaged golden data, in every test run. `PROPTEST_CASES` makes it
//! longer; `AIGW_CORPUS` writes the undamaged data for libFuzzer.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::bodies::{self, answered, cells, streamed};
use crate::cell::Cell;
use crate::damage::{Damage, any_damage};
use crate::frames;

/// Bytes in the place of a chunk size.
const SIZE: u8 = 6;

/// Seeds whose first two bytes choose their cell.
fn chosen(cells: &[Cell], data: impl Fn(&Cell) -> Vec<u8>) -> Vec<Vec<u8>> {
    let numbered = (0u16..).zip(cells);
    numbered
        .map(|(at, cell)| [at.to_be_bytes().to_vec(), data(cell)].concat())
        .collect()
}

fn reply_bytes(cell: &Cell) -> Vec<u8> {
    let pieces = cell.response.as_ref().map(|reply| reply.events.concat());
    [vec![SIZE], pieces.unwrap_or_default()].concat()
}

fn requests() -> Vec<Vec<u8>> {
    chosen(cells(), |cell| cell.request.clone())
}

fn replies() -> Vec<Vec<u8>> {
    chosen(answered(), reply_bytes)
}

fn events() -> Vec<Vec<u8>> {
    chosen(streamed(), |cell| {
        [vec![SIZE], frames::lines(cell)].concat()
    })
}

fn streams_of(content_type: &str) -> Vec<Vec<u8>> {
    let kind = |cell: &&Cell| {
        let response = cell.response.as_ref();
        response.is_some_and(|response| response.content_type == content_type)
    };
    streamed().iter().filter(kind).map(reply_bytes).collect()
}

fn sse() -> Vec<Vec<u8>> {
    streams_of("text/event-stream")
}

fn event_streams() -> Vec<Vec<u8>> {
    streams_of("application/vnd.amazon.eventstream")
}

fn members() -> Vec<Vec<u8>> {
    let whole = answered().iter().filter(|cell| {
        let response = cell.response.as_ref();
        response.is_some_and(|response| !response.streamed)
    });
    whole.map(reply_bytes).collect()
}

fn packed() -> Vec<Vec<u8>> {
    let plain = b"data: {\"a\":1}\n\n".repeat(9);
    let mut gzip = flate2::read::GzEncoder::new(plain.as_slice(), flate2::Compression::fast());
    let mut zipped = vec![0, SIZE];
    std::io::Read::read_to_end(&mut gzip, &mut zipped).unwrap();
    // The text "data: {}" in brotli, uncompressed.
    let brotli = [b"\x01\x06\x8b\x03\x80".as_slice(), b"data: {}", b"\x03"].concat();
    vec![zipped, [vec![1, SIZE], brotli].concat()]
}

fn mutations() -> Vec<Vec<u8>> {
    let requests = cells().iter().map(|cell| cell.request.as_slice());
    let edits: [&[u8]; 4] = [
        b"messages.0.content\nnew\n",
        b"messages.-1\n{\"a\":[1]}\n",
        b"a.b\\.c.2\n-1.5\n",
        b"model\nnull\n",
    ];
    let pairs = requests.zip(edits.into_iter().cycle());
    pairs.map(|(body, edit)| [edit, body].concat()).collect()
}

fn heads() -> Vec<Vec<u8>> {
    let form = "content-type: multipart/form-data; boundary=\"golden\"; a=b\n";
    [
        "/v1/chat/completions?a=b\nauthorization: Bearer k\ncontent-type: application/json\n\n{}",
        "/anthropic/v1/models?limit=1&after_id=m\nanthropic-version: 2023-06-01\n",
        "/v1/models\nhost: h\n",
        &format!("/v1/audio/transcriptions\n{form}content-length: 9\n\n--golden\r\n"),
        "/tokenize\ncontent-type: application/json\n\n{\"model\":\"m\",\"prompt\":\"a\"}",
    ]
    .map(|head| head.as_bytes().to_vec())
    .to_vec()
}

fn expressions() -> Vec<Vec<u8>> {
    [
        (
            "self.all(p, p.kind == 'Gateway')",
            r#"[{"kind":"Gateway"}]"#,
        ),
        (
            "self.all(a, self.exists_one(b, b.n == a.n))",
            r#"[{"n":1},{"n":2}]"#,
        ),
        (
            "has(self.a) != has(self.b) || self.a in [1, 2u, 1.5]",
            r#"{"a":1}"#,
        ),
        ("self.s.lowerAscii().matches('^[a-z]+$')", r#"{"s":"Ab"}"#),
        ("duration(self) < duration('1h30m')", r#""10s""#),
        ("input_tokens * 2u + uint(self.n) / 3u", r#"{"n":7}"#),
        (
            "model.startsWith('h') ? size(self) : -1 % 2",
            r#"{"k":[null]}"#,
        ),
        ("self.map(x, x * 1.5).filter(x, x > 1.0)[0]", "[1.0,2.5]"),
    ]
    .map(|(text, value)| [text, value].join("\n").into_bytes())
    .to_vec()
}

type Body = fn(&[u8]);
type Seeds = fn() -> Vec<Vec<u8>>;

/// Every target with its corpus.
const TARGETS: &[(&str, Body, Seeds)] = &[
    ("request", bodies::request, requests),
    ("reply", bodies::reply, replies),
    ("events", bodies::events, events),
    ("sse", bodies::sse, sse),
    ("event_stream", bodies::event_stream, event_streams),
    ("members", bodies::members, members),
    ("packed", bodies::packed, packed),
    ("mutation", bodies::mutation, mutations),
    ("head", bodies::head, heads),
    ("cel", bodies::cel, expressions),
];

/// A seed with some damage; now and then the end of another seed behind its start.
fn damaged() -> impl Strategy<Value = (Index, Option<(Index, Index)>, Vec<Damage>)> {
    (
        any::<Index>(),
        proptest::option::weighted(0.1, any::<(Index, Index)>()),
        proptest::collection::vec(any_damage(), 0..4),
    )
}

/// Runs a target; `times` as often as other properties.
fn run(target: &str, times: u32) {
    let (_, body, seeds) = TARGETS.iter().find(|(name, ..)| *name == target).unwrap();
    let seeds = seeds();
    for seed in &seeds {
        body(seed);
    }
    let mut config = ProptestConfig::default();
    config.cases *= times;
    config.failure_persistence = None;
    proptest!(config, |((seed, other, damage) in damaged())| {
        let mut bytes = seed.get(&seeds).clone();
        if let Some((other, at)) = other {
            let other = other.get(&seeds);
            bytes.truncate(at.index(bytes.len() + 1));
            bytes.extend_from_slice(&other[at.index(other.len() + 1)..]);
        }
        // What chooses the cell is not part of the data.
        let mut data = bytes.split_off(bytes.len().min(3));
        for damage in damage {
            damage.apply(&mut data);
        }
        bytes.extend(data);
        body(&bytes);
    });
}

#[test]
fn any_request_is_refused_or_sent_as_valid_json() {
    run("request", 8);
}

#[test]
fn any_reply_gives_the_client_its_own_shape() {
    run("reply", 4);
}

#[test]
fn any_events_give_a_stream_without_a_false_end() {
    run("events", 4);
}

#[test]
fn any_server_sent_events_are_read_by_the_book() {
    run("sse", 1);
}

#[test]
fn any_event_stream_is_read_alike_in_any_split() {
    run("event_stream", 1);
}

#[test]
fn any_reply_shows_the_members_that_a_parser_finds() {
    run("members", 1);
}

#[test]
fn any_packed_bytes_unpack_alike_in_any_split() {
    run("packed", 1);
}

#[test]
fn any_change_of_json_leaves_json() {
    run("mutation", 1);
}

#[test]
fn any_head_is_read_or_refused_as_json() {
    run("head", 1);
}

#[test]
fn any_expression_is_refused_or_evaluated_alike() {
    // Frames of the parser are about ten times larger in a debug build.
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    let check = thread.spawn(|| run("cel", 1)).unwrap();
    check.join().unwrap();
}

/// Writes the seeds of every target to the folder that `AIGW_CORPUS` names.
#[test]
fn seeds_are_written_when_asked_for() {
    let Some(root) = std::env::var_os("AIGW_CORPUS") else {
        return;
    };
    for (name, _, seeds) in TARGETS {
        let folder = Path::new(&root).join(name);
        fs::create_dir_all(&folder).unwrap();
        for (at, seed) in seeds().iter().enumerate() {
            fs::write(folder.join(format!("seed-{at:04}")), seed).unwrap();
        }
    }
}
