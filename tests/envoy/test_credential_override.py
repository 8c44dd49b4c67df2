"""Credentials that requests bring along: they reach the backend that asks for them, nobody else.

Every value that a request brings holds `CANARY`. Dynamic metadata is written by a few lines of Lua
in front of our request filter, in the place of a filter for authentication.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from aigw.providers import FakeProvider, Match, Reply
from beds.chats import JSON_TYPE, error_of
from beds.gateway import RunningGateway, run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import RawConnection, Response, request
from beds.resources import BackendSpec, Resource, api_key, gateway_yaml, resource, rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aigw.providers import Received
    from beds.ports import FreePorts

CANARY = "canary-of-the-request"
STATIC = "key-of-the-gateway"
FAIL = "x-fail"
LUA = """
function envoy_on_request(handle)
  local headers = handle:headers()
  local metadata = handle:streamInfo():dynamicMetadata()
  local key, id = headers:get("x-test-key"), headers:get("x-test-id")
  if key then metadata:set("ns.auth", "k", key) end
  if id then
    local token = headers:get("x-test-token")
    local keys = {accessKeyId = id, secretAccessKey = headers:get("x-test-secret")}
    if token then keys.sessionToken = token end
    metadata:set("ns.auth", "x-aigw-aws-credentials", keys)
  end
  for _, name in pairs({"x-test-key", "x-test-id", "x-test-secret", "x-test-token"}) do
    headers:remove(name)
  end
end
"""
WRITER = {
    "name": "writer",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": LUA},
    },
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "APIKey": ("OpenAI", {"apiKey": {"secretRef": {"name": "none"}}}),
    "AnthropicAPIKey": ("Anthropic", {"anthropicAPIKey": {"secretRef": {"name": "none"}}}),
    "AzureAPIKey": ("AzureOpenAI", {"azureAPIKey": {"secretRef": {"name": "none"}}}),
    "AzureCredentials": (
        "AzureOpenAI",
        {
            "azureCredentials": {
                "clientID": "c",
                "tenantID": "t",
                "clientSecretRef": {"name": "none"},
            }
        },
    ),
    "GCPCredentials": ("GCPVertexAI", {"gcpCredentials": {"projectName": "p", "region": "r"}}),
    "AWSCredentials": ("AWSBedrock", {"awsCredentials": {"region": "us-east-1"}}),
}
HEADERS = {
    "APIKey": "x-aigw-api-key",
    "AnthropicAPIKey": "x-aigw-anthropic-api-key",
    "AzureAPIKey": "x-aigw-azure-api-key",
    "AzureCredentials": "x-aigw-azure-access-token",
    "GCPCredentials": "x-aigw-gcp-access-token",
}
SENT = {
    "APIKey": ("authorization", f"Bearer {CANARY}-1"),
    "AnthropicAPIKey": ("x-api-key", f"{CANARY}-1"),
    "AzureAPIKey": ("api-key", f"{CANARY}-1"),
    "AzureCredentials": ("authorization", f"Bearer {CANARY}-1"),
    "GCPCredentials": ("authorization", f"Bearer {CANARY}-1"),
}


def from_headers(*, falls_back: bool = False, **more: str) -> Resource:
    return {"fromRequestHeaders": {"fallbackToConfigured": falls_back, **more}}


def from_metadata(**more: str) -> Resource:
    namespace = {"namespace": "ns.auth", "fallbackToConfigured": False}
    return {"fromDynamicMetadata": {**namespace, **more}}


def policy(kind: str, override: Resource) -> tuple[Resource, dict[str, str]]:
    return {"type": kind, **KINDS[kind][1], "credentialOverride": override}, {}


def schema(kind: str) -> Resource:
    return {"name": KINDS[kind][0]}


def configuration(port: int, first: int, second: int) -> str:
    """A rule per kind and source, and rules that fail over from the first to the second."""
    backends = [
        BackendSpec(f"{place}-{kind.lower()}", first, schema(kind), policy(kind, override))
        for kind in KINDS
        for place, override in (
            ("header", from_headers()),
            ("metadata", from_metadata(**({"key": "k"} if kind != "AWSCredentials" else {}))),
        )
    ]
    rules = [rule(backend.name, backend.name) for backend in backends]
    static = api_key("lenient", STATIC)
    lenient = {**static[0], "credentialOverride": from_headers(falls_back=True, header="x-own")}
    others = [
        BackendSpec("lenient", first, auth=(lenient, static[1])),
        BackendSpec("own", first, auth=policy("APIKey", from_headers(header="x-own"))),
        BackendSpec("keyed", second, auth=api_key("keyed", STATIC)),
        BackendSpec("open", second),
    ]
    more = [rule(backend.name, backend.name) for backend in others]
    more += [
        rule(f"{one}-{other}", {"name": one}, {"name": other, "priority": 1})
        for one in ("own", "metadata-apikey")
        for other in ("keyed", "open")
    ]
    route = resource(
        "aigateway.envoyproxy.io/v1beta1",
        "AIGatewayRoute",
        "more",
        parentRefs=[{"name": "gw"}],
        rules=more,
    )
    return gateway_yaml(port, [*backends, *others], rules, route)


class Bed:
    """The gateway between a client and two providers; the first one fails where it is told to."""

    def __init__(self, gateway: RunningGateway, first: ProviderBed, second: ProviderBed) -> None:
        self.gateway, self.first, self.second = gateway, first, second

    def ask(self, model: str, *headers: tuple[str, str]) -> Response:
        """One chat completion, after everything else was forgotten."""
        self.first.reset()
        self.second.reset()
        self.first.on(Reply(503, (JSON_TYPE,), b"{}"), match=Match(header=(FAIL, "yes")))
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        fields = (JSON_TYPE, ("authorization", "Bearer of-the-client"), *headers)
        message = request("POST", "/v1/chat/completions", *fields, body=json.dumps(body).encode())
        with RawConnection(self.gateway.port) as client:
            client.send(message)
            return client.response()

    def write_metadata(self) -> None:
        """Puts the writer in front of our request filter, in the files that Envoy watches."""
        path = self.gateway.runtime / "envoy" / "lds" / "listeners.json"
        document = json.loads(path.read_text())
        document["version_info"] = "with-writer"
        manager = document["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"].insert(0, WRITER)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(document))
        draft.rename(path)
        self.gateway.wait_until(lambda: '"with-writer"' in self.admin("/config_dump"), "update")

    def admin(self, target: str) -> str:
        """What Envoy's admin interface says."""
        with RawConnection(str(self.gateway.runtime / "admin.sock")) as client:
            client.send(request("GET", target, ("connection", "close")))
            return client.response().body.decode()


