"""Huge, slow, lying and leaving clients."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import zlib
from typing import TYPE_CHECKING

import pytest

from aigw.providers import Encoding, Fault, FaultKind, Framing, Gate, Outcome, Reply
from aigw.providers.script import Chunk, Phase
from beds.chats import (
    CHUNKED_HEAD,
    EVENTS,
    JSON_TYPE,
    SSE,
    STREAM,
    UNARY,
    active_requests,
    ask,
    body_of,
    chat,
    error_of,
    nothing_left,
    open_slots,
    still_serves,
)
from beds.raw_http import RawConnection, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from beds.faults import Beds
    from beds.gateway import RunningGateway


MIB = 1 << 20


@pytest.mark.parametrize("model", ["m", "override"])
def test_a_body_of_49_mib_passes(gateway: RunningGateway, beds: Beds, model: str) -> None:
    body = body_of(model, b"x" * (49 * MIB))
    response = ask(gateway, request("POST", "/v1/chat/completions", JSON_TYPE, body=body))
    assert response.status == 200
    found = beds.bed.only()
    expected = body if model == "m" else body.replace(b'"override"', b'"other"', 1)
    assert found.body == expected
    assert found.header_values("content-length") == [str(len(expected))]


@pytest.mark.parametrize("framing", [Framing.CONTENT_LENGTH, Framing.CHUNKED])
def test_a_body_of_60_mib_is_too_large(
    gateway: RunningGateway, beds: Beds, framing: Framing
) -> None:
    body = body_of("m", b"x" * (60 * MIB))

    def send() -> None:
        # The gateway need not read what it has refused already.
        with contextlib.suppress(OSError):
            if framing is Framing.CHUNKED:
                client.send(CHUNKED_HEAD)
                client.send_chunked(*(body[i : i + MIB] for i in range(0, len(body), MIB)))
            else:
                client.send(request("POST", "/v1/chat/completions", JSON_TYPE, body=body))

    with RawConnection(gateway.port, 20) as client:
        sender = threading.Thread(target=send)
        sender.start()
        response = client.response()
    sender.join()
    assert response.status == 413
    assert "larger than" in error_of(response)
    assert beds.bed.received == []
    nothing_left(gateway)


@pytest.mark.parametrize("model", ["m", "override"])
def test_a_request_in_pieces_of_one_byte_is_the_same_request(
    gateway: RunningGateway, beds: Beds, model: str
) -> None:
    body = body_of(model)
    with RawConnection(gateway.port) as client:
        client.send_in_pieces(chat(model))
        assert client.response().status == 200
        client.send_in_pieces(CHUNKED_HEAD)
        client.send_chunked(*(body[i : i + 1] for i in range(len(body))))
        assert client.response().status == 200
    expected = body if model == "m" else body.replace(b'"override"', b'"other"')
    assert [found.body for found in beds.bed.received] == [expected, expected]


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_in_pieces_of_one_byte_is_the_same_reply(
    gateway: RunningGateway, beds: Beds, stream: bool
) -> None:
    reply = STREAM if stream else UNARY
    beds.bed.on(Reply(200, reply.headers, reply.rechunked(1).body, write_size=1))
    response = ask(gateway, chat("m", stream=stream))
    assert response.status == 200
    assert response.body == reply.payload


@pytest.mark.parametrize("stream", [False, True])
def test_a_large_reply_passes_and_envoy_lives(
    gateway: RunningGateway, beds: Beds, stream: bool
) -> None:
    pid = gateway.envoy_pid()
    event = b'data: {"text":"%s"}\n\n' % (b"x" * 1000)
    unary = Reply(200, (JSON_TYPE,), b'{"text":"%s"}' % (b"x" * (20 * MIB)))
    reply = Reply(200, SSE, event * 20_000) if stream else unary
    beds.bed.on(reply)
    response = ask(gateway, chat("m", stream=stream))
    assert response.status == 200
    assert response.body == reply.payload
    assert gateway.envoy_pid() == pid


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", [40, 60, 130])
def test_a_client_that_reads_late_gets_all_of_a_large_reply(
    gateway: RunningGateway, beds: Beds, size: int, stream: bool
) -> None:
    pid = gateway.envoy_pid()
    text = b"x" * 100_000
    events = (b"data: %s\n\n" % text,) * (size * 10)
    unary = (b'{"text":"', *(text,) * (size * 10), b'"}')
    reply = Reply(200, SSE, events) if stream else Reply(200, (JSON_TYPE,), unary)
    beds.bed.on(reply)
    with RawConnection(gateway.port, 20) as client:
        client.send(chat("m", stream=stream))
        wait_until_held(gateway, beds)
        response = client.response()
    assert response.status == 200
    assert response.body == reply.payload
    assert gateway.envoy_pid() == pid


@pytest.mark.slow
def test_clients_that_do_not_read_stop_their_providers_and_nobody_else(
    any_host: tuple[str, ...], gateway: RunningGateway, beds: Beds
) -> None:
    if "extproc" in any_host:
        # With flow control of its side streams, clients that leave then bring Envoy 1.40 down.
        pytest.skip("ext_proc in Envoy 1.40 knows no back pressure")
    pid = gateway.envoy_pid()
    event = b"data: %s\n\n" % (b"x" * 100_000)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            beds.bed.reset()
            beds.bed.on(Reply(200, SSE, (event,) * 6000))
            client = stack.enter_context(RawConnection(gateway.port, 20))
            client.send(chat("m", stream=True))
            wait_until_held(gateway, beds)
            assert beds.bed.journal.exchanges[0].finished_at is None
        beds.bed.reset()
        still_serves(gateway)
    nothing_left(gateway)
    assert gateway.envoy_pid() == pid


def wait_until_held(gateway: RunningGateway, beds: Beds) -> None:
    """Until the provider has sent all, or all that the gateway takes while its client waits."""
    [exchange] = beds.bed.journal.wait(lambda seen: seen)
    sent = [-1] * 30

    def held() -> bool:
        sent.append(exchange.sent_bytes)
        return exchange.finished_at is not None or (len(set(sent[-30:])) == 1 and sent[-1] > 0)

    gateway.wait_until(held, "end of the reply, or back pressure")


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_beyond_the_limit_of_buffers_passes_and_envoy_lives(
    gateway: RunningGateway, beds: Beds, stream: bool
) -> None:
    pid = gateway.envoy_pid()
    event = b"data: %s\n\n" % (b"x" * 100_000)
    unary = Reply(200, (JSON_TYPE,), b'{"text":"%s"}' % (b"x" * (80 * MIB)))
    reply = Reply(200, SSE, event * 800) if stream else unary
    beds.bed.on(reply)
    response = ask(gateway, chat("m", stream=stream))
    assert response.status == 200
    assert response.body == reply.payload
    assert gateway.envoy_pid() == pid


# Streams


def test_events_with_cr_lf_pass_unchanged(gateway: RunningGateway, beds: Beds) -> None:
    events = tuple(event.replace(b"\n", b"\r\n") for event in EVENTS)
    beds.bed.on(Reply(200, SSE, events))
    response = ask(gateway, chat("m", stream=True))
    assert response.body == b"".join(events)


def test_a_first_error_event_with_cr_lf_becomes_a_status(
    gateway: RunningGateway, beds: Beds
) -> None:
    event = b'data: {"error":{"message":"slow down","type":"rate_limit_error"}}\r\n\r\n'
    beds.bed.on(Reply(200, SSE, (event,)))
    response = ask(gateway, chat("m", stream=True))
    assert response.status == 429
    assert error_of(response) == "slow down"


@pytest.mark.parametrize("encoding", list(Encoding))
def test_every_event_arrives_before_the_next_is_sent(
    gateway: RunningGateway, beds: Beds, encoding: Encoding
) -> None:
    gates = [Gate() for _ in EVENTS]
    chunks = tuple(Chunk(data, gate) for data, gate in zip(EVENTS, gates, strict=True))
    beds.bed.on(Reply(200, SSE, chunks, encoding=encoding))
    unpack = gunzip() if encoding is Encoding.GZIP else bytes
    with RawConnection(gateway.port) as client:
        client.send(chat("m", ("accept-encoding", "gzip"), stream=True))
        gates[0].open()
        pieces = client.pieces(client.head())
        for event, following in zip(EVENTS, [*gates[1:], Gate()], strict=True):
            got = b""
            while got != event:
                got += unpack(next(pieces).data)
                assert event.startswith(got)
            following.open()


def gunzip() -> Callable[[bytes], bytes]:

    return zlib.decompressobj(wbits=31).decompress


# Headers


def test_forged_internal_headers_choose_nothing(gateway: RunningGateway, beds: Beds) -> None:
    forged = (
        ("x-ai-eg-model", "down"),
        ("X-AI-EG-Model", "override"),
        ("x-ai-eg-original-path", "/forged"),
        ("x-gateway-destination-endpoint", "127.0.0.1:1"),
        ("x-aigw-credential", "forged"),
        ("x-envoy-original-path", "/forged"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-max-retries", "3"),
    )
    beds.bed.on(Reply(503, (JSON_TYPE,), b'{"error":{"message":"busy"}}'))
    assert ask(gateway, chat("m", *forged)).status == 503
    found = beds.bed.only()
    assert found.body == body_of("m")
    names = {name.lower() for name, _ in found.headers}
    assert not {n for n in names if n.startswith((b"x-ai-eg", b"x-gateway", b"x-aigw", b"x-envoy"))}


def test_a_client_cannot_set_the_gateways_timeout(gateway: RunningGateway, beds: Beds) -> None:
    gate = Gate()
    beds.bed.on(UNARY.failing(Fault(FaultKind.HANG, gate=gate)))
    with RawConnection(gateway.port) as client:
        client.send(chat("m", ("x-envoy-upstream-rq-timeout-ms", "1")))
        gate.wait_reached()
        gate.open()
        assert client.response().status == 200


# HTTP at its edges


def test_a_client_that_asks_first_is_told_to_go_on(gateway: RunningGateway, beds: Beds) -> None:
    head, _, body = chat("m", ("expect", "100-continue")).partition(b"\r\n\r\n")
    with RawConnection(gateway.port) as client:
        client.send(head + b"\r\n\r\n")
        assert client.head().status == 100
        client.send(body)
        assert client.response().status == 200
    assert beds.bed.only().body == body


HEAD = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n"
NOT_HTTP = {
    "garbage": ("\x16\x03\x01\x02\0garbage\r\n\r\n", 400),
    "two framings": (
        f"{HEAD}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "two lengths": (f"{HEAD}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}", 400),
    "no host": ("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}", 400),
    "a huge header": (f"{HEAD}x-a: {'x' * 200_000}\r\n\r\n", 431),
    "an old version": ("POST /v1/chat/completions HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}", 426),
}


@pytest.mark.parametrize(("text", "status"), NOT_HTTP.values(), ids=NOT_HTTP)
def test_what_is_not_a_request_is_refused_and_reaches_nobody(
    gateway: RunningGateway, beds: Beds, text: str, status: int
) -> None:
    with RawConnection(gateway.port) as client:
        client.send(text.encode("latin-1"))
        response = client.response()
        assert client.closed()
    assert response.status == status
    assert error_of(response)
    assert beds.bed.received == []
    still_serves(gateway)


def test_an_http2_client_is_served(gateway: RunningGateway, beds: Beds) -> None:
    for stream, reply in ((False, UNARY), (True, STREAM)):
        beds.bed.reset()
        beds.bed.on(reply)
        body = body_of("m", stream=stream).decode()
        command = ["curl", "-sS", "--http2-prior-knowledge", "-w", "%{http_version}"]
        target = ["-H", "content-type: application/json", "-d", body]
        url = f"{gateway.url}/v1/chat/completions"
        done = subprocess.run([*command, *target, url], capture_output=True, check=True)
        assert done.stdout == reply.payload + b"2"
        assert beds.bed.only().body == body.encode()


# Clients that leave

HANG = UNARY.failing(Fault(FaultKind.HANG))
LEAVE = {"in order": RawConnection.close, "by reset": RawConnection.reset}


@pytest.fixture(params=LEAVE.values(), ids=list(LEAVE))
def leave(request: pytest.FixtureRequest) -> Callable[[RawConnection], None]:
    chosen: Callable[[RawConnection], None] = request.param
    return chosen


def provider_was_let_go(beds: Beds) -> None:
    assert [exchange.outcome for exchange in beds.bed.finished()] == [Outcome.ABANDONED]


def test_a_client_that_leaves_while_it_sends_its_body_leaves_nothing(
    gateway: RunningGateway, beds: Beds, leave: Callable[[RawConnection], None]
) -> None:
    with RawConnection(gateway.port) as client:
        client.send(chat("m")[:-10])
        gateway.wait_until(lambda: active_requests(gateway) == 1, "request")
        leave(client)
    nothing_left(gateway)
    assert beds.bed.received == []
    still_serves(gateway)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("phase", [Phase.BEFORE_HEAD, Phase.AFTER_HEAD])
def test_a_client_that_leaves_while_it_waits_ends_the_providers_work(
    gateway: RunningGateway,
    beds: Beds,
    leave: Callable[[RawConnection], None],
    stream: bool,
    phase: Phase,
) -> None:
    beds.bed.on((STREAM if stream else UNARY).failing(Fault(FaultKind.HANG, phase)))
    with RawConnection(gateway.port) as client:
        client.send(chat("m", stream=stream))
        beds.bed.journal.wait(lambda seen: seen)
        # A request before this one may still wait for Envoy's access log.
        gateway.wait_until(lambda: open_slots(gateway) == 1, "one open slot")
        leave(client)
        provider_was_let_go(beds)
    nothing_left(gateway)
    beds.bed.reset()
    still_serves(gateway)


def test_a_client_that_leaves_in_mid_stream_ends_the_providers_work(
    gateway: RunningGateway, beds: Beds, leave: Callable[[RawConnection], None]
) -> None:
    beds.bed.on(STREAM.failing(Fault(FaultKind.HANG, Phase.MID_BODY, len(EVENTS[0]))))
    with RawConnection(gateway.port) as client:
        client.send(chat("m", stream=True))
        assert next(client.pieces(client.head())).data == EVENTS[0]
        leave(client)
        provider_was_let_go(beds)
    nothing_left(gateway)
    beds.bed.reset()
    still_serves(gateway)
