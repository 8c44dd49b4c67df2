//! Credentials that requests bring along, through the public session API.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;

use aigw_core::config::Config;
use aigw_core::credential::Credentials;
use aigw_core::credential_override::DynamicMetadata;
use aigw_core::error::Reply;
use aigw_core::headers::{HeaderEdit, Headers};
use aigw_core::session::{
    Attempt, AttemptInput, Ended, HeadStep, Patience, Prepared, Request, on_head,
};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const CREDENTIALS: &[u8] =
    br#"{"version":1,"credentials":{"ns/static":{"type":"APIKey","key":"static-key"}}}"#;
const NAMES: [&str; 3] = ["x-own-id", "x-own-secret", "x-own-token"];

/// `(kind, header of the provider, its value with the credential "own")`.
const KINDS: [(&str, &str, &str); 5] = [
    ("APIKey", "authorization", "Bearer own"),
    ("AnthropicAPIKey", "x-api-key", "own"),
    ("AzureAPIKey", "api-key", "own"),
    ("AzureCredentials", "authorization", "Bearer own"),
    ("GCPCredentials", "authorization", "Bearer own"),
];

struct Metadata(BTreeMap<String, String>);

impl DynamicMetadata for Metadata {
    fn text(&self, path: &[&str]) -> Option<String> {
        self.0.get(&path.join("/")).cloned()
    }
}

fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    let pairs = pairs.iter();
    Metadata(pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect())
}

fn in_headers(without: &str) -> Value {
    json!({"source": {"headers": ["x-own"]}, "without": without})
}

fn aws_headers(without: &str) -> Value {
    json!({"source": {"headers": NAMES}, "without": without})
}

fn in_metadata(without: &str) -> Value {
    json!({"source": {"metadata": {"namespace": "ns.auth", "key": "k"}}, "without": without})
}

/// A backend `a` with this kind and override, and others without: `keyed` has a key of its own,
/// `open` gets the client's.
fn config(kind: &str, schema: &str, own: &Value) -> Arc<Config> {
    let backend = |name: &str, schema: &str, auth: Value| {
        json!({"name": format!("ns/{name}/route/r/rule/0/ref/0"), "backend": format!("ns/{name}"),
            "route": "ns/r", "schema": {"name": schema, "prefix": "v1"}, "auth": auth,
            "host": "bedrock-runtime.eu-west-1.amazonaws.com"})
    };
    let own = json!({"type": kind, "credential": "ns/static", "region": "us-east-1",
        "project": "p", "override": own});
    let keyed = json!({"type": "APIKey", "credential": "ns/static"});
    let document = json!({"version": 1, "generation": "g",
    "gateways": {"ns/gw": {"credential_headers": ["x-own", NAMES[0], NAMES[1], NAMES[2]]}},
    "backends": {
        "a": backend("a", schema, own),
        "keyed": backend("keyed", "OpenAI", keyed),
        "open": backend("open", "OpenAI", Value::Null),
    }});
    Arc::new(Config::parse(document.to_string().as_bytes()).unwrap())
}

fn request(config: &Arc<Config>, extra: &[(&str, &str)]) -> Arc<Request> {
    let mut head = Headers::new();
    let fixed = [
        (":method", "POST"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
        ("authorization", "Bearer client"),
    ];
    for (name, value) in fixed.iter().chain(extra) {
        head.push(name.as_bytes(), value.as_bytes());
    }
    let gateway = config.gateway("ns/gw").unwrap();
    let HeadStep::Body(pending) = on_head(config, gateway, head, Ended::No) else {
        panic!("a reply")
    };
    let (request, edits) = pending.on_body(7, BODY.as_bytes()).unwrap();
    for (name, _) in extra {
        assert_eq!(edits.value(name), Some(None), "{name} stays");
        assert!(request.head.get(name).is_none(), "{name} stays");
    }
    Arc::new(request)
}

fn send(
    request: &Arc<Request>,
    backend: &str,
    found: &Metadata,
) -> Result<BTreeMap<String, String>, Reply> {
    let backend = Arc::clone(request.config.backend(backend).unwrap());
    let mut attempt = Attempt::bind(Arc::clone(request), backend, 1_767_225_600)?;
    attempt.read_metadata(found);
    let prepared = attempt.prepare(&AttemptInput {
        body: BODY.as_bytes(),
        credentials: &Credentials::parse(CREDENTIALS).unwrap(),
        now: 1_767_225_600,
        patience: Patience::Exhausted,
    });
    let kind = attempt.record().error_kind;
    let Prepared::Done(upstream) = prepared.inspect_err(|reply| assert_eq!(kind, reply.kind))?
    else {
        panic!("no request")
    };
    let shown = upstream.edits.iter().map(|edit| match edit {
        HeaderEdit::Set(name, value) | HeaderEdit::Append(name, value) => {
            (name.to_owned(), String::from_utf8(value.to_vec()).unwrap())
        }
        HeaderEdit::Remove(name) => (name.to_owned(), String::new()),
    });
    Ok(shown.collect())
}

fn refusal(found: Result<BTreeMap<String, String>, Reply>) -> (u16, String) {
    let reply = found.unwrap_err();
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["error"]["type"], "Unauthorized");
    let message = body["error"]["message"].as_str().unwrap();
    (reply.status, message.to_owned())
}

fn schema_of(kind: &str) -> &'static str {
    match kind {
        "GCPCredentials" => "GCPVertexAI",
        "AWSCredentials" => "AWSBedrock",
        _ => "OpenAI",
    }
}

