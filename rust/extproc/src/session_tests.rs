//! Streams driven by hand-made messages.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use aigw_core::metadata::REQUEST_ID;

use super::*;
use crate::CONTENT_LENGTH;
use crate::messages::{
    Action, BodyMode, Event, HeaderMap, HeaderValue, HttpBody, HttpHeaders, HttpTrailers, Kind,
    MetadataContext, NewBody, ProcessingResponse, Status, Struct, Value,
};

const CONFIG: &str = r#"{"version":1,"generation":"g","credential_wait_ms":60000,
 "gateways":{"gw":{"models":[]}},
 "backends":{
  "plain@1":{"name":"ns/b/route/r/rule/0/ref/0","backend":"ns/b","route":"ns/r",
   "schema":{"name":"OpenAI","prefix":"v1"},"host":"h"},
  "renamed@1":{"name":"ns/b/route/r/rule/0/ref/1","backend":"ns/b","route":"ns/r",
   "schema":{"name":"OpenAI","prefix":"v1"},"host":"h","model_name_override":"other-model"},
  "keyed@1":{"name":"ns/b/route/r/rule/0/ref/2","backend":"ns/b","route":"ns/r",
   "schema":{"name":"OpenAI","prefix":"v1"},"host":"h",
   "auth":{"type":"APIKey","credential":"ns/key"}},
  "own@1":{"name":"ns/b/route/r/rule/0/ref/3","backend":"ns/b","route":"ns/r",
   "schema":{"name":"OpenAI","prefix":"v1"},"host":"h",
   "auth":{"type":"APIKey","override":{"without":"refused",
    "source":{"metadata":{"namespace":"ns.auth","key":"k"}}}}},
  "own-aws@1":{"name":"ns/b/route/r/rule/0/ref/4","backend":"ns/b","route":"ns/r",
   "schema":{"name":"AWSBedrock"},"host":"h",
   "auth":{"type":"AWSCredentials","region":"eu-west-1","override":{"without":"refused",
    "source":{"metadata":{"namespace":"ns.auth","key":"k"}}}}}}}"#;
const NAMESPACE: &str = "io.envoy.ai_gateway";
const FIRST: &[u8] = b"data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[]}\n\n";
const BUSY: &[u8] = b"data: {\"error\":{\"message\":\"busy\",\"type\":\"overloaded_error\"}}\n\n";

struct Bed {
    dir: tempfile::TempDir,
    host: Arc<Host>,
    wakes: Arc<AtomicUsize>,
}

impl Bed {
    fn new() -> Self {
        Self::with(CONFIG)
    }

    fn with(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), config).unwrap();
        let host = Host::new(Runtime::shared(dir.path()).unwrap());
        Self {
            dir,
            host,
            wakes: Arc::default(),
        }
    }

    fn session(&self, role: Role) -> Session {
        let wakes = Arc::clone(&self.wakes);
        let wake_up = Arc::new(move || {
            wakes.fetch_add(1, Ordering::SeqCst);
        });
        Session::new(Arc::clone(&self.host), role, "gw", wake_up)
    }

    /// A request stream whose body was read, and the request's id.
    fn request(&self, body: &str) -> (Session, String) {
        let mut session = self.session(Role::Request);
        let (replies, next) = tell(&mut session, &request_head());
        assert_eq!((replies.len(), next), (1, Next::Read));
        let (replies, next) = tell(&mut session, &request_body(body));
        assert_eq!(next, Next::Read);
        let id = text(&replies[0], "request_id").unwrap();
        (session, id)
    }

    /// An attempt stream that has sent its request.
    fn attempt(&self, id: &str, backend: &str) -> (Session, ProcessingResponse) {
        let mut session = self.session(Role::Attempt);
        let (mut replies, next) = tell(&mut session, &attempt_head(id, backend));
        assert_eq!((replies.len(), next), (1, Next::Read));
        (session, replies.remove(0))
    }
}

fn message(event: Event) -> ProcessingRequest {
    ProcessingRequest {
        event: Some(event),
        ..ProcessingRequest::default()
    }
}

fn head(pairs: &[(&str, &str)], end_of_stream: bool) -> HttpHeaders {
    let headers = pairs
        .iter()
        .map(|(key, value)| HeaderValue {
            key: (*key).to_owned(),
            value: String::new(),
            raw_value: Bytes::copy_from_slice(value.as_bytes()),
        })
        .collect();
    HttpHeaders {
        headers: Some(HeaderMap { headers }),
        end_of_stream,
    }
}

