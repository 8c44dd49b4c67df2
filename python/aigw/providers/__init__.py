"""The built-in fake provider: offline demo answers, programmable replies, exact records.

Example:
    >>> import asyncio
    >>> async def main() -> str:
    ...     async with FakeProvider() as provider:
    ...         provider.on(Reply(503), Reply(body=b"{}"), match=Match(path="/v1/chat/completions"))
    ...         return provider.url
    >>> asyncio.run(main())  # doctest: +ELLIPSIS
    'http://127.0.0.1:...'
"""

from aigw.providers.gate import Gate
from aigw.providers.record import Exchange, Framing, Journal, Outcome, Received
from aigw.providers.routes import default_reply
from aigw.providers.script import (
    Chunk,
    Encoding,
    Exhausted,
    Fault,
    FaultKind,
    Match,
    Persistence,
    Phase,
    Reply,
    ReplyFraming,
    Responder,
    Script,
)
from aigw.providers.server import FakeProvider

__all__ = [
    "Chunk",
    "Encoding",
    "Exchange",
    "Exhausted",
    "FakeProvider",
    "Fault",
    "FaultKind",
    "Framing",
    "Gate",
    "Journal",
    "Match",
    "Outcome",
    "Persistence",
    "Phase",
    "Received",
    "Reply",
    "ReplyFraming",
    "Responder",
    "Script",
    "default_reply",
]
