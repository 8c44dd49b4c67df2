//! What holds for any bytes: the bodies of the fuzz targets, one function each.
//!
//! `fuzz.rs` feeds them damaged golden data in every test run, `rust/fuzz` what libFuzzer finds.
//! Where two bytes come first they choose a golden cell; the rest stands for its data.

use std::sync::OnceLock;

use aigw_core::cel::{Language, Variable};
use aigw_core::endpoint::{ClientApi, Endpoint};
use aigw_core::error::Reply;
use aigw_core::framing::{Decoder, EventKind, Framing, TopLevel, Unpacker};
use aigw_core::headers::Headers;
use aigw_core::mutate::{BodyMutation, PathValue};
use aigw_core::record::Outcome;
use aigw_core::schema::ApiSchema;
use aigw_core::session::{Ended, HeadStep, on_head};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::cell::{Cell, all};
use crate::exchange::{self, Client};
use crate::frames;

/// The cells that requests are read as.
pub(crate) fn cells() -> &'static [Cell] {
    static CELLS: OnceLock<Vec<Cell>> = OnceLock::new();
    CELLS.get_or_init(all)
}

/// The cells whose request is sent and answered.
pub(crate) fn answered() -> &'static [Cell] {
    static CELLS: OnceLock<Vec<Cell>> = OnceLock::new();
    let is_sent = |cell: &&Cell| cell.response.is_some() && exchange::prepare(cell).is_ok();
    CELLS.get_or_init(|| cells().iter().filter(is_sent).cloned().collect())
}

/// The cells whose request is answered by a stream.
pub(crate) fn streamed() -> &'static [Cell] {
    static CELLS: OnceLock<Vec<Cell>> = OnceLock::new();
    let streams = |cell: &&Cell| cell.response.as_ref().is_some_and(|r| r.streamed);
    CELLS.get_or_init(|| answered().iter().filter(streams).cloned().collect())
}

fn choose<'a>(cells: &'a [Cell], data: &'a [u8]) -> Option<(&'a Cell, &'a [u8])> {
    let (index, rest) = data.split_first_chunk::<2>()?;
    let index = usize::from(u16::from_be_bytes(*index)) % cells.len();
    Some((&cells[index], rest))
}

/// Names the cell of a check that fails.
struct Named<'a>(&'a str);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in {}", self.0);
        }
    }
}

fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// JSON that must be valid. Half a surrogate pair is, by the grammar, but cannot be read.
fn readable(bytes: &[u8]) -> Option<Value> {
    assert!(is_json(bytes), "{}", utf8(bytes));
    serde_json::from_slice(bytes).ok()
}

/// A client's body: refused in the client's shape, or the same valid request each time.
pub(crate) fn request(data: &[u8]) {
    let Some((cell, body)) = choose(cells(), data) else {
        return;
    };
    let _named = Named(&cell.name);
    let cell = Cell {
        request: body.to_vec(),
        ..cell.clone()
    };
    let (mut attempt, sent) = match exchange::prepare(&cell) {
        Ok(prepared) => prepared,
        // The gateway counts tokens itself where the provider cannot.
        Err(reply) if reply.status == 200 => return assert!(is_json(&reply.body)),
        Err(reply) => return check_refusal(cell.endpoint.client_api(), &reply),
    };
    let again = exchange::prepare_again(&cell, &mut attempt).unwrap();
    assert_eq!(again.headers, sent.headers);
    assert_eq!(again.body, sent.body);
    for value in sent.headers.values() {
        let unsafe_byte = |byte: &u8| byte.is_ascii_control();
        assert!(!value.as_bytes().iter().any(unsafe_byte), "{value:?}");
    }
    let path = &sent.headers[":path"];
    assert!(path.starts_with('/'), "{path:?}");
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
    if cell.content_type == "application/json" {
        let passes = !cell.is_rebuilt() && serde_json::from_slice::<IgnoredAny>(&sent.body).is_ok();
        assert!(passes || is_json(&sent.body), "{}", utf8(&sent.body));
    }
}

fn check_refusal(api: ClientApi, reply: &Reply) {
    assert!((400..500).contains(&reply.status), "{reply:?}");
    check_error(api, &reply.body);
}