fn request_head() -> ProcessingRequest {
    let pairs = [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
        ("authorization", "Bearer of-the-client"),
    ];
    message(Event::RequestHeaders(head(&pairs, false)))
}

fn request_body(body: &str) -> ProcessingRequest {
    message(Event::RequestBody(HttpBody {
        body: Bytes::copy_from_slice(body.as_bytes()),
        end_of_stream: true,
    }))
}

fn object(fields: &[(&str, &str)]) -> Struct {
    let fields = fields.iter().map(|(key, value)| {
        let kind = Some(Kind::Text((*value).to_owned()));
        ((*key).to_owned(), Value { kind })
    });
    Struct {
        fields: fields.collect(),
    }
}

fn attempt_head(id: &str, backend: &str) -> ProcessingRequest {
    let name = "xds.upstream_host_metadata.filter_metadata['aigateway.envoy.io']['per_route_rule_backend_name']";
    let attributes = object(&[(name, backend)]);
    let metadata = object(&[("request_id", id)]);
    ProcessingRequest {
        attributes: HashMap::from([("envoy.filters.http.ext_proc".to_owned(), attributes)]),
        metadata_context: Some(MetadataContext {
            filter_metadata: HashMap::from([(NAMESPACE.to_owned(), metadata)]),
        }),
        ..request_head()
    }
}

/// As [`attempt_head`], with a value under `k` of the namespace `ns.auth`.
fn attempt_with(id: &str, backend: &str, kind: Kind) -> ProcessingRequest {
    let mut message = attempt_head(id, backend);
    let context = message.metadata_context.as_mut().unwrap();
    let fields = HashMap::from([("k".to_owned(), Value { kind: Some(kind) })]);
    let namespace = Struct { fields };
    context
        .filter_metadata
        .insert("ns.auth".to_owned(), namespace);
    message
}

fn with_attribute(mut message: ProcessingRequest, name: &str, value: &str) -> ProcessingRequest {
    let kind = Some(Kind::Text(value.to_owned()));
    let attributes = message
        .attributes
        .entry("envoy.filters.http.ext_proc".to_owned());
    let fields = &mut attributes.or_default().fields;
    fields.insert(name.to_owned(), Value { kind });
    message
}

fn response_head(status: &str, kind: &str, end_of_stream: bool) -> ProcessingRequest {
    let pairs = [(":status", status), ("content-type", kind)];
    message(Event::ResponseHeaders(head(&pairs, end_of_stream)))
}

fn chunk(body: &[u8], end_of_stream: bool) -> ProcessingRequest {
    message(Event::ResponseBody(HttpBody {
        body: Bytes::copy_from_slice(body),
        end_of_stream,
    }))
}

fn tell(session: &mut Session, message: &ProcessingRequest) -> (Vec<ProcessingResponse>, Next) {
    let mut replies = Vec::new();
    let next = session
        .on_message(message.encode_to_vec().into(), &mut replies)
        .unwrap();
    (decode(replies), next)
}

fn decode(replies: Vec<Bytes>) -> Vec<ProcessingResponse> {
    replies
        .into_iter()
        .map(|reply| ProcessingResponse::decode(reply).unwrap())
        .collect()
}

fn value(reply: &ProcessingResponse, key: &str) -> Option<Kind> {
    let metadata = reply.dynamic_metadata.as_ref()?;
    let Kind::Struct(namespace) = metadata.fields.get(NAMESPACE)?.kind.as_ref()? else {
        return None;
    };
    namespace.fields.get(key)?.kind.clone()
}

fn text(reply: &ProcessingResponse, key: &str) -> Option<String> {
    match value(reply, key)? {
        Kind::Text(text) => Some(text),
        Kind::Number(_) | Kind::Struct(_) => None,
    }
}

fn header(reply: &ProcessingResponse, name: &str) -> Option<String> {
    let (Action::RequestHeaders(common)
    | Action::RequestBody(common)
    | Action::ResponseHeaders(common)
    | Action::ResponseBody(common)) = reply.action.as_ref()?
    else {
        return None;
    };
    let mutation = common.response.as_ref()?.header_mutation.as_ref()?;
    mutation.set_headers.iter().find_map(|option| {
        let header = option.header.as_ref()?;
        (header.key == name).then(|| String::from_utf8_lossy(&header.raw_value).into_owned())
    })
}

