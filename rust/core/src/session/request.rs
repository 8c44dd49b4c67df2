//! The request half: runs once, before the route is final.

use std::sync::{Arc, Mutex};

use crate::auth::CREDENTIAL_HEADERS;
use crate::config::{Billing, Config, Gateway, Limits};
use crate::endpoint::{ClientApi, Endpoint};
use crate::error::{Error, Reply, Result};
use crate::estimate::Prompt;
use crate::form;
use crate::headers::{HeaderEdits, Headers};
use crate::listing;
use crate::metadata::{Metadata, ORIGINAL_MODEL, ORIGINAL_PATH, REQUEST_ID, Value};
use crate::scan::{self, Scan};

/// Header that routes are matched on.
pub const MODEL_HEADER: &str = "x-ai-eg-model";
/// Longest model name.
const MODEL_BYTES: usize = 512;
/// For the hop to this gateway (RFC 9110 section 11.7.1): never for a provider.
const PROXY_CREDENTIAL: &[u8] = b"proxy-authorization";

/// What a request head leads to.
#[derive(Debug)]
pub enum HeadStep {
    /// Answer now.
    Reply(Reply),
    /// Read the whole body, then call [`PendingRequest::on_body`].
    Body(Box<PendingRequest>),
}

/// A request whose body is on its way.
#[derive(Debug)]
pub struct PendingRequest {
    config: Arc<Config>,
    limits: Limits,
    billing: Arc<Billing>,
    endpoint: Endpoint,
    /// As the client sent it, credentials included.
    head: Headers,
    /// Names of those that are meant for backends.
    credential_headers: Arc<[String]>,
    policy: Box<str>,
}

/// A request as every attempt sees it: pristine, the client's credentials set apart.
#[derive(Debug)]
pub struct Request {
    /// Random, never sent anywhere as a header.
    pub id: u128,
    /// The endpoint called.
    pub endpoint: Endpoint,
    /// Config in force when the request came.
    pub config: Arc<Config>,
    /// Sizes of its Gateway.
    pub limits: Limits,
    /// Costs and prices of its Gateway.
    pub billing: Arc<Billing>,
    /// Headers without credentials and gateway-internal names.
    pub head: Headers,
    /// The client's own credentials, for backends that have none configured.
    pub(crate) client_credentials: Headers,
    /// Headers that bring credentials for the backends which ask for them.
    pub(crate) given: Headers,
    /// Security policy of the route that was matched before the model was known.
    policy: Box<str>,
    pub(crate) scan: Scan,
    /// For estimates where the provider reports no usage.
    pub(crate) prompt: Prompt,
    /// Names that attempts changed in the header map which all attempts share.
    pub(crate) touched: Mutex<Vec<Box<str>>>,
}

/// The first step: the head of a client request.
///
/// `ended` tells that no body follows.
pub fn on_head(config: &Arc<Config>, gateway: &Gateway, head: Headers, ended: Ended) -> HeadStep {
    match classify(gateway, &head, ended) {
        Ok(Found::Listing(api)) => HeadStep::Reply(listing::list(&gateway.models, api, &head)),
        Ok(Found::Endpoint(endpoint)) => HeadStep::Body(Box::new(PendingRequest {
            config: Arc::clone(config),
            limits: gateway.limits,
            billing: Arc::clone(&gateway.billing),
            endpoint,
            head,
            credential_headers: Arc::clone(&gateway.credential_headers),
            policy: Box::default(),
        })),
        Err((api, error)) => HeadStep::Reply(error.reply(api)),
    }
}

/// Whether a message head is all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A body follows.
    No,
    /// No body follows.
    Yes,
}

impl From<bool> for Ended {
    fn from(end_of_stream: bool) -> Self {
        if end_of_stream { Self::Yes } else { Self::No }
    }
}

enum Found {
    Listing(ClientApi),
    Endpoint(Endpoint),
}

