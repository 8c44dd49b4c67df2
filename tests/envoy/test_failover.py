"""Failover: what a broken first provider does to a request, on both topologies.

One gateway per host serves all rows; a model name chooses the rule, and the providers are
scripted per request by the header `x-script-id`. Whatever the first provider answers carries
`CANARY`, so that every row also shows that nothing of a failed attempt reaches the client.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from aigw.providers import (
    FakeProvider,
    Fault,
    FaultKind,
    Framing,
    Gate,
    Outcome,
    Reply,
    default_reply,
)
from aigw.providers.script import Phase
from beds.chats import JSON_TYPE, error_of, nothing_left
from beds.failover import (
    CANARY,
    CODES,
    EVENTS,
    OK,
    SCRIPT,
    SECOND_EVENTS,
    STREAM,
    Beds,
    Case,
    ask,
    configuration,
    error_event,
    failed,
    received,
    scripted,
    second_ok,
)
from beds.gateway import RunningGateway, run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import RawConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aigw.providers import Received
    from beds.ports import FreePorts


@pytest.fixture(scope="module")
def beds(loop_thread: LoopThread) -> Iterator[Beds]:
    started = [ProviderBed(loop_thread, FakeProvider()) for _ in range(3)]
    found = Beds(*started)
    found.dead.refuse()
    yield found
    for bed in started:
        bed.stop()


@pytest.fixture(scope="module")
def gateway(host: tuple[str, ...], free_port: FreePorts, beds: Beds) -> Iterator[RunningGateway]:
    with run_gateway(*host, config=configuration(free_port(), beds)) as running:
        yield running


def strikes(kind: FaultKind, phase: Phase, reply: Reply = OK, after: int | None = None) -> Reply:
    if reply.payload.startswith(b":"):
        after = len(b": keep-alive\n\n")
    return reply.failing(Fault(kind, phase, after))


KEPT_ALIVE = replace(STREAM, body=(b": keep-alive\n\n", *EVENTS))
HANG = strikes(FaultKind.HANG, Phase.BEFORE_HEAD)
SILENT = strikes(FaultKind.HANG, Phase.AFTER_HEAD, STREAM)
SILENT_AFTER_COMMENT = strikes(FaultKind.HANG, Phase.MID_BODY, KEPT_ALIVE)

MOVES_ON = {
    "refused": Case("dead"),
    "refused, stream": Case("dead", stream=True),
    "unresolvable name": Case("nowhere"),
    "unresolvable name, policy": Case("nowhere-policy"),
    **{f"{status}, policy": Case("policy", failed(status)) for status in CODES},
    **{f"{status}, stream": Case("policy", failed(status), stream=True) for status in CODES},
    **{
        f"{status}, default": Case("default", failed(status))
        for status in (429, 500, 502, 503, 504, 529)
    },
    "a status without a body": Case("default", Reply(304, (("x-canary", CANARY),))),
    "reset before head": Case("timed", strikes(FaultKind.RESET, Phase.BEFORE_HEAD)),
    "reset mid head": Case("timed", strikes(FaultKind.RESET, Phase.MID_HEAD)),
    "close before head": Case("timed", strikes(FaultKind.CLOSE, Phase.BEFORE_HEAD)),
    "reset before head, stream": Case(
        "timed", strikes(FaultKind.RESET, Phase.BEFORE_HEAD, STREAM), stream=True
    ),
    "reset of a held stream": Case(
        "timed", strikes(FaultKind.RESET, Phase.AFTER_HEAD, STREAM), stream=True
    ),
    "no head, perRetry.timeout": Case("timed", HANG),
    "no head, perRetry.timeout, stream": Case("timed", HANG, stream=True),
    "no head, streamIdleTimeout": Case("idle", HANG, stream=True),
    "silence after head, perRetry.timeout": Case("timed", SILENT, stream=True),
    "silence after comment, perRetry.timeout": Case("timed", SILENT_AFTER_COMMENT, stream=True),
    "silence after head, streamIdleTimeout": Case("idle", SILENT, stream=True),
    "silence after comment, streamIdleTimeout": Case("idle", SILENT_AFTER_COMMENT, stream=True),
    "error in first event, policy": Case("policy", error_event("rate_limit_error"), stream=True),
    "error in first event, default": Case("default", error_event("overloaded_error"), stream=True),
}


@pytest.mark.parametrize("case", MOVES_ON.values(), ids=MOVES_ON)
def test_the_second_provider_serves_and_nothing_of_the_first_is_seen(
    gateway: RunningGateway, beds: Beds, case: Case
) -> None:
    seen = ask(gateway, beds, case)
    assert seen.response.status == 200
    expected = b"".join(SECOND_EVENTS) if case.stream else b'{"id":"second"}'
    assert seen.response.body == expected
    assert CANARY.encode() not in seen.response.head.raw
    reached = case.model not in {"dead", "nowhere", "nowhere-policy"}
    assert len(seen.first) == int(reached)
    assert len(seen.second) == 1
    assert seen.second[0].body == case.body
    assert seen.second[0].header("content-length") == str(len(case.body))


NOT_REPEATED = {
    **{f"{status}, policy": Case("policy", failed(status)) for status in (400, 404, 529)},
    **{f"{status}, default": Case("default", failed(status)) for status in (400, 404, 501)},
    "404, stream": Case("default", failed(404), stream=True),
}


@pytest.mark.parametrize("case", NOT_REPEATED.values(), ids=NOT_REPEATED)
def test_an_error_that_is_not_retriable_reaches_the_client_as_it_is(
    gateway: RunningGateway, beds: Beds, case: Case
) -> None:
    seen = ask(gateway, beds, case)
    assert isinstance(case.first, Reply)
    assert seen.response.status == case.first.status
    assert seen.response.body == case.first.body
    assert seen.response.head.header("retry-after") == "7"
    assert (len(seen.first), len(seen.second)) == (1, 0)


@pytest.mark.parametrize("model", ["policy", "default"])
@pytest.mark.parametrize("phase", [Phase.BEFORE_HEAD, Phase.MID_HEAD])
def test_a_reset_after_the_request_was_sent_is_not_repeated_unless_asked_for(
    gateway: RunningGateway, beds: Beds, model: str, phase: Phase
) -> None:
    seen = ask(gateway, beds, Case(model, strikes(FaultKind.RESET, phase)))
    assert seen.response.status in {502, 503}
    error_of(seen.response)
    assert (len(seen.first), len(seen.second)) == (1, 0)


LAST = Reply(429, (JSON_TYPE, ("retry-after", "3")), b'{"error":{"message":"the second"}}')
TEXT = Reply(503, (("content-type", "text/html"),), b"<html>over capacity</html>")


@pytest.mark.parametrize("model", ["policy", "default"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_last_provider_speaks_when_all_fail(
    gateway: RunningGateway, beds: Beds, model: str, stream: bool
) -> None:
    seen = ask(gateway, beds, Case(model, failed(500), (LAST,), stream))
    assert seen.response.status == 429
    assert seen.response.body == LAST.body
    assert seen.response.head.header("content-type") == "application/json"
    assert seen.response.head.header("retry-after") == "3"
    assert CANARY.encode() not in seen.response.head.raw
    assert (len(seen.first), len(seen.second)) == (1, 1)


ALL_FAIL = {
    "text": (Case("policy", failed(500), (TEXT,)), 503, "over capacity"),
    "first events": (
        Case("policy", failed(500), (error_event("rate_limit_error"),), stream=True),
        429,
        CANARY,
    ),
    "refused, unresolvable": (Case("all-dead"), 503, "no provider is reachable"),
    "no head": (Case("timed", HANG, (HANG,)), 504, "did not answer in time"),
    "silence": (Case("idle", SILENT, (SILENT,), stream=True), 504, "did not answer in time"),
}


@pytest.mark.parametrize(("case", "status", "part"), ALL_FAIL.values(), ids=ALL_FAIL)
def test_the_last_failure_becomes_json_of_the_clients_shape(
    gateway: RunningGateway, beds: Beds, case: Case, status: int, part: str
) -> None:
    seen = ask(gateway, beds, case)
    assert seen.response.status == status
    assert part in error_of(seen.response)


def test_attempts_per_priority_are_used_up_before_the_next_priority(
    gateway: RunningGateway, beds: Beds
) -> None:
    seen = ask(gateway, beds, Case("twice", failed(503), (failed(503), second_ok)))
    assert seen.response.status == 200
    assert (len(seen.first), len(seen.second)) == (2, 2)


def broken_stream(gateway: RunningGateway, message: bytes, gate: Gate | None) -> bytes:
    """The body of a stream that ends with an error or breaks off, never with a success marker.

    The gate is opened when the first piece of it is here.
    """
    body = b""
    broken = False
    with RawConnection(gateway.port) as client:
        client.send(message)
        head = client.head()
        assert head.status == 200
        try:
            for piece in client.pieces(head):
                body += piece.data
                if gate is not None:
                    gate.open()
        except ConnectionError:
            broken = True
    assert b"[DONE]" not in body
    assert broken or b'"error"' in body
    return body


DYING = {
    "reset": ("default", FaultKind.RESET, Phase.MID_BODY, len(EVENTS[0])),
    "close": ("default", FaultKind.CLOSE, Phase.MID_BODY, len(EVENTS[0]) + 3),
    "close before the final chunk": ("default", FaultKind.CLOSE, Phase.BEFORE_END, None),
    "silence": ("idle", FaultKind.HANG, Phase.MID_BODY, len(EVENTS[0])),
}


@pytest.mark.parametrize(("model", "kind", "phase", "after"), DYING.values(), ids=DYING)
def test_a_provider_that_dies_in_mid_stream_leaves_no_success_marker(
    gateway: RunningGateway,
    beds: Beds,
    model: str,
    kind: FaultKind,
    phase: Phase,
    after: int | None,
) -> None:
    gate = None if kind is FaultKind.HANG else Gate()
    fault = Fault(kind, phase, after, gate)
    case = Case(model, replace(STREAM, body=EVENTS[:2]).failing(fault), stream=True)
    script = scripted(beds, case)
    body = broken_stream(gateway, case.message(script), gate)
    assert body.startswith(EVENTS[0])
    assert received(beds.second, script) == []


def half(found: Received) -> Reply:
    """The first half of the events that the provider would send."""
    whole = default_reply(found)
    chunks = whole.chunks
    return replace(whole, body=chunks[: len(chunks) // 2])


@pytest.mark.parametrize("model", ["claude", "bedrock"])
@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.CLOSE, None])
def test_half_a_translated_stream_has_no_success_marker(
    gateway: RunningGateway, beds: Beds, model: str, kind: FaultKind | None
) -> None:
    gate = Gate()

    def reply(found: Received) -> Reply:
        cut = half(found)
        return cut.failing(Fault(kind, Phase.BEFORE_END, gate=gate)) if kind else cut

    case = Case(model, reply, stream=True)
    script = scripted(beds, case)
    body = broken_stream(gateway, case.message(script), gate)
    assert body.startswith(b"data: {")
    assert received(beds.second, script) == []


SENT = (
    ("authorization", "Bearer client-secret"),
    ("x-api-key", "client-secret"),
    ("x-repeat", "one"),
    ("x-repeat", "two"),
    ("x-own", "mine"),
    ("x-removed", "kept for the second"),
    ("x-ai-eg-model", "forged"),
    ("x-ai-eg-anything", "forged"),
    ("x-gateway-destination-endpoint", "127.0.0.1:1"),
)


def pristine(found: Received, case: Case) -> None:
    """The request at the second provider is the client's own."""
    assert CANARY.encode() not in found.head
    assert found.body == case.body
    assert found.path == "/v1/chat/completions"
    assert found.framing is Framing.CONTENT_LENGTH
    assert found.header_values("content-length") == [str(len(case.body))]
    assert found.header_values("x-repeat") == ["one", "two"]
    assert found.header_values("x-own") == ["mine"]
    assert found.header_values("x-removed") == ["kept for the second"]