fn streamed(reply: &ProcessingResponse) -> Option<(Bytes, bool)> {
    let Action::ResponseBody(common) = reply.action.as_ref()? else {
        return None;
    };
    match common
        .response
        .as_ref()?
        .body_mutation
        .as_ref()?
        .body
        .as_ref()?
    {
        NewBody::Streamed(streamed) => Some((streamed.body.clone(), streamed.end_of_stream)),
        NewBody::Replaced(_) | NewBody::Cleared(_) => None,
    }
}

fn response_mode(reply: &ProcessingResponse) -> Option<BodyMode> {
    BodyMode::try_from(reply.mode_override?.response_body).ok()
}

const BODY: &str = r#"{"model":"m","messages":[]}"#;
const STREAM: &str = r#"{"model":"m","stream":true,"messages":[]}"#;
const SSE: &str = "text/event-stream";
const JSON: &str = "application/json";

#[test]
fn a_request_is_in_the_table_as_long_as_its_stream() {
    let bed = Bed::new();
    let (session, id) = bed.request(BODY);
    assert_eq!((bed.host.table().len(), id.len()), (1, 32));
    drop(session);
    assert!(bed.host.table().is_empty());
}

#[test]
fn the_body_reply_routes_again_and_the_head_reply_names_the_request() {
    let bed = Bed::new();
    let mut session = bed.session(Role::Request);
    let mut replies = Vec::new();
    let head = request_head().encode_to_vec();
    session.on_message(head.into(), &mut replies).unwrap();
    let reply = ProcessingResponse::decode(replies[0].clone()).unwrap();
    let unchanged = Action::RequestHeaders(crate::reply::unchanged());
    assert_eq!(reply.action, Some(unchanged));
    assert!(request_id(&reply).is_some());
    let (replies, _) = tell(&mut session, &request_body(BODY));
    assert_eq!(header(&replies[0], "x-ai-eg-model").as_deref(), Some("m"));
    let Some(Action::RequestBody(common)) = &replies[0].action else {
        panic!("not a body reply");
    };
    let response = common.response.as_ref().unwrap();
    assert!(response.clear_route_cache);
    let removed = &response.header_mutation.as_ref().unwrap().remove_headers;
    assert!(removed.contains(&"authorization".to_owned()));
}

#[test]
fn a_bad_body_is_answered_at_once() {
    let bed = Bed::new();
    let mut session = bed.session(Role::Request);
    tell(&mut session, &request_head());
    let (replies, next) = tell(&mut session, &request_body("{"));
    let Some(Action::Immediate(reply)) = &replies[0].action else {
        panic!("not an immediate response");
    };
    assert_eq!(next, Next::Close);
    assert_eq!(reply.status.unwrap().code, 400);
    assert_eq!(reply.details, "aigw_malformed_request");
    assert!(request_id(&replies[0]).is_some());
    drop(session);
    assert!(bed.host.table().is_empty());
    assert_eq!(bed.host.unwritten(), 1);
}

/// The id in the metadata of a reply.
fn request_id(reply: &ProcessingResponse) -> Option<&Kind> {
    let kind = reply.dynamic_metadata.as_ref()?.fields.get(NAMESPACE)?;
    let Some(Kind::Struct(namespace)) = kind.kind.as_ref() else {
        return None;
    };
    namespace.fields.get(REQUEST_ID)?.kind.as_ref()
}

#[test]
fn an_attempt_without_its_request_is_not_ready() {
    let bed = Bed::new();
    for id in ["0123456789abcdef0123456789abcdef", "no hex", ""] {
        let mut session = bed.session(Role::Attempt);
        let (replies, next) = tell(&mut session, &attempt_head(id, "plain@1"));
        let Some(Action::Immediate(reply)) = &replies[0].action else {
            panic!("not an immediate response");
        };
        assert_eq!((reply.status.unwrap().code, next), (503, Next::Close));
    }
}

