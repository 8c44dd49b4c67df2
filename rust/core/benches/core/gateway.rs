//! The core as a host drives it, with one backend of each schema.

use std::sync::Arc;

use aigw_core::config::Config;
use aigw_core::credential::Credentials;
use aigw_core::headers::Headers;
use aigw_core::schema::ApiSchema;
use aigw_core::session::{
    Attempt, AttemptInput, BodyOut, Ended, HeadStep, Patience, Prepared, UpstreamRequest, on_head,
};
use serde_json::{Map, Value, json};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/anthropic/v1/messages";

/// Config and credentials.
pub(crate) struct Gateway {
    config: Arc<Config>,
    credentials: Credentials,
}

impl Gateway {
    pub(crate) fn new() -> Self {
        let backends: Map<String, Value> = ApiSchema::ALL.map(backend).into_iter().collect();
        let config = json!({"version": 1, "generation": "g", "gateways": {"g": {}},
            "backends": backends});
        let credentials = json!({"version": 1, "credentials":
            {"c": {"type": "GCPCredentials", "access_token": "t"}}});
        Self {
            config: Arc::new(Config::parse(config.to_string().as_bytes()).unwrap()),
            credentials: Credentials::parse(credentials.to_string().as_bytes()).unwrap(),
        }
    }

    /// The whole request step: head, body, attempt, provider's request.
    pub(crate) fn request(
        &self,
        path: &str,
        schema: ApiSchema,
        body: &[u8],
    ) -> (Attempt, UpstreamRequest) {
        let gateway = self.config.gateway("g").unwrap();
        let HeadStep::Body(pending) = on_head(&self.config, gateway, head(path), Ended::No) else {
            panic!("a reply to the head")
        };
        let (request, _edits) = pending.on_body(1, body).unwrap();
        let backend = Arc::clone(self.config.backend(schema.name()).unwrap());
        let mut attempt = Attempt::bind(Arc::new(request), backend, 1_767_225_600).unwrap();
        let input = AttemptInput {
            body,
            credentials: &self.credentials,
            now: 1_767_225_600,
            patience: Patience::Exhausted,
        };
        let Prepared::Done(upstream) = attempt.prepare(&input).unwrap() else {
            panic!("nothing to wait for")
        };
        (attempt, upstream)
    }

    /// An attempt whose stream has begun.
    pub(crate) fn stream(
        &self,
        path: &str,
        schema: ApiSchema,
        body: &[u8],
        start: &[Vec<u8>],
    ) -> Stream {
        let (mut attempt, _) = self.request(path, schema, body);
        let content_type = match schema {
            ApiSchema::AWSBedrock | ApiSchema::AWSAnthropic => "application/vnd.amazon.eventstream",
            _ => "text/event-stream",
        };
        let head: Headers = [("content-type", content_type)].into_iter().collect();
        attempt.response_head(200, &head, Ended::No);
        let mut stream = Stream {
            attempt,
            out: Vec::new(),
        };
        for event in start {
            stream.feed(event);
        }
        stream
    }
}

/// A reply on its way.
pub(crate) struct Stream {
    attempt: Attempt,
    out: Vec<u8>,
}

impl Stream {
    /// One chunk; returns how many bytes the client gets.
    pub(crate) fn feed(&mut self, chunk: &[u8]) -> usize {
        self.out.clear();
        let step = self
            .attempt
            .response_body(chunk, Ended::No, 1, &mut self.out);
        self.attempt.take_metadata();
        match step.body {
            BodyOut::Pass => chunk.len(),
            BodyOut::Replace => self.out.len(),
        }
    }
}

fn backend(schema: ApiSchema) -> (String, Value) {
    let auth = schema.name().starts_with("GCP").then(
        || json!({"type": "GCPCredentials", "credential": "c", "project": "p", "region": "r"}),
    );
    let backend = json!({"name": "n/b/route/r/rule/0/ref/0", "backend": "n/b", "route": "n/r",
        "host": "provider.example.com", "auth": auth,
        "schema": {"name": schema.name(), "prefix": "v1"}});
    (schema.name().to_owned(), backend)
}

fn head(path: &str) -> Headers {
    [
        (":method", "POST"),
        (":path", path),
        (":authority", "gateway.example.com"),
        ("content-type", "application/json"),
        ("content-length", "16384"),
        ("user-agent", "OpenAI/Python 2"),
        ("accept", "application/json"),
        ("x-stainless-lang", "python"),
        ("x-request-id", "0"),
    ]
    .into_iter()
    .collect()
}
