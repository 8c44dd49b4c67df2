"""Sends a reply over a connection, with its gates, pace and fault."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aigw.providers.record import Outcome
from aigw.providers.script import FaultKind
from aigw.providers.wire import Fate, plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aigw.providers.link import Link
    from aigw.providers.record import Exchange
    from aigw.providers.script import Fault, Reply
    from aigw.providers.wire import Step


async def deliver(link: Link, reply: Reply, exchange: Exchange) -> Outcome:
    """Send a reply to its end or to its fault; closes the connection where it cannot go on."""
    wire = plan(reply, exchange.received)
    try:
        await _send(link, wire.before, reply.write_size, exchange)
        failed = await _strike(link, wire.fault)
        if failed is not None:
            return failed
        await _send(link, wire.after, reply.write_size, exchange)
    except ConnectionError:
        await link.reset()
        return Outcome.ABANDONED
    if wire.fate is Fate.LAST:
        await link.close()
    return Outcome.SENT


async def _send(link: Link, steps: Iterable[Step], size: int | None, exchange: Exchange) -> None:
    for step in steps:
        if step.gate is not None:
            await link.unless_gone(step.gate.passed())
        if step.pace:
            await link.unless_gone(asyncio.sleep(step.pace))
        cut = size or max(len(step.wire), 1)
        for start in range(0, len(step.wire), cut):
            piece = step.wire[start : start + cut]
            await link.write(piece)
            exchange.sent_bytes += len(piece)
            if size:
                await asyncio.sleep(0)  # other connections move on between the pieces


async def _strike(link: Link, fault: Fault | None) -> Outcome | None:
    """Carry out a fault; `None` means that the reply goes on."""
    if fault is None:
        return None
    if fault.gate is not None:
        await link.unless_gone(fault.gate.passed())
    if fault.kind is FaultKind.RESET:
        await link.reset()
        return Outcome.RESET
    if fault.kind is FaultKind.CLOSE:
        await link.close()
        return Outcome.CLOSED
    if fault.gate is None:
        await link.unless_gone(asyncio.Event().wait())
    return None
