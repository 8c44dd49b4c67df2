"""The OpenAI Responses API: unary, streams, function calls, input token counts.

Shapes: the API reference at platform.openai.com.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aigw.providers import demo
from aigw.providers.encode import json_reply, sse_event, sse_reply
from aigw.providers.openai import required_tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aigw.providers.demo import Answer, JsonObject, Prompt
    from aigw.providers.record import Received
    from aigw.providers.script import Reply

Event = tuple[str, "JsonObject"]


def responses(received: Received) -> Reply:
    """`POST /v1/responses`."""
    body = demo.parse_arguments(received.body)
    answer = demo.answer(prompt(body))
    if body.get("stream"):
        return sse_reply(events(body, answer))
    return json_reply(_response(body, answer))


def input_tokens(received: Received) -> Reply:
    """`POST /v1/responses/input_tokens`."""
    body = demo.parse_arguments(received.body)
    count = demo.tokens(prompt({"model": "", **body}).size)
    return json_reply({"object": "response.input_tokens", "input_tokens": count})


def prompt(body: JsonObject) -> Prompt:
    """What a Responses request asks."""
    given = body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    last = items[-1]
    result = last.get("output") if last.get("type") == "function_call_output" else None
    tools = body.get("tools") or ()
    schema = ((body.get("text") or {}).get("format") or {}).get("schema")
    contents = [item.get("content", item.get("output")) for item in items]
    return demo.Prompt(
        model=str(body["model"]),
        last=demo.text_of(last.get("content")),
        size=demo.size_of(body.get("instructions"), *contents, *tools),
        tools=tuple(
            demo.Tool(tool["name"], tool.get("parameters") or {"type": "object"})
            for tool in tools
            if tool.get("type") == "function"
        ),
        required=required_tool(body.get("tool_choice")),
        max_tokens=body.get("max_output_tokens"),
        output_schema=schema,
        after_tool=None if result is None else demo.text_of(result),
    )


def _response(body: JsonObject, answer: Answer) -> JsonObject:
    incomplete = answer.stop is demo.Stop.LENGTH
    return {
        **_shell(body, answer),
        "status": "incomplete" if incomplete else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if incomplete else None,
        "output": [_item(answer, "completed")],
        "usage": {
            "input_tokens": answer.input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.input_tokens + answer.output_tokens,
        },
    }


def _shell(body: JsonObject, answer: Answer) -> JsonObject:
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": demo.CREATED,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": body["model"],
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": None,
        "metadata": body.get("metadata") or {},
    }


def _item(answer: Answer, status: str) -> JsonObject:
    done = status == "completed"
    if answer.call is not None:
        return {
            "id": f"fc_{answer.id}",
            "type": "function_call",
            "status": status,
            "call_id": answer.call.id,
            "name": answer.call.name,
            "arguments": answer.call.arguments_json if done else "",
        }
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [_part(answer.text)] if done else [],
    }


def _part(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def events(body: JsonObject, answer: Answer) -> Iterator[bytes]:
    """The events of a Responses stream, numbered."""
    for number, (name, data) in enumerate(_events(body, answer)):
        yield sse_event({"type": name, "sequence_number": number, **data}, name)


def _events(body: JsonObject, answer: Answer) -> Iterator[Event]:
    shell = _shell(body, answer)
    yield "response.created", {"response": shell}
    yield "response.in_progress", {"response": shell}
    started = _item(answer, "in_progress")
    yield "response.output_item.added", {"output_index": 0, "item": started}
    at = {"item_id": started["id"], "output_index": 0}
    yield from _call_events(answer, at) if answer.call else _text_events(answer, at)
    finished = _item(answer, "completed")
    yield "response.output_item.done", {"output_index": 0, "item": finished}
    whole = _response(body, answer)
    yield f"response.{whole['status']}", {"response": whole}


def _text_events(answer: Answer, at: JsonObject) -> Iterator[Event]:
    at = {**at, "content_index": 0}
    yield "response.content_part.added", {**at, "part": _part("")}
    for piece in answer.pieces:
        yield "response.output_text.delta", {**at, "delta": piece, "logprobs": []}
    yield "response.output_text.done", {**at, "text": answer.text, "logprobs": []}
    yield "response.content_part.done", {**at, "part": _part(answer.text)}


def _call_events(answer: Answer, at: JsonObject) -> Iterator[Event]:
    for piece in answer.argument_pieces:
        yield "response.function_call_arguments.delta", {**at, "delta": piece}
    whole = "".join(answer.argument_pieces)
    name = answer.call.name if answer.call else ""
    yield "response.function_call_arguments.done", {**at, "name": name, "arguments": whole}