#[test]
fn every_kind_takes_the_credential_of_the_request_from_a_header() {
    for (kind, header, value) in KINDS {
        let config = config(kind, schema_of(kind), &in_headers("refused"));
        let request = request(&config, &[("x-own", " \t own ")]);
        let sent = send(&request, "a", &metadata(&[])).unwrap();
        assert_eq!(sent[header], value, "{kind}");
        if kind == "GCPCredentials" {
            let start = "/v1/projects/p/locations/us-east-1/publishers/";
            assert!(sent[":path"].starts_with(start), "{}", sent[":path"]);
        }
    }
}

#[test]
fn every_kind_takes_the_credential_of_the_request_from_metadata() {
    for (kind, header, value) in KINDS {
        let config = config(kind, schema_of(kind), &in_metadata("refused"));
        let request = request(&config, &[("x-own", "forged")]);
        let sent = send(&request, "a", &metadata(&[("ns.auth/k", " own\n")])).unwrap();
        assert_eq!(sent[header], value, "{kind}");
        assert!(!format!("{sent:?}").contains("forged"));
    }
}

#[test]
fn aws_signs_with_the_keys_of_the_request() {
    let values = [(NAMES[0], "AKIDOWN"), (NAMES[1], " s "), (NAMES[2], "tok")];
    let config = config("AWSCredentials", "AWSBedrock", &aws_headers("refused"));
    let of_headers = send(&request(&config, &values), "a", &metadata(&[])).unwrap();
    let start = "AWS4-HMAC-SHA256 Credential=AKIDOWN/20260101/eu-west-1/bedrock/aws4_request";
    assert!(of_headers["authorization"].starts_with(start));
    assert_eq!(of_headers["x-amz-security-token"], "tok");
    let config = self::config("AWSCredentials", "AWSBedrock", &in_metadata("refused"));
    let members = metadata(&[
        ("ns.auth/k/accessKeyId", "AKIDOWN"),
        ("ns.auth/k/secretAccessKey", "s"),
        ("ns.auth/k/sessionToken", "tok"),
    ]);
    let of_metadata = send(&request(&config, &[]), "a", &members).unwrap();
    assert_eq!(of_metadata["authorization"], of_headers["authorization"]);
}

#[test]
fn a_part_of_an_aws_credential_is_refused_whatever_is_configured() {
    let config = config("AWSCredentials", "AWSBedrock", &aws_headers("configured"));
    for parts in [
        &[(NAMES[0], "id")][..],
        &[(NAMES[1], "secret")],
        &[(NAMES[2], "token")],
        &[(NAMES[0], "id"), (NAMES[2], "token")],
        &[(NAMES[0], "id"), (NAMES[1], "  ")],
    ] {
        let refused = refusal(send(&request(&config, parts), "a", &metadata(&[])));
        assert_eq!(refused, (401, "missing upstream credential".to_owned()));
    }
}

#[test]
fn without_a_credential_the_configured_one_is_used_or_the_request_refused() {
    let absent: [&[(&str, &str)]; 3] = [&[], &[("x-own", "")], &[("x-own", " \t ")]];
    for extra in absent {
        let lenient = config("APIKey", "OpenAI", &in_headers("configured"));
        let sent = send(&request(&lenient, extra), "a", &metadata(&[])).unwrap();
        assert_eq!(sent["authorization"], "Bearer static-key");
        let strict = config("APIKey", "OpenAI", &in_headers("refused"));
        let refused = refusal(send(&request(&strict, extra), "a", &metadata(&[])));
        assert_eq!(refused, (401, "missing upstream credential".to_owned()));
    }
    let strict = config("APIKey", "OpenAI", &in_metadata("refused"));
    let other = metadata(&[("ns.auth/other", "own"), ("k", "own")]);
    assert_eq!(refusal(send(&request(&strict, &[]), "a", &other)).0, 401);
}

#[test]
fn a_value_that_no_header_can_carry_is_refused() {
    let lenient = config("APIKey", "OpenAI", &in_metadata("configured"));
    let found = metadata(&[("ns.auth/k", "own\r\nx-injected: 1")]);
    assert_eq!(refusal(send(&request(&lenient, &[]), "a", &found)).0, 401);
}

#[test]
fn the_last_of_repeated_headers_counts() {
    let config = config("APIKey", "OpenAI", &in_headers("refused"));
    let request = request(&config, &[("x-own", "of-the-client"), ("x-own", "own")]);
    let sent = send(&request, "a", &metadata(&[])).unwrap();
    assert_eq!(sent["authorization"], "Bearer own");
}

#[test]
fn no_other_backend_sees_the_credential_on_whichever_attempt() {
    let config = config("AnthropicAPIKey", "Anthropic", &in_headers("refused"));
    let request = request(
        &config,
        &[("x-own", "canary"), ("x-aigw-api-key", "canary")],
    );
    let first = send(&request, "a", &metadata(&[])).unwrap();
    assert_eq!(first["x-api-key"], "canary");
    let clean: Vec<_> = first.iter().filter(|(n, _)| *n != "x-api-key").collect();
    assert!(!format!("{clean:?}").contains("canary"));
    for (backend, key) in [("keyed", "Bearer static-key"), ("open", "Bearer client")] {
        let sent = send(&request, backend, &metadata(&[])).unwrap();
        assert!(!format!("{sent:?}").contains("canary"), "{backend}");
        assert_eq!(sent["authorization"], key);
        assert_eq!(sent["x-api-key"], "");
    }
    assert!(!format!("{request:?}").contains("canary"));
}
