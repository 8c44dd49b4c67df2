"""Micro-benchmarks of the core through `aigw._core`: `pytest benches/micro`.

Times depend on the machine and are only reported. Each figure includes the crossing from
Python, well under a microsecond.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from aigw import _core

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

GATEWAY = "default/gw"
HEAD = [
    (":method", b"POST"),
    (":path", b"/v1/chat/completions"),
    ("content-type", b"application/json"),
    ("authorization", b"Bearer client"),
    ("user-agent", b"OpenAI/Python"),
]
AUTH = {"type": "AWSCredentials", "credential": "default/aws", "region": "us-east-1"}
KEYS = {
    "type": "AWSCredentials",
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "secret",
}


def backend(schema: str, **more: object) -> dict[str, object]:
    name = f"default/{schema}/route/r/rule/0/ref/0"
    return {
        "name": name,
        "backend": f"default/{schema}",
        "route": "default/r",
        "host": "bedrock-runtime.us-east-1.amazonaws.com",
        "schema": {"name": schema, "prefix": "v1"},
        **more,
    }


CONFIG = json.dumps(
    {
        "version": 1,
        "generation": "g",
        "gateways": {GATEWAY: {}},
        "backends": {
            "pass": backend("OpenAI"),
            "override": backend("OpenAI", model_name_override="other"),
            "bedrock": backend("AWSBedrock", auth=AUTH),
            "claude": backend("Anthropic"),
        },
    }
).encode()
CREDENTIALS = json.dumps({"version": 1, "credentials": {"default/aws": KEYS}}).encode()


def chat(size: int, *, stream: bool = False) -> bytes:
    """A chat request of about `size` bytes in messages of 512 bytes."""
    message = {"role": "user", "content": "lorem ipsum " * 42}
    body = {"model": "m", "messages": [message] * max(1, size // 530), "stream": stream}
    return json.dumps(body).encode()


def exchange(body: bytes) -> _core.Exchange:
    found = _core.Exchange(CONFIG, CREDENTIALS, GATEWAY, now=1_767_225_600)
    assert found.head(HEAD) is None
    found.body(body)
    return found


@pytest.mark.parametrize("size", [1 << 10, 16 << 10, 1 << 20])
def test_request_scan(benchmark: BenchmarkFixture, size: int) -> None:
    body = chat(size)

    def setup() -> tuple[tuple[_core.Exchange], dict[str, object]]:
        found = _core.Exchange(CONFIG, CREDENTIALS, GATEWAY)
        found.head(HEAD)
        return (found,), {}

    benchmark.pedantic(lambda found: found.body(body), setup=setup, rounds=200)


@pytest.mark.parametrize("name", ["pass", "override", "bedrock", "claude"])
def test_prepare_an_attempt_of_16_kib(benchmark: BenchmarkFixture, name: str) -> None:
    body = chat(16 << 10)
    attempt = exchange(body).attempt(name)
    benchmark(attempt.prepare, body)


def test_json_round_trip_of_16_kib_for_comparison(benchmark: BenchmarkFixture) -> None:
    import orjson

    body = chat(16 << 10)
    benchmark(lambda: orjson.dumps(orjson.loads(body)))


def test_a_watched_stream_of_50_events(benchmark: BenchmarkFixture) -> None:
    event = b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
    body = chat(1 << 10, stream=True)
    pairs = [("content-type", b"text/event-stream")]

    def setup() -> tuple[tuple[_core.Attempt], dict[str, object]]:
        attempt = exchange(body).attempt("pass")
        attempt.prepare(b"")
        attempt.response_head(200, pairs)
        return (attempt,), {}

    def run(attempt: _core.Attempt) -> None:
        for _ in range(50):
            attempt.response_body(event)

    benchmark.pedantic(run, setup=setup, rounds=200)
