"""Token counts where a provider gives none, through the real Envoy, in both hosts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from aigw.providers import Chunk, FakeProvider, Gate, Reply
from beds.gateway import RunningGateway, run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import RawConnection, Response, request
from beds.resources import BackendSpec, gateway_yaml, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts

JSON = ("content-type", "application/json")
SSE = ("content-type", "text/event-stream")
RECORD = re.compile(r"event=end id=[0-9a-f]{32} record=(\{.*\})")
# "hello world" are two tokens; three more for the message, one for its role, three for the reply.
PROMPT = [{"role": "user", "content": "hello world"}]
INPUT, OUTPUT = 9, 2
SCHEMAS = {
    "gpt-4o": {"name": "AzureOpenAI", "version": "2024-10-21"},
    "command": {"name": "Cohere"},
    "chat": {"name": "OpenAI"},
}


def _event(**delta: str) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [{"delta": delta}]}).encode()


EVENTS = (_event(role="assistant", content="hello"), _event(content=" world"))


@dataclass(frozen=True, slots=True)
class Bed:
    """A gateway and the provider behind all of its backends."""

    gateway: RunningGateway
    provider: ProviderBed
    is_module: bool

    def send(self, client: RawConnection, path: str, **body: object) -> None:
        """A request on a path that only its access-log line has."""
        client.send(request("POST", path, JSON, body=json.dumps(body).encode()))

    def ask(self, path: str, **body: object) -> Response:
        """A whole exchange."""
        with RawConnection(self.gateway.port, 20) as client:
            self.send(client, path, **body)
            return client.response()

    def log(self, count: int) -> dict[str, Any]:
        """The newest access-log line, once there are so many."""
        return self.gateway.access_log(count)[-1]

    def records(self) -> list[dict[str, Any]]:
        """The usage records of all requests that are over."""
        return [json.loads(text) for text in RECORD.findall(self.gateway.errors)]


@pytest.fixture
def bed(host: tuple[str, ...], loop_thread: LoopThread, free_port: FreePorts) -> Iterator[Bed]:
    provider = ProviderBed(loop_thread, FakeProvider())
    backends = [BackendSpec(f"b-{name}", provider.port, spec) for name, spec in SCHEMAS.items()]
    rules = [rule(name, f"b-{name}") for name in SCHEMAS]
    config = gateway_yaml(free_port(), backends, rules)
    try:
        with run_gateway("--debug", *host, config=config) as gateway:
            yield Bed(gateway, provider, "module" in host)
    finally:
        provider.stop()


def counters(found: dict[str, Any]) -> tuple[object, object, object]:
    """Counters of a record or an access-log line."""
    return found["input_tokens"], found["output_tokens"], found["total_tokens"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_without_usage_is_charged_by_estimate(bed: Bed, stream: bool) -> None:
    message = {"role": "assistant", "content": "hello world"}
    unary = Reply(200, (JSON,), json.dumps({"choices": [{"message": message}]}).encode())
    streamed = Reply(200, (SSE,), (*EVENTS, b"data: [DONE]\n\n"))
    reported = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    bed.provider.on(
        streamed if stream else unary,
        Reply(200, (JSON,), json.dumps({"choices": [], "usage": reported}).encode()),
    )
    path = "/v1/chat/completions"
    assert bed.ask(path, model="chat", stream=stream, messages=PROMPT).status == 200
    line = bed.log(1)
    assert counters(line) == (INPUT, OUTPUT, INPUT + OUTPUT)
    assert line["usage_estimated"] == "true"
    assert bed.ask(path, model="chat", messages=PROMPT).status == 200
    line = bed.log(2)
    assert (counters(line), line["usage_estimated"]) == ((3, 4, 7), None)


def test_an_aborted_stream_is_charged_for_what_was_seen(bed: Bed) -> None:
    gate = Gate()
    bed.provider.on(Reply(200, (SSE,), (*EVENTS, Chunk(b"data: [DONE]\n\n", gate))))
    with RawConnection(bed.gateway.port, 20) as client:
        bed.send(client, "/v1/chat/completions", model="chat", stream=True, messages=PROMPT)
        pieces, seen = client.pieces(client.head()), b""
        while b" world" not in seen:
            seen += next(pieces).data
        client.reset()
    line = bed.log(1)
    bed.gateway.wait_until(bed.records, "record of the request")
    gate.open()
    record = bed.records()[0]
    assert counters(record["usage"]) == (INPUT, OUTPUT, INPUT + OUTPUT)
    assert (record["estimated"], record["attempts"][0]["outcome"]) == (True, "aborted")
    if bed.is_module:
        assert counters(line) == (INPUT, OUTPUT, INPUT + OUTPUT)
        assert line["usage_estimated"] == "true"
    else:
        # Envoy ends the ext_proc stream before anything can be added.
        assert counters(line) == (None, None, None)


def test_a_short_text_is_cut_into_tokens_without_a_provider(bed: Bed) -> None:
    response = bed.ask("/tokenize", model="gpt-4o", prompt="hello world")
    assert response.status == 200
    assert response.head.header("content-type") == "application/json"
    assert response.head.header("x-aigw-estimated") is None
    found = json.loads(response.body)
    assert found == {"count": 2, "max_model_len": 0, "tokens": [24912, 2375]}
    response = bed.ask("/tokenize", model="command", messages=PROMPT)
    assert response.head.header("x-aigw-estimated") == "true"
    assert json.loads(response.body) == {"count": INPUT, "max_model_len": 0, "tokens": None}
    line = bed.log(2)
    assert line["backend"] == "default/b-command/route/route/rule/1/ref/0"
    assert (counters(line), line["usage_estimated"]) == ((None, None, None), None)
    assert bed.provider.received == []


def test_a_long_text_is_cut_off_the_worker(bed: Bed) -> None:
    words = 20_480
    response = bed.ask("/tokenize", model="gpt-4o", prompt="word " * words)
    found = json.loads(response.body)
    assert (response.status, found["count"], len(found["tokens"])) == (200, words + 1, words + 1)
    message = {"role": "user", "content": "word " * words}
    response = bed.ask("/tokenize", model="command", messages=[message])
    assert json.loads(response.body)["count"] == words + 1 + INPUT - OUTPUT
    assert response.head.header("x-aigw-estimated") == "true"
    assert bed.provider.received == []
