"""Many models behind one listener: the table of models in a real Envoy, in each host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest

from aigw.providers import FakeProvider, Reply
from beds.gateway import RunningGateway, run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.resources import BackendSpec, Resource, gateway_yaml, resource, retries, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts

CHAT = "/v1/chat/completions"
MANY = 100
MESSAGES = [{"role": "user", "content": "hi"}]


@dataclass(frozen=True, slots=True)
class Beds:
    """The gateway, and its providers."""

    gateway: RunningGateway
    one: ProviderBed
    two: ProviderBed
    web: ProviderBed

    def ask(self, model: str, **headers: str) -> tuple[int, str]:
        """Status, and which server answered the chat request."""
        body = {"model": model, "messages": MESSAGES}
        answer = httpx.post(self.gateway.url + CHAT, json=body, headers=headers)
        return answer.status_code, self.asked()

    def asked(self) -> str:
        """The server that was asked last."""
        seen = [
            (bed.received[-1].at, name)
            for name, bed in (("one", self.one), ("two", self.two), ("web", self.web))
            if bed.received
        ]
        return max(seen)[1] if seen else ""


def exact(*models: str) -> list[Resource]:
    """Matches for models."""
    return [{"headers": [{"name": "x-ai-eg-model", "value": model}]} for model in models]


def expression(pattern: str) -> list[Resource]:
    """A match for model names of a form."""
    header = {"name": "x-ai-eg-model", "type": "RegularExpression", "value": pattern}
    return [{"headers": [header]}]


def configuration(port: int, beds: tuple[ProviderBed, ...]) -> str:
    """Rules in an order that matters, and a plain route."""
    one, two, web = beds
    names = [f"m{number}" for number in range(MANY)]
    team = {"name": "x-team", "value": "red"}
    both = [{"headers": [*exact("m7")[0]["headers"], team]}]
    rules = [
        rule(None, "one", matches=expression("early-.*")),
        rule(None, "two", matches=exact("early-1", "early-2")),
        rule(None, "one", matches=exact(*names)),
        rule(None, "two", matches=expression("m[0-9]+|late-.*")),
        rule(None, "two", matches=both),
        rule("over", {"name": "one", "priority": 0}, {"name": "two", "priority": 1}),
    ]
    reference = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "web"}
    plain = resource(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        "app",
        parentRefs=[{"name": "gw"}],
        rules=[{"matches": [{"path": {"value": "/app"}}], "backendRefs": [reference]}],
    )
    backends = [BackendSpec(name, bed.port) for name, bed in (("one", one), ("two", two))]
    page = BackendSpec("web", web.port).resources()[0]
    return gateway_yaml(port, backends, rules, plain, page, retries(1))


@pytest.fixture(scope="module")
def running(host: tuple[str, ...], free_port: FreePorts, loop_thread: LoopThread) -> Iterator[Beds]:
    started = tuple(ProviderBed(loop_thread, FakeProvider()) for _ in range(3))
    with run_gateway(*host, config=configuration(free_port(), started)) as gateway:
        yield Beds(gateway, *started)
    for bed in started:
        bed.stop()


@pytest.fixture
def beds(running: Beds) -> Beds:
    for bed in (running.one, running.two, running.web):
        bed.reset()
    return running


@pytest.mark.parametrize(
    ("model", "headers", "name"),
    [
        ("m0", {}, "one"),
        ("m99", {}, "one"),
        ("m100", {}, "two"),
        ("late-1", {}, "two"),
        ("early-1", {}, "one"),
        ("early-3", {}, "one"),
        ("m7", {}, "one"),
        ("m7", {"x-team": "red"}, "two"),
        ("m8", {"x-team": "red"}, "one"),
    ],
)
def test_the_first_rule_in_order_takes_a_request(
    beds: Beds, model: str, headers: dict[str, str], name: str
) -> None:
    assert beds.ask(model, **headers) == (200, name)


def test_a_model_without_a_rule_is_told_what_is_there(beds: Beds) -> None:
    body = {"model": "unknown", "messages": MESSAGES}
    answer = httpx.post(beds.gateway.url + CHAT, json=body)
    assert answer.status_code == 404
    assert "m0, m1, m2" in answer.json()["error"]["message"]


def test_a_failover_works_behind_the_table(beds: Beds) -> None:
    beds.one.on(Reply(status=503))
    assert beds.ask("over") == (200, "two")
    assert len(beds.one.received) == 1


def test_other_paths_are_for_plain_routes_and_else_for_nobody(beds: Beds) -> None:
    beds.web.on(Reply(body=b"page"))
    assert httpx.get(f"{beds.gateway.url}/app/x").content == b"page"
    unknown = httpx.post(f"{beds.gateway.url}/v1/unknown", json={"model": "m0"})
    assert unknown.status_code == 404
    assert CHAT in unknown.json()["error"]["message"]
    assert beds.asked() == "web"
