"""What `/metrics` and an OTLP collector tell of real requests, in each host."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from aigw.providers import FakeProvider, Fault, FaultKind, Match, Reply
from aigw.providers.script import Phase
from beds import collector as collectors
from beds.chats import JSON_TYPE, SSE, ask, chat, nothing_left
from beds.failover import SCRIPT, priorities
from beds.gateway import RunningGateway, run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import RawConnection, request
from beds.resources import BackendSpec, gateway_yaml, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts

USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 5,
    "total_tokens": 16,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
UNARY = Reply(200, (JSON_TYPE,), json.dumps({"model": "m-1", "usage": USAGE}).encode())


def event(content: str, usage: object = None) -> bytes:
    choices = [{"index": 0, "delta": {"content": content}}] if content else []
    found = {"id": "s", "model": "m-1", "choices": choices, "usage": usage}
    return b"data: " + json.dumps(found).encode() + b"\n\n"


EVENTS = (event("a"), event("b"), event("", USAGE), b"data: [DONE]\n\n")
STREAM = Reply(200, SSE, EVENTS)
BROKEN = STREAM.failing(Fault(FaultKind.HANG, Phase.MID_BODY, len(EVENTS[0])))
REFUSED = Reply(429, (JSON_TYPE,), b'{"error":{"message":"later","type":"t"}}')
BAD = Reply(400, (JSON_TYPE,), b'{"error":{"message":"no","type":"t"}}')

Numbers = dict[str, dict[frozenset[tuple[str, str]], float]]


@pytest.fixture(scope="module")
def providers(loop_thread: LoopThread) -> Iterator[tuple[ProviderBed, ProviderBed]]:
    beds = (ProviderBed(loop_thread, FakeProvider()), ProviderBed(loop_thread, FakeProvider()))
    first, second = beds
    for name, reply in {"unary": UNARY, "stream": STREAM, "broken": BROKEN, "bad": BAD}.items():
        first.on(reply, match=Match(header=(SCRIPT, name)))
    first.on(REFUSED, match=Match(header=(SCRIPT, "over")))
    second.on(UNARY, match=Match(header=(SCRIPT, "over")))
    yield beds
    for bed in beds:
        bed.stop()


@pytest.fixture(scope="module")
def collector(host: tuple[str, ...]) -> Iterator[collectors.Collector]:
    del host  # one for each
    with collectors.running("http/protobuf") as found:
        yield found


@pytest.fixture(scope="module")
def gateway(
    host: tuple[str, ...],
    free_port: FreePorts,
    providers: tuple[ProviderBed, ProviderBed],
    collector: collectors.Collector,
) -> Iterator[RunningGateway]:
    first, second = providers
    backends = [BackendSpec("first", first.port), BackendSpec("second", second.port)]
    rules = [
        rule("m", "first"),
        rule("gone", "first"),
        rule("over", *priorities("first", "second")),
    ]
    config = gateway_yaml(free_port(), backends, rules)
    arguments = (*host, "--admin-port", "0", "--concurrency", "2")
    with run_gateway(*arguments, config=config, extra=collector.environment) as running:
        yield running


def page(gateway: RunningGateway, path: str) -> httpx.Response:
    address = (gateway.runtime / "metrics-address.txt").read_text()
    assert f"metrics http://{address}/metrics) after" in gateway.errors
    return httpx.get(f"http://{address}{path}")


def numbers(gateway: RunningGateway) -> Numbers:
    """All samples but buckets; attributes without those of the meter."""
    found: Numbers = {}
    for family in text_string_to_metric_families(page(gateway, "/metrics").text):
        for sample in family.samples:
            if not sample.name.endswith("_bucket"):
                labels = {k: v for k, v in sample.labels.items() if not k.startswith("otel_")}
                assert frozenset(labels.items()) not in found.get(sample.name, {})
                found.setdefault(sample.name, {})[frozenset(labels.items())] = sample.value
    return found


def by(found: Numbers, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Sums by some attributes; an attribute that is not there is empty."""
    sums: dict[tuple[str, ...], float] = {}
    for pairs, value in found.get(name, {}).items():
        key = tuple(dict(pairs).get(label, "") for label in labels)
        sums[key] = sums.get(key, 0) + value
    return sums


def script(gateway: RunningGateway, name: str, model: str = "m", *, stream: bool = False) -> int:
    return ask(gateway, chat(model, (SCRIPT, name), stream=stream)).status


def one_of_each(gateway: RunningGateway) -> None:
    """Three unary, two streams, one of all other kinds."""
    assert [script(gateway, "unary") for _ in range(3)] == [200] * 3
    assert [script(gateway, "stream", stream=True) for _ in range(2)] == [200] * 2
    assert script(gateway, "over", "over") == 200
    assert script(gateway, "bad") == 400
    with RawConnection(gateway.port, 20) as client:
        client.send(chat("gone", (SCRIPT, "broken"), stream=True))
        head = client.head()
        assert next(iter(client.pieces(head))).data == EVENTS[0]
    assert ask(gateway, request("GET", "/v1/nothing")).status == 404
    assert ask(gateway, request("POST", "/v1/chat/completions", JSON_TYPE, body=b"{")).status == 400
    nothing_left(gateway)


