//! What all passthrough pairs share: body splices, usage of OpenAI and Anthropic replies.

use serde::Deserialize;
use serde_json::Value;

use super::{Binding, Findings, ProviderError};
use crate::dialect::claude;
use crate::edit;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::framing::{Event, TopLevel};
use crate::headers::Headers;
use crate::scan::{Repeated, Scan, Signatures, Span};
use crate::schema::ApiSchema;
use crate::usage::{Count, Usage};

/// Members of OpenAI-style unary replies.
pub(crate) const OPENAI_KEYS: &[&str] = &["model", "usage"];
/// Members of Anthropic unary replies.
pub(crate) const ANTHROPIC_KEYS: &[&str] = &["model", "usage"];

/// Where a provider reads the model.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ModelIn {
    /// In the body, where the client put it.
    Body,
    /// In the path; the body keeps the client's.
    Path,
}

/// Edits of the client's bytes: model override and forced usage, and one value for what stands
/// there several times. `None` when there is none.
pub(super) fn splice(
    endpoint: Endpoint,
    model_in: ModelIn,
    binding: &Binding<'_>,
    scan: &Scan,
    body: &[u8],
) -> Option<Vec<u8>> {
    let mut edits: Vec<(Span, Vec<u8>)> = Vec::new();
    let mut appended: Vec<u8> = Vec::new();
    if forces_usage(endpoint, binding) && !scan.include_usage {
        match &scan.stream_options {
            Some(span) => {
                let options = with_usage(body.get(span.clone()).unwrap_or_default());
                edits.push((span.clone(), options));
            }
            None => append_member(&mut appended, scan, "stream_options", &with_usage(b"")),
        }
    }
    if model_in == ModelIn::Body && binding.model != scan.model {
        let plain = binding.model.as_bytes();
        match (&scan.model_span, &scan.form_lines) {
            (Some(span), Some(_)) => edits.push((span.clone(), plain.to_vec())),
            (None, Some(lines)) => appended = lines.field("model", plain),
            (Some(span), None) => edits.push((span.clone(), json(binding.model))),
            (None, None) => append_member(&mut appended, scan, "model", &json(binding.model)),
        }
    }
    agree(&mut edits, scan, body);
    if !appended.is_empty() {
        edits.push((scan.end..scan.end, appended));
    }
    let spliced = (!edits.is_empty()).then(|| apply(body, edits));
    if scan.signatures == Signatures::SomeEmpty {
        let signed = claude::without_unsigned(spliced.as_deref().unwrap_or(body));
        return signed.or(spliced);
    }
    spliced
}

/// Gives earlier values of a repeated field what the last one has after `edits`.
fn agree(edits: &mut Vec<(Span, Vec<u8>)>, scan: &Scan, body: &[u8]) {
    for Repeated { earlier, last } in &scan.repeated {
        let edited = edits.iter().find(|(span, _)| span == last);
        let value = match edited {
            Some((_, value)) => value.as_slice(),
            None => body.get(last.clone()).unwrap_or_default(),
        };
        if body.get(earlier.clone()) != Some(value) {
            let value = value.to_vec();
            edits.push((earlier.clone(), value));
        }
    }
}

fn forces_usage(endpoint: Endpoint, binding: &Binding<'_>) -> bool {
    binding.stream
        && binding.backend.force_usage
        && matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions)
}

fn json(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).unwrap_or_default()
}

fn append_member(appended: &mut Vec<u8>, scan: &Scan, name: &str, value: &[u8]) {
    if !(scan.empty_object && appended.is_empty()) {
        appended.push(b',');
    }
    appended.extend(json(name));
    appended.push(b':');
    appended.extend_from_slice(value);
}

