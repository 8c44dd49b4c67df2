"""The Anthropic API: messages (unary and streams), token counts, models, errors.

Shapes: the API reference at docs.anthropic.com. Claude on Vertex AI and on Bedrock (`invoke`)
answers with the same bodies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aigw.providers import demo
from aigw.providers.encode import json_reply, sse_event, sse_reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aigw.providers.demo import Answer, JsonObject, Prompt
    from aigw.providers.record import Received
    from aigw.providers.script import Reply

MODELS = ("claude-sonnet-4-5", "claude-haiku-4-5")
STOP_REASON = {
    demo.Stop.END: "end_turn",
    demo.Stop.LENGTH: "max_tokens",
    demo.Stop.TOOL: "tool_use",
}


def error(status: int, message: str, kind: str = "invalid_request_error") -> Reply:
    """An error in Anthropic's shape."""
    detail = {"type": kind, "message": message}
    return json_reply({"type": "error", "error": detail, "request_id": "req_aigw_demo"}, status)


def models(_: Received) -> Reply:
    """`GET /v1/models` with an `anthropic-version` header."""
    data = [
        {
            "type": "model",
            "id": name,
            "display_name": name,
            "created_at": "2026-01-01T00:00:00Z",
        }
        for name in MODELS
    ]
    ends = {"first_id": MODELS[0], "last_id": MODELS[-1], "has_more": False}
    return json_reply({"data": data, **ends})


def messages(received: Received) -> Reply:
    """`POST /v1/messages`."""
    body = demo.parse_arguments(received.body)
    return sse_reply(stream(body)) if body.get("stream") else json_reply(message(body))


def count_tokens(received: Received) -> Reply:
    """`POST /v1/messages/count_tokens`."""
    body = demo.parse_arguments(received.body)
    return json_reply({"input_tokens": demo.tokens(prompt(body).size)})


def message(body: JsonObject) -> JsonObject:
    """The unary answer to a messages request."""
    answer = demo.answer(prompt(body))
    return {
        **_shell(body, answer),
        "content": [_block(answer)],
        "stop_reason": STOP_REASON[answer.stop],
        "usage": _usage(answer, answer.output_tokens),
    }


def prompt(body: JsonObject) -> Prompt:
    """What a messages request asks."""
    turns = body["messages"]
    content = turns[-1]["content"]
    parts = content if isinstance(content, list) else []
    results = [part.get("content") for part in parts if part.get("type") == "tool_result"]
    tools = body.get("tools") or ()
    choice = body.get("tool_choice") or {}
    demanded = {"any": "", "tool": choice.get("name")}
    return demo.Prompt(
        model=str(body["model"]),
        last=demo.text_of(content),
        size=demo.size_of(body.get("system"), *(turn["content"] for turn in turns), *tools),
        tools=tuple(
            demo.Tool(tool["name"], tool["input_schema"])
            for tool in tools
            if "input_schema" in tool
        ),
        required=demanded.get(choice.get("type", "auto")),
        max_tokens=body.get("max_tokens"),
        after_tool=demo.text_of(results[0]) if results else None,
    )


def _shell(body: JsonObject, answer: Answer) -> JsonObject:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(answer, 1),
    }


def _usage(answer: Answer, output_tokens: int) -> JsonObject:
    return {
        "input_tokens": answer.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _block(answer: Answer) -> JsonObject:
    call = answer.call
    if call is None:
        return {"type": "text", "text": answer.text}
    ident = call.id.replace("call_", "toolu_")
    return {"type": "tool_use", "id": ident, "name": call.name, "input": call.arguments}


def stream(body: JsonObject) -> Iterator[bytes]:
    """The events of a messages stream as server-sent events."""
    for event in events(body):
        yield sse_event(event, event["type"])


def events(body: JsonObject) -> Iterator[JsonObject]:
    """The events of a messages stream."""
    answer = demo.answer(prompt(body))
    yield {"type": "message_start", "message": _shell(body, answer)}
    empty: JsonObject = {"input": {}} if answer.call else {"text": ""}
    yield {
        "type": "content_block_start",
        "index": 0,
        "content_block": {**_block(answer), **empty},
    }
    yield {"type": "ping"}
    if answer.call:
        deltas = [
            {"type": "input_json_delta", "partial_json": piece}
            for piece in ("", *answer.argument_pieces)
        ]
    else:
        deltas = [{"type": "text_delta", "text": piece} for piece in answer.pieces]
    for delta in deltas:
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": STOP_REASON[answer.stop], "stop_sequence": None},
        "usage": {"output_tokens": answer.output_tokens},
    }
    yield {"type": "message_stop"}
