"""Plain HTTPRoutes beside the API, in each host: what passes the core, and what happens to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from aigw.providers import FakeProvider, Fault, FaultKind, Reply
from beds.gateway import RunningGateway, run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import RawConnection, request
from beds.resources import BackendSpec, Resource, gateway_yaml, resource, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aigw.providers import Received
    from beds.ports import FreePorts

GATEWAY_API = "gateway.networking.k8s.io/v1"
EXTENSION = "gateway.envoyproxy.io"
CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
PAGE = Reply(headers=(("content-type", "text/html"), ("server", "web")), body=b"<p>page</p>")


@dataclass(frozen=True, slots=True)
class Beds:
    """The gateway, the provider of its model, and two servers behind plain routes."""

    gateway: RunningGateway
    ai: ProviderBed
    web: ProviderBed
    other: ProviderBed

    def get(self, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        """What a client gets."""
        return httpx.get(self.gateway.url + path, follow_redirects=False, **options)

    def seen(self) -> Received:
        """The one request that came to a server."""
        (received,) = [*self.web.received, *self.other.received]
        return received

    def target(self, path: str) -> str:
        """The path that a server sees when a client asks for `path`."""
        self.web.reset()
        self.web.on(PAGE)
        assert self.get(path).status_code == 200
        return self.web.only().target.decode()


def fields(received: Received) -> list[tuple[str, str]]:
    """Headers as text, names in lower case."""
    return [(name.decode().lower(), value.decode()) for name, value in received.headers]


def to(name: str, **more: object) -> Resource:
    """A reference to a Backend."""
    return {"group": EXTENSION, "kind": "Backend", "name": name, **more}


def at(path: str, *filters: Resource, kind: str = "PathPrefix", **more: object) -> Resource:
    """A rule for a path, to the server `web`."""
    match = {"path": {"type": kind, "value": path}}
    return {"matches": [match], "filters": list(filters), "backendRefs": [to("web")], **more}


def extension(name: str) -> Resource:
    """A filter that an HTTPRouteFilter describes."""
    ref = {"group": EXTENSION, "kind": "HTTPRouteFilter", "name": name}
    return {"type": "ExtensionRef", "extensionRef": ref}


def prefix(value: str) -> Resource:
    """Replaces a prefix."""
    path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": value}
    return {"type": "URLRewrite", "urlRewrite": {"path": path}}


def headers(kind: str, member: str, **changes: object) -> Resource:
    """Changes headers."""
    return {"type": kind, member: changes}


def redirect(**more: object) -> Resource:
    """Sends clients away."""
    return {"type": "RequestRedirect", "requestRedirect": more}


RULES = [
    at("/"),
    at("/api", prefix("/internal")),
    at("/strip", prefix("/")),
    at("/exact", kind="Exact", backendRefs=[to("other")]),
    at("/files/[0-9]+", kind="RegularExpression", backendRefs=[to("other")]),
    at("/pattern", extension("pattern")),
    at("/direct", extension("direct"), backendRefs=[]),
    at("/away", redirect(scheme="https", hostname="a.example", statusCode=301), backendRefs=[]),
    at(
        "/moved",
        redirect(path={"type": "ReplaceFullPath", "replaceFullPath": "/here"}),
        backendRefs=[],
    ),
    at(
        "/headers",
        headers(
            "RequestHeaderModifier",
            "requestHeaderModifier",
            set=[{"name": "X-Set", "value": "50%"}],
            add=[{"name": "x-add", "value": "b"}],
            remove=["x-gone"],
        ),
        headers(
            "ResponseHeaderModifier",
            "responseHeaderModifier",
            set=[{"name": "x-answer", "value": "c"}],
            remove=["server"],
        ),
        {"type": "URLRewrite", "urlRewrite": {"hostname": "web.internal"}},
    ),
    at(
        "/copied",
        {"type": "RequestMirror", "requestMirror": {"backendRef": to("other")}},
    ),
    at("/missing", backendRefs=[to("nowhere")]),
    at("/slow", timeouts={"request": "200ms"}),
    at("/flaky", retry={"codes": [503], "attempts": 1}),
]
CONDITIONS = [
    {
        "matches": [
            {"path": {"value": "/which"}, "method": "POST"},
            {"path": {"value": "/which"}, "headers": [{"name": "x-team", "value": "a"}]},
            {"path": {"value": "/which"}, "queryParams": [{"name": "q", "value": "1"}]},
        ],
        "backendRefs": [to("other")],
    },
    {"matches": [{"path": {"value": "/half"}}], "backendRefs": [to("other", weight=0), to("web")]},
]


def plain_routes() -> list[Resource]:
    """HTTPRoutes and what they name."""
    spec = {"parentRefs": [{"name": "gw"}]}
    direct = {
        "statusCode": 418,
        "contentType": "text/plain",
        "body": {"type": "Inline", "inline": "50 % tea"},
        "header": {"set": [{"name": "x-direct", "value": "d"}]},
    }
    change = {"pattern": "^/pattern/([^/]+)/(.*)", "substitution": r"/\2/\1"}
    rewrite = {
        "hostname": {"type": "Backend"},
        "path": {"type": "ReplaceRegexMatch", "replaceRegexMatch": change},
    }
    version = f"{EXTENSION}/v1alpha1"
    return [
        resource(GATEWAY_API, "HTTPRoute", "pages", **spec, rules=RULES),
        resource(GATEWAY_API, "HTTPRoute", "conditions", **spec, rules=CONDITIONS),
        resource(
            GATEWAY_API,
            "HTTPRoute",
            "by-host",
            **spec,
            hostnames=["*.example.com"],
            rules=[{"backendRefs": [to("other")]}],
        ),
        resource(version, "HTTPRouteFilter", "direct", directResponse=direct),
        resource(version, "HTTPRouteFilter", "pattern", urlRewrite=rewrite),
    ]


def server(name: str, port: int) -> Resource:
    """A Backend."""
    endpoint = {"ip": {"address": "127.0.0.1", "port": port}}
    return resource(f"{EXTENSION}/v1alpha1", "Backend", name, endpoints=[endpoint])


@pytest.fixture(scope="module")
def running(host: tuple[str, ...], free_port: FreePorts, loop_thread: LoopThread) -> Iterator[Beds]:
    started = [ProviderBed(loop_thread, FakeProvider()) for _ in range(3)]
    ai, web, other = started
    config = gateway_yaml(
        free_port(),
        [BackendSpec("ai", ai.port)],
        [rule("m", "ai")],
        *plain_routes(),
        server("web", web.port),
        server("other", other.port),
    )
    with run_gateway(*host, config=config) as gateway:
        yield Beds(gateway, ai, web, other)
    for bed in started:
        bed.stop()


@pytest.fixture
def beds(running: Beds) -> Beds:
    for bed in (running.ai, running.web, running.other):
        bed.reset()
    running.web.on(PAGE)
    running.other.on(PAGE)
    return running


# --- beside the API ---


def test_a_path_of_the_api_goes_to_its_provider_and_any_other_to_the_plain_route(
    beds: Beds,
) -> None:
    answer = httpx.post(beds.gateway.url + CHAT, json=BODY)
    assert answer.status_code == 200
    assert beds.ai.only().path == CHAT
    page = beds.get("/index.html?a=b")
    assert (page.status_code, page.content) == (200, PAGE.body)
    assert beds.seen().target == b"/index.html?a=b"


def test_a_path_of_the_api_with_a_query_is_still_one(beds: Beds) -> None:
    answer = httpx.post(f"{beds.gateway.url}{CHAT}?api-version=1", json=BODY)
    assert answer.status_code == 200
    assert len(beds.ai.received) == 1


@pytest.mark.parametrize("name", ["localhost", "a.example.com"])
def test_the_api_answers_on_every_host_with_its_routes(beds: Beds, name: str) -> None:
    listing = beds.get("/v1/models", headers={"host": name})
    assert [model["id"] for model in listing.json()["data"]] == ["m"]
    unknown = httpx.post(
        beds.gateway.url + CHAT, json={**BODY, "model": "n"}, headers={"host": name}
    )
    assert unknown.status_code == 404
    assert "models on offer: m" in unknown.json()["error"]["message"]
    assert beds.get(CHAT, headers={"host": name}).status_code == 405
    assert not beds.web.received
    assert not beds.other.received


def test_the_most_specific_host_comes_first(beds: Beds) -> None:
    assert beds.get("/api", headers={"host": "a.example.com"}).status_code == 200
    assert beds.other.only().path == "/api"


def test_what_a_provider_gets_has_no_headers_of_proxies_and_what_a_server_gets_has(
    beds: Beds,
) -> None:
    sent = {"x-forwarded-for": "9.9.9.9", "x-ai-eg-model": "x", "authorization": "Bearer t"}
    httpx.post(beds.gateway.url + CHAT, json=BODY, headers=sent)
    provided = set(dict(fields(beds.ai.only())))
    assert not provided & {"x-forwarded-for", "x-forwarded-proto", "x-request-id"}
    beds.get("/page", headers=sent)
    seen = dict(fields(beds.seen()))
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["authorization"] == "Bearer t"
    assert "x-ai-eg-model" not in seen


def test_a_websocket_passes(beds: Beds) -> None:
    answer = Reply(status=101, headers=(("connection", "upgrade"), ("upgrade", "websocket")))
    beds.web.reset()
    beds.web.on(answer)
    upgrade = (("connection", "upgrade"), ("upgrade", "websocket"))
    with RawConnection(beds.gateway.port) as client:
        client.send(request("GET", "/socket", *upgrade))
        assert client.head().status == 101


# --- matches ---


@pytest.mark.parametrize(
    ("path", "options", "name"),
    [
        ("/exact", {}, "other"),
        ("/exact/more", {}, "web"),
        ("/files/12", {}, "other"),
        ("/files/12/a", {}, "web"),
        ("/which", {}, "web"),
        ("/which", {"headers": {"x-team": "a"}}, "other"),
        ("/which?q=1", {}, "other"),
        ("/which?q=2", {}, "web"),
        ("/half", {}, "web"),
    ],
)
def test_all_conditions_of_a_match_count(
    beds: Beds, path: str, options: dict[str, Any], name: str
) -> None:
    assert beds.get(path, **options).status_code == 200
    assert beds.seen().target == path.encode()
    assert bool(beds.other.received) == (name == "other")


def test_a_method_is_a_condition(beds: Beds) -> None:
    assert httpx.post(beds.gateway.url + "/which", content=b"x").status_code == 200
    assert beds.other.only().body == b"x"


# --- filters ---


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/api", "/internal"),
        ("/api/", "/internal/"),
        ("/api/a?b=c", "/internal/a?b=c"),
        ("/apis", "/apis"),
        ("/strip", "/"),
        ("/strip/a/b?c", "/a/b?c"),
        ("/pattern/a/b/c", "/b/c/a"),
    ],
)
def test_paths_are_rewritten(beds: Beds, path: str, seen: str) -> None:
    assert beds.target(path) == seen


def test_headers_are_changed_on_both_ways(beds: Beds) -> None:
    answer = beds.get("/headers", headers={"x-gone": "1", "x-add": "a", "x-set": "0"})
    seen = fields(beds.seen())
    assert dict(seen)["host"] == "web.internal"
    assert dict(seen)["x-set"] == "50%"
    assert [value for name, value in seen if name == "x-add"] in (["a", "b"], ["a,b"])
    assert "x-gone" not in dict(seen)
    assert answer.headers["x-answer"] == "c"
    assert "server" not in answer.headers


def test_the_host_of_the_client_is_kept_unless_the_backend_says_its_own(beds: Beds) -> None:
    beds.get("/page", headers={"host": "client.example"})
    beds.get("/pattern/a/b", headers={"host": "client.example"})
    hosts = [dict(fields(item))["host"] for item in beds.web.received]
    assert hosts == ["client.example", "127.0.0.1"]


def test_redirects_and_answers_need_no_server(beds: Beds) -> None:
    away = beds.get("/away/x?y=z")
    assert away.status_code == 301
    assert away.headers["location"] == "https://a.example/away/x?y=z"
    moved = beds.get("/moved/x")
    assert moved.status_code == 302
    assert moved.headers["location"] == f"{beds.gateway.url}/here"
    direct = beds.get("/direct")
    assert (direct.status_code, direct.text) == (418, "50 % tea")
    assert direct.headers["content-type"] == "text/plain"
    assert direct.headers["x-direct"] == "d"


def test_a_copy_goes_to_the_mirror(beds: Beds) -> None:
    assert beds.get("/copied", headers={"host": "client.example"}).status_code == 200
    beds.other.finished()
    assert beds.web.only().path == beds.other.only().path == "/copied"
    assert dict(fields(beds.other.only()))["host"] == "client.example"


# --- faults ---


def test_a_rule_without_a_backend_answers_500(beds: Beds) -> None:
    answer = beds.get("/missing")
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "InternalServerError"
    assert "Backend default/nowhere not found" in beds.gateway.errors


def test_a_status_code_is_retried(beds: Beds) -> None:
    beds.web.reset()
    beds.web.on(Reply(status=503), PAGE)
    assert beds.get("/flaky").status_code == 200
    assert len(beds.web.received) == 2


def test_a_request_has_its_time(beds: Beds) -> None:
    beds.web.reset()
    beds.web.on(PAGE.failing(Fault(FaultKind.HANG)))
    answer = beds.get("/slow")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "504")


def test_what_envoy_answers_itself_is_json(beds: Beds) -> None:
    beds.other.refuse()
    try:
        answer = beds.get("/exact")
    finally:
        beds.other.accept()
    assert answer.status_code == 503
    assert json.loads(answer.content)["type"] == "error"