@pytest.fixture(scope="module")
def bed(host: tuple[str, ...], free_port: FreePorts, loop_thread: LoopThread) -> Iterator[Bed]:
    first, second = (ProviderBed(loop_thread, FakeProvider()) for _ in range(2))
    text = configuration(free_port(), first.port, second.port)
    try:
        with run_gateway(*host, "--debug", config=text) as gateway:
            found = Bed(gateway, first, second)
            found.write_metadata()
            yield found
            assert CANARY not in gateway.errors
            assert CANARY not in gateway.output
            assert CANARY not in found.admin("/config_dump?include_eds")
    finally:
        first.stop()
        second.stop()


def shown(received: Received, but: Callable[[str], bool] = lambda _: False) -> str:
    """Everything of a request but the named headers."""
    headers = [(name, value) for name, value in received.headers if not but(name.decode().lower())]
    return f"{received.path} {headers} {received.body!r}"


@pytest.mark.parametrize("kind", list(SENT))
def test_a_header_becomes_the_credential_and_goes_no_further(bed: Bed, kind: str) -> None:
    value = f" {CANARY}-1 "
    bed.ask(f"header-{kind.lower()}", (HEADERS[kind], value))
    received = bed.first.only()
    name, want = SENT[kind]
    assert received.header(name) == want
    assert CANARY not in shown(received, lambda known: known == name)
    assert "of-the-client" not in shown(received)
    if kind == "GCPCredentials":
        assert received.path.startswith("/v1/projects/p/locations/r/publishers/")


@pytest.mark.parametrize("kind", list(SENT))
def test_dynamic_metadata_becomes_the_credential(bed: Bed, kind: str) -> None:
    forged = (HEADERS[kind], "forged")
    bed.ask(f"metadata-{kind.lower()}", forged, ("x-test-key", f"{CANARY}-1"))
    received = bed.first.only()
    assert received.header(SENT[kind][0]) == SENT[kind][1]
    assert "forged" not in shown(received)


