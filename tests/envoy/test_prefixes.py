"""`--root-prefix` and `--endpoint-prefixes`: everything that knows paths follows."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from aigw.providers import FakeProvider
from beds.gateway import RunningGateway, run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import RawConnection, Response, request
from beds.resources import BackendSpec, gateway_yaml, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts

OPTIONS = ("--root-prefix", "ai/", "--endpoint-prefixes", "openai: /o//, cohere:,anthropic:claude")
CHAT, MESSAGES, RERANK = "/ai/o/v1/chat/completions", "/ai/claude/v1/messages", "/ai/v2/rerank"


class Bed:
    """A gateway in front of one provider, and one that is down."""

    def __init__(self, gateway: RunningGateway, provider: ProviderBed) -> None:
        self.gateway, self.provider = gateway, provider

    def ask(self, path: str, body: Any = None) -> Response:  # noqa: ANN401 - any JSON
        """One request; a GET without a body."""
        self.provider.reset()
        text = json.dumps(body).encode() if body else b""
        fields = (("content-type", "application/json"),) if body else ()
        with RawConnection(self.gateway.port) as client:
            client.send(request("POST" if body else "GET", path, *fields, body=text))
            return client.response()


@pytest.fixture(scope="module")
def bed(host: tuple[str, ...], free_port: FreePorts, loop_thread: LoopThread) -> Iterator[Bed]:
    """A rule for all endpoints, whose first backend serves only some, and one that is down."""
    provider, dead = (ProviderBed(loop_thread, FakeProvider()) for _ in range(2))
    dead.refuse()
    backends = [
        BackendSpec("claude", provider.port, {"name": "Anthropic"}),
        BackendSpec("openai", provider.port),
        BackendSpec("cohere", provider.port, {"name": "Cohere"}),
        BackendSpec("dead", dead.port, {"name": "Cohere"}),
    ]
    rules = [rule("m", "claude", {"name": "openai", "priority": 1}), rule("dead", "dead")]
    rules.append(rule("r", "cohere"))
    config = gateway_yaml(free_port(), backends, rules)
    try:
        with run_gateway(*host, *OPTIONS, config=config) as gateway:
            yield Bed(gateway, provider)
    finally:
        provider.stop()
        dead.stop()


def chat(model: str) -> dict[str, Any]:
    return {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


def test_endpoints_are_behind_their_prefixes(bed: Bed) -> None:
    assert bed.ask(CHAT, chat("m")).status == 200
    assert bed.provider.only().path == "/v1/messages"
    assert bed.ask(MESSAGES, chat("m")).status == 200
    assert bed.provider.only().path == "/v1/messages"
    bed.ask(RERANK, {"model": "r", "query": "q", "documents": ["d"]})
    assert bed.provider.only().path == "/v2/rerank"


def test_the_usual_paths_are_not_served(bed: Bed) -> None:
    usual = ("/v1/chat/completions", "/anthropic/v1/messages", "/cohere/v2/rerank", "/v1/models")
    for path in usual:
        reply = bed.ask(path, chat("m"))
        assert reply.status == 404
        message = json.loads(reply.body)["error"]["message"]
        assert all(offer in message for offer in (CHAT, MESSAGES, RERANK))
    assert bed.provider.received == []


def test_models_are_listed_in_both_shapes(bed: Bed) -> None:
    openai = json.loads(bed.ask("/ai/o/v1/models").body)
    assert openai["object"] == "list"
    anthropic = json.loads(bed.ask("/ai/claude/v1/models").body)
    assert "has_more" in anthropic
    ids = [sorted(model["id"] for model in found["data"]) for found in (openai, anthropic)]
    assert ids == [["dead", "m", "r"]] * 2


def test_a_backend_that_cannot_serve_an_endpoint_is_passed_over(bed: Bed) -> None:
    bed.ask("/ai/o/v1/images/generations", {"model": "m", "prompt": "p"})
    assert bed.provider.only().path == "/v1/images/generations"


@pytest.mark.parametrize(("model", "status"), [("dead", 503), ("nobody", 404)])
@pytest.mark.parametrize(("path", "has_message"), [(RERANK, True), (CHAT, False)])
def test_errors_have_the_shape_of_the_path(
    bed: Bed, model: str, status: int, path: str, has_message: bool
) -> None:
    reply = bed.ask(path, {**chat(model), "query": "q", "documents": ["d"]})
    assert reply.status == status
    assert ("message" in json.loads(reply.body)) is has_message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--root-prefix", "/a?b"), "'/a?b' is not a path"),
        (
            ("--endpoint-prefixes", "openai:/a,gemini:/b"),
            'unknown endpointPrefixes key "gemini" at position 2 '
            "(allowed: openai, cohere, anthropic)",
        ),
    ],
)
def test_options_that_cannot_be_used_are_an_error_of_usage(
    options: tuple[str, ...], message: str
) -> None:
    command = [sys.executable, "-m", "aigw", "run", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 80
    assert message in done.stderr