fn classify(gateway: &Gateway, head: &Headers, ended: Ended) -> Result<Found, (ClientApi, Error)> {
    let path = head.get(":path").unwrap_or_default();
    let Some(endpoint) = gateway.paths.lookup(path) else {
        return Err((ClientApi::OpenAI, unknown_path(gateway, path)));
    };
    let api = endpoint.client_api();
    let method = head.get_str(":method").unwrap_or_default();
    if method != endpoint.method() {
        return Err((
            api,
            Error::MethodNotAllowed {
                method: printable(method.as_bytes(), 16),
                path: endpoint.path(),
                allow: endpoint.method(),
            },
        ));
    }
    match endpoint {
        Endpoint::Models | Endpoint::AnthropicModels => return Ok(Found::Listing(api)),
        _ => {}
    }
    let content_type = head.get_str("content-type").unwrap_or_default();
    match (endpoint.takes_form(), form::is_form(content_type)) {
        (false, true) => {
            let text = "multipart body not supported for this endpoint".to_owned();
            return Err((api, Error::MalformedRequest(text)));
        }
        (true, false) => {
            let path = endpoint.path();
            let text = format!("expected multipart/form-data content type for {path}");
            return Err((api, Error::MalformedRequest(text)));
        }
        _ => {}
    }
    if ended == Ended::Yes {
        return Err((api, empty_body(endpoint)));
    }
    let limit = gateway.limits.request_body_bytes;
    let announced = head.get_str("content-length").and_then(|n| n.parse().ok());
    if announced.is_some_and(|length: u64| length > limit) {
        return Err((api, Error::BodyTooLarge { limit }));
    }
    Ok(Found::Endpoint(endpoint))
}

fn empty_body(endpoint: Endpoint) -> Error {
    let path = endpoint.path();
    Error::MalformedRequest(if endpoint.takes_form() {
        format!("failed to parse multipart form data for {path}: the body is empty")
    } else {
        format!("failed to parse JSON for {path}: the body is empty")
    })
}

fn unknown_path(gateway: &Gateway, path: &[u8]) -> Error {
    let end = memchr::memchr(b'?', path).unwrap_or(path.len());
    let offer: Vec<&str> = gateway.paths.paths().collect();
    Error::UnknownPath {
        path: printable(path.get(..end).unwrap_or_default(), 128),
        offer: offer.join(", "),
    }
}

/// Client text for an error message: short and printable.
fn printable(bytes: &[u8], limit: usize) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(|c| !c.is_control())
        .take(limit)
        .collect()
}

impl PendingRequest {
    /// The API that the client speaks.
    pub fn client_api(&self) -> ClientApi {
        self.endpoint.client_api()
    }

    /// Notes the security policy (empty: none) of the route that the request has so far: it is
    /// the one that clients are authenticated by.
    pub fn admitted_by(&mut self, policy: &str) {
        self.policy = policy.into();
    }

    /// Largest body that is read.
    pub fn body_limit(&self) -> u64 {
        self.limits.request_body_bytes
    }

    /// The second step: the whole body. Returns the request and the edits of its header map.
    ///
    /// # Errors
    /// A reply in the client's shape.
    pub fn on_body(
        self,
        id: u128,
        body: &[u8],
    ) -> std::result::Result<(Request, HeaderEdits), Reply> {
        let api = self.client_api();
        self.scan(body)
            .map_err(|error| error.reply(api))
            .map(|scan| self.into_request(id, scan, body))
    }

    fn scan(&self, body: &[u8]) -> Result<Scan> {
        if body.len() as u64 > self.body_limit() {
            return Err(Error::BodyTooLarge {
                limit: self.body_limit(),
            });
        }
        if body.is_empty() {
            return Err(empty_body(self.endpoint));
        }
        let scan = if self.endpoint.takes_form() {
            let content_type = self.head.get_str("content-type").unwrap_or_default();
            form::scan(self.endpoint, content_type, body)?
        } else {
            scan::scan(self.endpoint, body)?
        };
        if scan.model.len() > MODEL_BYTES || scan.model.contains(char::is_control) {
            return Err(Error::InvalidRequest(format!(
                "model: at most {MODEL_BYTES} bytes without control characters are expected"
            )));
        }
        if self.endpoint == Endpoint::Tokenize {
            scan::check_tokenize(body)?;
        }
        if matches!(self.endpoint, Endpoint::Messages | Endpoint::CountTokens)
            && scan.model.is_empty()
        {
            return Err(Error::InvalidRequest("model field is required".into()));
        }
        Ok(scan)
    }