def without_internals(found: Received) -> None:
    """No header of the gateway's own."""
    names = {name.lower() for name, _ in found.headers}
    foreign = {name for name in names if name.startswith((b"x-ai-eg-", b"x-gateway-", b"x-envoy-"))}
    assert foreign == set()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["marked", "keyed"])
def test_nothing_of_the_first_attempt_reaches_the_second_provider(
    gateway: RunningGateway, beds: Beds, model: str, stream: bool
) -> None:
    case = Case(model, failed(500), stream=stream, headers=SENT)
    seen = ask(gateway, beds, case)
    assert seen.response.status == 200
    [first], [second] = seen.first, seen.second
    assert first.path == f"/{CANARY}/v1/chat/completions"
    assert first.header_values("authorization") == [f"Bearer {CANARY}"]
    assert first.header_values("x-repeat") == [CANARY]
    assert first.header_values("x-own") == [CANARY]
    assert first.header("x-removed") is None
    assert first.header_values("content-length") == [str(len(first.body))]
    assert first.json()["model"] == f"model-{CANARY}"
    assert first.json()["user"] == CANARY
    assert "seed" not in first.json()
    assert b"client-secret" not in first.head
    pristine(second, case)
    without_internals(first)
    without_internals(second)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "path", "mark"),
    [
        ("claude", "/v1/messages", "anthropic-version"),
        ("bedrock", "/model/bedrock/converse", "x-amz-date"),
    ],
)
def test_a_translated_first_attempt_leaves_the_second_pristine(
    gateway: RunningGateway, beds: Beds, model: str, path: str, mark: str, stream: bool
) -> None:
    case = Case(model, failed(503), stream=stream, headers=SENT)
    seen = ask(gateway, beds, case)
    assert seen.response.status == 200
    expected = b"".join(SECOND_EVENTS) if stream else b'{"id":"second"}'
    assert seen.response.body == expected
    assert CANARY.encode() not in seen.response.head.raw
    [first], [second] = seen.first, seen.second
    assert first.path == (f"{path}-stream" if stream and model == "bedrock" else path)
    assert first.header(mark) is not None
    assert first.header_values("content-length") == [str(len(first.body))]
    assert b"client-secret" not in first.head
    pristine(second, case)
    assert second.header(mark) is None
    assert second.header_values("authorization") == ["Bearer client-secret"]


