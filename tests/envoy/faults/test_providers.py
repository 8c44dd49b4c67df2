"""Providers that are down, break their protocol, or answer in unusual ways."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from aigw.providers import (
    Encoding,
    Fault,
    FaultKind,
    Outcome,
    Persistence,
    Phase,
    Reply,
    ReplyFraming,
    default_reply,
)
from beds.chats import (
    JSON_TYPE,
    SSE,
    STREAM,
    UNARY,
    ask,
    chat,
    error_of,
    nothing_left,
    still_serves,
)
from beds.raw_http import RawConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from beds.faults import Beds
    from beds.gateway import RunningGateway

MIB = 1 << 20


def test_a_provider_that_is_down_is_a_503(gateway: RunningGateway, beds: Beds) -> None:
    response = ask(gateway, chat("down"))
    assert response.status == 503
    assert "no provider is reachable" in error_of(response)
    assert beds.bed.received == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_beyond_the_time_of_the_rule_is_a_504(
    gateway: RunningGateway, beds: Beds, stream: bool
) -> None:
    phase = Phase.AFTER_HEAD if stream else Phase.BEFORE_HEAD
    beds.bed.on((STREAM if stream else UNARY).failing(Fault(FaultKind.HANG, phase)))
    response = ask(gateway, chat("limited", stream=stream))
    assert response.status == 504
    assert "did not answer in time" in error_of(response)
    assert [exchange.outcome for exchange in beds.bed.finished()] == [Outcome.ABANDONED]
    nothing_left(gateway)


BROKEN_HEADS = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-ty",
    "negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "a NUL in a header": b"HTTP/1.1 200 OK\r\nx-a: a\0b\r\ncontent-length: 2\r\n\r\n{}",
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"x-a: %s\r\n" % (b"x" * 200_000),
    "a status without meaning": b"HTTP/1.1 abc OK\r\ncontent-length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("reply", BROKEN_HEADS.values(), ids=BROKEN_HEADS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_broken_response_head_is_a_json_error(
    gateway: RunningGateway, beds: Beds, reply: bytes, stream: bool
) -> None:
    beds.raw.reply = reply
    response = ask(gateway, chat("raw", stream=stream))
    assert response.status in {502, 503}
    assert error_of(response)
    nothing_left(gateway)
    still_serves(gateway)


INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
    "both": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
}


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
@pytest.mark.parametrize("stream", [False, True])
def test_interim_responses_do_no_harm(
    gateway: RunningGateway, beds: Beds, interim: bytes, stream: bool
) -> None:
    # It closes after its reply; without saying so, the next request could meet the old connection.
    fields = b"content-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n"
    head = b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n"
    beds.raw.reply = interim + head + b"{}"
    with RawConnection(gateway.port) as client:
        client.send(chat("raw", stream=stream))
        while (final := client.head()).status < 200:
            pass
        body = b"".join(piece.data for piece in client.pieces(final))
    assert (final.status, body) == (200, b"{}")


DELIVERIES: dict[str, Callable[[Reply], Reply]] = {
    "gzip": lambda reply: replace(reply, encoding=Encoding.GZIP),
    "bytes": lambda reply: replace(reply.rechunked(1), write_size=1),
    "trailers": lambda reply: replace(reply, body=reply.chunks, trailers=(("x-a", "1"),)),
    "until close": lambda reply: replace(reply, framing=ReplyFraming.UNTIL_CLOSE),
    "closing": lambda reply: replace(reply, persistence=Persistence.CLOSE),
}


@pytest.mark.parametrize("delivery", DELIVERIES.values(), ids=DELIVERIES)
@pytest.mark.parametrize("stream", [False, True])
def test_a_translated_reply_does_not_depend_on_its_delivery(
    gateway: RunningGateway, beds: Beds, delivery: Callable[[Reply], Reply], stream: bool
) -> None:
    message = chat("claude", ("accept-encoding", "gzip"), stream=stream)
    expected = ask(gateway, message)
    beds.bed.on(lambda found: delivery(default_reply(found)))
    response = ask(gateway, message)
    assert response.status == expected.status == 200
    assert response.head.header("content-encoding") is None
    assert without_time(response.body) == without_time(expected.body)


def without_time(body: bytes) -> bytes:
    return re.sub(rb'"created":\d+', b"", body)


BROKEN_BODIES = {
    "a broken chunk size": b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\nZZ\r\n",
    "no final chunk": b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "a short body": b"content-length: 100\r\n\r\n{}",
}


@pytest.mark.parametrize("reply", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
def test_a_body_that_breaks_off_is_no_success(
    gateway: RunningGateway, beds: Beds, reply: bytes
) -> None:
    beds.raw.reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + reply
    try:
        response = ask(gateway, chat("raw"))
    except ConnectionError:
        pass
    else:
        assert response.status in {502, 503}
        assert error_of(response)
    nothing_left(gateway)
    still_serves(gateway)


def test_what_a_provider_sends_beyond_its_length_goes_nowhere(
    gateway: RunningGateway, beds: Beds
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
    beds.raw.reply = head + b"{}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged"
    with RawConnection(gateway.port) as client:
        for _ in range(3):
            client.send(chat("raw"))
            response = client.response()
            assert (response.status, response.body) in {(200, b"{}")}


EMPTY = {
    "204": Reply(204),
    "200": Reply(200, (JSON_TYPE,)),
    "200, chunked": Reply(200, (JSON_TYPE,), framing=ReplyFraming.CHUNKED),
    "200, until close": Reply(200, (JSON_TYPE,), framing=ReplyFraming.UNTIL_CLOSE),
    "200, stream": Reply(200, SSE, framing=ReplyFraming.CHUNKED),
    "204, stream": Reply(204, SSE),
}


@pytest.mark.parametrize("reply", EMPTY.values(), ids=EMPTY)
@pytest.mark.parametrize("stream", [False, True])
def test_an_empty_reply_passes(
    gateway: RunningGateway, beds: Beds, reply: Reply, stream: bool
) -> None:
    beds.bed.on(reply)
    with RawConnection(gateway.port) as client:
        for _ in range(2):
            client.send(chat("m", stream=stream))
            response = client.response()
            assert (response.status, response.body) == (reply.status, b"")


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_with_trailers_is_whole(gateway: RunningGateway, beds: Beds, stream: bool) -> None:
    reply = STREAM if stream else UNARY
    beds.bed.on(Reply(200, reply.headers, reply.body, trailers=(("x-checksum", "1"),)))
    with RawConnection(gateway.port) as client:
        for _ in range(2):
            client.send(chat("m", stream=stream))
            response = client.response()
            assert (response.status, response.body) == (200, reply.payload)


def test_a_compressed_reply_passes_unchanged(gateway: RunningGateway, beds: Beds) -> None:
    beds.bed.on(Reply(200, UNARY.headers, UNARY.body, encoding=Encoding.GZIP))
    response = ask(gateway, chat("m", ("accept-encoding", "gzip")))
    assert response.head.header("content-encoding") == "gzip"
    assert gzip.decompress(response.body) == UNARY.payload
    assert beds.bed.only().header("accept-encoding") == "gzip"


@pytest.mark.parametrize("stream", [False, True])
def test_providers_that_close_after_every_reply_are_served_with_new_connections(
    gateway: RunningGateway, beds: Beds, stream: bool
) -> None:
    reply = STREAM if stream else UNARY
    beds.bed.on(Reply(200, reply.headers, reply.body, persistence=Persistence.CLOSE))
    with RawConnection(gateway.port) as client:
        for _ in range(3):
            client.send(chat("m", stream=stream))
            assert client.response().body == reply.payload
    assert len({found.connection for found in beds.bed.received}) == 3


def test_a_large_reply_is_translated_and_envoy_lives(gateway: RunningGateway, beds: Beds) -> None:
    pid = gateway.envoy_pid()
    text = "x" * (20 * MIB)
    usage = {"input_tokens": 1, "output_tokens": 2}
    message = {
        "id": "msg",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    beds.bed.on(Reply(200, (JSON_TYPE,), json.dumps(message).encode()))
    response = ask(gateway, chat("claude"))
    assert response.status == 200
    assert json.loads(response.body)["choices"][0]["message"]["content"] == text
    assert gateway.envoy_pid() == pid


def test_a_reply_beyond_the_limit_is_not_translated(gateway: RunningGateway, beds: Beds) -> None:
    pid = gateway.envoy_pid()
    beds.bed.on(Reply(200, (JSON_TYPE,), b'{"text":"%s"}' % (b"x" * (60 * MIB))))
    response = ask(gateway, chat("claude"))
    assert response.status in {500, 502}
    assert error_of(response)
    assert gateway.envoy_pid() == pid
    nothing_left(gateway)
