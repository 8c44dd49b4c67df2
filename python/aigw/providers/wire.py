"""The wire form of a reply: its bytes in sending order, and where a fault cuts them."""

from __future__ import annotations

import enum
import http
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aigw.providers.script import Encoding, Fault, Persistence, Phase, Reply, ReplyFraming

if TYPE_CHECKING:
    from aigw.providers.gate import Gate
    from aigw.providers.record import Received
    from aigw.providers.script import Chunk, Headers

BODILESS_STATUS = frozenset({204, 304})


class Fate(enum.Enum):
    """What can follow a reply on its connection."""

    REUSABLE = "reusable"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Step:
    """Bytes for the wire, sent behind a gate; `payload` of them, from `start`, are body."""

    wire: bytes
    start: int = 0
    payload: int = 0
    gate: Gate | None = None
    pace: float = 0.0


@dataclass(frozen=True, slots=True)
class WirePlan:
    """A reply ready to be sent: `before`, then the fault if there is one, then `after`."""

    before: tuple[Step, ...]
    after: tuple[Step, ...]
    fault: Fault | None
    fate: Fate


def plan(reply: Reply, received: Received) -> WirePlan:
    """The wire form of a reply to a request."""
    bodiless = received.method == b"HEAD" or reply.status in BODILESS_STATUS
    chunks = () if bodiless else tuple(c for c in reply.encoded() if c.data or c.gate)
    framing = _framing(reply)
    length = sum(len(chunk.data) for chunk in chunks)
    fate = _fate(reply, received, length)
    steps = [Step(_head(reply, framing, length, fate))]
    steps += [_body_step(chunk, framing, reply.pace) for chunk in chunks]
    if framing is ReplyFraming.CHUNKED and not bodiless:
        steps.append(Step(b"0\r\n" + _fields(reply.trailers) + b"\r\n"))
    if reply.fault is None:
        return WirePlan(tuple(steps), (), None, fate)
    before, after = _split(steps, _fault_offset(steps, reply.fault))
    return WirePlan(before, after, reply.fault, fate)


def _framing(reply: Reply) -> ReplyFraming:
    if reply.framing is not ReplyFraming.AUTO:
        return reply.framing
    if isinstance(reply.body, tuple) or reply.trailers:
        return ReplyFraming.CHUNKED
    return ReplyFraming.CONTENT_LENGTH


def _fate(reply: Reply, received: Received, length: int) -> Fate:
    closing = (
        reply.persistence is Persistence.CLOSE,
        reply.framing is ReplyFraming.UNTIL_CLOSE,
        reply.declared_length not in {None, length},
        (received.header("connection") or "").lower() == "close",
        received.version != b"HTTP/1.1",
    )
    return Fate.LAST if any(closing) else Fate.REUSABLE


def _body_step(chunk: Chunk, framing: ReplyFraming, pace: float) -> Step:
    size = len(chunk.data)
    if framing is not ReplyFraming.CHUNKED or not size:
        return Step(chunk.data, 0, size, chunk.gate, pace)
    prefix = b"%x\r\n" % size
    return Step(prefix + chunk.data + b"\r\n", len(prefix), size, chunk.gate, pace)


def _head(reply: Reply, framing: ReplyFraming, length: int, fate: Fate) -> bytes:
    try:
        phrase = http.HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    own: list[tuple[str, str]] = []
    if reply.encoding is Encoding.GZIP:
        own.append(("content-encoding", "gzip"))
    if framing is ReplyFraming.CHUNKED:
        own.append(("transfer-encoding", "chunked"))
    if framing is ReplyFraming.CONTENT_LENGTH and reply.status not in BODILESS_STATUS:
        declared = length if reply.declared_length is None else reply.declared_length
        own.append(("content-length", str(declared)))
    if reply.persistence is Persistence.CLOSE or (fate is Fate.LAST and not reply.declared_length):
        own.append(("connection", "close"))
    line = f"HTTP/1.1 {reply.status} {phrase}\r\n".encode("latin-1")
    return line + _fields((*reply.headers, *own)) + b"\r\n"


def _fields(headers: Headers) -> bytes:
    return b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in headers)


def _fault_offset(steps: list[Step], fault: Fault) -> int:
    """The number of wire bytes that leave before the fault."""
    head = len(steps[0].wire)
    fixed = {Phase.BEFORE_HEAD: 0, Phase.MID_HEAD: head // 2, Phase.AFTER_HEAD: head}
    if fault.phase in fixed:
        return fixed[fault.phase]
    total = sum(step.payload for step in steps)
    after = total // 2 if fault.after is None else fault.after
    left = total if fault.phase is Phase.BEFORE_END else min(after, total)
    offset = head
    for step in steps[1:]:
        if left == 0:
            return offset
        if left < step.payload:
            return offset + step.start + left
        left -= step.payload
        offset += len(step.wire)
    return offset


def _split(steps: list[Step], offset: int) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    before: list[Step] = []
    for index, step in enumerate(steps):
        if offset == 0:
            return tuple(before), tuple(steps[index:])
        if offset < len(step.wire):
            before.append(replace(step, wire=step.wire[:offset]))
            rest = Step(step.wire[offset:])
            return tuple(before), (rest, *steps[index + 1 :])
        before.append(step)
        offset -= len(step.wire)
    return tuple(before), ()
