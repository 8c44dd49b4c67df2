//! Drives one exchange through the public steps, as a host does.

use std::collections::BTreeMap;
use std::sync::Arc;

use aigw_core::config::Config;
use aigw_core::credential::Credentials;
use aigw_core::endpoint::{ClientApi, Endpoint};
use aigw_core::error::Reply;
use aigw_core::headers::{HeaderEdit, HeaderEdits, Headers};
use aigw_core::record::AttemptRecord;
use aigw_core::session::{
    Attempt, AttemptInput, BodyOut, Ended, HeadStep, Patience, Prepared, on_head,
};
use serde_json::json;

use crate::cell::Cell;

const NOW: u64 = 1_767_225_600;

const CREDENTIALS: &[u8] =
    br#"{"version":1,"credentials":{"c":{"type":"GCPCredentials","access_token":"t"}}}"#;

type HeaderMap = BTreeMap<String, String>;

/// The provider's request.
pub(crate) struct Sent {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// What the client got.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) record: AttemptRecord,
}

impl Client {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.status == 200
            && self
                .headers
                .get("content-type")
                .is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    fn apply(&mut self, edits: &HeaderEdits) {
        apply(&mut self.headers, edits);
        if let Some(status) = self.headers.get(":status") {
            self.status = status.parse().unwrap();
        }
    }
}

impl From<Reply> for Client {
    fn from(reply: Reply) -> Self {
        let headers = reply.headers.into_iter();
        Self {
            status: reply.status,
            headers: headers.map(|(name, value)| (name.into(), value)).collect(),
            body: reply.body,
            record: AttemptRecord::default(),
        }
    }
}

fn apply(map: &mut HeaderMap, edits: &HeaderEdits) {
    for edit in edits.iter() {
        match edit {
            HeaderEdit::Set(name, value) | HeaderEdit::Append(name, value) => {
                map.insert(name.into(), String::from_utf8(value.to_vec()).unwrap());
            }
            HeaderEdit::Remove(name) => {
                map.remove(name);
            }
        }
    }
}

pub(crate) fn config(cell: &Cell) -> Arc<Config> {
    let backend = &cell.expect.backend;
    let schema = cell.backend_schema();
    // Google's paths name project and location, which come with the credential.
    let auth = schema.name.name().starts_with("GCP").then(
        || json!({"type": "GCPCredentials", "credential": "c", "project": "p", "region": "r"}),
    );
    let document = json!({
        "version": 1,
        "generation": "golden",
        "gateways": {"default/golden": {}},
        "backends": {"b": {
            "name": "default/b/route/r/rule/0/ref/0",
            "backend": "default/b",
            "route": "default/r",
            "schema": {
                "name": schema.name,
                "prefix": schema.prefix,
                "version": schema.version,
                "chat_only": schema.chat_only,
            },
            "host": "provider.example.com",
            "model_name_override": backend.model_name_override,
            "auth": auth,
        }},
    });
    let parsed = Config::parse(document.to_string().as_bytes());
    Arc::new(parsed.unwrap_or_else(|error| panic!("{}: {error}", cell.name)))
}

fn path(endpoint: Endpoint) -> String {
    let family = match endpoint.client_api() {
        ClientApi::OpenAI => "",
        ClientApi::Anthropic => "/anthropic",
        ClientApi::Cohere => "/cohere",
    };
    format!("{family}{}", endpoint.path())
}

/// The steps up to the provider's request, or the gateway's own answer.
pub(crate) fn prepare(cell: &Cell) -> Result<(Attempt, Sent), Reply> {
    let config = config(cell);
    let gateway = Arc::clone(config.gateway("default/golden").unwrap());
    let mut head = Headers::new();
    let path = path(cell.endpoint);
    for (name, value) in [
        (":method", "POST"),
        (":path", path.as_str()),
        ("content-type", cell.content_type),
    ] {
        head.push(name.as_bytes(), value.as_bytes());
    }
    let pending = match on_head(&config, &gateway, head, Ended::No) {
        HeadStep::Body(pending) => pending,
        HeadStep::Reply(reply) => return Err(reply),
    };
    let (request, _) = pending.on_body(0, &cell.request)?;
    let backend = Arc::clone(config.backend("b").unwrap());
    let mut attempt = Attempt::bind(Arc::new(request), backend, NOW)?;
    let sent = send(cell, &mut attempt)?;
    Ok((attempt, sent))
}

/// A second preparation of the same attempt, as after a wait.
pub(crate) fn prepare_again(cell: &Cell, attempt: &mut Attempt) -> Result<Sent, String> {
    send(cell, attempt).map_err(|reply| format!("{reply:?}"))
}

fn send(cell: &Cell, attempt: &mut Attempt) -> Result<Sent, Reply> {
    let prepared = attempt.prepare(&AttemptInput {
        body: &cell.request,
        credentials: &Credentials::parse(CREDENTIALS).unwrap(),
        now: NOW,
        patience: Patience::Exhausted,
    })?;
    let upstream = match prepared {
        Prepared::Done(upstream) => upstream,
        Prepared::Answer(answer) => return Err(answer.reply),
        Prepared::Wait(_) => panic!("{}: nothing to wait for", cell.name),
    };
    let mut headers = HeaderMap::new();
    apply(&mut headers, &upstream.edits);
    let body = upstream.body.unwrap_or_else(|| cell.request.clone());
    if let Some(length) = headers.get("content-length") {
        assert_eq!(length, &body.len().to_string(), "{}", cell.name);
    }
    Ok(Sent { headers, body })
}

/// The provider's reply in `chunks`, with the end of the stream on its own.
pub(crate) fn reply(cell: &Cell, chunks: &[Vec<u8>]) -> Result<Client, String> {
    let response = cell.response.as_ref().ok_or("no reply")?;
    let (mut attempt, _) =
        prepare(cell).map_err(|refused| format!("refused: {}", Client::from(refused).text()))?;
    let mut headers = Headers::new();
    let mut client = Client {
        status: response.status,
        ..Client::default()
    };
    let given = &cell.expect.response.headers;
    let content_type = [("content-type".to_owned(), response.content_type.to_owned())];
    for (name, value) in content_type.iter().map(|(n, v)| (n, v)).chain(given) {
        headers.push(name.as_bytes(), value.as_bytes());
        client.headers.insert(name.clone(), value.clone());
    }
    let head = attempt.response_head(response.status, &headers, Ended::No);
    client.apply(&head.edits);
    let mut released = !head.hold;
    // Bytes of the provider wait for their head, and fall with it when they are replaced.
    let mut held = Vec::new();
    let end = Vec::new();
    for (at, chunk) in (1..).zip(chunks.iter().chain([&end])) {
        let ended = Ended::from(at > chunks.len());
        let mut out = Vec::new();
        let step = attempt.response_body(chunk, ended, at as u64, &mut out);
        if !released && step.body == BodyOut::Replace {
            // Bytes that waited for the head are replaced as well.
            client.body.clear();
        }
        if let Some(edits) = step.release {
            released = true;
            client.apply(&edits);
        }
        match step.body {
            BodyOut::Pass => held.extend_from_slice(chunk),
            BodyOut::Replace => held = out,
        }
        if released {
            client.body.append(&mut held);
        }
    }
    if !released {
        return Err("the head is never released".into());
    }
    client.record = attempt.record();
    Ok(client)
}
