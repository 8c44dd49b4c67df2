"""What the providers' own libraries make of bodies: their types, their service models."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import anthropic.types as claude
import botocore.eventstream  # type: ignore[import-untyped]
import botocore.parsers  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]
import botocore.validate  # type: ignore[import-untyped]
import cohere
from google.genai import types as gemini
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

Model: TypeAlias = "type[BaseModel]"
ServiceModel: TypeAlias = Any  # botocore has no types

_GEMINI: dict[str, TypeAdapter[Any]] = {
    "cachedContent": TypeAdapter(str),
    "contents": TypeAdapter(list[gemini.Content]),
    "generationConfig": TypeAdapter(gemini.GenerationConfig),
    "labels": TypeAdapter(dict[str, str]),
    "safetySettings": TypeAdapter(list[gemini.SafetySetting]),
    "systemInstruction": TypeAdapter(gemini.Content),
    "toolConfig": TypeAdapter(gemini.ToolConfig),
    "tools": TypeAdapter(list[gemini.Tool]),
}
_WHOLE: dict[str, Model] = {
    "chat_completions": ChatCompletion,
    "completions": Completion,
    "count_tokens": claude.MessageTokensCount,
    "embeddings": CreateEmbeddingResponse,
    "messages": claude.Message,
    "responses": Response,
}
_BEDROCK = {
    "/converse": "Converse",
    "/converse-stream": "ConverseStream",
    "/count-tokens": "CountTokens",
}


def check_gemini_request(body: bytes) -> None:
    """Checks a body for `generateContent`: every member is known and has its type."""
    for name, value in _members(body).items():
        _GEMINI[name].validate_python(value)


def check_gemini_reply(body: bytes) -> None:
    """Checks a reply of `generateContent`, or one event of its stream."""
    gemini.GenerateContentResponse.model_validate_json(body)


def check_bedrock_request(path: str, body: bytes) -> None:
    """Checks a body for Bedrock against AWS's service model."""
    operation = _service().operation_model(_operation(path))
    parameters = {**_members(body), "modelId": "m"}
    report = botocore.validate.ParamValidator().validate(parameters, operation.input_shape)
    assert not report.has_errors(), report.generate_report()


def check_cohere_request(body: bytes) -> None:
    """Checks the messages and tools of a body for Cohere's chat."""
    chat = json.loads(body)
    TypeAdapter(list[cohere.ChatMessageV2]).validate_python(chat["messages"])
    TypeAdapter(list[cohere.ToolV2]).validate_python(chat.get("tools", []))


def bedrock_events(body: bytes) -> list[dict[str, Any]]:
    """The events of a stream of `ConverseStream`, as boto3 gives them."""

    class Raw:
        def stream(self) -> Iterator[bytes]:
            yield body

    shape = _service().operation_model("ConverseStream").output_shape.members["stream"]
    parser = botocore.parsers.EventStreamJSONParser()
    return list(botocore.eventstream.EventStream(Raw(), shape, parser, "ConverseStream"))


def bedrock_reply(body: bytes) -> dict[str, Any]:
    """A reply of `Converse`, as boto3 gives it."""
    response = {"status_code": 200, "headers": {}, "body": body}
    shape = _service().operation_model("Converse").output_shape
    parsed: dict[str, Any] = botocore.parsers.RestJSONParser().parse(response, shape)
    return parsed


def check_client_reply(endpoint: str, reply: dict[str, Any]) -> None:
    """Checks a whole reply against the types of the client's library."""
    _WHOLE[endpoint].model_validate(reply)


def check_client_event(endpoint: str, event: dict[str, Any]) -> None:
    """Checks one event of a stream against the types of the client's library."""
    if endpoint == "messages":
        kinds = _by_type(claude.RawMessageStreamEvent)
    elif endpoint == "responses":
        kinds = _by_type(ResponseStreamEvent)
    else:
        kinds = {None: ChatCompletionChunk if endpoint == "chat_completions" else Completion}
    kinds[event.get("type")].model_validate(event)


def _operation(path: str) -> str:
    return next(name for end, name in _BEDROCK.items() if path.endswith(end))


@functools.cache
def _service() -> ServiceModel:
    return botocore.session.get_session().get_service_model("bedrock-runtime")


def _by_type(union: object) -> dict[str | None, Model]:
    """The members of an annotated union by the values of their `type`."""
    members: tuple[Model, ...] = get_args(get_args(union)[0])
    return {
        value: member
        for member in members
        for value in get_args(member.model_fields["type"].annotation)
    }


def _members(body: bytes) -> dict[str, Any]:
    """The members of a body but those that are null: for providers they are not there."""

    def without_nulls(value: dict[str, Any]) -> dict[str, Any]:
        return {name: one for name, one in value.items() if one is not None}

    found: dict[str, Any] = json.loads(body, object_hook=without_nulls)
    return found