@pytest.mark.parametrize("place", ["header", "metadata"])
@pytest.mark.parametrize("token", [f"{CANARY}-token", ""])
def test_aws_keys_sign_the_request(bed: Bed, place: str, token: str) -> None:
    start, names = "x-aigw-aws-", ("access-key-id", "secret-access-key", "session-token")
    if place == "metadata":
        start, names = "x-test-", ("id", "secret", "token")
    values = (f"{CANARY}-id", f"{CANARY}-secret", token)
    pairs = zip(names, values, strict=True)
    headers = [(f"{start}{name}", value) for name, value in pairs if value]
    reply = bed.ask(f"{place}-awscredentials", *headers)
    assert reply.status == 200, reply.body
    received = bed.first.only()
    signed = received.header("authorization") or ""
    assert signed.startswith(f"AWS4-HMAC-SHA256 Credential={CANARY}-id/")
    assert received.header("x-amz-security-token") == (token or None)
    sent = ("authorization", "x-amz-security-token")
    assert CANARY not in shown(received, lambda name: name in sent)


@pytest.mark.parametrize(
    ("model", "headers"),
    [
        ("own", ()),
        ("own", (("x-own", "  "),)),
        ("metadata-apikey", ()),
        ("metadata-apikey", (("x-test-key", " "),)),
        ("metadata-apikey", (("x-test-id", "i"), ("x-test-secret", "s"))),
        ("header-awscredentials", ()),
        ("header-awscredentials", (("x-aigw-aws-access-key-id", f"{CANARY}-id"),)),
        ("header-awscredentials", (("x-aigw-aws-session-token", f"{CANARY}-token"),)),
        ("metadata-awscredentials", ()),
        ("metadata-awscredentials", (("x-test-id", f"{CANARY}-id"),)),
        ("metadata-awscredentials", (("x-test-key", "k"),)),
    ],
)
def test_a_request_without_its_credential_is_refused(
    bed: Bed, model: str, headers: tuple[tuple[str, str], ...]
) -> None:
    reply = bed.ask(model, *headers)
    assert (reply.status, error_of(reply)) == (401, "missing upstream credential")
    assert (bed.first.received, bed.second.received) == ([], [])


def test_the_configured_credential_is_for_requests_that_bring_none(bed: Bed) -> None:
    for headers, want in (
        ((), f"Bearer {STATIC}"),
        ((("x-own", " "),), f"Bearer {STATIC}"),
        ((("X-Own", f"{CANARY}-own"),), f"Bearer {CANARY}-own"),
        ((("x-own", "of-the-client"), ("x-own", f"{CANARY}-own")), f"Bearer {CANARY}-own"),
    ):
        assert bed.ask("lenient", *headers).status == 200
        received = bed.first.only()
        assert received.header_values("authorization") == [want]
        assert received.header("x-own") is None


@pytest.mark.parametrize("other", ["keyed", "open"])
@pytest.mark.parametrize(("one", "header"), [("own", "x-own"), ("metadata-apikey", "x-test-key")])
def test_the_next_backend_sees_nothing_of_it(bed: Bed, one: str, header: str, other: str) -> None:
    reply = bed.ask(f"{one}-{other}", (header, f"{CANARY}-own"), (FAIL, "yes"))
    assert reply.status == 200
    assert bed.first.only().header("authorization") == f"Bearer {CANARY}-own"
    received = bed.second.only()
    assert CANARY not in shown(received)
    want = {"keyed": f"Bearer {STATIC}", "open": "Bearer of-the-client"}
    assert received.header_values("authorization") == [want[other]]


@pytest.mark.parametrize("model", ["keyed", "open"])
def test_a_backend_without_an_override_takes_nothing_from_the_client(bed: Bed, model: str) -> None:
    forged = [(name, f"{CANARY}-forged") for name in (*HEADERS.values(), "x-aigw-any", "x-own")]
    assert bed.ask(model, *forged, ("x-test-key", f"{CANARY}-forged")).status == 200
    assert CANARY not in shown(bed.second.only())
