"""The OpenAI API: chat completions, legacy completions, embeddings, models, errors.

Shapes: the API reference at platform.openai.com. The Responses API is in `responses`.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING

from aigw.providers import demo
from aigw.providers.encode import json_reply, sse_event, sse_reply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from aigw.providers.demo import Answer, JsonObject, Prompt
    from aigw.providers.record import Received
    from aigw.providers.script import Reply

DONE = b"data: [DONE]\n\n"
MODELS = ("demo", "gpt-4o-mini", "text-embedding-3-small")
DIMENSIONS = 16
FINISH = {demo.Stop.END: "stop", demo.Stop.LENGTH: "length", demo.Stop.TOOL: "tool_calls"}


def error(status: int, message: str, kind: str = "invalid_request_error") -> Reply:
    """An error in OpenAI's shape."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
    return json_reply(body, status)


def models(_: Received) -> Reply:
    """`GET /v1/models`."""
    data = [
        {"id": name, "object": "model", "created": demo.CREATED, "owned_by": "aigw-demo"}
        for name in MODELS
    ]
    return json_reply({"object": "list", "data": data})


def chat(received: Received) -> Reply:
    """`POST /v1/chat/completions`."""
    body = demo.parse_arguments(received.body)
    prompt = chat_prompt(body)
    answer = demo.answer(prompt)
    if body.get("stream"):
        return sse_reply(chat_events(body, answer))
    message: JsonObject = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.call is not None:
        message["tool_calls"] = [_tool_call(answer)]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": FINISH[answer.stop],
    }
    head = _head(answer, prompt.model, "chat.completion")
    return json_reply({**head, "choices": [choice], "usage": usage(answer)})


def chat_prompt(body: JsonObject) -> Prompt:
    """What a chat completion request asks."""
    messages = body["messages"]
    last = messages[-1]
    text = demo.text_of(last.get("content"))
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    return demo.Prompt(
        model=str(body["model"]),
        last=text,
        size=demo.size_of(*(m.get("content") for m in messages), *body.get("tools", ())),
        tools=tuple(
            _tool(tool["function"]) for tool in body.get("tools", ()) if "function" in tool
        ),
        required=required_tool(body.get("tool_choice")),
        max_tokens=limit,
        output_schema=_output_schema(body.get("response_format")),
        after_tool=text if last.get("role") == "tool" else None,
    )


def _tool(function: JsonObject) -> demo.Tool:
    return demo.Tool(function["name"], function.get("parameters") or {"type": "object"})


def required_tool(choice: object) -> str | None:
    """The tool that `tool_choice` demands, `""` for any."""
    if choice == "required":
        return ""
    if isinstance(choice, dict):
        name = choice.get("function", choice).get("name")
        return name if isinstance(name, str) else None
    return None


def _output_schema(response_format: JsonObject | None) -> JsonObject | None:
    kind = (response_format or {}).get("type")
    if kind == "json_object":
        return {"properties": {"answer": {"type": "string"}}}
    if kind == "json_schema" and response_format is not None:
        schema: JsonObject = response_format["json_schema"]["schema"]
        return schema
    return None


def chat_events(body: JsonObject, answer: Answer) -> Iterator[bytes]:
    """The events of a chat completion stream."""
    include_usage = (body.get("stream_options") or {}).get("include_usage")
    head = _head(answer, str(body["model"]), "chat.completion.chunk")
    if include_usage:
        head["usage"] = None
    deltas: list[JsonObject] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"content": piece} for piece in answer.pieces]
    if answer.call is not None:
        deltas = [{"role": "assistant", "content": None, "tool_calls": [_first_call(answer)]}]
        deltas += [
            {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
            for piece in answer.argument_pieces
        ]
    for delta in deltas:
        yield sse_event({**head, "choices": [_chunk_choice(delta, None)]})
    yield sse_event({**head, "choices": [_chunk_choice({}, FINISH[answer.stop])]})
    if include_usage:
        yield sse_event({**head, "choices": [], "usage": usage(answer)})
    yield DONE


def _chunk_choice(delta: JsonObject, finish: str | None) -> JsonObject:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _tool_call(answer: Answer) -> JsonObject:
    call = answer.call
    if call is None:
        return {}
    function = {"name": call.name, "arguments": call.arguments_json}
    return {"id": call.id, "type": "function", "function": function}


def _first_call(answer: Answer) -> JsonObject:
    call = _tool_call(answer)
    return {"index": 0, **call, "function": {**call["function"], "arguments": ""}}


def _head(answer: Answer, model: str, kind: str) -> JsonObject:
    prefix = "cmpl-" if kind == "text_completion" else "chatcmpl-"
    return {
        "id": prefix + answer.id,
        "object": kind,
        "created": demo.CREATED,
        "model": model,
        "system_fingerprint": "fp_aigw_demo",
    }


def usage(answer: Answer) -> JsonObject:
    """The usage object of chat and legacy completions."""
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def completions(received: Received) -> Reply:
    """`POST /v1/completions`."""
    body = demo.parse_arguments(received.body)
    prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
    text = "".join(part for part in prompts if isinstance(part, str))
    limit = body.get("max_tokens", 16)
    prompt = demo.Prompt(str(body["model"]), text, demo.size_of(text), max_tokens=limit)
    answer = demo.answer(prompt)
    head = _head(answer, prompt.model, "text_completion")
    if body.get("stream"):
        return sse_reply(_completion_events(body, answer, head))
    choice = _completion_choice(answer.text, FINISH[answer.stop])
    return json_reply({**head, "choices": [choice], "usage": usage(answer)})


def _completion_events(body: JsonObject, answer: Answer, head: JsonObject) -> Iterator[bytes]:
    for piece in answer.pieces:
        yield sse_event({**head, "choices": [_completion_choice(piece, None)]})
    yield sse_event({**head, "choices": [_completion_choice("", FINISH[answer.stop])]})
    if (body.get("stream_options") or {}).get("include_usage"):
        yield sse_event({**head, "choices": [], "usage": usage(answer)})
    yield DONE


def _completion_choice(text: str, finish: str | None) -> JsonObject:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}


def embeddings(received: Received) -> Reply:
    """`POST /v1/embeddings`, as floats or base64 of little-endian float32."""
    body = demo.parse_arguments(received.body)
    inputs = _embedding_inputs(body["input"])
    dimensions = int(body.get("dimensions") or DIMENSIONS)
    packed = body.get("encoding_format") == "base64"
    data = []
    for index, text in enumerate(inputs):
        vector = _vector(text, dimensions)
        value = _base64(vector) if packed else vector
        data.append({"object": "embedding", "index": index, "embedding": value})
    count = sum(t if isinstance(t, int) else demo.tokens(t) for t in map(_count, inputs))
    total = {"prompt_tokens": count, "total_tokens": count}
    return json_reply({"object": "list", "data": data, "model": body["model"], "usage": total})


def _embedding_inputs(value: object) -> list[Any]:
    if isinstance(value, list) and not all(isinstance(item, int) for item in value):
        return value
    return [value]


def _count(item: object) -> int | str:
    return len(item) if isinstance(item, list) else str(item)


def _vector(item: object, dimensions: int) -> list[float]:
    state = zlib.crc32(str(item).encode())
    values = []
    for _ in range(dimensions):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values.append(state / 0x80000000 - 1.0)
    norm = sum(value * value for value in values) ** 0.5 or 1.0
    return [round(value / norm, 6) for value in values]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
