"""The ext_proc host in front of the real Envoy, with both of its transports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from extproc_bed import (
    ATTEMPT_SECONDS,
    CANARY,
    JSON,
    Bed,
    Target,
    body,
    chat,
    configuration,
    replace,
    server_pid,
)

from aigw.providers import (
    FakeProvider,
    Fault,
    FaultKind,
    Framing,
    Gate,
    Outcome,
    Phase,
    Reply,
    ReplyFraming,
)
from beds.gateway import run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts

TRANSPORTS = {
    "native": ("--data-plane", "extproc"),
    "grpcio": ("--data-plane", "extproc", "--ext-proc-transport", "grpcio"),
}
LIMIT = 52_428_800
EVENTS = (("content-type", "text/event-stream"),)
ANSWER = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    }
).encode()
FIRST = b'data: {"id":"c","model":"m-1","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
USAGE = (
    b'data: {"id":"c","model":"m-1","choices":[],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}\n\n'
)
DONE = b"data: [DONE]\n\n"
STREAM = (FIRST, USAGE, DONE)
BUSY = b'data: {"error":{"message":"busy","type":"overloaded_error"}}\n\n'


@pytest.fixture(scope="module", params=list(TRANSPORTS))
def running(
    request: pytest.FixtureRequest, free_port: FreePorts, loop_thread: LoopThread
) -> Iterator[Bed]:
    """A gateway for all tests of a transport."""
    providers = [ProviderBed(loop_thread, FakeProvider()) for _ in range(2)]
    text = configuration(free_port(), *(provider.port for provider in providers))
    with run_gateway(*TRANSPORTS[request.param], config=text) as gateway:
        yield Bed(gateway, providers[0], providers[1])
    for provider in providers:
        provider.stop()


@pytest.fixture
def bed(running: Bed) -> Iterator[Bed]:
    """The gateway, with providers that know of nothing."""
    for provider in (running.first, running.second):
        provider.reset()
        provider.accept()
    yield running
    running.settled()


def test_a_unary_request_reaches_the_provider_unchanged(bed: Bed) -> None:
    bed.first.on(Reply(200, JSON, ANSWER))
    response = bed.ask("plain")
    assert (response.status, response.body) == (200, ANSWER)
    assert response.head.header("content-length") == str(len(ANSWER))
    received = bed.first.only()
    assert received.body == body("plain")
    assert received.framing is Framing.CONTENT_LENGTH


def test_a_replaced_body_has_its_exact_length_and_the_credential(bed: Bed) -> None:
    bed.first.on(Reply(200, JSON, ANSWER))
    assert bed.ask("renamed").status == 200
    received = bed.first.only()
    assert received.body == body("a-much-longer-name")
    assert received.header_values("content-length") == [str(len(received.body))]
    assert received.header_values("authorization") == [f"Bearer {CANARY}"]
    assert not [name for name, _ in received.headers if b"x-ai" in name or b"request-id" in name]


def test_a_chunked_request_gets_a_length(bed: Bed) -> None:
    bed.first.on(Reply(200, JSON, ANSWER))
    with bed.open() as client:
        head = request("POST", Target.fresh(), *JSON, ("transfer-encoding", "chunked"))
        client.send(head)
        client.send_chunked(*(bytes([byte]) for byte in body("renamed")))
        assert client.response().status == 200
    assert bed.first.only().body == body("a-much-longer-name")
    assert bed.first.only().framing is Framing.CONTENT_LENGTH


def test_usage_and_backend_reach_the_access_log(bed: Bed) -> None:
    bed.first.on(Reply(200, JSON, ANSWER))
    bed.ask("renamed")
    line = bed.last_log()
    assert (line["input_tokens"], line["output_tokens"], line["total_tokens"]) == (3, 4, 7)
    assert line["backend"] == "default/keyed/route/route/rule/1/ref/0"
    assert (line["model"], line["response_model"]) == ("renamed", "m-1")


@pytest.mark.parametrize("size", [1, 7])
def test_chunk_sizes_of_a_unary_reply_do_not_matter(bed: Bed, size: int) -> None:
    bed.first.on(Reply(200, JSON, ANSWER).rechunked(size))
    assert bed.ask("plain").body == ANSWER
    assert bed.last_log()["total_tokens"] == 7


def test_a_stream_passes_chunk_by_chunk(bed: Bed) -> None:
    gates = (Gate(), Gate())
    reply = Reply(200, EVENTS, STREAM).gated(1, gates[0]).gated(2, gates[1])
    bed.first.on(reply)
    with bed.open() as client:
        client.send(chat("plain", stream=True))
        pieces = client.pieces(client.head())
        assert next(pieces).data == FIRST
        gates[0].open()
        assert next(pieces).data == USAGE
        gates[1].open()
        assert b"".join(piece.data for piece in pieces) == DONE
    line = bed.last_log()
    assert line["total_tokens"] == 7
    assert line["time_to_first_token_ms"] > 0


@pytest.mark.parametrize("size", [1, 5])
def test_a_stream_in_tiny_chunks_arrives_whole(bed: Bed, size: int) -> None:
    bed.first.on(Reply(200, EVENTS, STREAM).rechunked(size))
    response = bed.ask("plain", stream=True)
    assert response.body == b"".join(STREAM)
    assert bed.last_log()["total_tokens"] == 7


def test_a_request_in_one_byte_writes_is_read(bed: Bed) -> None:
    bed.first.on(Reply(200, JSON, ANSWER))
    with bed.open() as client:
        client.send_in_pieces(chat("plain"))
        assert client.response().status == 200
    assert bed.first.only().body == body("plain")


def test_comments_before_the_first_event_do_not_release_the_head(bed: Bed) -> None:
    bed.first.on(Reply(200, EVENTS, (b": wait\n\n", BUSY, DONE)))
    bed.second.on(Reply(200, EVENTS, STREAM))
    response = bed.ask("both", stream=True)
    assert (response.status, response.body) == (200, b"".join(STREAM))


def test_an_error_in_the_first_event_moves_to_the_next_backend(bed: Bed) -> None:
    bed.first.on(Reply(200, EVENTS, (BUSY, DONE)))
    bed.second.on(Reply(200, EVENTS, STREAM))
    response = bed.ask("both", stream=True)
    assert (response.status, response.body) == (200, b"".join(STREAM))
    assert len(bed.first.received) == len(bed.second.received) == 1
    assert bed.last_log()["attempts"] == 2


def test_an_error_in_the_first_event_of_the_last_backend_is_a_plain_error(bed: Bed) -> None:
    bed.first.on(Reply(200, EVENTS, (BUSY, DONE)))
    response = bed.ask("plain", stream=True)
    assert response.status == 529
    assert response.head.header("content-type") == "application/json"
    assert json.loads(response.body)["error"]["message"] == "busy"


def test_an_error_later_in_a_stream_goes_to_the_client(bed: Bed) -> None:
    gate = Gate()
    bed.first.on(Reply(200, EVENTS, (FIRST, BUSY)).gated(1, gate))
    with bed.open() as client:
        client.send(chat("both", stream=True))
        pieces = client.pieces(client.head())
        assert next(pieces).data == FIRST
        gate.open()
        assert b"".join(piece.data for piece in pieces) == BUSY
    assert bed.second.received == []


@pytest.mark.parametrize("phase", [Phase.BEFORE_HEAD, Phase.AFTER_HEAD])
def test_a_stalled_stream_moves_on_after_the_time_of_an_attempt(bed: Bed, phase: Phase) -> None:
    bed.first.on(Reply(200, EVENTS, STREAM).failing(Fault(FaultKind.HANG, phase)))
    bed.second.on(Reply(200, EVENTS, STREAM))
    response = bed.ask("limited", stream=True)
    assert (response.status, response.body) == (200, b"".join(STREAM))
    asked = bed.second.only().at - bed.first.only().at
    assert ATTEMPT_SECONDS * 0.9 < asked < ATTEMPT_SECONDS * 5


def test_a_stream_that_has_begun_may_take_longer_than_an_attempt(bed: Bed) -> None:
    gate = Gate()
    bed.first.on(Reply(200, EVENTS, STREAM).gated(1, gate))
    with bed.open() as client:
        client.send(chat("limited", stream=True))
        pieces = client.pieces(client.head())
        first = next(pieces)
        until = first.at + ATTEMPT_SECONDS * 1.5
        bed.gateway.wait_until(lambda: time.monotonic() > until, "the time of an attempt")
        gate.open()
        assert first.data + b"".join(piece.data for piece in pieces) == b"".join(STREAM)
    assert bed.second.received == []


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_a_retriable_status_moves_to_the_next_backend(bed: Bed, status: int, stream: bool) -> None:
    bed.first.on(Reply(status, JSON, b'{"error":{"message":"no"}}'))
    bed.second.on(Reply(200, EVENTS, STREAM) if stream else Reply(200, JSON, ANSWER))
    response = bed.ask("both", stream=stream)
    assert response.body == (b"".join(STREAM) if stream else ANSWER)


def test_a_refused_connection_moves_to_the_next_backend(bed: Bed) -> None:
    bed.first.refuse()
    bed.second.on(Reply(200, JSON, ANSWER))
    assert bed.ask("both").body == ANSWER


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.CLOSE])
def test_a_broken_attempt_moves_on_where_attempts_are_limited(bed: Bed, kind: FaultKind) -> None:
    bed.first.on(Reply(200, JSON, ANSWER).failing(Fault(kind)))
    bed.second.on(Reply(200, JSON, ANSWER))
    assert bed.ask("limited").body == ANSWER


def test_nothing_of_the_first_attempt_reaches_the_second_provider(bed: Bed) -> None:
    bed.first.on(Reply(503, JSON, b"{}"))
    bed.second.on(Reply(200, JSON, ANSWER))
    assert bed.ask("both").status == 200
    first, second = bed.first.only(), bed.second.only()
    assert CANARY.encode() in first.head
    assert first.json()["model"] == first.json()["user"] == CANARY
    assert CANARY.encode() not in second.head + second.wire_body
    assert b"of-the-client" not in first.head + second.head
    assert second.body == body("both")
    assert second.header_values("content-length") == [str(len(second.body))]
    assert second.header_values("authorization") == ["Bearer key-of-the-second-provider"]


def test_the_last_provider_error_goes_to_the_client(bed: Bed) -> None:
    text = b'{"error":{"message":"slow down","type":"rate_limit_error"}}'
    bed.first.on(Reply(503, JSON, b"{}"))
    bed.second.on(Reply(429, (*JSON, ("retry-after", "7")), text))
    response = bed.ask("both")
    assert (response.status, response.body) == (429, text)
    assert response.head.header("retry-after") == "7"


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_an_error_page_becomes_json(bed: Bed, stream: bool) -> None:
    page = b"<html>" + b"gone" * 100
    bed.first.on(Reply(404, (("content-type", "text/html"),), page).rechunked(50))
    response = bed.ask("plain", stream=stream)
    assert response.status == 404
    assert response.head.header("content-type") == "application/json"
    assert json.loads(response.body)["error"] == {
        "type": "OpenAIBackendError",
        "code": "404",
        "message": page.decode(),
    }


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_an_error_without_a_body_becomes_json(bed: Bed, stream: bool) -> None:
    bed.first.on(Reply(500, framing=ReplyFraming.CONTENT_LENGTH))
    response = bed.ask("plain", stream=stream)
    assert response.status == 500
    assert json.loads(response.body)["error"]["type"] == "OpenAIBackendError"


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("framing", [ReplyFraming.CONTENT_LENGTH, ReplyFraming.CHUNKED])
def test_an_empty_reply_stays_empty(bed: Bed, stream: bool, framing: ReplyFraming) -> None:
    bed.first.on(Reply(200, JSON, b"", framing=framing))
    response = bed.ask("plain", stream=stream)
    assert (response.status, response.body) == (200, b"")


def test_a_stream_without_events_ends(bed: Bed) -> None:
    bed.first.on(Reply(200, EVENTS, (b": nothing\n\n",)))
    response = bed.ask("plain", stream=True)
    assert (response.status, response.body) == (200, b": nothing\n\n")


def test_a_plain_reply_to_a_stream_request_passes(bed: Bed) -> None:
    bed.first.on(Reply(200, JSON, ANSWER).rechunked(9))
    response = bed.ask("plain", stream=True)
    assert (response.status, response.body) == (200, ANSWER)
    assert bed.last_log()["total_tokens"] == 7


def test_trailers_of_a_reply_do_no_harm(bed: Bed) -> None:
    for reply, stream in ((Reply(200, EVENTS, STREAM), True), (Reply(200, JSON, (ANSWER,)), False)):
        bed.first.on(Reply(reply.status, reply.headers, reply.body, trailers=(("x-t", "1"),)))
        assert bed.ask("plain", stream=stream).body == reply.payload


def test_a_request_without_a_body_is_refused(bed: Bed) -> None:
    sizes: tuple[tuple[tuple[str, str], ...], ...] = (
        (),
        (("content-length", "0"),),
        (("transfer-encoding", "chunked"),),
    )
    for size in sizes:
        with bed.open() as client:
            client.send(request("POST", Target.fresh(), *JSON, *size))
            if size and size[0][1] == "chunked":
                client.send_chunked()
            response = client.response()
        assert response.status == 400, size
        assert json.loads(response.body)["error"]["type"] == "BadRequest"
    assert bed.first.received == []


def test_a_body_that_is_no_json_is_refused(bed: Bed) -> None:
    with bed.open() as client:
        client.send(request("POST", Target.fresh(), *JSON, body=b'{"model": nope'))
        response = client.response()
    assert response.status == 400
    details = "aigw_malformed_request"
    bed.gateway.wait_until(lambda: details in bed.gateway.output, "access-log line")


def test_an_oversized_body_is_refused_as_json(bed: Bed) -> None:
    with bed.open() as client:
        size = str(LIMIT + 1_000_000)
        client.send(request("POST", Target.fresh(), *JSON, ("content-length", size)))
        with contextlib.suppress(OSError):
            for _ in range(LIMIT // 1_000_000 + 2):
                client.send(b"x" * 1_000_000)
        response = client.response()
    assert response.status == 413
    assert json.loads(response.body)["error"]["code"] == "413"
    assert bed.first.received == []


def test_a_large_body_passes(bed: Bed) -> None:
    bed.first.on(Reply(200, JSON, ANSWER))
    text = "x" * 20_000_000
    with bed.open() as client:
        client.send(chat("renamed", user=text))
        assert client.response().status == 200
    assert bed.first.only().body == body("a-much-longer-name", user=text)


def test_a_large_reply_passes(bed: Bed) -> None:
    text = json.dumps({"model": "m-1", "pad": "x" * 12_000_000}).encode()
    bed.first.on(Reply(200, JSON, text))
    assert bed.ask("plain").body == text
    assert bed.ask("plain", stream=True).body == text


def test_models_are_listed_without_a_provider(bed: Bed) -> None:
    with bed.open() as client:
        client.send(request("GET", "/v1/models"))
        response = client.response()
    names = [model["id"] for model in json.loads(response.body)["data"]]
    assert (response.status, names) == (200, ["plain", "renamed", "both", "limited"])


@pytest.mark.parametrize("phase", [Phase.BEFORE_HEAD, Phase.AFTER_HEAD, Phase.MID_BODY])
def test_a_client_that_leaves_a_stream_ends_the_attempt(bed: Bed, phase: Phase) -> None:
    after = len(FIRST) if phase is Phase.MID_BODY else None
    bed.first.on(Reply(200, EVENTS, STREAM).failing(Fault(FaultKind.HANG, phase, after)))
    with bed.open() as client:
        client.send(chat("plain", stream=True))
        bed.first.journal.wait(len)
        if phase is Phase.MID_BODY:
            client.head()
    assert bed.first.finished()[0].outcome is Outcome.ABANDONED
    bed.settled()


def test_a_client_that_leaves_in_its_request_reaches_no_provider(bed: Bed) -> None:
    with bed.open() as client:
        client.send(chat("plain")[:-10])
        client.reset()
    bed.settled()
    assert bed.first.received == []


def test_many_requests_at_once_do_not_mix(bed: Bed) -> None:
    bed.first.on(lambda received: Reply(200, JSON, received.body))

    def one(number: int) -> bool:
        stream = bool(number % 2)
        sent = body("plain", stream=stream, user=f"user-{number}")
        return bed.ask("plain", stream=stream, user=f"user-{number}").body == sent

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(200)))


def without_credentials(bed: Bed) -> bytes:
    """Takes all credentials away, and returns the file as it was."""
    original = (bed.gateway.core / "credentials.json").read_bytes()
    replace(bed.gateway, b'{"version":1,"credentials":{}}')
    return original


def test_a_missing_credential_is_waited_for(bed: Bed) -> None:
    bed.first.on(Reply(200, JSON, ANSWER))
    original = without_credentials(bed)
    with bed.open() as client:
        client.send(chat("renamed"))
        bed.gateway.wait_until(lambda: bed.streams() == 2, "the attempt")
        assert bed.first.received == []
        replace(bed.gateway, original)
        assert client.response().status == 200
    assert bed.first.only().header("authorization") == f"Bearer {CANARY}"


def test_a_credential_that_does_not_come_is_an_error(bed: Bed) -> None:
    original = without_credentials(bed)
    response = bed.ask("renamed")
    replace(bed.gateway, original)
    assert response.status == 503
    assert json.loads(response.body)["error"]["type"] == "ServiceUnavailable"
    assert response.head.header("retry-after") is not None
    assert bed.last_log()["response_code_details"] == "aigw_credential_unavailable"


def test_a_client_that_leaves_while_a_credential_is_waited_for_frees_everything(bed: Bed) -> None:
    original = without_credentials(bed)
    with bed.open() as client:
        client.send(chat("renamed"))
        bed.gateway.wait_until(lambda: bed.streams() == 2, "the attempt")
    bed.settled()
    replace(bed.gateway, original)
    assert bed.first.received == []


def test_a_killed_server_comes_back(bed: Bed) -> None:
    bed.first.on(Reply(200, JSON, ANSWER))
    old = server_pid(bed.gateway)
    os.kill(old, signal.SIGKILL)
    bed.gateway.wait_until(lambda: server_pid(bed.gateway) not in {0, old}, "a new server")
    bed.gateway.wait_until(lambda: bed.ask("plain").status == 200, "service")
