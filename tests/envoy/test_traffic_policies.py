"""BackendTrafficPolicies in front of fake providers: limits, health, and who answers instead.

One gateway per host serves all rows; a model name chooses the rule, and a rule's policy bears the
name of the rule.
"""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from aigw.providers import FakeProvider, Fault, FaultKind, Gate, Match, Reply
from beds.chats import JSON_TYPE, chat, error_of, nothing_left
from beds.failover import priorities
from beds.gateway import RunningGateway, run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import RawConnection, Response, request
from beds.resources import BackendSpec, Resource, anthropic_key, gateway_yaml, resource, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aigw.providers import Received
    from beds.ports import FreePorts

BROKEN = Reply(500, (JSON_TYPE,), b'{"error":{"message":"broken"}}')
FIRST = Reply(200, (JSON_TYPE,), b'{"id":"first"}')
SECOND = Reply(200, (JSON_TYPE,), b'{"id":"second"}')
WELL = Reply(200, (), b"")
EJECT = {
    "passive": {
        "consecutive5XxErrors": 1,
        "baseEjectionTime": "60s",
        "maxEjectionPercent": 100,
        "interval": "1s",
    }
}
CHECK = {
    "active": {
        "type": "HTTP",
        "http": {"path": "/health"},
        "interval": "100ms",
        "timeout": "2s",
        "unhealthyThreshold": 1,
    }
}
LIMITS = {"maxParallelRequests": 1}


@dataclass(frozen=True, slots=True)
class Beds:
    """Two providers; `full` accepts no connection and refuses none."""

    first: ProviderBed
    second: ProviderBed
    full: int


