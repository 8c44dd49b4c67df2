//! Bodies and events as agents and providers send them.

use aigw_core::schema::ApiSchema::{self, AWSBedrock, Anthropic, GCPVertexAI, OpenAI};
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use serde_json::{Value, json};

use crate::gateway::{CHAT, MESSAGES};

const SENTENCE: &str = "The harbour master writes down every ship, its draught and the hour of \
    its arrival; \"late\" ships wait outside \u{2013} sometimes for days.\n";

/// Text of about `length` bytes.
fn text(length: usize) -> String {
    SENTENCE.chars().cycle().take(length).collect()
}

fn parameters() -> Value {
    json!({"type": "object", "properties": {
        "zone": {"type": "string", "description": "Part of the harbour", "enum": ["a", "b", "c"]},
        "berth": {"type": "integer", "minimum": 1, "maximum": 40},
        "ships": {"type": "array", "items": {"type": "object", "properties": {
            "name": {"type": "string"}, "draught": {"type": "number"}}}}},
        "required": ["zone", "berth"], "additionalProperties": false})
}

/// A chat of about `length` bytes: tools with schemas, calls, results, and text.
pub(crate) fn chat(length: usize) -> Vec<u8> {
    let tools: Vec<Value> = (0..if length < 8192 { 0 } else { 4 })
        .map(|at| {
            json!({"type": "function", "function": {"name": format!("berths_{at}"),
            "description": text(120), "parameters": parameters()}})
        })
        .collect();
    let mut body = json!({"model": "harbour", "max_tokens": 1024, "temperature": 0.3,
        "messages": [{"role": "system", "content": text(length / 8)}]});
    if !tools.is_empty() {
        body["tools"] = tools.into();
    }
    let turn = (length / 12).clamp(64, 2000);
    while body.to_string().len() + 2 * turn < length {
        let call = json!({"id": "call_1", "type": "function",
            "function": {"name": "berths_1", "arguments": "{\"zone\":\"b\",\"berth\":7}"}});
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "user", "content": text(turn)}));
        messages.push(json!({"role": "assistant", "content": text(turn / 3),
            "tool_calls": [call]}));
        messages.push(json!({"role": "tool", "tool_call_id": "call_1",
            "content": text(turn / 3)}));
    }
    body["messages"]
        .as_array_mut()
        .unwrap()
        .push(json!({"role": "user", "content": "Go on."}));
    body.to_string().into_bytes()
}

/// Anthropic messages of about `length` bytes, of the same kind.
pub(crate) fn messages(length: usize) -> Vec<u8> {
    let tools: Vec<Value> = (0..4)
        .map(|at| {
            json!({"name": format!("berths_{at}"), "description": text(120),
            "input_schema": parameters()})
        })
        .collect();
    let mut body = json!({"model": "harbour", "max_tokens": 1024, "system": text(length / 8),
        "messages": [], "tools": tools});
    let turn = length / 12;
    while body.to_string().len() + 2 * turn < length {
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "user", "content": text(turn)}));
        messages.push(json!({"role": "assistant", "content": [
            {"type": "text", "text": text(turn / 3)},
            {"type": "tool_use", "id": "toolu_1", "name": "berths_1",
                "input": {"zone": "b", "berth": 7}}]}));
        messages.push(json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": text(turn / 3)}]}));
    }
    body["messages"]
        .as_array_mut()
        .unwrap()
        .push(json!({"role": "user", "content": "Go on."}));
    body.to_string().into_bytes()
}

/// The request of a stream.
pub(crate) const STREAM: &[u8] =
    br#"{"model":"harbour","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// A stream of a provider to a client.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) schema: ApiSchema,
    pub(crate) piece: Piece,
}

/// What a provider streams: the events before, and one piece of text as JSON and as bytes.
pub(crate) struct Piece {
    pub(crate) start: Vec<Vec<u8>>,
    #[allow(dead_code, reason = "tests have no use for it")]
    pub(crate) json: String,
    pub(crate) bytes: Vec<u8>,
}

/// A passthrough and a translation of each kind of provider.
pub(crate) fn streams() -> [Case; 5] {
    let case = |name, path, schema, piece| Case {
        name,
        path,
        schema,
        piece,
    };
    [
        case("passthrough", CHAT, OpenAI, openai_piece()),
        case("Bedrock to chat", CHAT, AWSBedrock, bedrock_piece()),
        case("Anthropic to chat", CHAT, Anthropic, anthropic_piece()),
        case("Gemini to chat", CHAT, GCPVertexAI, gemini_piece()),
        case("OpenAI to messages", MESSAGES, OpenAI, openai_piece()),
    ]
}

/// A chunk of an OpenAI-compatible provider.
fn openai_piece() -> Piece {
    let json = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk",
        "created": 1_767_225_600, "model": "m-2026-01-01", "service_tier": "default",
        "system_fingerprint": "fp_1", "choices": [{"index": 0,
            "delta": {"content": " harbour"}, "logprobs": null, "finish_reason": null}]});
    sse_piece(std::slice::from_ref(&json), &json)
}

/// A delta of Anthropic.
fn anthropic_piece() -> Piece {
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
        "role": "assistant", "model": "claude-x", "content": [], "stop_reason": null,
        "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 1}}});
    let block = json!({"type": "content_block_start", "index": 0,
        "content_block": {"type": "text", "text": ""}});
    let delta = json!({"type": "content_block_delta", "index": 0,
        "delta": {"type": "text_delta", "text": " harbour"}});
    sse_piece(&[start, block], &delta)
}

/// A chunk of Gemini.
fn gemini_piece() -> Piece {
    let json = json!({"candidates": [{"content": {"role": "model",
        "parts": [{"text": " harbour"}]}, "index": 0}], "modelVersion": "gemini-x",
        "responseId": "r-1"});
    sse_piece(std::slice::from_ref(&json), &json)
}

/// A delta of Bedrock's Converse.
fn bedrock_piece() -> Piece {
    let start = frame("messageStart", &json!({"role": "assistant", "p": "abc"}));
    let delta = json!({"contentBlockIndex": 0, "delta": {"text": " harbour"}, "p": "abcdefghij"});
    Piece {
        start: vec![start],
        json: delta.to_string(),
        bytes: frame("contentBlockDelta", &delta),
    }
}

fn sse_piece(start: &[Value], piece: &Value) -> Piece {
    Piece {
        start: start.iter().map(sse).collect(),
        json: piece.to_string(),
        bytes: sse(piece),
    }
}

fn sse(event: &Value) -> Vec<u8> {
    let name = event["type"].as_str();
    let name = name.map_or_else(String::new, |name| format!("event: {name}\n"));
    format!("{name}data: {event}\n\n").into_bytes()
}

fn frame(name: &str, payload: &Value) -> Vec<u8> {
    let text = |text: &str| HeaderValue::String(text.to_owned().into());
    let message = Message::new(payload.to_string().into_bytes())
        .add_header(Header::new(":message-type", text("event")))
        .add_header(Header::new(":event-type", text(name)))
        .add_header(Header::new(":content-type", text("application/json")));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    bytes
}
