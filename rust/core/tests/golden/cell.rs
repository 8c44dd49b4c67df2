//! One folder: a case as one backend schema sees it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aigw_core::endpoint::Endpoint;
use aigw_core::registry::{self, Service};
use aigw_core::schema::{ApiSchema, BackendSchema};
use aigw_core::usage::Usage;
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// A case and a schema.
#[derive(Clone)]
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) endpoint: Endpoint,
    pub(crate) schema: ApiSchema,
    pub(crate) request: Vec<u8>,
    pub(crate) content_type: &'static str,
    pub(crate) upstream: Option<Vec<u8>>,
    pub(crate) response: Option<Response>,
    pub(crate) client_json: Option<Vec<u8>>,
    pub(crate) client_sse: Option<Vec<u8>>,
    pub(crate) client_bin: Option<Vec<u8>>,
    pub(crate) expect: Expect,
}

/// What the provider answers.
#[derive(Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) streamed: bool,
    /// Body in the pieces in which it is fed.
    pub(crate) events: Vec<Vec<u8>>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) backend: BackendSettings,
    pub(crate) upstream: ExpectUpstream,
    pub(crate) response: ResponseSettings,
    pub(crate) client: ExpectClient,
    pub(crate) usage: Option<ExpectUsage>,
}

/// `[usage]`.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ExpectUsage {
    /// There are estimates among the counters.
    pub(crate) estimated: bool,
    #[serde(flatten)]
    pub(crate) counters: Usage,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BackendSettings {
    pub(crate) model_name_override: Option<String>,
    pub(crate) prefix: Option<String>,
    pub(crate) version: String,
    pub(crate) chat_only: bool,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ExpectUpstream {
    pub(crate) path: Option<String>,
    pub(crate) contains: Vec<String>,
    pub(crate) headers: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ResponseSettings {
    pub(crate) status: Option<u16>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) cut: usize,
    pub(crate) usage_as: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ExpectClient {
    pub(crate) status: Option<u16>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) outcome: Option<String>,
}

/// A line of `response.events.jsonl`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Line {
    event: Option<String>,
    exception: Option<String>,
    error: Option<String>,
    /// An event inside of a frame of Bedrock's `InvokeModel`.
    chunk: Option<Box<RawValue>>,
    message: String,
    data: Option<Box<RawValue>>,
    corrupt: bool,
}

fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.join("../../tests/golden")
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(parent)
        .unwrap_or_else(|error| panic!("{}: {error}", parent.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

/// Every cell, in order.
pub(crate) fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for endpoint in folders(&root()) {
        for case in folders(&endpoint) {
            let schemas = folders(&case);
            assert!(!schemas.is_empty(), "{}: no schema", case.display());
            cells.extend(schemas.iter().map(|folder| Cell::read(folder)));
        }
    }
    assert!(!cells.is_empty(), "no golden exchange found");
    cells
}

fn read(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

/// A folder's name as the value that is spelled so.
fn component<T: DeserializeOwned>(path: &Path, up: usize) -> T {
    let name = path.ancestors().nth(up).and_then(Path::file_name).unwrap();
    let name = name.to_str().unwrap();
    serde_json::from_value(name.into()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

impl Cell {
    pub(crate) fn read(folder: &Path) -> Self {
        let case = folder.parent().unwrap();
        let name = folder.display().to_string();
        let form = read(&case.join("request.form"));
        let (request, content_type) = if let Some(form) = form {
            (form, "multipart/form-data; boundary=golden")
        } else {
            let json = read(&case.join("request.json"));
            let json = json.unwrap_or_else(|| panic!("{name}: no request.json"));
            (json.trim_ascii().to_vec(), "application/json")
        };
        let expect: Expect = read(&folder.join("expect.toml"))
            .map(|bytes| toml::from_slice(&bytes).unwrap_or_else(|e| panic!("{name}: {e}")))
            .unwrap_or_default();
        let file = |file: &str| read(&folder.join(file));
        Self {
            endpoint: component(folder, 2),
            schema: component(folder, 0),
            request,
            content_type,
            upstream: file("upstream.json").or_else(|| file("upstream.form")),
            response: Response::read(folder, &expect.response),
            client_json: file("client.json"),
            client_sse: file("client.sse"),
            client_bin: file("client.bin"),
            name,
            folder: folder.to_owned(),
            expect,
        }
    }

    /// The gateway's own answer is no refusal.
    pub(crate) fn is_answered(&self) -> bool {
        self.upstream.is_none() && self.expect.client.status == Some(200)
    }

    /// How the pair serves.
    pub(crate) fn service(&self) -> Option<Service> {
        registry::find(self.endpoint, &self.backend_schema()).map(|entry| entry.service)
    }

    /// The gateway writes the reply itself, so it answers for its end.
    pub(crate) fn is_rebuilt(&self) -> bool {
        self.service() == Some(Service::Translated)
    }

    pub(crate) fn backend_schema(&self) -> BackendSchema {
        let backend = &self.expect.backend;
        BackendSchema {
            name: self.schema,
            prefix: backend.prefix.as_deref().unwrap_or("v1").to_owned(),
            version: backend.version.clone(),
            chat_only: backend.chat_only,
        }
    }

    /// Rewrites a file when asked to.
    pub(crate) fn write(&self, file: &str, bytes: &[u8]) {
        if std::env::var("AIGW_GOLDEN").as_deref() != Ok("write") {
            return;
        }
        let text = match serde_json::from_slice::<serde_json::Value>(bytes) {
            Ok(value) => format!("{value:#}\n").into_bytes(),
            Err(_) => bytes.to_vec(),
        };
        fs::write(self.folder.join(file), text).unwrap();
    }
}

impl Response {
    fn read(folder: &Path, settings: &ResponseSettings) -> Option<Self> {
        let file = |name: &str| read(&folder.join(name));
        let (status, content_type, mut events) = if let Some(body) = file("response.json") {
            (200, "application/json", vec![body])
        } else if let Some(body) = file("response.bin") {
            (200, "application/octet-stream", vec![body])
        } else if let Some(body) = file("response.sse") {
            (200, "text/event-stream", sse_events(&body))
        } else if let Some(lines) = file("response.events.jsonl") {
            (200, "application/vnd.amazon.eventstream", messages(&lines))
        } else if let Some(body) = file("error.json") {
            (400, "application/json", vec![body])
        } else {
            (400, "text/plain", vec![file("error.txt")?])
        };
        for _ in 0..settings.cut {
            while events.last().is_some_and(Vec::is_empty) {
                events.pop();
            }
            events.last_mut().map(Vec::pop);
        }
        Some(Self {
            status: settings.status.unwrap_or(status),
            content_type,
            streamed: content_type.ends_with("stream")
                && content_type != "application/octet-stream"
                && status == 200,
            events,
        })
    }
}

fn sse_events(body: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8(body.to_vec()).unwrap();
    text.split_inclusive("\n\n")
        .map(|event| event.as_bytes().to_vec())
        .collect()
}

fn messages(lines: &[u8]) -> Vec<Vec<u8>> {
    lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty())
        .map(|line| serde_json::from_slice::<Line>(line).unwrap().encode())
        .collect()
}

impl Line {
    fn encode(self) -> Vec<u8> {
        let mut payload = self.data.map_or_else(Vec::new, |data| data.get().into());
        let headers = if let Some(event) = self.event {
            vec![(":message-type", "event".into()), (":event-type", event)]
        } else if let Some(chunk) = self.chunk {
            let bytes = base64::engine::general_purpose::STANDARD.encode(chunk.get());
            payload = format!(r#"{{"bytes":"{bytes}","p":"abc"}}"#).into_bytes();
            vec![
                (":message-type", "event".into()),
                (":event-type", "chunk".into()),
            ]
        } else if let Some(kind) = self.exception {
            vec![
                (":message-type", "exception".into()),
                (":exception-type", kind),
            ]
        } else {
            vec![
                (":message-type", "error".into()),
                (":error-code", self.error.unwrap()),
                (":error-message", self.message),
            ]
        };
        let mut message = Message::new(payload);
        for (name, value) in headers {
            message = message.add_header(Header::new(name, HeaderValue::String(value.into())));
        }
        let mut frame = Vec::new();
        write_message_to(&message, &mut frame).unwrap();
        if self.corrupt {
            let last = frame.len() - 1;
            frame[last] ^= 1;
        }
        frame
    }
}
