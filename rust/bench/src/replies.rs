//! The provider's answers, built once.
//!
//! The request's path chooses the API (chat completions, Converse, messages); `"stream":true` in
//! the body chooses a stream where the path does not.

use std::time::SystemTime;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use memchr::memmem;
use serde_json::{Value, json};

/// Model name in every answer.
const MODEL: &str = "bench-model";
/// Text of one streamed piece.
const PIECE: &str = "a few words of answer, ";

/// An answer on the wire, head included.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Sent at once.
    Unary(Bytes),
    /// Sent piece by piece.
    Stream(Stream),
}

/// A chunked answer: `open`, then the paced `piece` a number of times, then `close`.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Response head and the events before the first text.
    pub(crate) open: Bytes,
    /// One text event.
    pub(crate) piece: Bytes,
    /// Last events and the end of the body.
    pub(crate) close: Bytes,
}

/// All answers.
#[derive(Debug)]
pub(crate) struct Replies {
    chat: Reply,
    chat_stream: Reply,
    converse: Reply,
    converse_stream: Reply,
    messages: Reply,
    messages_stream: Reply,
    unknown: Reply,
}

/// Sizes of the unary answers in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Chat completions and messages.
    pub(crate) document: usize,
    /// Converse.
    pub(crate) converse: usize,
}

impl Replies {
    /// Builds every answer.
    pub(crate) fn new(sizes: Sizes) -> std::io::Result<Self> {
        Ok(Self {
            chat: unary(&padded(sizes.document, chat)),
            chat_stream: chat_stream(),
            converse: unary(&padded(sizes.converse, converse)),
            converse_stream: converse_stream().map_err(std::io::Error::other)?,
            messages: unary(&padded(sizes.document, messages)),
            messages_stream: messages_stream(),
            unknown: Reply::Unary(Bytes::from_static(
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            )),
        })
    }

    /// The answer for a request.
    pub(crate) fn choose(&self, path: &[u8], body: &[u8]) -> &Reply {
        let path = path.split(|&byte| byte == b'?').next().unwrap_or(path);
        if path.ends_with(b"/converse-stream") {
            &self.converse_stream
        } else if path.ends_with(b"/converse") {
            &self.converse
        } else if path.ends_with(b"/chat/completions") {
            either(&self.chat, &self.chat_stream, body)
        } else if path.ends_with(b"/messages") {
            either(&self.messages, &self.messages_stream, body)
        } else {
            &self.unknown
        }
    }
}

