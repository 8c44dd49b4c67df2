"""The same exchange in every host: what the provider receives and what the client gets.

"The same" means method, path, the multiset of headers without `x-request-id` and `date`, and the
de-chunked body.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from aigw.providers import Encoding, FakeProvider, Gate, Reply, ReplyFraming
from beds.gateway import RunningGateway, run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import RawConnection, request
from beds.resources import BackendSpec, Resource, anthropic_key, api_key, gateway_yaml, rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from beds.ports import FreePorts

MODULE = ("--data-plane", "module")
OTHERS = {
    "native": ("--data-plane", "extproc"),
    "grpcio": ("--data-plane", "extproc", "--ext-proc-transport", "grpcio"),
}
# `connection`: whether Envoy closes after an early reply depends on how much of the body it has
# read by then.
IGNORED = {b"x-request-id", b"date", b"connection"}
JSON_TYPE = ("content-type", "application/json")
SSE = (("content-type", "text/event-stream"), ("x-provider", "1"), ("set-cookie", "a=1"))
HELLO = [{"role": "user", "content": "hello"}]
WEATHER = [{"role": "user", "content": "what is the weather in Oslo?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI_TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]
ANTHROPIC_TOOLS = [{"name": "weather", "input_schema": PARAMETERS}]
CREATED = {"modelsCreatedAt": "2025-02-03T04:05:06Z"}
CHAT = "/v1/chat/completions"
MESSAGES = "/anthropic/v1/messages"


def configuration(port: int, provider: int) -> str:
    """Models are named as their rules; `moves-on` has two priorities."""
    mutated = {
        "headerMutation": {
            "set": [{"name": "x-set", "value": "1"}, {"name": "X-Twice", "value": "once"}],
            "remove": ["x-removed", "user-agent"],
        },
        "bodyMutation": {"set": [{"path": "metadata.a", "value": "1"}], "remove": ["seed"]},
    }
    openai, anthropic = {"name": "OpenAI"}, {"name": "Anthropic"}
    prefixed = {"name": "OpenAI", "prefix": "/some/prefix"}
    backends = [
        BackendSpec("plain", provider, openai),
        BackendSpec("keyed", provider, openai, api_key("keyed", "k")),
        BackendSpec("mutated", provider, prefixed, api_key("mutated", "k"), mutated),
        BackendSpec("claude", provider, anthropic, anthropic_key("claude", "k")),
    ]
    first: Resource = {"name": "mutated", "priority": 0, "modelNameOverride": "other"}
    rules = [
        rule("plain", "plain", **CREATED),
        rule("keyed", "keyed", **CREATED),
        rule("mutated", {"name": "mutated", "modelNameOverride": "other"}, **CREATED),
        rule("claude", "claude", **CREATED),
        rule("moves-on", first, {"name": "plain", "priority": 1}, **CREATED),
    ]
    costs = [{"metadataKey": "total", "type": "TotalToken"}]
    text = gateway_yaml(port, backends, rules)
    return text.replace("  rules:\n", f"  llmRequestCosts: {json.dumps(costs)}\n  rules:\n", 1)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A client's request and the replies that are scripted for it; none: the provider's own."""

    body: Mapping[str, Any] | bytes
    path: str = CHAT
    headers: tuple[tuple[str, str], ...] = (JSON_TYPE,)
    replies: tuple[Reply, ...] = ()
    method: str = "POST"
    chunked: bool = field(default=False, kw_only=True)
    late: int | None = field(default=None, kw_only=True)
    """Index of the chunk that the provider sends once the client has got something."""

    def send(self, client: RawConnection) -> None:
        """Sends the request."""
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        if self.chunked:
            fields = (*self.headers, ("transfer-encoding", "chunked"))
            client.send(request(self.method, self.path, *fields))
            client.send_chunked(body[:10], body[10:])
        else:
            client.send(request(self.method, self.path, *self.headers, body=body))


def chat(model: str, messages: Iterable[object] = HELLO, **more: object) -> dict[str, Any]:
    return {"model": model, "messages": messages, "seed": 1, **more}


def message(model: str, messages: Iterable[object] = HELLO, **more: object) -> dict[str, Any]:
    return {"model": model, "max_tokens": 64, "messages": messages, **more}