def test_the_clients_credentials_go_only_to_a_provider_that_has_none_configured(
    gateway: RunningGateway, beds: Beds
) -> None:
    keyed = ask(gateway, beds, Case("keyed", failed(500), headers=SENT)).second[0]
    assert keyed.header_values("authorization") == ["Bearer key-of-the-second"]
    assert b"client-secret" not in keyed.head
    plain = ask(gateway, beds, Case("marked", failed(500), headers=SENT)).second[0]
    assert plain.header_values("authorization") == ["Bearer client-secret"]
    assert plain.header_values("x-api-key") == ["client-secret"]
    seen = ask(gateway, beds, Case("open", failed(500), headers=SENT))
    assert seen.first[0].header_values("x-api-key") == ["client-secret"]
    assert seen.second[0].header_values("authorization") == ["Bearer key-of-the-second"]
    assert b"client-secret" not in seen.second[0].head


def test_weights_within_a_priority_share_the_requests(gateway: RunningGateway, beds: Beds) -> None:
    script = scripted(beds, Case("weights", second_ok))
    message = Case("weights").message(script)
    with RawConnection(gateway.port) as client:
        for _ in range(200):
            client.send(message)
            assert client.response().status == 200
    # 150 are expected; the bounds are more than five standard deviations away.
    assert 115 <= len(received(beds.first, script)) <= 185