def test_the_numbers_are_those_of_the_requests(
    gateway: RunningGateway, collector: collectors.Collector
) -> None:
    one_of_each(gateway)
    duration = "gen_ai_server_request_duration_seconds_count"
    gateway.wait_until(lambda: sum(by(numbers(gateway), duration).values()) == 9, "numbers", 10)
    found = numbers(gateway)
    assert by(found, duration, "gen_ai_original_model", "error_type") == {
        ("m", ""): 5,
        ("over", ""): 1,
        ("over", "429"): 1,
        ("m", "400"): 1,
        ("gone", "client_disconnected"): 1,
    }
    usage = "gen_ai_client_token_usage"
    whole = {"input": 11, "cached_input": 4, "output": 5, "reasoning": 2}
    sums = by(found, f"{usage}_sum", "gen_ai_original_model", "gen_ai_token_type")
    # Of the stream that broke off both are estimated.
    assert sums.pop(("gone", "input")) > 0
    assert sums.pop(("gone", "output")) > 0
    answered = {("m", kind): count * 5 for kind, count in whole.items()}
    assert sums == answered | {("over", kind): count for kind, count in whole.items()}
    counts = by(found, f"{usage}_count", "gen_ai_original_model", "gen_ai_token_type")
    assert {counts["m", kind] for kind in whole} == {5}
    first_token = by(found, "gen_ai_server_time_to_first_token_seconds_count")
    assert first_token == {(): 2}
    attempts = by(found, "aigw_attempts_total", "aigw_backend", "aigw_outcome")
    assert attempts["default/second", "completed"] == 1
    assert attempts["default/first", "completed"] == 5
    assert sum(attempts.values()) == 9
    assert by(found, "aigw_failovers_total", "aigw_backend") == {("default/second",): 1}
    assert "aigw_retries_total" not in found
    assert by(found, "aigw_requests_in_flight") == {(): 0}
    assert set(by(found, "aigw_losses_total").values()) == {0}
    assert page(gateway, "/health").text == "OK\n"
    requests = by(found, "aigw_requests_total", "aigw_outcome", "http_response_status_code")
    assert requests == {
        ("completed", "200"): 6,
        ("failed", "400"): 1,
        ("aborted", "200"): 1,
        ("rejected", "404"): 1,
        ("rejected", "400"): 1,
    }
    providers = by(found, duration, "gen_ai_provider_name", "gen_ai_operation_name")
    assert providers == {("openai", "chat"): 9}
    assert by(found, "aigw_router_duration_seconds_count", "aigw_route") == {("default/route",): 8}
    assert 0 < by(found, "gen_ai_server_request_duration_seconds_sum")[()] < 60
    collector.wait_until(lambda: exported(collector) == 9)
    collector.wait_until(lambda: len(collector.log_records) >= 10)
    assert len(set(collector.record_ids())) == len(collector.log_records) == 10
    sent = [collectors.attributes(record) for record in collector.log_records]
    tokens = sum(record.get("gen_ai.usage.input_tokens", 0) for record in sent)
    assert tokens == by(found, f"{usage}_sum", "gen_ai_token_type")["input",]


def exported(collector: collectors.Collector) -> int:
    """Attempts that a collector knows of."""
    metric = collector.newest().get("gen_ai.server.request.duration")
    return sum(point.count for point in metric.histogram.data_points) if metric else 0


def test_a_port_that_is_taken_is_named(gateway: RunningGateway, free_port: FreePorts) -> None:
    taken = (gateway.runtime / "metrics-address.txt").read_text().rpartition(":")[2]
    arguments = ("--port", str(free_port()), "--admin-port", taken)
    with pytest.raises(AssertionError) as found, run_gateway(*arguments):
        pass
    assert f"Error running: port {taken} (--admin-port) is in use\n" in str(found.value)


def test_a_data_plane_that_is_killed_counts_from_zero(gateway: RunningGateway) -> None:
    assert script(gateway, "unary") == 200
    name = "aigw_attempts_total"
    for pid in data_plane(gateway):
        os.kill(pid, signal.SIGKILL)
    gateway.wait_until(lambda: page(gateway, "/health").status_code == 500, "illness", 10)
    gateway.wait_until(lambda: page(gateway, "/health").status_code == 200, "health", 20)
    assert by(numbers(gateway), name) == {}
    assert script(gateway, "unary") == 200
    gateway.wait_until(lambda: sum(by(numbers(gateway), name).values()) == 1, "count", 10)


def data_plane(gateway: RunningGateway) -> list[int]:
    """Processes that the gateway keeps running: Envoy, and the ext_proc server."""
    ours = [pid for pid in gateway.descendants() if pid != gateway.envoy_pid()]
    return [*ours, gateway.envoy_pid()]
