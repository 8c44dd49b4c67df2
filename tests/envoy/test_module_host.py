"""The module host inside a real Envoy: requests, replies, failover, waits, and its own faults."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from aigw.providers import Chunk, Fault, FaultKind, Gate, Phase, Reply
from beds.envoy import EnvoyOptions
from beds.module import ROOT, Backend, Gateway, bootstrap, build_module, run_gateway
from beds.raw_http import request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from beds.fixtures import RawHttp
    from beds.provider import ProviderBed

CHAT = "/v1/chat/completions"
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "unknown": [1, 2.0]}'
STREAM_BODY = b'{"model":"m","stream":true,"messages":[]}'
ANSWER = json.dumps(
    {"model": "m-1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
).encode()
JSON = (("content-type", "application/json"),)
SSE = (("content-type", "text/event-stream"),)
FIRST = b'data: {"model":"m-1","choices":[]}\n\n'
SECOND = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6}}\n\n'
END = b"data: [DONE]\n\n"
OK = Reply(headers=JSON, body=ANSWER)
FAST_LOG = EnvoyOptions(arguments=("--file-flush-interval-msec", "50"))


@pytest.fixture(scope="session")
def module() -> Path:
    """The module."""
    return build_module()


@pytest.fixture(scope="session")
def panicking_module() -> Path:
    """The module with panics on demand, built apart: it must never be taken for the real one."""
    folder = str(ROOT / "target" / "test-panic")
    return build_module("--features", "test-panic", "--target-dir", folder)


@pytest.fixture
def pair(new_provider: Callable[[], ProviderBed]) -> tuple[ProviderBed, ProviderBed]:
    """Two providers."""
    return new_provider(), new_provider()


def chat(body: bytes = BODY, *headers: tuple[str, str]) -> bytes:
    """A chat request."""
    return request("POST", CHAT, *JSON, *headers, body=body)


def key(name: str) -> dict[str, Any]:
    """Auth of a backend entry."""
    return {"auth": {"type": "APIKey", "credential": f"default/{name}"}}


def api_key(text: str) -> dict[str, str]:
    """A credential."""
    return {"type": "APIKey", "key": text}


def error_code(body: bytes) -> str:
    """`error.code` of an error reply in the client's shape."""
    document = json.loads(body)
    assert document["type"] == "error"
    return str(document["error"]["code"])


# --- one provider ---