@contextlib.contextmanager
def full_queue() -> Iterator[int]:
    """A port whose queue of new connections is full: another one is never answered."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        yield address[1]


def policy(name: str, **spec: object) -> Resource:
    """A BackendTrafficPolicy of the rule of this name."""
    target = {
        "group": "gateway.networking.k8s.io",
        "kind": "HTTPRoute",
        "name": "route",
        "sectionName": name,
    }
    return resource(
        "gateway.envoyproxy.io/v1alpha1",
        "BackendTrafficPolicy",
        name,
        targetRefs=[target],
        **spec,
    )


def configuration(port: int, beds: Beds) -> str:
    """All rules of this module."""
    backends = [
        BackendSpec("first", beds.first.port),
        BackendSpec("second", beds.second.port),
        BackendSpec("full", beds.full),
        BackendSpec("claude", beds.first.port, {"name": "Anthropic"}, anthropic_key("claude", "k")),
    ]
    both = priorities("first", "second")
    short = {"timeouts": {"request": "4s"}}
    rules = {
        "full": rule("full", *priorities("full", "second"), **short),
        "busy": rule("busy", *both),
        "eject-0": rule("eject-0", *both),
        "eject-all": rule("eject-all", *both),
        "eject-few": rule("eject-few", *both),
        "eject-once": rule("eject-once", *both),
        "eject-codes": rule("eject-codes", *both),
        "eject-both": rule("eject-both", *both),
        "check": rule("check", *both),
        "check-one": rule("check-one", "first"),
        "quiet": rule("quiet", "first"),
        "short": rule("short", "first"),
        "small": rule("small", "first"),
        "claude": rule("claude", "claude"),
        "hash": rule("hash", "pair"),
    }
    source = {"type": "Header", "header": {"name": "X-Session"}}
    hashing = {"type": "ConsistentHash", "consistentHash": source}
    pair = BackendSpec("pair", beds.first.port).resources()
    other = {"ip": {"address": "127.0.0.1", "port": beds.second.port}}
    pair[0]["spec"]["endpoints"].append(other)
    policies = [
        policy("full", timeout={"tcp": {"connectTimeout": "200ms"}}),
        policy("busy", circuitBreaker=LIMITS, retry={"retryOn": {"triggers": ["5xx", "reset"]}}),
        policy("eject-0", healthCheck={**EJECT, "panicThreshold": 0}),
        policy("eject-all", healthCheck={**EJECT, "panicThreshold": 0}),
        policy("eject-once", healthCheck=EJECT, retry={"numRetries": 0}),
        policy("eject-codes", healthCheck=EJECT, retry={"retryOn": {"httpStatusCodes": [500]}}),
        policy("eject-both", healthCheck=EJECT),
        policy("eject-few", healthCheck={"passive": {"consecutive5XxErrors": 1}}),
        policy("check", healthCheck=CHECK),
        policy("check-one", healthCheck={**CHECK, "panicThreshold": 0}),
        policy("quiet", timeout={"http": {"streamIdleTimeout": "300ms"}}),
        policy("short", timeout={"http": {"maxStreamDuration": "300ms"}}),
        policy("small", connection={"bufferLimit": "64Ki"}),
        policy("claude", connection={"bufferLimit": "64Ki"}),
        policy("hash", loadBalancer=hashing, tcpKeepalive={"idleTime": "10s"}),
    ]
    named = [{**found, "name": name} for name, found in rules.items()]
    return gateway_yaml(port, backends, named, *pair, *policies)


@pytest.fixture(scope="module")
def beds(loop_thread: LoopThread) -> Iterator[Beds]:
    started = [ProviderBed(loop_thread, FakeProvider()) for _ in range(2)]
    with full_queue() as full:
        yield Beds(*started, full)
    for bed in started:
        bed.stop()


@pytest.fixture(scope="module")
def gateway(host: tuple[str, ...], free_port: FreePorts, beds: Beds) -> Iterator[RunningGateway]:
    for bed in (beds.first, beds.second):
        bed.reset()
    beds.first.on(BROKEN, match=Match(path="/health"))
    beds.second.on(WELL, match=Match(path="/health"))
    with run_gateway(*host, config=configuration(free_port(), beds)) as running:
        yield running


def is_for(found: Received, model: str) -> bool:
    """Whether a request at a provider is for a model; checks of health are for none."""
    return bool(found.body) and found.json()["model"] == model


def answers(beds: Beds, model: str, first: Reply, second: Reply = SECOND) -> None:
    """What the providers say to requests for a model."""
    for bed, reply in ((beds.first, first), (beds.second, second)):
        bed.on(reply, match=Match(when=lambda found: is_for(found, model)))


def asked(bed: ProviderBed, model: str) -> int:
    """How many requests for a model a provider got."""
    return sum(is_for(found, model) for found in bed.received)


def ask(gateway: RunningGateway, model: str, *headers: tuple[str, str]) -> Response:
    """A request on a connection of its own."""
    with RawConnection(gateway.port, 20) as client:
        client.send(chat(model, *headers))
        return client.response()


def test_a_connection_that_is_not_made_in_time_moves_on(
    gateway: RunningGateway, beds: Beds
) -> None:
    answers(beds, "full", FIRST)
    seen = ask(gateway, "full")
    assert (seen.status, seen.body) == (200, SECOND.body)


def test_a_request_over_the_limit_is_refused_as_json(gateway: RunningGateway, beds: Beds) -> None:
    model = "busy"
    gate = Gate()
    answers(beds, model, FIRST.failing(Fault(FaultKind.HANG, gate=gate)))
    with RawConnection(gateway.port, 20) as waiting:
        waiting.send(chat(model))
        gateway.wait_until(lambda: asked(beds.first, model) == 1, "first request")
        seen = ask(gateway, model)
        gate.open()
        assert waiting.response().status == 200
    assert seen.status == 503
    assert "too many requests to the provider" in error_of(seen)
    assert (asked(beds.first, model), asked(beds.second, model)) == (1, 0)
    assert ask(gateway, model).status == 200


@pytest.mark.parametrize("model", ["eject-0", "eject-codes"])
def test_a_provider_that_fails_is_left_out_and_the_next_priority_answers(
    gateway: RunningGateway, beds: Beds, model: str
) -> None:
    answers(beds, model, BROKEN)
    count = 0

    def is_left_out() -> bool:
        nonlocal count
        before = asked(beds.first, model)
        seen = ask(gateway, model)
        assert (seen.status, seen.body) == (200, SECOND.body)
        count += 1
        return asked(beds.first, model) == before

    gateway.wait_until(is_left_out, "ejection of the first provider")
    reached = asked(beds.first, model)
    assert all(ask(gateway, model).status == 200 for _ in range(20))
    assert asked(beds.first, model) == reached
    assert asked(beds.second, model) == count + 20


def test_a_provider_is_left_out_where_nothing_is_repeated(
    gateway: RunningGateway, beds: Beds
) -> None:
    answers(beds, "eject-once", BROKEN)
    assert ask(gateway, "eject-once").status == 500
    gateway.wait_until(lambda: ask(gateway, "eject-once").body == SECOND.body, "second provider")
    reached = asked(beds.first, "eject-once")
    assert all(ask(gateway, "eject-once").status == 200 for _ in range(10))
    assert asked(beds.first, "eject-once") == reached


def test_a_provider_is_asked_even_when_all_of_them_are_left_out(
    gateway: RunningGateway, beds: Beds
) -> None:
    answers(beds, "eject-both", BROKEN, BROKEN)
    assert all(ask(gateway, "eject-both").status == 500 for _ in range(20))
    answers(beds, "eject-both", FIRST, SECOND)
    assert ask(gateway, "eject-both").status == 200


def test_by_default_nobody_is_ejected_where_there_are_few(
    gateway: RunningGateway, beds: Beds
) -> None:
    answers(beds, "eject-few", BROKEN)
    assert all(ask(gateway, "eject-few").status == 200 for _ in range(30))
    assert asked(beds.first, "eject-few") == 30


def test_without_any_healthy_provider_the_client_gets_json(
    gateway: RunningGateway, beds: Beds
) -> None:
    answers(beds, "eject-all", BROKEN, BROKEN)

    def is_empty() -> bool:
        before = asked(beds.first, "eject-all"), asked(beds.second, "eject-all")
        seen = ask(gateway, "eject-all")
        assert seen.status in (500, 503)
        return before == (asked(beds.first, "eject-all"), asked(beds.second, "eject-all"))

    gateway.wait_until(is_empty, "ejection of both providers")
    seen = ask(gateway, "eject-all")
    assert seen.status == 503
    assert "no provider is reachable" in error_of(seen)


def test_a_provider_that_fails_its_checks_is_left_out_until_it_passes_one(
    gateway: RunningGateway, beds: Beds
) -> None:
    answers(beds, "check", FIRST)
    answers(beds, "check-one", FIRST)
    beds.first.on(BROKEN, match=Match(path="/health"))

    def answer() -> bytes:
        seen = ask(gateway, "check")
        assert seen.status == 200
        return seen.body

    gateway.wait_until(lambda: answer() == SECOND.body, "second provider")
    reached = asked(beds.first, "check")
    assert all(answer() == SECOND.body for _ in range(20))
    assert asked(beds.first, "check") == reached
    checks = [found for found in beds.first.received if found.path == "/health"]
    assert {found.header("host") for found in checks} == {"127.0.0.1"}
    gateway.wait_until(lambda: ask(gateway, "check-one").status == 503, "no provider")
    assert "no provider is reachable" in error_of(ask(gateway, "check-one"))
    beds.first.on(WELL, match=Match(path="/health"))
    gateway.wait_until(lambda: answer() == FIRST.body, "first provider")
    gateway.wait_until(lambda: ask(gateway, "check-one").status == 200, "first provider")


@pytest.mark.parametrize("model", ["quiet", "short"])
def test_a_provider_that_is_silent_too_long_is_given_up(
    gateway: RunningGateway, beds: Beds, model: str
) -> None:
    answers(beds, model, FIRST.failing(Fault(FaultKind.HANG)))
    seen = ask(gateway, model)
    assert seen.status == 504
    assert "did not answer in time" in error_of(seen)


TEXT = "x" * 4_000_000
OPENAI_ANSWER = {"choices": [{"message": {"role": "assistant", "content": TEXT}}]}
CLAUDE_ANSWER = {
    "id": "a",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


@pytest.mark.parametrize(("model", "answer"), [("small", OPENAI_ANSWER), ("claude", CLAUDE_ANSWER)])
def test_large_bodies_pass_small_buffers_towards_providers(
    gateway: RunningGateway, beds: Beds, model: str, answer: Resource
) -> None:
    answers(beds, model, Reply(200, (JSON_TYPE,), json.dumps(answer).encode()))
    messages = [{"role": "user", "content": TEXT}]
    body = json.dumps({"model": model, "messages": messages}).encode()
    with RawConnection(gateway.port, 20) as client:
        client.send(request("POST", "/v1/chat/completions", JSON_TYPE, body=body))
        seen = client.response()
    assert seen.status == 200
    assert json.loads(seen.body)["choices"][0]["message"]["content"] == TEXT
    [found] = [item for item in beds.first.received if is_for(item, model)]
    assert TEXT in found.body.decode()


def test_requests_of_one_session_go_to_one_endpoint(gateway: RunningGateway, beds: Beds) -> None:
    answers(beds, "hash", FIRST)
    served: dict[str, set[bytes]] = {}
    for session in [str(number) for number in range(20)] * 2:
        seen = ask(gateway, "hash", ("x-session", session))
        served.setdefault(session, set()).add(seen.body)
    assert all(len(bodies) == 1 for bodies in served.values())
    assert set.union(*served.values()) == {FIRST.body, SECOND.body}
    nothing_left(gateway)
