"""Costs in an access log of one's own, and prices in records, through the real Envoy."""

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
from beds.resources import GROUP, BackendSpec, gateway_yaml, resource, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts

JSON = ("content-type", "application/json")
SSE = ("content-type", "text/event-stream")
RECORD = re.compile(r"event=end id=[0-9a-f]{32} record=(\{.*\})")
KEYS = ("credits", "spent", "shared", "hidden")
PRICE = {
    "model": "m",
    "inputPerMillion": "2",
    "outputPerMillion": "10",
    "cachedInputPerMillion": "1",
}
PROMPT = [{"role": "user", "content": "hello"}]
COSTS = [
    {"metadataKey": "credits", "type": "CEL", "cel": "input_tokens * 0.5 + output_tokens * 3"},
    {"metadataKey": "hidden", "type": "CEL", "cel": "input_tokens == 0u ? 0u : 5u - input_tokens"},
]
SHARED = [
    {"metadataKey": "credits", "type": "TotalToken"},
    {"metadataKey": "spent", "type": "OutputToken"},
    {
        "metadataKey": "shared",
        "type": "CEL",
        "cel": "model == 'm' && route_name == 'default/route' ? 7 : 8",
    },
]


@dataclass(slots=True)
class Bed:
    """A gateway and the provider behind both of its backends."""

    gateway: RunningGateway
    provider: ProviderBed
    sent: int = 0

    def send(self, client: RawConnection, path: str, **body: object) -> None:
        """A request."""
        self.sent += 1
        client.send(request("POST", path, JSON, body=json.dumps(body).encode()))

    def ask(self, path: str, **body: object) -> Response:
        """A whole exchange."""
        with RawConnection(self.gateway.port, 20) as client:
            self.send(client, path, **body)
            return client.response()

    def costs(self) -> list[object]:
        """Those of the access-log line of the newest request."""
        line = self.gateway.access_log(self.sent)[-1]
        return [line[key] for key in KEYS]

    def record(self) -> dict[str, Any]:
        """The usage record of the newest request."""

        def found() -> list[str]:
            return RECORD.findall(self.gateway.errors)

        self.gateway.wait_until(lambda: len(found()) >= self.sent, "record of the request")
        result: dict[str, Any] = json.loads(found()[-1])
        return result


def _config(port: int, provider: int) -> str:
    backends = [
        BackendSpec("a", provider),
        BackendSpec("b", provider, {"name": "Anthropic"}),
    ]
    rules = [rule("m", "a"), rule("claude", "b")]
    names = {key: f"%DYNAMIC_METADATA(io.envoy.ai_gateway:{key})%" for key in KEYS}
    sink = {"type": "File", "file": {"path": "/dev/stdout"}}
    log = {"sinks": [sink], "format": {"type": "JSON", "json": names}}
    more = [
        resource(
            f"{GROUP}/v1beta1",
            "GatewayConfig",
            "money",
            globalLLMRequestCosts=SHARED,
            prices=[PRICE],
        ),
        resource(
            "gateway.envoyproxy.io/v1alpha1",
            "EnvoyProxy",
            "log",
            provider={"type": "Host"},
            telemetry={"accessLog": {"settings": [log]}},
        ),
    ]
    text = gateway_yaml(port, backends, rules, *more)
    text = text.replace(
        "  name: gw\n", f"  name: gw\n  annotations: {{{GROUP}/gateway-config: money}}\n", 1
    )
    reference = "{group: gateway.envoyproxy.io, kind: EnvoyProxy, name: log}"
    text = text.replace(
        "  gatewayClassName: aigw\n",
        f"  gatewayClassName: aigw\n  infrastructure:\n    parametersRef: {reference}\n",
        1,
    )
    return text.replace("  rules:\n", f"  llmRequestCosts: {json.dumps(COSTS)}\n  rules:\n", 1)


