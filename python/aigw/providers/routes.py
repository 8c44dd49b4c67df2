"""Which API a request is for, by its path, and the default reply to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aigw.providers import anthropic, bedrock, openai, responses

if TYPE_CHECKING:
    from collections.abc import Callable

    from aigw.providers.record import Received
    from aigw.providers.script import Reply, Responder

# What reading a body of the wrong shape raises; a cyclic schema recurses.
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint: the end of its path, its method, who answers, and in which error shape."""

    suffix: str
    method: bytes
    answer: Responder
    error: Callable[[int, str], Reply]


def _models(received: Received) -> Reply:
    ours = received.header("anthropic-version") or "/anthropic/" in received.path
    return anthropic.models(received) if ours else openai.models(received)


ROUTES = (
    Route("/chat/completions", b"POST", openai.chat, openai.error),
    Route("/completions", b"POST", openai.completions, openai.error),
    Route("/embeddings", b"POST", openai.embeddings, openai.error),
    Route("/responses", b"POST", responses.responses, openai.error),
    Route("/responses/input_tokens", b"POST", responses.input_tokens, openai.error),
    Route("/models", b"GET", _models, openai.error),
    Route("/messages", b"POST", anthropic.messages, anthropic.error),
    Route("/messages/count_tokens", b"POST", anthropic.count_tokens, anthropic.error),
    Route("/converse", b"POST", bedrock.converse, bedrock.error),
    Route("/converse-stream", b"POST", bedrock.converse_stream, bedrock.error),
    Route("/invoke", b"POST", bedrock.invoke, bedrock.error),
    Route("/invoke-with-response-stream", b"POST", bedrock.invoke_stream, bedrock.error),
)


def default_reply(received: Received) -> Reply:
    """What the provider answers when no script does.

    Paths match by their end, so that prefixes and Azure's deployment paths work. An unknown path
    is a 404 in OpenAI's shape.
    """
    method, path = received.method.decode("latin-1"), received.path
    route = next((r for r in ROUTES if path.endswith(r.suffix)), None)
    if route is None:
        return openai.error(404, f"Invalid URL ({method} {path})")
    if received.method != route.method:
        return route.error(405, f"Not allowed to {method} on {path}")
    try:
        return route.answer(received)
    except MALFORMED as error:
        return route.error(400, f"malformed request: {type(error).__name__}: {error}")
