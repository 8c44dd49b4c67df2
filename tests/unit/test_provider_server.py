"""The provider records byte for byte and replies, delays and fails exactly as scripted."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import ssl
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from aigw.providers import (
    Encoding,
    Exhausted,
    FakeProvider,
    Fault,
    FaultKind,
    Framing,
    Gate,
    Match,
    Outcome,
    Persistence,
    Phase,
    Reply,
    ReplyFraming,
    Script,
    default_reply,
)
from aigw.providers.routes import ROUTES, Route
from beds.authority import Authority
from beds.raw_http import request

if TYPE_CHECKING:
    from collections.abc import Callable

    from beds.fixtures import RawHttp
    from beds.provider import ProviderBed

GET = request("GET", "/x")
HELLO = Reply(body=b"hello world!")
CHUNKS = Reply(body=(b"one ", b"two ", b"three"))


def test_a_request_is_recorded_byte_for_byte(provider: ProviderBed, raw_http: RawHttp) -> None:
    head = (
        b"POST /v1/\xffodd%2Fpath?a=1&a=2 HTTP/1.1\r\nHost: h\r\nX-Dup: 1\r\nx-dUP:\t2 \r\n"
        b"X-Bytes: \xe9\xff\r\nContent-Length: 5\r\n\r\n"
    )
    client = raw_http(provider.port)
    client.send_in_pieces(head + b"\x00\xff{]\n")
    assert client.response().status == 404
    received = provider.only()
    assert received.head == head
    assert (received.method, received.version) == (b"POST", b"HTTP/1.1")
    assert received.target == b"/v1/\xffodd%2Fpath?a=1&a=2"
    assert received.query == "a=1&a=2"
    assert received.headers[1:4] == ((b"X-Dup", b"1"), (b"x-dUP", b"2"), (b"X-Bytes", b"\xe9\xff"))
    assert received.header_values("x-dup") == ["1", "2"]
    assert received.body == received.wire_body == b"\x00\xff{]\n"
    assert received.framing is Framing.CONTENT_LENGTH


def test_a_chunked_request_keeps_its_framing(provider: ProviderBed, raw_http: RawHttp) -> None:
    wire = b"3;ext=1\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"
    client = raw_http(provider.port)
    client.send(b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + wire)
    client.response()
    received = provider.only()
    assert received.framing is Framing.CHUNKED
    assert received.body == b"abc0123456789"
    assert received.wire_body == wire
    assert received.chunk_sizes == (3, 10)
    assert received.trailers == ((b"X-Sum", b"1"),)


def test_pipelined_requests_are_answered_in_order(provider: ProviderBed, raw_http: RawHttp) -> None:
    provider.on(lambda received: Reply(body=received.target))
    client = raw_http(provider.port)
    client.send(b"".join(request("POST", f"/{n}", body=b"b" * n) for n in range(5)))
    assert [client.response().body for _ in range(5)] == [b"/0", b"/1", b"/2", b"/3", b"/4"]
    raw_http(provider.port).send(GET)
    provider.finished(6)
    order = [(r.connection, r.sequence) for r in provider.received]
    assert order == [*((0, n) for n in range(5)), (1, 0)]


def test_an_interim_reply_answers_expect_continue(provider: ProviderBed, raw_http: RawHttp) -> None:
    provider.on(HELLO)
    client = raw_http(provider.port)
    client.send(request("POST", "/x", ("expect", "100-continue"), ("content-length", "2")))
    assert client.head().status == 100
    client.send(b"ok")
    assert client.response().status == 200
    assert provider.only().body == b"ok"


@pytest.mark.parametrize(
    "data",
    [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n"],
)
def test_a_malformed_request_is_a_400_and_kept(
    provider: ProviderBed, raw_http: RawHttp, data: bytes
) -> None:
    client = raw_http(provider.port)
    client.send(data)
    assert client.response().status == 400
    assert client.closed()
    assert provider.journal.malformed == [data]


def test_a_half_sent_request_is_recorded_as_incomplete(
    provider: ProviderBed, raw_http: RawHttp
) -> None:
    client = raw_http(provider.port)
    client.send(b"POST /x HTTP/1.1\r\ncontent-length: 10\r\n\r\nhalf")
    client.reset()
    exchange = provider.finished()[0]
    assert exchange.outcome is Outcome.ABANDONED
    assert (exchange.received.complete, exchange.received.body) == (False, b"half")


def test_scripts_match_and_advance_per_attempt(provider: ProviderBed, raw_http: RawHttp) -> None:
    provider.add(
        Script((Reply(503), Reply(429)), Match(header=("X-Script-Id", "a")), Exhausted.FALL_THROUGH)
    )
    provider.on(Reply(201), match=Match(path="/other"))
    client = raw_http(provider.port)

    def status(path: str, script: str) -> int:
        client.send(request("GET", path, ("x-script-id", script)))
        return client.response().status

    assert [status("/x", "a") for _ in range(3)] == [503, 429, 404]
    assert [status("/x", "b"), status("/other", "b"), status("/other", "a")] == [404, 201, 201]


def test_a_gate_holds_a_chunk_until_it_opens(provider: ProviderBed, raw_http: RawHttp) -> None:
    gate = Gate()
    provider.on(CHUNKS.gated(1, gate))
    client = raw_http(provider.port)
    client.send(GET)
    pieces = client.pieces(client.head())
    assert next(pieces).data == b"one "
    gate.wait_reached()
    assert provider.journal.exchanges[0].outcome is Outcome.PENDING
    gate.open()
    assert [piece.data for piece in pieces] == [b"two ", b"three"]
    assert provider.finished()[0].outcome is Outcome.SENT


def test_a_client_that_leaves_a_held_reply_is_noticed(
    provider: ProviderBed, raw_http: RawHttp
) -> None:
    gate = Gate()
    provider.on(CHUNKS.gated(1, gate))
    client = raw_http(provider.port)
    client.send(GET)
    gate.wait_reached()
    client.close()
    assert provider.finished()[0].outcome is Outcome.ABANDONED


def test_a_default_stream_can_be_gated(provider: ProviderBed, raw_http: RawHttp) -> None:
    gate = Gate()
    provider.on(lambda received: default_reply(received).gated(2, gate))
    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    client = raw_http(provider.port)
    client.send(request("POST", "/v1/chat/completions", body=body))
    pieces = client.pieces(client.head())
    assert b"assistant" in next(pieces).data
    next(pieces)
    gate.wait_reached()
    gate.open()
    assert list(pieces)[-1].data == b"data: [DONE]\n\n"


def test_pace_and_small_writes_deliver_the_same_bytes(
    provider: ProviderBed, raw_http: RawHttp
) -> None:
    provider.on(replace(CHUNKS, pace=0.001), replace(HELLO, write_size=1), CHUNKS.rechunked(1))
    client = raw_http(provider.port)
    client.send(GET * 3)
    assert [len(client.response().pieces) for _ in range(1)] == [3]
    assert client.response().body == b"hello world!"
    assert {len(piece.data) for piece in client.response().pieces} == {1}


def test_gzip_can_be_read_chunk_by_chunk(provider: ProviderBed, raw_http: RawHttp) -> None:
    provider.on(replace(CHUNKS, encoding=Encoding.GZIP))
    client = raw_http(provider.port)
    client.send(GET)
    response = client.response()
    assert response.head.header("content-encoding") == "gzip"
    assert gzip.decompress(response.body) == b"one two three"


def test_trailers_follow_the_final_chunk(provider: ProviderBed, raw_http: RawHttp) -> None:
    provider.on(replace(CHUNKS, trailers=(("x-sum", "1"),), persistence=Persistence.CLOSE))
    client = raw_http(provider.port)
    client.send(GET)
    head = client.head()
    assert head.header("connection") == "close"
    raw = replace(head, headers=())
    wire = b"".join(piece.data for piece in client.pieces(raw))
    assert wire.endswith(b"5\r\nthree\r\n0\r\nx-sum: 1\r\n\r\n")


def test_a_body_can_end_with_the_connection(provider: ProviderBed, raw_http: RawHttp) -> None:
    provider.on(replace(CHUNKS, framing=ReplyFraming.UNTIL_CLOSE))
    client = raw_http(provider.port)
    client.send(GET)
    assert client.response().body == b"one two three"


def test_a_content_length_can_lie(provider: ProviderBed, raw_http: RawHttp) -> None:
    provider.on(replace(HELLO, declared_length=100))
    client = raw_http(provider.port)
    client.send(GET)
    head = client.head()
    assert head.header("content-length") == "100"
    with pytest.raises(ConnectionError, match="closed"):
        list(client.pieces(head))


@pytest.mark.parametrize(
    ("phase", "arrives"),
    [
        (Phase.BEFORE_HEAD, b""),
        (Phase.MID_HEAD, b"HTTP/1.1 200"),
        (Phase.AFTER_HEAD, b"\r\n\r\n"),
        (Phase.MID_BODY, b"4\r\none \r\n4\r\ntw"),
        (Phase.BEFORE_END, b"5\r\nthree\r\n"),
    ],
)
@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.CLOSE])
def test_a_fault_strikes_at_its_phase(
    provider: ProviderBed, raw_http: RawHttp, phase: Phase, kind: FaultKind, arrives: bytes
) -> None:
    provider.on(CHUNKS.failing(Fault(kind, phase, gate=(gate := Gate()))))
    client = raw_http(provider.port)
    client.send(GET)
    gate.wait_reached()
    expected = provider.journal.exchanges[0].sent_bytes
    seen = b"".join(client.socket.recv(1) for _ in range(expected))
    gate.open()
    if kind is FaultKind.RESET:
        with pytest.raises(ConnectionResetError):
            client.socket.recv(1)
    else:
        assert client.socket.recv(1) == b""
    assert seen.endswith(arrives) or (phase is Phase.MID_HEAD and seen.startswith(arrives))
    wanted = Outcome.RESET if kind is FaultKind.RESET else Outcome.CLOSED
    assert provider.finished()[0].outcome is wanted


def test_a_fault_can_count_payload_bytes(provider: ProviderBed, raw_http: RawHttp) -> None:
    provider.on(HELLO.failing(Fault(FaultKind.CLOSE, Phase.MID_BODY, after=5)))
    client = raw_http(provider.port)
    client.send(GET)
    with pytest.raises(ConnectionError, match="closed after"):
        list(client.pieces(client.head()))
    assert provider.finished()[0].outcome is Outcome.CLOSED


def test_a_hang_ends_when_its_gate_opens(provider: ProviderBed, raw_http: RawHttp) -> None:
    gate = Gate()
    provider.on(HELLO.failing(Fault(FaultKind.HANG, Phase.AFTER_HEAD, gate=gate)))
    client = raw_http(provider.port)
    client.send(GET)
    head = client.head()
    gate.wait_reached()
    gate.open()
    assert b"".join(piece.data for piece in client.pieces(head)) == b"hello world!"


def test_a_hang_without_gate_lasts_until_the_client_leaves(
    provider: ProviderBed, raw_http: RawHttp
) -> None:
    provider.on(HELLO.failing(Fault(FaultKind.HANG)))
    client = raw_http(provider.port, timeout=0.05)
    client.send(GET)
    with pytest.raises(TimeoutError):
        client.head()
    client.close()
    assert provider.finished()[0].outcome is Outcome.ABANDONED


def test_a_provider_refuses_and_accepts_again(provider: ProviderBed, raw_http: RawHttp) -> None:
    port = provider.port
    client = raw_http(port)
    client.send(GET)
    client.response()
    provider.refuse()
    assert client.closed()
    with pytest.raises(ConnectionRefusedError):
        raw_http(port)
    provider.accept()
    client = raw_http(port)
    client.send(GET)
    assert client.response().status == 404


def test_a_failing_script_is_a_500(
    provider: ProviderBed, raw_http: RawHttp, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> Reply:
        raise LookupError

    provider.on(fail)
    client = raw_http(provider.port)
    client.send(GET)
    assert client.response().status == 500
    assert "no reply to" in caplog.text


def test_providers_are_independent(
    new_provider: Callable[[], ProviderBed], raw_http: RawHttp
) -> None:
    one, two = new_provider(), new_provider()
    one.on(Reply(201))
    for bed, status in ((one, 201), (two, 404)):
        client = raw_http(bed.port)
        client.send(GET)
        assert client.response().status == status
    assert len(one.received) == len(two.received) == 1


def test_stopping_drops_held_replies(
    new_provider: Callable[[], ProviderBed], raw_http: RawHttp
) -> None:
    bed, gate = new_provider(), Gate()
    bed.on(CHUNKS.gated(1, gate))
    client = raw_http(bed.port)
    client.send(GET)
    gate.wait_reached()
    bed.stop()
    with pytest.raises(ConnectionError):
        client.response()
    gate.open()


async def test_a_provider_runs_on_the_callers_loop() -> None:
    async with FakeProvider(keep=1) as provider:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
            writer.write(request("GET", "/v1/models", ("connection", "close")))
            assert b'"object":"list"' in await reader.read()
            writer.close()
            await writer.wait_closed()
        assert len(provider.journal.exchanges) == 1


def test_the_command_prints_its_url_and_stops_on_sigterm(raw_http: RawHttp) -> None:
    command = [sys.executable, "-m", "aigw.providers", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        client = raw_http(int(url.rpartition(":")[2]))
        client.send(request("GET", "/v1/models"))
        assert client.response().status == 200
        process.terminate()
        assert process.wait(10) == 0


def test_bodiless_replies_leave_the_connection_usable(
    provider: ProviderBed, raw_http: RawHttp
) -> None:
    provider.on(Reply(204), HELLO)
    client = raw_http(provider.port)
    client.send(GET + request("HEAD", "/x") + GET)
    assert client.response().status == 204
    assert client.head().header("content-length") == "0"
    assert client.response().body == b"hello world!"


def test_a_large_body_passes_both_ways(provider: ProviderBed, raw_http: RawHttp) -> None:
    data = bytes(range(256)) * (32 << 10)
    provider.on(lambda received: Reply(body=received.body).rechunked(1 << 20))
    client = raw_http(provider.port)
    client.send(request("POST", "/x", body=data))
    assert client.response().body == data


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nonsense",
        b'{"model":"m"}',
        b'{"model":"m","messages":[1]}',
        b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"m","input":[[]]}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.suffix)
def test_a_body_of_the_wrong_shape_is_a_client_error(
    provider: ProviderBed, raw_http: RawHttp, route: Route, body: bytes
) -> None:
    client = raw_http(provider.port)
    client.send(request("POST", f"/model/m{route.suffix}", body=body))
    response = client.response()
    assert response.status in {200, 400, 405}
    assert isinstance(json.loads(response.body), dict)


async def test_a_provider_serves_tls_and_resets_it() -> None:
    authority = Authority()
    async with FakeProvider(tls=authority.server("127.0.0.1")) as provider:
        gate = Gate()
        provider.on(HELLO, HELLO.failing(Fault(FaultKind.RESET, Phase.AFTER_HEAD, gate=gate)))
        trust = ssl.create_default_context(cadata=authority.pem)
        reader, writer = await asyncio.open_connection("127.0.0.1", provider.port, ssl=trust)
        writer.write(GET + GET)
        assert (await reader.readuntil(b"world!")).startswith(b"HTTP/1.1 200 OK")
        gate.open()
        with pytest.raises(ConnectionError):
            await reader.read()
        writer.close()
        outcomes = [exchange.outcome for exchange in provider.journal.exchanges]
    assert outcomes == [Outcome.SENT, Outcome.RESET]