#[test]
fn a_credential_of_the_request_stands_in_forwarded_metadata() {
    let bed = Bed::new();
    let (_request, id) = bed.request(BODY);
    let send = |backend, kind| {
        let mut session = bed.session(Role::Attempt);
        let (mut replies, _) = tell(&mut session, &attempt_with(&id, backend, kind));
        replies.remove(0)
    };
    let sent = send("own@1", Kind::Text(" of-the-user ".to_owned()));
    let found = header(&sent, "authorization");
    assert_eq!(found.as_deref(), Some("Bearer of-the-user"));
    let keys = object(&[("accessKeyId", "AKID"), ("secretAccessKey", "s")]);
    let signed = header(
        &send("own-aws@1", Kind::Struct(keys.clone())),
        "authorization",
    );
    let start = "AWS4-HMAC-SHA256 Credential=AKID/";
    assert!(signed.unwrap().starts_with(start));
    let part = object(&[("accessKeyId", "AKID")]);
    for (backend, kind) in [
        ("own@1", Kind::Struct(keys)),
        ("own@1", Kind::Number(1.0)),
        ("own-aws@1", Kind::Text("AKID".to_owned())),
        ("own-aws@1", Kind::Struct(part)),
    ] {
        let Some(Action::Immediate(reply)) = send(backend, kind).action else {
            panic!("not an immediate response");
        };
        assert_eq!(reply.status.unwrap().code, 401);
        assert_eq!(reply.details, "aigw_missing_credential");
    }
}

#[test]
fn a_host_without_a_backend_name_is_an_internal_error() {
    let bed = Bed::new();
    let (_request, id) = bed.request(BODY);
    let mut session = bed.session(Role::Attempt);
    let (replies, _) = tell(&mut session, &attempt_head(&id, ""));
    let Some(Action::Immediate(reply)) = &replies[0].action else {
        panic!("not an immediate response");
    };
    assert_eq!(reply.status.unwrap().code, 500);
}

#[test]
fn a_route_with_another_security_policy_than_the_first_is_a_403() {
    let name = "xds.route_metadata.filter_metadata['aigateway.envoy.io']['security_policy']";
    let bed = Bed::new();
    for (first, last, status) in [
        ("p1", "p1", None),
        ("p1", "p2", Some(403)),
        ("", "p1", Some(403)),
        ("p1", "", Some(403)),
        ("", "", None),
    ] {
        let mut session = bed.session(Role::Request);
        tell(&mut session, &with_attribute(request_head(), name, first));
        let (replies, _) = tell(&mut session, &request_body(BODY));
        let id = text(&replies[0], "request_id").unwrap();
        let mut attempt = bed.session(Role::Attempt);
        let head = with_attribute(attempt_head(&id, "plain@1"), name, last);
        let (replies, _) = tell(&mut attempt, &head);
        let answered = match &replies[0].action {
            Some(Action::Immediate(reply)) => reply.status.map(|status| status.code),
            _ => None,
        };
        assert_eq!(answered, status, "{first} and {last}");
    }
}

#[test]
fn a_replaced_body_travels_with_its_length_as_metadata() {
    let bed = Bed::new();
    let (_request, id) = bed.request(BODY);
    let (_attempt, reply) = bed.attempt(&id, "renamed@1");
    let Some(Action::RequestHeaders(common)) = &reply.action else {
        panic!("not a header reply");
    };
    let response = common.response.as_ref().unwrap();
    assert_eq!(response.status(), Status::ContinueAndReplace);
    let body = BODY.replace("\"m\"", "\"other-model\"");
    let mutation = response.body_mutation.as_ref().unwrap();
    assert_eq!(mutation.body, Some(NewBody::Replaced(body.clone().into())));
    assert_eq!(text(&reply, CONTENT_LENGTH), Some(body.len().to_string()));
    assert_eq!(header(&reply, "content-length"), None);
    assert_eq!(response_mode(&reply), None);
    let (_again, reply) = bed.attempt(&id, "plain@1");
    assert_eq!(text(&reply, CONTENT_LENGTH), Some(BODY.len().to_string()));
}

#[test]
fn a_unary_reply_is_watched_in_streamed_mode() {
    let bed = Bed::new();
    let (_request, id) = bed.request(BODY);
    let (mut attempt, _) = bed.attempt(&id, "plain@1");
    let (replies, next) = tell(&mut attempt, &response_head("200", JSON, false));
    assert_eq!(next, Next::Read);
    assert_eq!(response_mode(&replies[0]), Some(BodyMode::Streamed));
    let usage = br#"{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let (replies, next) = tell(&mut attempt, &chunk(usage, true));
    assert_eq!((replies.len(), next), (1, Next::Close));
    assert_eq!(value(&replies[0], "output_tokens"), Some(Kind::Number(2.0)));
}

