"""AWS Bedrock runtime: Converse, ConverseStream, and Claude bodies through InvokeModel.

Shapes: the Amazon Bedrock API reference (`Converse`, `ConverseStream`, `InvokeModel`,
`InvokeModelWithResponseStream`). Signatures are recorded, not checked.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from aigw.providers import anthropic, demo, eventstream
from aigw.providers.encode import json_bytes, json_reply
from aigw.providers.script import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aigw.providers.demo import Answer, JsonObject, Prompt
    from aigw.providers.record import Received

REQUEST_ID = ("x-amzn-requestid", "00000000-0000-4000-8000-000000000000")
STREAM_HEADERS = (("content-type", eventstream.CONTENT_TYPE), REQUEST_ID)


def error(status: int, message: str, kind: str = "ValidationException") -> Reply:
    """An error in the shape of the AWS REST JSON protocol."""
    headers = (("content-type", "application/json"), ("x-amzn-errortype", kind), REQUEST_ID)
    return Reply(status, headers, json_bytes({"message": message}))


def converse(received: Received) -> Reply:
    """`POST /model/{modelId}/converse`."""
    answer = demo.answer(prompt(received))
    return json_reply(
        {
            "output": {"message": {"role": "assistant", "content": [_block(answer)]}},
            "stopReason": anthropic.STOP_REASON[answer.stop],
            "usage": _usage(answer),
            "metrics": {"latencyMs": 1},
        }
    )


def converse_stream(received: Received) -> Reply:
    """`POST /model/{modelId}/converse-stream`."""
    answer = demo.answer(prompt(received))
    frames = (eventstream.event(name, data) for name, data in events(answer))
    return Reply(200, STREAM_HEADERS, tuple(frames))


def invoke(received: Received) -> Reply:
    """`POST /model/{modelId}/invoke` with an Anthropic body."""
    return json_reply(anthropic.message(_claude_body(received)))


def invoke_stream(received: Received) -> Reply:
    """`POST /model/{modelId}/invoke-with-response-stream` with an Anthropic body."""
    frames = (
        eventstream.event("chunk", {"bytes": base64.b64encode(json_bytes(event)).decode()})
        for event in anthropic.events(_claude_body(received))
    )
    return Reply(200, STREAM_HEADERS, tuple(frames))


def _claude_body(received: Received) -> JsonObject:
    return {**demo.parse_arguments(received.body), "model": model_id(received)}


def model_id(received: Received) -> str:
    """The model of a Bedrock path, percent-decoded."""
    raw = received.path.rpartition("/")[0].rpartition("/model/")[2]
    encoded = raw.encode("latin-1")
    plain = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), encoded)
    return plain.decode(errors="replace")


def prompt(received: Received) -> Prompt:
    """What a Converse request asks."""
    body = demo.parse_arguments(received.body)
    turns = body["messages"]
    content = turns[-1]["content"]
    results = [part["toolResult"].get("content") for part in content if "toolResult" in part]
    config = body.get("toolConfig") or {}
    choice = config.get("toolChoice") or {}
    specs = [tool["toolSpec"] for tool in config.get("tools", ()) if "toolSpec" in tool]
    contents = (turn["content"] for turn in turns)
    return demo.Prompt(
        model=model_id(received),
        last=demo.text_of(content),
        size=demo.size_of(body.get("system"), *contents, *specs),
        tools=tuple(demo.Tool(spec["name"], spec["inputSchema"]["json"]) for spec in specs),
        required="" if "any" in choice else (choice.get("tool") or {}).get("name"),
        max_tokens=(body.get("inferenceConfig") or {}).get("maxTokens"),
        after_tool=demo.text_of(results[0]) if results else None,
    )


def _block(answer: Answer) -> JsonObject:
    if answer.call is None:
        return {"text": answer.text}
    call = answer.call
    use = {"toolUseId": f"tooluse_{answer.id}", "name": call.name, "input": call.arguments}
    return {"toolUse": use}


def _usage(answer: Answer) -> JsonObject:
    return {
        "inputTokens": answer.input_tokens,
        "outputTokens": answer.output_tokens,
        "totalTokens": answer.input_tokens + answer.output_tokens,
    }


def events(answer: Answer) -> Iterator[tuple[str, JsonObject]]:
    """The events of a Converse stream; only tool use has a `contentBlockStart`."""
    at = {"contentBlockIndex": 0}
    yield "messageStart", {"role": "assistant"}
    if answer.call:
        use = {"toolUseId": f"tooluse_{answer.id}", "name": answer.call.name}
        yield "contentBlockStart", {**at, "start": {"toolUse": use}}
        deltas: list[JsonObject] = [{"toolUse": {"input": p}} for p in answer.argument_pieces]
    else:
        deltas = [{"text": piece} for piece in answer.pieces]
    for delta in deltas:
        yield "contentBlockDelta", {**at, "delta": delta}
    yield "contentBlockStop", at
    yield "messageStop", {"stopReason": anthropic.STOP_REASON[answer.stop]}
    yield "metadata", {"usage": _usage(answer), "metrics": {"latencyMs": 1}}