fn either<'a>(document: &'a Reply, stream: &'a Reply, body: &[u8]) -> &'a Reply {
    let asks = memmem::find(body, br#""stream":true"#).is_some()
        || memmem::find(body, br#""stream": true"#).is_some();
    if asks { stream } else { document }
}

/// `document` of the size `bytes`, by the length of its text.
fn padded(bytes: usize, document: fn(&str) -> Value) -> Vec<u8> {
    let bare = document("").to_string().len();
    let text: String = PIECE
        .chars()
        .cycle()
        .take(bytes.saturating_sub(bare))
        .collect();
    document(&text).to_string().into_bytes()
}

fn chat(text: &str) -> Value {
    json!({
        "id": "chatcmpl-bench", "object": "chat.completion", "created": created(), "model": MODEL,
        "choices": [{
            "index": 0, "finish_reason": "stop", "logprobs": null,
            "message": {"role": "assistant", "content": text, "refusal": null},
        }],
        "usage": {
            "prompt_tokens": 190, "completion_tokens": 150, "total_tokens": 340,
            "prompt_tokens_details": {"cached_tokens": 20},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    })
}

fn converse(text: &str) -> Value {
    json!({
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": "end_turn", "metrics": {"latencyMs": 900},
        "usage": {"inputTokens": 3100, "outputTokens": 2900, "totalTokens": 6000},
    })
}

fn messages(text: &str) -> Value {
    json!({
        "id": "msg_bench", "type": "message", "role": "assistant", "model": MODEL,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 190, "output_tokens": 150},
    })
}

fn created() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn unary(body: &[u8]) -> Reply {
    let mut wire = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    wire.extend_from_slice(body);
    Reply::Unary(wire.into())
}

fn chat_stream() -> Reply {
    let event = |delta: &Value, finish: &Value| {
        sse(
            None,
            &json!({
                "id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": created(),
                "model": MODEL,
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
            }),
        )
    };
    let usage = sse(
        None,
        &json!({
            "id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": created(),
            "model": MODEL, "choices": [],
            "usage": {"prompt_tokens": 190, "completion_tokens": 50, "total_tokens": 240},
        }),
    );
    let open = event(&json!({"role": "assistant", "content": ""}), &Value::Null);
    let piece = event(&json!({"content": PIECE}), &Value::Null);
    let mut close = event(&json!({}), &json!("stop"));
    close.extend_from_slice(&usage);
    close.extend_from_slice(b"data: [DONE]\n\n");
    stream("text/event-stream", &open, &piece, &close)
}

fn messages_stream() -> Reply {
    let named = |name: &str, mut event: Value| {
        if let Some(members) = event.as_object_mut() {
            members.insert("type".to_owned(), json!(name));
        }
        sse(Some(name), &event)
    };
    let mut open = named(
        "message_start",
        json!({"message": {
            "id": "msg_bench", "type": "message", "role": "assistant", "model": MODEL, "content": [],
            "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 190, "output_tokens": 1},
        }}),
    );
    open.extend(named(
        "content_block_start",
        json!({"index": 0, "content_block": {"type": "text", "text": ""}}),
    ));
    let piece = named(
        "content_block_delta",
        json!({"index": 0, "delta": {"type": "text_delta", "text": PIECE}}),
    );
    let mut close = named("content_block_stop", json!({"index": 0}));
    close.extend(named(
        "message_delta",
        json!({
            "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"output_tokens": 50},
        }),
    ));
    close.extend(named("message_stop", json!({})));
    stream("text/event-stream", &open, &piece, &close)
}

fn converse_stream() -> Result<Reply, aws_smithy_eventstream::error::Error> {
    let open = frame("messageStart", &json!({"role": "assistant"}))?;
    let piece = frame(
        "contentBlockDelta",
        &json!({"contentBlockIndex": 0, "delta": {"text": PIECE}}),
    )?;
    let mut close = frame("contentBlockStop", &json!({"contentBlockIndex": 0}))?;
    close.extend(frame("messageStop", &json!({"stopReason": "end_turn"}))?);
    close.extend(frame(
        "metadata",
        &json!({
            "metrics": {"latencyMs": 900},
            "usage": {"inputTokens": 190, "outputTokens": 50, "totalTokens": 240},
        }),
    )?);
    Ok(stream(
        "application/vnd.amazon.eventstream",
        &open,
        &piece,
        &close,
    ))
}

fn frame(
    event: &'static str,
    payload: &Value,
) -> Result<Vec<u8>, aws_smithy_eventstream::error::Error> {
    let header = |name: &'static str, value: &'static str| {
        Header::new(name, HeaderValue::String(value.into()))
    };
    let message = Message::new(payload.to_string())
        .add_header(header(":event-type", event))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", "event"));
    let mut wire = Vec::new();
    write_message_to(&message, &mut wire)?;
    Ok(wire)
}

fn sse(name: Option<&str>, data: &Value) -> Vec<u8> {
    let name = name.map_or_else(String::new, |name| format!("event: {name}\n"));
    format!("{name}data: {data}\n\n").into_bytes()
}

fn stream(content_type: &str, open: &[u8], piece: &[u8], close: &[u8]) -> Reply {
    let mut head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    head.extend(chunk(open));
    let mut end = chunk(close);
    end.extend_from_slice(b"0\r\n\r\n");
    Reply::Stream(Stream {
        open: head.into(),
        piece: chunk(piece).into(),
        close: end.into(),
    })
}

/// One HTTP chunk.
fn chunk(data: &[u8]) -> Vec<u8> {
    let mut wire = format!("{:x}\r\n", data.len()).into_bytes();
    wire.extend_from_slice(data);
    wire.extend_from_slice(b"\r\n");
    wire
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies() -> Replies {
        Replies::new(Sizes {
            document: 1024,
            converse: 16_384,
        })
        .unwrap()
    }

    fn unary_body(reply: &Reply) -> Vec<u8> {
        let Reply::Unary(wire) = reply else {
            panic!("not unary")
        };
        let head = memmem::find(wire, b"\r\n\r\n").unwrap();
        wire[head + 4..].to_vec()
    }

    #[test]
    fn unary_answers_have_the_size_asked_for_and_are_json() {
        let replies = replies();
        for (path, size) in [
            (&b"/v1/chat/completions"[..], 1024),
            (b"/v1/messages?beta=true", 1024),
            (b"/model/m/converse", 16_384),
        ] {
            let body = unary_body(replies.choose(path, b"{}"));
            assert_eq!(body.len(), size);
            serde_json::from_slice::<Value>(&body).unwrap();
        }
    }

    #[test]
    fn the_body_or_the_path_asks_for_a_stream() {
        let replies = replies();
        for (path, body) in [
            (&b"/v1/chat/completions"[..], &br#"{"stream":true}"#[..]),
            (b"/v1/messages", br#"{"a":1, "stream": true}"#),
            (b"/model/m/converse-stream", b"{}"),
        ] {
            assert!(matches!(replies.choose(path, body), Reply::Stream(_)));
        }
    }

    #[test]
    fn an_unknown_path_is_not_found() {
        let Reply::Unary(wire) = replies().unknown else {
            panic!("not unary")
        };
        assert!(wire.starts_with(b"HTTP/1.1 404"));
    }
}