fn check_error(api: ClientApi, body: &[u8]) {
    let Some(error) = readable(body) else { return };
    let holds = match api {
        ClientApi::OpenAI => error["error"].is_object(),
        ClientApi::Anthropic => error["type"] == "error" && error["error"]["type"].is_string(),
        ClientApi::Cohere => error["message"].is_string(),
    };
    assert!(holds, "{error}");
}

/// A provider's reply, bytes as they come.
pub(crate) fn reply(data: &[u8]) {
    let Some((cell, rest)) = choose(answered(), data) else {
        return;
    };
    if let Some((size, body)) = rest.split_first() {
        check_reply(cell, usize::from(*size), body);
    }
}

/// A provider's stream, framed as it must be: `name data` in each line. Exceptions have a `!`
/// before their name.
pub(crate) fn events(data: &[u8]) {
    let Some((cell, rest)) = choose(streamed(), data) else {
        return;
    };
    if let Some((size, lines)) = rest.split_first() {
        check_reply(cell, usize::from(*size), &frames::stream(cell, lines));
    }
}

fn check_reply(cell: &Cell, size: usize, body: &[u8]) {
    let _named = Named(&cell.name);
    let got = exchange::reply(cell, &[body.to_vec()]).unwrap();
    check_client(cell, &got, body);
    let chunks: Vec<Vec<u8>> = body.chunks(1 + size % 64).map(<[u8]>::to_vec).collect();
    let split = exchange::reply(cell, &chunks).unwrap();
    check_client(cell, &split, body);
    assert_eq!(split.record.outcome, got.record.outcome);
    assert_eq!(split.record.error_kind, got.record.error_kind);
    // In fewer pieces a failure may show before anything is out, and becomes a status.
    if got.record.outcome == Outcome::Completed || got.is_stream() {
        assert_eq!(split.text(), got.text());
        assert_eq!(split.status, got.status);
        assert_eq!(split.record.usage, got.record.usage);
    }
}

fn check_client(cell: &Cell, client: &Client, sent: &[u8]) {
    let completed = client.record.outcome == Outcome::Completed;
    let api = cell.endpoint.client_api();
    match (cell.is_rebuilt(), client.is_stream()) {
        (true, true) => check_stream(cell.endpoint, &client.text(), completed),
        (true, false) if completed => check_whole(cell, &client.body),
        (true, false) => check_error(api, &client.body),
        (false, _) if completed => assert_eq!(client.text(), utf8(sent)),
        (false, _) => {}
    }
}

/// A whole reply has the client's shape.
fn check_whole(cell: &Cell, body: &[u8]) {
    let Some(reply) = readable(body) else { return };
    let holds = match cell.endpoint {
        // The provider speaks the client's API: its reply goes on as it is.
        Endpoint::Messages if cell.schema == ApiSchema::AWSAnthropic => reply.is_object(),
        Endpoint::ChatCompletions => reply["object"] == "chat.completion",
        Endpoint::Completions => reply["object"] == "text_completion",
        Endpoint::Embeddings => reply["object"] == "list",
        Endpoint::Responses => reply["object"] == "response",
        Endpoint::Messages => reply["type"] == "message",
        Endpoint::CountTokens => reply["input_tokens"].is_u64(),
        Endpoint::Tokenize => reply["count"].is_u64(),
        _ => reply.is_object(),
    };
    assert!(holds, "{reply}");
}

/// A rebuilt stream has JSON events only, and a success marker if and only if it is complete.
fn check_stream(endpoint: Endpoint, text: &str, completed: bool) {
    let mut markers = 0;
    let mut last_is_marker = false;
    for event in text.split_terminator("\n\n") {
        let mut data = String::new();
        for line in event.lines() {
            match line.split_once(": ").unwrap() {
                ("data", value) => data += value,
                ("event", _) => {}
                (field, _) => panic!("{field}"),
            }
        }
        last_is_marker = is_marker(endpoint, &data);
        markers += usize::from(last_is_marker);
    }
    // Messages may be whole before the provider's stream is; nothing follows then.
    let early = endpoint == Endpoint::Messages && last_is_marker;
    let expected = completed || early;
    assert_eq!(
        (markers, last_is_marker),
        (usize::from(expected), expected),
        "{text}"
    );
}