CLIENT_HEADERS = (
    JSON_TYPE,
    ("authorization", "Bearer client"),
    ("x-api-key", "client"),
    ("user-agent", "test/1"),
    ("accept-encoding", "gzip, deflate"),
    ("accept", "application/json"),
    ("x-twice", "one"),
    ("x-twice", "two"),
    ("x-removed", "1"),
    ("x-stainless-lang", "python"),
    ("x-ai-eg-model", "forged"),
    ("x-request-id", "mine"),
    ("x-forwarded-for", "10.0.0.1"),
    ("openai-organization", "org"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
)
ANSWER = Reply(
    200,
    (JSON_TYPE, ("openai-processing-ms", "5"), ("x-twice", "1"), ("x-twice", "2")),
    b'{"id":"a","model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}',
)
BUSY = Reply(503, (JSON_TYPE, ("retry-after", "1")), b'{"error":{"message":"busy"}}')
HTML = Reply(502, (("content-type", "text/html"),), b"<html>bad gateway</html>")
FAULT = b'data: {"error":{"message":"slow down","type":"rate_limit_error"}}\n\n'
LATE_FAULT = (b'data: {"id":"1"}\n\n', FAULT)

EXCHANGES = {
    "unary": Exchange(chat("plain")),
    "unary, all headers": Exchange(chat("plain"), headers=CLIENT_HEADERS, replies=(ANSWER,)),
    "unary, keyed": Exchange(chat("keyed"), headers=CLIENT_HEADERS),
    "unary, mutated": Exchange(chat("mutated"), headers=CLIENT_HEADERS),
    "unary, chunked": Exchange(chat("plain"), chunked=True),
    "unary, chunked, mutated": Exchange(chat("mutated"), chunked=True),
    "unary, gzip": Exchange(
        chat("plain"),
        headers=CLIENT_HEADERS,
        replies=(Reply(200, ANSWER.headers, ANSWER.body, encoding=Encoding.GZIP),),
    ),
    "unary, chunked reply": Exchange(
        chat("plain"), replies=(Reply(200, ANSWER.headers, (b"{", b"}")),)
    ),
    "unary, until close": Exchange(
        chat("plain"),
        replies=(Reply(200, ANSWER.headers, b"{}", framing=ReplyFraming.UNTIL_CLOSE),),
    ),
    "unary, trailers": Exchange(
        chat("plain"), replies=(Reply(200, ANSWER.headers, (b"{}",), (("x-t", "1"),)),)
    ),
    "a stream that is answered with JSON": Exchange(chat("plain", stream=True), replies=(ANSWER,)),
    "204": Exchange(chat("plain"), replies=(Reply(204),)),
    "empty 200": Exchange(chat("plain"), replies=(Reply(200, (JSON_TYPE,)),)),
    "empty stream": Exchange(
        chat("plain", stream=True), replies=(Reply(200, SSE, framing=ReplyFraming.CHUNKED),)
    ),
    "stream": Exchange(chat("plain", stream=True), headers=CLIENT_HEADERS),
    "stream, usage": Exchange(
        chat("plain", stream=True, stream_options={"include_usage": True}), headers=CLIENT_HEADERS
    ),
    "stream, mutated": Exchange(chat("mutated", stream=True), headers=CLIENT_HEADERS),
    "stream, trailers": Exchange(
        chat("plain", stream=True), replies=(Reply(200, SSE, (b"data: 1\n\n",), (("x-t", "1"),)),)
    ),
    "stream, error first": Exchange(
        chat("plain", stream=True), replies=(Reply(200, SSE, (FAULT,)),)
    ),
    "stream, error later": Exchange(
        chat("plain", stream=True), replies=(Reply(200, SSE, LATE_FAULT),), late=1
    ),
    "tools": Exchange(chat("plain", WEATHER, tools=OPENAI_TOOLS)),
    "tools, stream": Exchange(chat("plain", WEATHER, tools=OPENAI_TOOLS, stream=True)),
    "embeddings": Exchange({"model": "mutated", "input": ["a", "b"]}, "/v1/embeddings"),
    "completions": Exchange({"model": "plain", "prompt": "hello"}, "/v1/completions"),
    "responses": Exchange({"model": "plain", "input": "hello", "stream": True}, "/v1/responses"),
    "messages": Exchange(message("claude"), MESSAGES, CLIENT_HEADERS),
    "messages, stream": Exchange(message("claude", stream=True), MESSAGES),
    "messages, tools": Exchange(message("claude", WEATHER, tools=ANTHROPIC_TOOLS), MESSAGES),
    "messages, error": Exchange(message("claude"), MESSAGES, replies=(HTML,)),
    "messages to OpenAI": Exchange(message("plain"), MESSAGES),
    "chat to Anthropic": Exchange(chat("claude")),
    "chat to Anthropic, stream": Exchange(chat("claude", stream=True)),
    "chat to Anthropic, tools": Exchange(chat("claude", WEATHER, tools=OPENAI_TOOLS)),
    "chat to Anthropic, error": Exchange(chat("claude"), replies=(BUSY,)),
    "models": Exchange(b"", "/v1/models", method="GET"),
    "failover": Exchange(chat("moves-on"), headers=CLIENT_HEADERS, replies=(BUSY, ANSWER)),
    "failover, stream": Exchange(
        chat("moves-on", stream=True),
        headers=CLIENT_HEADERS,
        replies=(Reply(200, SSE, (FAULT,)), Reply(200, SSE, (b"data: 1\n\n",))),
    ),
    "all fail": Exchange(chat("moves-on"), replies=(BUSY, HTML)),
    "provider's JSON error": Exchange(chat("plain"), replies=(BUSY,)),
    "provider's text error": Exchange(chat("plain"), replies=(HTML,)),
    "provider's empty error": Exchange(chat("plain"), replies=(Reply(500),)),
    "malformed body": Exchange(b"{"),
    "empty body": Exchange(b"", headers=(JSON_TYPE, ("content-length", "0"))),
    "no model": Exchange({"messages": HELLO}),
    "unknown model": Exchange(chat("unknown")),
    "unknown path": Exchange(chat("plain"), "/v1/nothing?a=b"),
    "wrong method": Exchange(b"", method="GET"),
    "query": Exchange(chat("plain"), f"{CHAT}?a=b"),
}


@pytest.fixture(scope="module")
def bed(loop_thread: LoopThread) -> Iterator[ProviderBed]:
    started = ProviderBed(loop_thread, FakeProvider())
    yield started
    started.stop()


@pytest.fixture(scope="module")
def reference(free_port: FreePorts, bed: ProviderBed) -> Iterator[RunningGateway]:
    with run_gateway(*MODULE, config=configuration(free_port(), bed.port)) as running:
        yield running


@pytest.fixture(scope="module", params=OTHERS.values(), ids=list(OTHERS))
def other(
    request: pytest.FixtureRequest, free_port: FreePorts, bed: ProviderBed
) -> Iterator[RunningGateway]:
    with run_gateway(*request.param, config=configuration(free_port(), bed.port)) as running:
        yield running


Fields = tuple[tuple[bytes, bytes], ...]


def multiset(fields: Fields) -> Counter[tuple[bytes, bytes]]:
    pairs = ((name.lower(), value) for name, value in fields)
    return Counter(pair for pair in pairs if pair[0] not in IGNORED)


def seen(gateway: RunningGateway, bed: ProviderBed, exchange: Exchange) -> dict[str, Any]:
    """The exchange from both ends, reduced to what must be the same."""
    bed.reset()
    gate = Gate()
    if exchange.late is not None:
        bed.on(exchange.replies[0].gated(exchange.late, gate))
    elif exchange.replies:
        bed.on(*exchange.replies)
    with RawConnection(gateway.port) as client:
        exchange.send(client)
        head = client.head()
        body = b""
        for piece in client.pieces(head):
            body += piece.data
            gate.open()
    return {
        "provider": [
            (found.method, found.target, multiset(found.headers), found.body)
            for found in bed.received
        ],
        "status": head.status,
        "headers": multiset(head.headers),
        "body": body,
    }


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_an_exchange_is_the_same_in_every_host(
    reference: RunningGateway, other: RunningGateway, bed: ProviderBed, exchange: Exchange
) -> None:
    expected = seen(reference, bed, exchange)
    assert seen(other, bed, exchange) == expected
