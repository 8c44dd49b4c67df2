//! Streams as lines of `name data`, and back into the framing of a cell.

use aigw_core::framing::{Decoder, EventKind, Framing};
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::cell::Cell;

/// The event of `InvokeModel` that holds another one, in base64.
const CHUNK: &str = "chunk";

fn framing(cell: &Cell) -> Framing {
    let content_type = cell.response.as_ref().map_or("", |r| r.content_type);
    match content_type {
        "text/event-stream" => Framing::Sse,
        _ => Framing::EventStream,
    }
}

/// The stream of `lines`.
pub(crate) fn stream(cell: &Cell, lines: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let mut halves = line.splitn(2, |byte| *byte == b' ');
        let name = String::from_utf8_lossy(halves.next().unwrap_or_default());
        let data = halves.next().unwrap_or_default();
        match framing(cell) {
            Framing::Sse | Framing::SseOrJson => {
                if !name.is_empty() {
                    stream.extend_from_slice(format!("event: {name}\n").as_bytes());
                }
                stream.extend_from_slice(&[b"data: ", data, b"\n\n"].concat());
            }
            Framing::EventStream => stream.extend(message(&name, data)),
        }
    }
    stream
}

fn message(name: &str, data: &[u8]) -> Vec<u8> {
    let (kind, key, name) = match name.strip_prefix('!') {
        Some(name) => ("exception", ":exception-type", name),
        None => ("event", ":event-type", name),
    };
    let payload = if name == CHUNK {
        json!({"bytes": STANDARD.encode(data)}).to_string().into()
    } else {
        data.to_vec()
    };
    let text = |text: &str| HeaderValue::String(text.to_owned().into());
    let message = Message::new(payload)
        .add_header(Header::new(":message-type", text(kind)))
        .add_header(Header::new(key, text(name)));
    let mut frame = Vec::new();
    // A name that is too long for a header makes no frame.
    if write_message_to(&message, &mut frame).is_err() {
        frame.clear();
    }
    frame
}

/// The events of a cell as lines, as far as they can be read.
pub(crate) fn lines(cell: &Cell) -> Vec<u8> {
    let response = cell.response.as_ref().unwrap();
    let mut lines = Vec::new();
    let mut sink = |event: aigw_core::framing::Event<'_>| {
        let sign = match event.kind {
            EventKind::Exception => "!",
            EventKind::Data => "",
        };
        let inner = (event.name == CHUNK).then(|| inner(event.data)).flatten();
        let mut data = inner.unwrap_or_else(|| event.data.to_vec());
        for byte in &mut data {
            if *byte == b'\n' {
                *byte = b' ';
            }
        }
        lines.extend([format!("{sign}{} ", event.name).as_bytes(), &data].concat());
        lines.push(b'\n');
        Ok(())
    };
    let mut decoder = Decoder::new(framing(cell));
    for bytes in &response.events {
        if decoder.feed(bytes, &mut sink).is_err() {
            break;
        }
    }
    lines.pop();
    lines
}

fn inner(data: &[u8]) -> Option<Vec<u8>> {
    let frame: Value = serde_json::from_slice(data).ok()?;
    STANDARD.decode(frame.get("bytes")?.as_str()?).ok()
}