fn is_marker(endpoint: Endpoint, data: &str) -> bool {
    if data == "[DONE]" {
        assert!(endpoint.client_api() == ClientApi::OpenAI);
        return true;
    }
    let Some(event) = readable(data.as_bytes()) else {
        return false;
    };
    assert!(event.is_object(), "{event}");
    matches!(
        event["type"].as_str(),
        Some("message_stop" | "response.completed" | "response.incomplete")
    )
}

/// Server-sent events: any split gives what the standard says.
pub(crate) fn sse(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let want = sse_by_the_book(bytes);
    assert_eq!(decode(Framing::Sse, bytes, bytes.len()), want);
    assert_eq!(decode(Framing::Sse, bytes, usize::from(*size)), want);
    // JSON without `data:` is no part of the standard.
    let lenient = |size| decode(Framing::SseOrJson, bytes, size);
    assert_eq!(lenient(usize::from(*size)), lenient(bytes.len()));
}

type Decoded = (Vec<(String, Vec<u8>, EventKind)>, Option<String>);

fn decode(framing: Framing, bytes: &[u8], size: usize) -> Decoded {
    let mut found = Vec::new();
    let mut sink = |event: aigw_core::framing::Event<'_>| {
        found.push((event.name.to_owned(), event.data.to_vec(), event.kind));
        Ok(())
    };
    let mut decoder = Decoder::new(framing);
    let fed = bytes
        .chunks(size.max(1))
        .try_for_each(|chunk| decoder.feed(chunk, &mut sink));
    let fault = fed.and_then(|()| decoder.finish(&mut sink)).err();
    (found, fault.map(|fault| fault.to_string()))
}

/// The standard's algorithm over the whole stream, but for two mercies: a last event counts, and
/// JSON that begins behind JSON is the next event without a blank line.
fn sse_by_the_book(bytes: &[u8]) -> Decoded {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if at > 0 && bytes[at - 1] == b'\r' => {}
            b'\n' | b'\r' => lines.push(Vec::new()),
            other => lines.last_mut().unwrap().push(*other),
        }
    }
    lines.push(Vec::new());
    let (mut found, mut name, mut data) = (Vec::new(), String::new(), None::<Vec<u8>>);
    for line in lines {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let field = halves.next().unwrap();
        let value = halves.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            _ if line.is_empty() => {
                let name = std::mem::take(&mut name);
                found.extend(data.take().map(|data| (name, data, EventKind::Data)));
            }
            b"event" => name = utf8(value),
            b"data" => {
                let closed = data.as_ref().is_some_and(|data| data.ends_with(b"}"));
                if closed && (value.starts_with(b"{") || value.starts_with(b"[")) {
                    let name = std::mem::take(&mut name);
                    found.extend(data.take().map(|data| (name, data, EventKind::Data)));
                }
                data = Some(match data {
                    Some(data) => [data.as_slice(), value].join(&b'\n'),
                    None => value.to_vec(),
                });
            }
            _ => {}
        }
    }
    (found, None)
}

/// AWS event streams: any split gives the same messages and the same fault.
pub(crate) fn event_stream(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let want = decode(Framing::EventStream, bytes, bytes.len());
    assert_eq!(
        decode(Framing::EventStream, bytes, usize::from(*size)),
        want
    );
}

/// Members of a reply that passes by: any split finds the same, and what a parser finds.
pub(crate) fn members(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let find = |size: usize| {
        let mut members = TopLevel::new(&["model", "usage"]);
        for chunk in bytes.chunks(size.max(1)) {
            members.feed(chunk);
        }
        ["model", "usage"].map(|key| members.value(key).map(<[u8]>::to_vec))
    };
    let found = find(bytes.len());
    assert_eq!(find(usize::from(*size)), found);
    // Keys with escapes are none of the gateway's, and large values are not kept.
    if bytes.contains(&b'\\') || bytes.len() > 60_000 {
        return;
    }
    let Ok(parsed) = serde_json::from_slice::<Map<String, Value>>(bytes) else {
        return;
    };
    for (key, value) in ["model", "usage"].into_iter().zip(found) {
        let value = value.map(|value| serde_json::from_slice::<Value>(&value).unwrap());
        assert_eq!(value.as_ref(), parsed.get(key));
    }
}