async def exchange(port: int, message: bytes) -> bytes:
    """One request on a connection of its own; returns all bytes of the response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(message)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def echo(found: Received) -> Reply:
    return Reply(200, (JSON_TYPE,), b"{%s}" % (found.header("x-number") or "").encode())


@pytest.mark.parametrize("model", ["policy", "default"])
async def test_500_requests_that_fail_at_once_are_all_served_by_the_second(
    gateway: RunningGateway, beds: Beds, model: str
) -> None:
    gate = Gate()
    case = Case(model, failed(429).failing(Fault(FaultKind.HANG, gate=gate)), (echo,))
    script = scripted(beds, case)
    messages = [
        case.message(script, ("connection", "close"), ("x-number", str(number)))
        for number in range(500)
    ]
    tasks = [asyncio.create_task(exchange(gateway.port, message)) for message in messages]

    def all_wait() -> None:
        beds.first.journal.wait(
            lambda seen: sum(_is(e.received, script) for e in seen) == len(messages), 30
        )

    await asyncio.to_thread(all_wait)
    gate.open()
    for number, answer in enumerate(await asyncio.gather(*tasks)):
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"{%d}" % number)
    assert len(received(beds.second, script)) == len(messages)
    nothing_left(gateway)


def test_the_provider_left_behind_is_let_go(gateway: RunningGateway, beds: Beds) -> None:
    case = Case("timed", HANG)
    script = scripted(beds, case)
    with RawConnection(gateway.port) as client:
        client.send(case.message(script))
        assert client.response().status == 200
    ended = beds.first.journal.wait(
        lambda seen: [e for e in seen if _is(e.received, script) and e.finished_at is not None]
    )
    assert [e.outcome for e in ended if _is(e.received, script)] == [Outcome.ABANDONED]


def _is(found: Received, script: str) -> bool:
    return found.header(SCRIPT) == script