/// A `stream_options` value with `include_usage` set; other members keep their bytes.
fn with_usage(options: &[u8]) -> Vec<u8> {
    let set = || edit::set(options, &["include_usage".to_owned()], b"true");
    let is_object = options.starts_with(b"{");
    let edited = if is_object { set() } else { None };
    edited.unwrap_or_else(|| br#"{"include_usage":true}"#.to_vec())
}

fn apply(body: &[u8], mut edits: Vec<(Span, Vec<u8>)>) -> Vec<u8> {
    edits.sort_by_key(|(span, _)| span.start);
    let extra: usize = edits.iter().map(|(_, new)| new.len()).sum();
    let mut out = Vec::with_capacity(body.len() + extra);
    let mut from = 0;
    for (span, new) in edits {
        out.extend_from_slice(body.get(from..span.start).unwrap_or_default());
        out.extend_from_slice(&new);
        from = span.end;
    }
    out.extend_from_slice(body.get(from..).unwrap_or_default());
    out
}

/// An error reply that is no JSON: its text is the message.
pub(super) fn plain_error(schema: ApiSchema, body: &[u8]) -> ProviderError {
    let name = match schema {
        ApiSchema::AzureOpenAI => ApiSchema::OpenAI.name(),
        other => other.name(),
    };
    ProviderError {
        kind: format!("{name}BackendError"),
        message: Some(String::from_utf8_lossy(body).into_owned()).filter(|text| !text.is_empty()),
    }
}

/// An error reply of an OpenAI-compatible provider, read. Some send the error as a string, some
/// the message at the top.
pub(crate) fn openai_error(
    schema: ApiSchema,
    status: u16,
    headers: &Headers,
    body: &[u8],
) -> ProviderError {
    let plain = || plain_error(schema, body);
    if !is_json(headers) {
        return plain();
    }
    let Some(found) = error_object(body) else {
        return plain();
    };
    let text = |value: Option<&Value>| value?.as_str().map(str::to_owned);
    let error = found.get("error");
    let kind = text(error.and_then(|error| error.get("type"))).filter(|kind| !kind.is_empty());
    let message = text(error.and_then(|error| error.get("message")))
        .or_else(|| text(error))
        .or_else(|| text(found.get("message")))
        .or_else(|| text(found.get("detail")));
    ProviderError {
        kind: kind.unwrap_or_else(|| status_kind(status).to_owned()),
        message: message.or_else(|| plain().message),
    }
}

/// The object of an error reply; Google wraps some into an array.
pub(crate) fn error_object(body: &[u8]) -> Option<Value> {
    let found: Value = serde_json::from_slice(body).ok()?;
    let found = match found {
        Value::Array(all) => all.into_iter().next()?,
        one => one,
    };
    found.is_object().then_some(found)
}

/// OpenAI's error type for a status, where the provider names none.
fn status_kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

/// True for `application/json` and `+json` types in any case.
pub(crate) fn is_json(headers: &Headers) -> bool {
    let Some(value) = headers.get_str("content-type") else {
        return false;
    };
    let kind = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

/// Usage as OpenAI-compatible providers write it, all endpoints together.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct OpenAiUsage<'a> {
    prompt_tokens: Count,
    completion_tokens: Count,
    input_tokens: Count,
    output_tokens: Count,
    total_tokens: Count,
    #[serde(borrow)]
    prompt_tokens_details: Option<Raw<'a>>,
    #[serde(borrow)]
    input_tokens_details: Option<Raw<'a>>,
    #[serde(borrow)]
    completion_tokens_details: Option<Raw<'a>>,
    #[serde(borrow)]
    output_tokens_details: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Count,
    cache_creation_input_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Count,
}

/// A member in its own form; one of another form says nothing.
fn lenient<'a, T: Default + Deserialize<'a>>(raw: Option<Raw<'a>>) -> T {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

pub(crate) fn openai_usage(raw: &[u8]) -> Usage {
    let Ok(Some(usage)) = serde_json::from_slice::<Option<OpenAiUsage<'_>>>(raw) else {
        return Usage::default();
    };
    let input: InputDetails = lenient(usage.prompt_tokens_details.or(usage.input_tokens_details));
    let output = usage.completion_tokens_details;
    let output: OutputDetails = lenient(output.or(usage.output_tokens_details));
    Usage {
        input_tokens: usage.prompt_tokens.0.or(usage.input_tokens.0),
        output_tokens: usage.completion_tokens.0.or(usage.output_tokens.0),
        total_tokens: usage.total_tokens.0,
        cached_input_tokens: input.cached_tokens.0,
        cache_creation_input_tokens: input.cache_creation_input_tokens.0,
        reasoning_tokens: output.reasoning_tokens.0,
    }
}

fn take_model(raw: Option<&[u8]>, findings: &mut Findings) {
    let model = raw.and_then(|raw| serde_json::from_slice::<String>(raw).ok());
    if let Some(model) = model.filter(|model| !model.is_empty()) {
        findings.response_model = Some(model);
    }
}

/// Reads `model` and `usage` of an OpenAI-style unary reply.
pub(crate) fn openai_unary(members: &TopLevel, findings: &mut Findings) {
    take_model(members.value("model"), findings);
    if let Some(raw) = members.value("usage") {
        findings.usage.merge(&openai_usage(raw));
    }
}

/// Reads one event of a stream of media: only the last ones have usage, and no model.
///
/// # Errors
/// As [`openai_event`].
pub(crate) fn media_event(event: Event<'_>, findings: &mut Findings) -> Result<()> {
    let holds = |needle: &[u8]| memchr::memmem::find(event.data, needle).is_some();
    if holds(b"\"usage\"") || holds(b"\"error\"") {
        return openai_event(event, findings);
    }
    Ok(())
}

/// Reads one event of an OpenAI-style stream: chat, completions and responses.
///
/// # Errors
/// [`Error::UpstreamStream`] for an error object in place of a chunk.
pub(crate) fn openai_event(event: Event<'_>, findings: &mut Findings) -> Result<()> {
    let wants_model = findings.response_model.is_none();
    let interesting = |needle: &[u8]| memchr::memmem::find(event.data, needle).is_some();
    if !(wants_model || interesting(b"\"usage\"") || interesting(b"\"error\"")) {
        return Ok(());
    }
    let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(event.data) else {
        return Ok(());
    };
    let nested: Nested<'_> = lenient(chunk.response);
    for raw in [chunk.model, nested.model].into_iter().flatten() {
        take_model(Some(raw.get().as_bytes()), findings);
    }
    for raw in [chunk.usage, nested.usage].into_iter().flatten() {
        findings.usage.merge(&openai_usage(raw.get().as_bytes()));
    }
    let mut faults = [nested.error, chunk.error].into_iter().flatten();
    match faults.find(|raw| is_fault(raw)) {
        Some(raw) => Err(stream_error(raw.get().as_bytes())),
        None if chunk.r#type.is_some_and(|raw| raw.get() == "\"error\"") => {
            Err(stream_error(event.data))
        }
        None => Ok(()),
    }
}