/// Packed replies: nothing breaks, and what comes out does not depend on the split.
pub(crate) fn packed(data: &[u8]) {
    let Some(([encoding, size], bytes)) = data.split_first_chunk::<2>() else {
        return;
    };
    let encoding = if encoding % 2 == 0 { "gzip" } else { "br" };
    let headers: Headers = [("content-encoding", encoding)].into_iter().collect();
    let unpack = |size: usize| {
        let mut unpacker = Unpacker::new(&headers, 1 << 20).unwrap();
        let chunks = bytes.chunks(size.max(1));
        let plain: Result<Vec<Vec<u8>>, _> = chunks.map(|chunk| unpacker.feed(chunk)).collect();
        plain.map(|plain| plain.concat())
    };
    let (whole, split) = (unpack(bytes.len()), unpack(usize::from(*size)));
    match (whole, split) {
        // Outputs are not shown: they may be very long.
        (Ok(whole), split) if encoding == "gzip" => assert!(split.unwrap() == whole),
        // Where a corrupt stream is noticed depends on its split, but not what it says until then.
        (Ok(whole), Ok(split)) => assert!(whole.starts_with(&split) || split.starts_with(&whole)),
        // Whole, it may be beyond the limit of a chunk.
        (Ok(_), Err(_)) | (Err(_), _) => {}
    }
}

/// An expression on a line, and the JSON that it reads as `self`: it is refused or evaluated,
/// always alike.
pub(crate) fn cel(data: &[u8]) {
    static LANGUAGE: OnceLock<Language> = OnceLock::new();
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let text = utf8(parts.next().unwrap_or_default());
    let value: Value = serde_json::from_slice(parts.next().unwrap_or_default()).unwrap_or_default();
    let Ok(program) = LANGUAGE.get_or_init(Language::new).compile(&text) else {
        return;
    };
    let variables = [
        ("self", Variable::Json(&value)),
        ("input_tokens", Variable::UInt(u64::MAX)),
        ("model", Variable::Text("harbour")),
    ];
    let run = || program.evaluate(&variables, 20_000);
    // Not a number is unlike itself.
    assert_eq!(format!("{:?}", run()), format!("{:?}", run()));
}

/// A change of the body: JSON stays JSON. A path, a value and the body, each on a line.
pub(crate) fn mutation(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let (Some(path), Some(value), Some(body)) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    let (path, value) = (utf8(path), utf8(value));
    let changes = [
        BodyMutation {
            remove: vec![path.clone()],
            ..BodyMutation::default()
        },
        BodyMutation {
            set: vec![PathValue { path, value }],
            ..BodyMutation::default()
        },
    ];
    for change in changes.iter().filter(|change| change.check().is_ok()) {
        let changed = change.apply(body);
        if let Some(changed) = changed.filter(|_| is_json(body)) {
            assert!(is_json(&changed), "{}", utf8(&changed));
        }
    }
}

/// A client's head: a path, then `name: value` lines.
pub(crate) fn head(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let mut head = Headers::new();
    head.push(b":method", b"POST");
    head.push(b":path", lines.next().unwrap_or_default());
    let mut body = b"--golden--".to_vec();
    for line in lines.by_ref() {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let name = halves.next().unwrap_or_default();
        match halves.next() {
            Some(value) => head.push(name, value.trim_ascii()),
            None => break,
        }
    }
    body.extend(lines.collect::<Vec<_>>().join(&b'\n'));
    let config = exchange::config(&cells()[0]);
    let gateway = config.gateway("default/golden").unwrap();
    match on_head(&config, gateway, head, Ended::No) {
        HeadStep::Reply(reply) => assert!(is_json(&reply.body)),
        HeadStep::Body(pending) => {
            let api = pending.client_api();
            match pending.on_body(0, &body) {
                Ok((request, _)) => drop(request.metadata()),
                Err(reply) => check_refusal(api, &reply),
            }
        }
    }
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