    fn into_request(self, id: u128, scan: Scan, body: &[u8]) -> (Request, HeaderEdits) {
        let mut edits = HeaderEdits::new();
        let mut client_credentials = Headers::default();
        let mut given = Headers::default();
        let names = self.credential_headers;
        let is_given = |name: &[u8]| names.iter().any(|known| known.as_bytes() == name);
        for (name, value) in self.head.iter() {
            if is_given(name) {
                given.push(name, value);
            } else if !is_removed(name) {
                continue;
            } else if is_credential(name) && name != PROXY_CREDENTIAL {
                client_credentials.push(name, value);
            }
            if let Ok(name) = std::str::from_utf8(name) {
                edits.remove(name);
            }
        }
        let mut head = self.head;
        head.retain(|name| !is_given(name) && !is_removed(name) && !is_of_the_way(name));
        // An empty value would match no route anyway, and Envoy treats it as present.
        if scan.model.is_empty() {
            edits.remove(MODEL_HEADER);
        } else {
            edits.set(MODEL_HEADER, scan.model.as_bytes());
        }
        let request = Request {
            id,
            endpoint: self.endpoint,
            config: self.config,
            limits: self.limits,
            billing: self.billing,
            head,
            client_credentials,
            given,
            policy: self.policy,
            scan,
            prompt: Prompt::of(self.endpoint, body),
            touched: Mutex::default(),
        };
        (request, edits)
    }
}

/// Credentials and gateway-internal names: gone for good once the request is read.
fn is_removed(name: &[u8]) -> bool {
    name.starts_with(b"x-ai-eg-")
        || name.starts_with(b"x-aigw-")
        || name == b"x-gateway-destination-endpoint"
        || is_credential(name)
}

/// May carry a credential of some provider, or the one for this gateway.
fn is_credential(name: &[u8]) -> bool {
    let mut known = CREDENTIAL_HEADERS.iter();
    known.any(|known| known.as_bytes() == name)
}

/// Headers that Envoy and proxies before it add on the way. No provider gets them, on whichever
/// attempt: the data plane's configuration takes them off as well.
fn is_of_the_way(name: &[u8]) -> bool {
    name.starts_with(b"x-envoy-")
        || matches!(
            name,
            b"x-request-id"
                | b"x-forwarded-for"
                | b"x-forwarded-host"
                | b"x-forwarded-proto"
                | b"forwarded"
                | b"via"
        )
}

impl Request {
    /// The model that the client asked for; may be empty.
    pub fn model(&self) -> &str {
        &self.scan.model
    }

    /// Compares the security policy of the final route with the one that admitted the request.
    ///
    /// # Errors
    /// A 403 when they differ: the model led to a route that this client was not asked for.
    pub fn check_policy(&self, policy: &str) -> std::result::Result<(), Reply> {
        if *self.policy == *policy {
            Ok(())
        } else {
            Err(Error::OtherPolicy.reply(self.endpoint.client_api()))
        }
    }

    /// The client asked for a stream.
    pub fn stream(&self) -> bool {
        self.scan.stream
    }

    /// Metadata that is known before any attempt.
    pub fn metadata(&self) -> Metadata {
        let path = self.head.get(":path").unwrap_or_default();
        let end = memchr::memchr(b'?', path).unwrap_or(path.len());
        let path = String::from_utf8_lossy(path.get(..end).unwrap_or_default());
        vec![
            (ORIGINAL_MODEL.into(), Value::Text(self.scan.model.clone())),
            (ORIGINAL_PATH.into(), Value::Text(path.into_owned())),
            (REQUEST_ID.into(), Value::Text(format!("{:032x}", self.id))),
        ]
    }
}