/// Whether an `error` member tells of an error: some servers always have one.
pub(crate) fn is_fault(error: &serde_json::value::RawValue) -> bool {
    !matches!(error.get(), "null" | "false" | "\"\"" | "{}")
}

type Raw<'a> = &'a serde_json::value::RawValue;

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Chunk<'a> {
    #[serde(borrow)]
    r#type: Option<Raw<'a>>,
    #[serde(borrow)]
    model: Option<Raw<'a>>,
    #[serde(borrow)]
    usage: Option<Raw<'a>>,
    #[serde(borrow)]
    error: Option<Raw<'a>>,
    #[serde(borrow)]
    response: Option<Raw<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Nested<'a> {
    #[serde(borrow)]
    model: Option<Raw<'a>>,
    #[serde(borrow)]
    usage: Option<Raw<'a>>,
    #[serde(borrow)]
    error: Option<Raw<'a>>,
}

/// An error inside a stream: the object of OpenAI, Anthropic or Google, or a mere text.
pub(crate) fn stream_error(raw: &[u8]) -> Error {
    let fault = match serde_json::from_slice(raw) {
        Ok(fault) => fault,
        Err(_) => Value::String(String::from_utf8_lossy(raw).into_owned()),
    };
    let text = |value: Option<&Value>| {
        let text = value?.as_str().filter(|text| !text.is_empty());
        text.map(str::to_owned)
    };
    let code = fault.get("code");
    // Every error of Responses is of type `error`; its code is what others call the type.
    let named = text(fault.get("type"))
        .filter(|kind| kind != "error")
        .or_else(|| text(fault.get("status")))
        .or_else(|| text(code).filter(|code| code.parse::<u64>().is_err()))
        .unwrap_or_default();
    let status = code
        .and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()))
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (400..600).contains(code))
        .or_else(|| status_of(&named))
        // OpenAI's type says what ran out, the code says that it did.
        .or_else(|| status_of(code?.as_str()?));
    Error::UpstreamStream {
        status: status.unwrap_or(502),
        kind: named,
        message: text(fault.get("message"))
            .or_else(|| text(Some(&fault)))
            .unwrap_or_else(|| "the provider reported an error".into()),
    }
}