#[test]
fn trailers_end_a_watched_reply() {
    let bed = Bed::new();
    let (_request, id) = bed.request(BODY);
    let (mut attempt, _) = bed.attempt(&id, "plain@1");
    tell(&mut attempt, &response_head("200", JSON, false));
    let usage = br#"{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    tell(&mut attempt, &chunk(usage, false));
    let trailers = message(Event::ResponseTrailers(HttpTrailers {}));
    let (replies, next) = tell(&mut attempt, &trailers);
    assert_eq!(next, Next::Close);
    assert_eq!(value(&replies[0], "output_tokens"), Some(Kind::Number(2.0)));
}

#[test]
fn a_json_error_ends_the_stream_after_its_head() {
    let bed = Bed::new();
    let (_request, id) = bed.request(BODY);
    let (mut attempt, _) = bed.attempt(&id, "plain@1");
    let (replies, next) = tell(&mut attempt, &response_head("429", JSON, false));
    assert_eq!((replies.len(), next), (1, Next::Close));
    assert_eq!(replies[0].mode_override, None);
}

#[test]
fn a_stream_asks_for_full_duplex_and_holds_its_head() {
    let bed = Bed::new();
    let (_request, id) = bed.request(STREAM);
    let (mut attempt, reply) = bed.attempt(&id, "plain@1");
    assert_eq!(response_mode(&reply), Some(BodyMode::FullDuplexStreamed));
    let (replies, next) = tell(&mut attempt, &response_head("200", SSE, false));
    assert_eq!((replies.len(), next), (0, Next::Read));
    let (replies, _) = tell(&mut attempt, &chunk(b": wait\n\n", false));
    assert!(replies.is_empty());
    let (replies, _) = tell(&mut attempt, &chunk(FIRST, false));
    assert!(matches!(
        replies[0].action,
        Some(Action::ResponseHeaders(_))
    ));
    let bodies: Vec<_> = replies.iter().filter_map(streamed).collect();
    let wait = Bytes::from_static(b": wait\n\n");
    assert_eq!(bodies, [(wait, false), (FIRST.into(), false)]);
    let (replies, next) = tell(&mut attempt, &chunk(b"", true));
    let bodies: Vec<_> = replies.iter().filter_map(streamed).collect();
    assert_eq!((bodies, next), (vec![(Bytes::new(), true)], Next::Close));
}

#[test]
fn an_error_in_the_first_event_rewrites_the_status() {
    let bed = Bed::new();
    let (_request, id) = bed.request(STREAM);
    let (mut attempt, _) = bed.attempt(&id, "plain@1");
    tell(&mut attempt, &response_head("200", SSE, false));
    tell(&mut attempt, &chunk(b": wait\n\n", false));
    let (replies, _) = tell(&mut attempt, &chunk(BUSY, false));
    assert_eq!(header(&replies[0], ":status").as_deref(), Some("529"));
    let length = header(&replies[0], "content-length").unwrap();
    let body = streamed(&replies[1]).unwrap().0;
    assert_eq!((replies.len(), body.len().to_string()), (2, length));
    let (replies, _) = tell(&mut attempt, &chunk(b"data: late\n\n", false));
    assert!(replies.is_empty(), "bytes after the error are dropped");
    let (replies, next) = tell(&mut attempt, &chunk(b"", true));
    assert_eq!(streamed(&replies[0]), Some((Bytes::new(), true)));
    assert_eq!(next, Next::Close);
}

#[test]
fn trailers_end_a_stream_behind_its_bytes() {
    let bed = Bed::new();
    let (_request, id) = bed.request(STREAM);
    let (mut attempt, _) = bed.attempt(&id, "plain@1");
    tell(&mut attempt, &response_head("200", SSE, false));
    tell(&mut attempt, &chunk(b": only a comment\n\n", false));
    let trailers = message(Event::ResponseTrailers(HttpTrailers {}));
    let (replies, next) = tell(&mut attempt, &trailers);
    assert_eq!((replies.len(), next), (3, Next::Close));
    assert!(matches!(
        replies[0].action,
        Some(Action::ResponseHeaders(_))
    ));
    assert!(!streamed(&replies[1]).unwrap().1);
    assert!(matches!(
        replies[2].action,
        Some(Action::ResponseTrailers(_))
    ));
}