def test_a_unary_request_and_its_reply_pass_byte_for_byte(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    provider.on(OK)
    gateway = Gateway(module, (Backend("a", provider.port),), options=FAST_LOG)
    with run_gateway(gateway) as running:
        client = raw_http(running.port)
        client.send(chat())
        response = client.response()
        assert (response.status, response.body) == (200, ANSWER)
        assert response.head.header("content-length") == str(len(ANSWER))
        received = provider.only()
        assert (received.path, received.body) == (CHAT, BODY)
        assert received.header("x-ai-eg-model") is None
        line = running.access_log()[0]
    assert line["original_model"] == "m"
    assert line["backend_name"] == "default/a/route/chat/rule/0/ref/0"
    assert line["response_model"] == "m-1"
    assert (line["input_tokens"], line["output_tokens"], line["attempts"]) == (3, 4, 1)


@pytest.mark.parametrize("place", ["host", "cluster"])
def test_the_backend_may_be_named_by_metadata(
    module: Path, provider: ProviderBed, raw_http: RawHttp, place: str
) -> None:
    provider.on(OK)
    with run_gateway(Gateway(module, (Backend("a", provider.port, id_in=place),))) as running:
        client = raw_http(running.port)
        client.send(chat())
        assert client.response().status == 200


def test_a_model_override_replaces_the_body_and_its_length(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    provider.on(OK)
    backend = Backend("a", provider.port, {"model_name_override": "a-longer-name"})
    with run_gateway(Gateway(module, (backend,))) as running:
        client = raw_http(running.port)
        client.send(chat())
        assert client.response().status == 200
    received = provider.only()
    assert received.body == BODY.replace(b'"m"', b'"a-longer-name"')
    assert received.header_values("content-length") == [str(len(received.body))]


def test_the_gateway_answers_the_model_list_itself(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    with run_gateway(Gateway(module, (Backend("a", provider.port),))) as running:
        client = raw_http(running.port)
        client.send(request("GET", "/v1/models"))
        response = client.response()
    assert [model["id"] for model in json.loads(response.body)["data"]] == ["m"]
    types = [v for n, v in response.head.headers if n.lower() == b"content-type"]
    assert types == [b"application/json"]
    assert provider.received == []


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (chat(b"{"), 400),
        (request("POST", CHAT), 400),
        (request("POST", "/v1/nothing", body=b"{}"), 404),
        (request("DELETE", CHAT), 405),
    ],
)
def test_bad_requests_are_answered_in_the_clients_shape(
    module: Path, provider: ProviderBed, raw_http: RawHttp, wire: bytes, status: int
) -> None:
    gateway = Gateway(module, (Backend("a", provider.port),), options=FAST_LOG)
    with run_gateway(gateway) as running:
        client = raw_http(running.port)
        client.send(wire)
        response = client.response()
        assert (response.status, error_code(response.body)) == (status, str(status))
        assert running.access_log()[0]["details"].startswith("aigw_")
    assert provider.received == []


def test_one_byte_chunks_both_ways_change_nothing(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    provider.on(Reply(headers=JSON, body=ANSWER).rechunked(1))
    backend = Backend("a", provider.port, {"model_name_override": "n"})
    with run_gateway(Gateway(module, (backend,))) as running:
        client = raw_http(running.port)
        head = request("POST", CHAT, *JSON, ("transfer-encoding", "chunked"))
        client.send(head)
        client.send_chunked(*(bytes([byte]) for byte in BODY))
        assert client.response().body == ANSWER
    received = provider.only()
    assert received.body == BODY.replace(b'"m"', b'"n"')


def test_trailers_of_request_and_reply_end_their_bodies(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    provider.on(Reply(headers=SSE, body=(FIRST, SECOND, END), trailers=(("x-t", "1"),)))
    backend = Backend("a", provider.port, {"model_name_override": "n"})
    with run_gateway(Gateway(module, (backend,), options=FAST_LOG)) as running:
        client = raw_http(running.port)
        client.send(request("POST", CHAT, *JSON, ("transfer-encoding", "chunked")))
        client.send(b"%x\r\n%s\r\n0\r\nx-c: 2\r\n\r\n" % (len(STREAM_BODY), STREAM_BODY))
        assert client.response().body == FIRST + SECOND + END
        line = running.access_log()[0]
    received = provider.only()
    assert received.body == STREAM_BODY.replace(b'"m"', b'"n"')
    assert (line["input_tokens"], line["output_tokens"]) == (5, 6)


def test_an_error_without_json_is_wrapped(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    provider.on(Reply(400, (("content-type", "text/plain"),), (b"no ", b"way")))
    with run_gateway(Gateway(module, (Backend("a", provider.port),))) as running:
        client = raw_http(running.port)
        client.send(chat())
        response = client.response()
    assert response.status == 400
    assert json.loads(response.body)["error"]["message"] == "no way"


def test_an_error_without_a_body_gets_one(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    provider.on(Reply(400), OK)
    with run_gateway(Gateway(module, (Backend("a", provider.port),))) as running:
        client = raw_http(running.port)
        client.send(chat())
        response = client.response()
        assert (response.status, error_code(response.body)) == (400, "400")
        client.send(chat())
        assert client.response().body == ANSWER


# --- streams ---


def test_stream_chunks_arrive_one_by_one(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    gates = [Gate(), Gate()]
    body = (FIRST, Chunk(SECOND, gates[0]), Chunk(END, gates[1]))
    provider.on(Reply(headers=SSE, body=body))
    gateway = Gateway(module, (Backend("a", provider.port),), options=FAST_LOG)
    with run_gateway(gateway) as running:
        client = raw_http(running.port)
        client.send(chat(STREAM_BODY))
        head = client.head()
        pieces = client.pieces(head)
        assert (head.status, next(pieces).data) == (200, FIRST)
        gates[0].open()
        assert next(pieces).data == SECOND
        gates[1].open()
        assert b"".join(piece.data for piece in pieces) == END
        line = running.access_log()[0]
    assert (line["input_tokens"], line["output_tokens"]) == (5, 6)


def test_a_head_waits_for_the_first_event(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    gate = Gate()
    provider.on(Reply(headers=SSE, body=(b": ping\n\n", Chunk(FIRST, gate))))
    with run_gateway(Gateway(module, (Backend("a", provider.port),))) as running:
        client = raw_http(running.port, timeout=0.3)
        client.send(chat(STREAM_BODY))
        gate.wait_reached()
        with pytest.raises(TimeoutError):
            client.head()
        gate.open()
        client.socket.settimeout(10)
        assert client.response().body == b": ping\n\n" + FIRST


def test_an_error_in_the_first_event_moves_on_to_the_next_group(
    module: Path, pair: tuple[ProviderBed, ProviderBed], raw_http: RawHttp
) -> None:
    error = b'data: {"error":{"type":"overloaded_error","message":"full"}}\n\n'
    pair[0].on(Reply(headers=SSE, body=(error, END)))
    pair[1].on(Reply(headers=SSE, body=(FIRST, SECOND, END)))
    with run_gateway(two(module, pair)) as running:
        client = raw_http(running.port)
        client.send(chat(STREAM_BODY))
        response = client.response()
    assert (response.status, response.body) == (200, FIRST + SECOND + END)


def test_an_error_in_the_only_first_event_becomes_a_status(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    error = b'data: {"error":{"type":"overloaded_error","message":"full"}}\n\n'
    provider.on(Reply(headers=SSE, body=(error, END)))
    with run_gateway(Gateway(module, (Backend("a", provider.port),))) as running:
        client = raw_http(running.port)
        client.send(chat(STREAM_BODY))
        response = client.response()
    assert (response.status, error_code(response.body)) == (529, "529")
    assert response.head.header("content-type") == "application/json"


def test_a_stream_that_stalls_before_its_first_event_moves_on(
    module: Path, pair: tuple[ProviderBed, ProviderBed], raw_http: RawHttp
) -> None:
    stalled = Reply(headers=SSE, body=(b": ping\n\n", Chunk(FIRST, Gate())))
    pair[0].on(stalled)
    pair[1].on(Reply(headers=SSE, body=(FIRST, END)))
    with run_gateway(two(module, pair, per_try_timeout="0.4s")) as running:
        client = raw_http(running.port)
        client.send(chat(STREAM_BODY))
        response = client.response()
    assert (response.status, response.body) == (200, FIRST + END)


def test_a_slow_stream_outlives_the_timeout_of_an_attempt(
    module: Path, pair: tuple[ProviderBed, ProviderBed], raw_http: RawHttp
) -> None:
    pair[0].on(Reply(headers=SSE, body=(FIRST, SECOND, END), pace=0.25))
    with run_gateway(two(module, pair, per_try_timeout="0.4s")) as running:
        client = raw_http(running.port)
        client.send(chat(STREAM_BODY))
        assert client.response().body == FIRST + SECOND + END
    assert pair[1].received == []


# --- failover ---


def two(module: Path, pair: tuple[ProviderBed, ProviderBed], **changes: Any) -> Gateway:  # noqa: ANN401
    """Two backends with a key each, in two priority groups."""
    first = {**key("a"), "model_name_override": "model-of-a"}
    backends = (Backend("a", pair[0].port, first), Backend("b", pair[1].port, key("b")))
    credentials = {"default/a": api_key("key-of-a"), "default/b": api_key("key-of-b")}
    return Gateway(module, backends, credentials, options=FAST_LOG, **changes)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, JSON, b'{"error":{"message":"slow down"}}'),
        Reply(503, (("content-type", "text/html"),), b"<p>down</p>"),
        Reply(fault=Fault(FaultKind.RESET)),
        Reply(fault=Fault(FaultKind.HANG)),
    ],
    ids=["429", "503", "reset", "hang"],
)
def test_the_second_attempt_sees_nothing_of_the_first(
    module: Path, pair: tuple[ProviderBed, ProviderBed], raw_http: RawHttp, reply: Reply
) -> None:
    pair[0].on(reply)
    pair[1].on(OK)
    with run_gateway(two(module, pair, per_try_timeout="0.5s")) as running:
        client = raw_http(running.port)
        client.send(chat(BODY, ("authorization", "Bearer client"), ("x-api-key", "client")))
        assert client.response().body == ANSWER
        line = running.access_log()[0]
    first, second = pair[0].only(), pair[1].only()
    assert first.header_values("authorization") == ["Bearer key-of-a"]
    assert first.json()["model"] == "model-of-a"
    assert second.header_values("authorization") == ["Bearer key-of-b"]
    assert second.body == BODY
    assert second.header_values("content-length") == [str(len(BODY))]
    assert b"key-of-a" not in second.head
    assert b"client" not in first.head + second.head
    assert line["backend_name"] == "default/b/route/chat/rule/0/ref/0"
    assert line["attempts"] == 2


def test_a_refused_connection_moves_on(
    module: Path, pair: tuple[ProviderBed, ProviderBed], raw_http: RawHttp
) -> None:
    pair[0].refuse()
    pair[1].on(OK)
    with run_gateway(two(module, pair)) as running:
        client = raw_http(running.port)
        client.send(chat())
        assert client.response().body == ANSWER
    assert pair[1].only().body == BODY


def test_the_last_failure_reaches_the_client(
    module: Path, pair: tuple[ProviderBed, ProviderBed], raw_http: RawHttp
) -> None:
    pair[0].on(Reply(503, JSON, b"{}"))
    pair[1].on(Reply(429, (*JSON, ("retry-after", "7")), b'{"error":{"message":"slow"}}'))
    with run_gateway(two(module, pair)) as running:
        client = raw_http(running.port)
        client.send(chat())
        response = client.response()
    assert (response.status, response.body) == (429, b'{"error":{"message":"slow"}}')
    assert response.head.header("retry-after") == "7"


# --- sizes ---


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_a_body_beyond_the_limit_is_refused(
    module: Path, provider: ProviderBed, raw_http: RawHttp, framing: str
) -> None:
    filler = b"x" * (60 << 20)
    body = b'{"model":"m","messages":"' + filler + b'"}'
    with run_gateway(Gateway(module, (Backend("a", provider.port),))) as running:
        client = raw_http(running.port, timeout=20)
        # The gateway answers before it has read all.
        try:
            if framing == "chunked":
                client.send(request("POST", CHAT, *JSON, ("transfer-encoding", "chunked")))
                client.send_chunked(body)
            else:
                client.send(chat(body))
        except ConnectionError:
            pass
        response = client.response()
    assert (response.status, error_code(response.body)) == (413, "413")
    assert provider.received == []


def test_a_body_below_the_limit_passes_and_may_be_retried(
    module: Path, pair: tuple[ProviderBed, ProviderBed], raw_http: RawHttp
) -> None:
    pair[0].on(Reply(503, JSON, b"{}"))
    pair[1].on(OK)
    body = b'{"model":"m","messages":"' + b"x" * (49 << 20) + b'"}'
    with run_gateway(two(module, pair, per_try_timeout="30s")) as running:
        client = raw_http(running.port, timeout=30)
        client.send(chat(body))
        assert client.response().status == 200
    assert pair[1].only().body == body


# --- waits ---


def test_a_request_proceeds_when_its_credential_appears(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    provider.on(OK)
    for entry in (key("a"), {**key("a"), "model_name_override": "n"}):
        gateway = Gateway(module, (Backend("a", provider.port, entry),), credential_wait_ms=10_000)
        provider.journal.clear()
        with run_gateway(gateway) as running:
            client = raw_http(running.port, timeout=0.5)
            client.send(chat())
            with pytest.raises(TimeoutError):
                client.head()
            running.write_credentials({"default/a": api_key("late")})
            client.socket.settimeout(10)
            assert client.response().body == ANSWER
        received = provider.only()
        assert received.header("authorization") == "Bearer late"
        assert received.json()["model"] == entry.get("model_name_override", "m")
        assert received.header("content-length") == str(len(received.body))


def test_a_credential_that_never_appears_is_a_503(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    backend = Backend("a", provider.port, key("a"))
    with run_gateway(Gateway(module, (backend,), credential_wait_ms=200)) as running:
        client = raw_http(running.port)
        client.send(chat())
        response = client.response()
    assert (response.status, error_code(response.body)) == (503, "503")
    assert response.head.header("retry-after")
    assert provider.received == []


# --- clients that leave ---


def test_envoy_serves_on_after_clients_left_at_every_phase(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    waiting = Backend("a", provider.port, key("a"))
    with run_gateway(Gateway(module, (waiting,), credential_wait_ms=60_000)) as running:

        def active() -> int:
            return sum(running.envoy.stats("http.client.downstream_rq_active").values())

        def came(count: int) -> bool:
            return len(provider.received) == count

        def leave(wire: bytes, expected: Callable[[], object]) -> None:
            client = raw_http(running.port)
            client.send(wire)
            running.envoy.wait_until(expected)
            client.reset()
            running.envoy.wait_until(lambda: active() == 0)

        leave(chat()[:-10], lambda: active() == 1)
        leave(chat(), lambda: active() == 1)
        running.write_credentials({"default/a": api_key("k")})
        gates = [Gate(), Gate(), Gate()]
        provider.on(
            Reply(fault=Fault(FaultKind.HANG, gate=gates[0])),
            Reply(headers=SSE, body=(b": ping\n\n", Chunk(FIRST, gates[1]))),
            Reply(headers=SSE, body=(FIRST, Chunk(END, gates[2]))),
            OK,
        )
        for count, body in enumerate((BODY, STREAM_BODY, STREAM_BODY), start=1):
            leave(chat(body), partial(came, count))
            provider.finished(count)
        client = raw_http(running.port)
        client.send(chat())
        assert client.response().body == ANSWER


def test_a_provider_that_breaks_off_mid_stream_ends_the_clients_stream(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    fault = Fault(FaultKind.RESET, Phase.MID_BODY, after=len(FIRST))
    provider.on(Reply(headers=SSE, body=(FIRST, SECOND, END), fault=fault), OK)
    with run_gateway(Gateway(module, (Backend("a", provider.port),))) as running:
        client = raw_http(running.port)
        client.send(chat(STREAM_BODY))
        with pytest.raises(ConnectionError):
            client.response()
        client = raw_http(running.port)
        client.send(chat())
        assert client.response().body == ANSWER


# --- our own faults ---


@pytest.mark.timeout(900)  # the first of them builds a module of its own
@pytest.mark.parametrize("place", ["request", "attempt", "response"])
def test_a_panic_costs_one_request_only(
    panicking_module: Path, provider: ProviderBed, raw_http: RawHttp, place: str
) -> None:
    provider.on(OK)
    with run_gateway(Gateway(panicking_module, (Backend("a", provider.port),))) as running:
        client = raw_http(running.port)
        client.send(chat(BODY, ("x-aigw-test-panic", place)))
        if place == "response":
            assert client.closed()
        else:
            response = client.response()
            assert (response.status, error_code(response.body)) == (500, "500")
        client = raw_http(running.port)
        client.send(chat())
        assert client.response().body == ANSWER
        assert "aigw: panic at rust/envoy/src/panics.rs" in running.envoy.log
        assert running.envoy.process.poll() is None


def test_a_runtime_that_cannot_start_rejects_the_config(
    module: Path, provider: ProviderBed
) -> None:
    backend = Backend("a", provider.port, {"schema": {"name": "Nothing"}})
    with (
        pytest.raises(AssertionError, match=r"aigw: .*config\.json"),
        run_gateway(Gateway(module, (backend,))),
    ):
        pass


def test_validation_opens_no_runtime(
    module: Path, provider: ProviderBed, tmp_path: Path, envoy_binary: Path
) -> None:
    runtime = tmp_path / "not-there"
    config = tmp_path / "bootstrap.json"
    gateway = Gateway(module, (Backend("a", provider.port),))
    config.write_text(json.dumps(bootstrap(gateway, runtime)))
    command = [str(envoy_binary), "--mode", "validate", "--config-path", str(config)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert not runtime.exists()


def test_requests_find_their_attempts_on_every_worker(
    module: Path, provider: ProviderBed, raw_http: RawHttp
) -> None:
    provider.on(OK)
    options = EnvoyOptions(concurrency=2)
    with run_gateway(Gateway(module, (Backend("a", provider.port),), options=options)) as running:
        clients = [raw_http(running.port) for _ in range(16)]
        for client in clients:
            client.send(chat())
        assert {client.response().status for client in clients} == {200}