/// HTTP status that stands for a provider's error type.
fn status_of(kind: &str) -> Option<u16> {
    Some(match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" | "rate_limit_exceeded" | "insufficient_quota" => 429,
        "overloaded_error" => 529,
        "timeout_error" => 504,
        "api_error" | "server_error" => 500,
        _ => return None,
    })
}

/// Anthropic's counters; input excludes cache traffic on the wire.
fn anthropic_usage(raw: &[u8], findings: &mut Findings) {
    claude::merge_usage(&mut findings.usage, raw);
    claude::complete_usage(&mut findings.usage);
}

/// Reads `model` and `usage` of an Anthropic message.
pub(crate) fn anthropic_unary(members: &TopLevel, findings: &mut Findings) {
    take_model(members.value("model"), findings);
    if let Some(raw) = members.value("usage") {
        anthropic_usage(raw, findings);
    }
}

/// Reads one event of an Anthropic stream.
///
/// # Errors
/// [`Error::UpstreamStream`] for an `error` event, and for an error in place of an event.
pub(crate) fn anthropic_event(event: Event<'_>, findings: &mut Findings) -> Result<()> {
    #[derive(Default, Deserialize)]
    #[serde(default, bound(deserialize = "'de: 'a"))]
    struct Body<'a> {
        r#type: Option<String>,
        #[serde(borrow)]
        message: Option<Raw<'a>>,
        #[serde(borrow)]
        usage: Option<Raw<'a>>,
        #[serde(borrow)]
        error: Option<Raw<'a>>,
    }
    if matches!(
        event.name,
        "content_block_delta" | "content_block_start" | "content_block_stop" | "ping"
    ) {
        return Ok(());
    }
    let body = serde_json::from_slice::<Body<'_>>(event.data).unwrap_or_default();
    let error = body.error.map(|raw| raw.get().as_bytes());
    match (body.r#type.as_deref().unwrap_or(event.name), error) {
        ("error", error) => return Err(stream_error(error.unwrap_or(event.data))),
        ("", Some(error)) => return Err(stream_error(error)),
        _ => {}
    }
    let message = body.message.map(|raw| serde_json::from_str(raw.get()));
    if let Some(Ok(Nested { model, usage, .. })) = message {
        take_model(model.map(|raw| raw.get().as_bytes()), findings);
        if let Some(raw) = usage {
            anthropic_usage(raw.get().as_bytes(), findings);
        }
    }
    if let Some(raw) = body.usage {
        anthropic_usage(raw.get().as_bytes(), findings);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::EventKind;

    fn event<'a>(name: &'a str, data: &'a str) -> Event<'a> {
        Event {
            name,
            data: data.as_bytes(),
            kind: EventKind::Data,
        }
    }

    #[test]
    fn anthropic_deltas_replace_and_never_add() {
        let mut found = Findings::default();
        let start = r#"{"type":"message_start","message":{"model":"c","usage":{"input_tokens":10,
            "cache_read_input_tokens":5,"output_tokens":1}}}"#;
        anthropic_event(event("message_start", start), &mut found).unwrap();
        let delta = r#"{"type":"message_delta","usage":{"output_tokens":42}}"#;
        anthropic_event(event("message_delta", delta), &mut found).unwrap();
        assert_eq!(found.usage.input_tokens, Some(15));
        assert_eq!(found.usage.output_tokens, Some(42));
        assert_eq!(found.usage.total_tokens, Some(57));
        assert_eq!(found.usage.cached_input_tokens, Some(5));
        anthropic_event(
            event("message_delta", r#"{"type":"message_delta","usage":{}}"#),
            &mut found,
        )
        .unwrap();
        assert_eq!(found.usage.output_tokens, Some(42));
    }

    #[test]
    fn a_chunk_in_place_of_an_error_is_no_error() {
        let mut found = Findings::default();
        openai_event(
            event("", r#"{"model":"m","error":null,"usage":null}"#),
            &mut found,
        )
        .unwrap();
        assert_eq!(found.response_model.as_deref(), Some("m"));
        let text = r#"{"error":{"message":"slow down","type":"rate_limit_error","code":null}}"#;
        let error = openai_event(event("", text), &mut found).unwrap_err();
        assert_eq!(error.status(), 429);
    }

    #[test]
    fn errors_in_streams_are_known_in_every_form() {
        for (text, status, kind, message) in [
            (
                r#"{"type":"error","code":"rate_limit_exceeded","message":"slow","param":null}"#,
                429,
                "rate_limit_exceeded",
                "slow",
            ),
            (r#"{"error":"out of memory"}"#, 502, "", "out of memory"),
            (
                r#"{"type":"response.failed","response":{"model":"m","usage":{"input_tokens":4},
                    "error":{"code":"server_error","message":"boom"}}}"#,
                500,
                "server_error",
                "boom",
            ),
            (
                r#"{"error":{"type":"","code":"503","message":7}}"#,
                503,
                "",
                "the provider reported an error",
            ),
        ] {
            let mut found = Findings::default();
            let error = openai_event(event("", text), &mut found).unwrap_err();
            let Error::UpstreamStream {
                kind: k,
                message: m,
                ..
            } = &error
            else {
                panic!("{error}")
            };
            assert_eq!(
                (error.status(), k.as_str(), m.as_str()),
                (status, kind, message)
            );
            if text.contains("usage") {
                assert_eq!(found.usage.input_tokens, Some(4));
            }
        }
        for text in [
            r#"{"error":{},"usage":null}"#,
            r#"{"error":""}"#,
            r#"{"model":"m","response":"hm","error":false}"#,
            r#"{"type":"response.created","response":{"error":null}}"#,
        ] {
            openai_event(event("", text), &mut Findings::default()).unwrap();
        }
    }

    #[test]
    fn odd_usage_gives_what_can_be_read() {
        let usage = openai_usage(
            br#"{"prompt_tokens":3.0,"completion_tokens":-2,"total_tokens":"x",
            "prompt_tokens_details":"none","completion_tokens_details":{"reasoning_tokens":1}}"#,
        );
        assert_eq!(
            (usage.input_tokens, usage.output_tokens),
            (Some(3), Some(0))
        );
        assert_eq!(
            (usage.total_tokens, usage.reasoning_tokens),
            (None, Some(1))
        );
        assert_eq!(openai_usage(b"7").input_tokens, None);
    }
}