#[test]
fn an_error_page_is_replaced_in_full_duplex() {
    let bed = Bed::new();
    let (_request, id) = bed.request(BODY);
    let (mut attempt, _) = bed.attempt(&id, "plain@1");
    let (replies, _) = tell(&mut attempt, &response_head("404", "text/html", false));
    assert_eq!(
        response_mode(&replies[0]),
        Some(BodyMode::FullDuplexStreamed)
    );
    assert!(tell(&mut attempt, &chunk(b"<html>", false)).0.is_empty());
    let (replies, next) = tell(&mut attempt, &chunk(b"</html>", true));
    let (body, ended) = streamed(&replies[0]).unwrap();
    assert!(String::from_utf8_lossy(&body).contains("<html></html>"));
    assert_eq!((ended, next), (true, Next::Close));
}

#[test]
fn an_error_head_without_a_body_gets_one() {
    let bed = Bed::new();
    let (_request, id) = bed.request(BODY);
    let (mut attempt, _) = bed.attempt(&id, "plain@1");
    let (replies, next) = tell(&mut attempt, &response_head("500", "text/plain", true));
    let Some(Action::ResponseHeaders(common)) = &replies[0].action else {
        panic!("not a head reply");
    };
    let response = common.response.as_ref().unwrap();
    assert_eq!(response.status(), Status::ContinueAndReplace);
    assert!(response.body_mutation.is_some());
    assert_eq!(next, Next::Close);
}

#[test]
fn a_missing_credential_is_waited_for_and_its_arrival_wakes() {
    let bed = Bed::new();
    let (_request, id) = bed.request(BODY);
    let mut attempt = bed.session(Role::Attempt);
    let (replies, next) = tell(&mut attempt, &attempt_head(&id, "keyed@1"));
    assert_eq!((replies.len(), next), (0, Next::Wait));
    let credentials = r#"{"version":1,"credentials":{"ns/key":{"type":"APIKey","key":"k"}}}"#;
    std::fs::write(bed.dir.path().join("draft"), credentials).unwrap();
    let path = bed.dir.path().join("credentials.json");
    std::fs::rename(bed.dir.path().join("draft"), path).unwrap();
    let replies = woken(&bed, &mut attempt);
    let authorization = header(&replies[0], "authorization");
    assert_eq!(authorization.as_deref(), Some("Bearer k"));
}

#[test]
fn a_credential_that_does_not_come_is_refused() {
    let bed = Bed::with(&CONFIG.replace("60000", "20"));
    let (_request, id) = bed.request(BODY);
    let mut attempt = bed.session(Role::Attempt);
    tell(&mut attempt, &attempt_head(&id, "keyed@1"));
    let replies = woken(&bed, &mut attempt);
    let Some(Action::Immediate(reply)) = &replies[0].action else {
        panic!("not an immediate response");
    };
    assert_eq!(reply.details, "aigw_credential_unavailable");
}

fn woken(bed: &Bed, session: &mut Session) -> Vec<ProcessingResponse> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while bed.wakes.load(Ordering::SeqCst) == 0 {
        assert!(
            std::time::Instant::now() < deadline,
            "nobody woke the stream"
        );
        std::thread::yield_now();
    }
    let mut replies = Vec::new();
    session.resume(&mut replies).unwrap();
    decode(replies)
}

#[test]
fn bytes_that_are_no_message_end_the_stream_only() {
    let bed = Bed::new();
    let mut session = bed.session(Role::Request);
    let result = session.on_message(Bytes::from_static(b"\xff\xff"), &mut Vec::new());
    assert_eq!(result, Err(SessionError::Malformed));
}

#[test]
fn a_panic_ends_one_stream_and_frees_its_request() {
    let bed = Bed::new();
    let (mut session, _) = bed.request(BODY);
    let (_other, _) = bed.request(BODY);
    let result = session.guarded(|_| panic!("a fault"));
    assert_eq!(result, Err(SessionError::Panicked));
    assert_eq!(bed.host.table().len(), 1);
    let after = session.on_message(Bytes::new(), &mut Vec::new());
    assert_eq!(after, Err(SessionError::Panicked));
}