@pytest.fixture(scope="module")
def bed(host: tuple[str, ...], loop_thread: LoopThread, free_port: FreePorts) -> Iterator[Bed]:
    provider = ProviderBed(loop_thread, FakeProvider())
    try:
        with run_gateway("--debug", *host, config=_config(free_port(), provider.port)) as gateway:
            yield Bed(gateway, provider)
    finally:
        provider.stop()


def _usage(input_tokens: int, output_tokens: int, cached: int = 0) -> dict[str, object]:
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _event(value: object) -> bytes:
    return b"data: %b\n\n" % json.dumps(value).encode()


def _claude(kind: str, **members: object) -> bytes:
    data = json.dumps({"type": kind, **members})
    return f"event: {kind}\ndata: {data}\n\n".encode()


CLAUDE = (
    _claude(
        "message_start",
        message={"model": "claude", "usage": {"input_tokens": 40, "output_tokens": 1}},
    ),
    _claude("content_block_delta", index=0, delta={"type": "text_delta", "text": "hello"}),
)
DELTA = _claude("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})


def test_costs_and_prices_of_whole_replies(bed: Bed) -> None:
    message = {"role": "assistant", "content": "hello"}
    body = {"model": "m", "choices": [{"message": message}], "usage": _usage(100, 20, 40)}
    bed.provider.on(Reply(200, (JSON,), json.dumps(body).encode()))
    assert bed.ask("/v1/chat/completions", model="m", messages=PROMPT).status == 200
    assert bed.costs() == [110, 20, 7, None]
    record = bed.record()
    assert record["costs"] == {"credits": 110, "spent": 20, "shared": 7}
    # 60 * 2 + 40 * 1 + 20 * 10 = 360 millionths of a dollar
    price = {"pico_usd": 360_000_000, "entry": "m", "source": "GatewayConfig default/money"}
    assert record["price"] == price
    assert record["attempts"][0]["price"] == price


def test_usage_that_comes_again_in_a_stream_replaces_what_was_said(bed: Bed) -> None:
    chunks = [{"choices": [{"delta": {"content": "x"}}], "usage": _usage(10, n)} for n in (1, 2)]
    last = {"choices": [], "usage": _usage(10, 6)}
    events = (*map(_event, (*chunks, last)), b"data: [DONE]\n\n")
    bed.provider.on(Reply(200, (SSE,), events))
    body = {"model": "m", "stream": True, "messages": PROMPT}
    assert bed.ask("/v1/chat/completions", **body).status == 200
    assert bed.costs()[:3] == [23, 6, 7]
    assert bed.record()["costs"] == {"credits": 23, "spent": 6, "shared": 7}


def test_a_start_and_a_delta_of_usage_are_not_added(bed: Bed) -> None:
    events = (*CLAUDE, DELTA, _claude("message_stop"))
    bed.provider.on(Reply(200, (SSE,), events))
    body = {"model": "claude", "stream": True, "max_tokens": 9, "messages": PROMPT}
    assert bed.ask("/anthropic/v1/messages", **body).status == 200
    assert bed.costs()[:3] == [47, 9, 8]
    record = bed.record()
    assert record["costs"] == {"credits": 47, "spent": 9, "shared": 8}
    assert record["price"] is None


def test_a_stream_that_is_cut_off_is_charged_for_what_is_known(bed: Bed) -> None:
    gate = Gate()
    bed.provider.on(Reply(200, (SSE,), (*CLAUDE, Chunk(DELTA, gate))))
    with RawConnection(bed.gateway.port, 20) as client:
        body = {"model": "claude", "stream": True, "max_tokens": 9, "messages": PROMPT}
        bed.send(client, "/anthropic/v1/messages", **body)
        pieces, seen = client.pieces(client.head()), b""
        while b"hello" not in seen:
            seen += next(pieces).data
        client.reset()
    assert bed.costs()[:3] == [23, 1, 8]
    gate.open()
    record = bed.record()
    assert record["costs"] == {"credits": 23, "spent": 1, "shared": 8}
