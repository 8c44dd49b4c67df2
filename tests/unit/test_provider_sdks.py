"""The demo answers, as the providers' own client libraries understand them."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import anthropic
import boto3  # type: ignore[import-untyped]
import botocore.config  # type: ignore[import-untyped]
import botocore.exceptions  # type: ignore[import-untyped]
import openai
import pytest

from aigw.providers import Match
from aigw.providers import anthropic as anthropic_api
from aigw.providers import eventstream as frames
from aigw.providers.bedrock import STREAM_HEADERS
from aigw.providers.script import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.provider import ProviderBed

BotoClient: TypeAlias = Any  # boto3 makes its client classes at run time

ASK: Any = [{"role": "user", "content": "hello there"}]
ASK_WEATHER: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
SCHEMA = {
    "type": "object",
    "properties": {"location": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["location"],
}
OPENAI_TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
RESPONSES_TOOL: Any = {"type": "function", "name": "get_weather", "parameters": SCHEMA}
CLAUDE_TOOL: Any = {"name": "get_weather", "input_schema": SCHEMA}
BEDROCK_TOOL = {"toolSpec": {"name": "get_weather", "inputSchema": {"json": SCHEMA}}}


@pytest.fixture
def openai_client(provider: ProviderBed) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(provider: ProviderBed) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=provider.url, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def bedrock(provider: ProviderBed) -> Iterator[BotoClient]:
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=provider.url,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


def test_openai_reads_a_chat_completion(openai_client: openai.OpenAI) -> None:
    reply = openai_client.chat.completions.create(model="m", messages=ASK)
    assert reply.choices[0].finish_reason == "stop"
    text = reply.choices[0].message.content or ""
    assert "aigw demo provider" in text
    assert "hello there" in text
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == 3
    assert reply.usage.completion_tokens == -(-len(text) // 4)


def test_openai_reads_a_chat_stream_with_usage(openai_client: openai.OpenAI) -> None:
    unary = openai_client.chat.completions.create(model="m", messages=ASK)
    with openai_client.chat.completions.create(
        model="m", messages=ASK, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == unary.choices[0].message.content
    assert chunks[-1].usage == unary.usage
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_openai_stream_has_no_usage_unless_asked(openai_client: openai.OpenAI) -> None:
    with openai_client.chat.completions.create(model="m", messages=ASK, stream=True) as stream:
        assert all(chunk.usage is None and chunk.choices for chunk in stream)


def test_openai_reads_a_tool_call(openai_client: openai.OpenAI) -> None:
    reply = openai_client.chat.completions.create(
        model="m", messages=ASK_WEATHER, tools=[OPENAI_TOOL]
    )
    call: Any = (reply.choices[0].message.tool_calls or [])[0]
    assert reply.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"location":"Paris"}')


def test_openai_reads_a_streamed_tool_call(openai_client: openai.OpenAI) -> None:
    with openai_client.chat.completions.stream(
        model="m", messages=ASK_WEATHER, tools=[OPENAI_TOOL]
    ) as stream:
        final: Any = stream.get_final_completion()
    call = final.choices[0].message.tool_calls[0]
    assert call.function.arguments == '{"location":"Paris"}'


def test_an_offered_tool_is_left_alone_unless_asked_for(openai_client: openai.OpenAI) -> None:
    create = openai_client.chat.completions.create
    assert create(model="m", messages=ASK, tools=[OPENAI_TOOL]).choices[0].message.content
    forced = create(model="m", messages=ASK, tools=[OPENAI_TOOL], tool_choice="required")
    assert forced.choices[0].finish_reason == "tool_calls"


def test_a_tool_result_is_answered_with_text(openai_client: openai.OpenAI) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    turns: Any = [
        *ASK_WEATHER,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny weather"},
    ]
    reply = openai_client.chat.completions.create(model="m", messages=turns, tools=[OPENAI_TOOL])
    assert "The tool returned: sunny weather" in (reply.choices[0].message.content or "")


def test_max_tokens_cuts_the_answer(openai_client: openai.OpenAI) -> None:
    reply = openai_client.chat.completions.create(model="m", messages=ASK, max_tokens=3)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 3


def test_structured_output_fits_its_schema(openai_client: openai.OpenAI) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}
    reply = openai_client.chat.completions.create(model="m", messages=ASK, response_format=wanted)
    assert reply.choices[0].message.content == '{"location":"Paris"}'


def test_openai_reads_legacy_completions(openai_client: openai.OpenAI) -> None:
    unary = openai_client.completions.create(model="m", prompt="hi", max_tokens=100)
    with openai_client.completions.create(
        model="m", prompt="hi", max_tokens=100, stream=True
    ) as stream:
        text = "".join(chunk.choices[0].text for chunk in stream)
    assert text == unary.choices[0].text
    assert "hi" in text


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_openai_reads_embeddings(
    openai_client: openai.OpenAI, encoding: Literal["float", "base64"]
) -> None:
    reply = openai_client.embeddings.create(
        model="m", input=["one", "two"], dimensions=4, encoding_format=encoding
    )
    assert len(reply.data) == 2
    assert len(reply.data[0].embedding) == (4 if encoding == "float" else 24)
    assert reply.usage.prompt_tokens == 2
    # The library asks for base64 and decodes it unless told otherwise.
    default = openai_client.embeddings.create(model="m", input="one", dimensions=4)
    assert sum(value**2 for value in default.data[0].embedding) == pytest.approx(1, abs=1e-3)


def test_openai_reads_a_response(openai_client: openai.OpenAI) -> None:
    reply = openai_client.responses.create(model="m", input="hello there")
    assert "hello there" in reply.output_text
    assert reply.usage is not None
    assert reply.usage.input_tokens == 3


def test_openai_reads_a_response_stream(openai_client: openai.OpenAI) -> None:
    with openai_client.responses.stream(model="m", input="hello there") as stream:
        names = [event.type for event in stream]
        final = stream.get_final_response()
    assert names[0] == "response.created"
    assert names[-1] == "response.completed"
    assert "hello there" in final.output_text


def test_openai_reads_a_streamed_function_call(openai_client: openai.OpenAI) -> None:
    with openai_client.responses.stream(
        model="m", input="weather?", tools=[RESPONSES_TOOL]
    ) as stream:
        final: Any = stream.get_final_response()
    assert final.output[0].name == "get_weather"
    assert final.output[0].arguments == '{"location":"Paris"}'


def test_both_model_lists_are_served(
    openai_client: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    assert next(model.id for model in openai_client.models.list()) == "demo"
    assert next(iter(claude.models.list())).id.startswith("claude")


def test_an_unknown_path_is_a_404_in_openai_shape(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        openai_client.files.list()


def test_a_malformed_request_is_a_400(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="malformed"):
        openai_client.chat.completions.create(model="m", messages=[])


def test_anthropic_reads_a_message(claude: anthropic.Anthropic) -> None:
    reply: Any = claude.messages.create(model="m", max_tokens=100, messages=ASK)
    assert reply.stop_reason == "end_turn"
    assert "hello there" in reply.content[0].text
    assert reply.usage.input_tokens == 3
    count = claude.messages.count_tokens(model="m", messages=ASK)
    assert count.input_tokens == reply.usage.input_tokens


def test_anthropic_reads_a_stream(claude: anthropic.Anthropic) -> None:
    unary: Any = claude.messages.create(model="m", max_tokens=100, messages=ASK)
    with claude.messages.stream(model="m", max_tokens=100, messages=ASK) as stream:
        final: Any = stream.get_final_message()
    assert final.content[0].text == unary.content[0].text
    assert final.usage.output_tokens == unary.usage.output_tokens


def test_an_anthropic_stream_has_every_event_in_order(claude: anthropic.Anthropic) -> None:
    with claude.messages.with_streaming_response.create(
        model="m", max_tokens=100, messages=ASK, stream=True
    ) as raw:
        names = [line[7:] for line in raw.iter_lines() if line.startswith("event: ")]
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert set(names[3:-3]) == {"content_block_delta"}
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_anthropic_reads_tool_use(claude: anthropic.Anthropic) -> None:
    ask: Any = {"model": "m", "max_tokens": 99, "messages": ASK_WEATHER, "tools": [CLAUDE_TOOL]}
    unary: Any = claude.messages.create(**ask)
    with claude.messages.stream(**ask) as stream:
        streamed: Any = stream.get_final_message()
    for reply in (unary, streamed):
        assert reply.stop_reason == "tool_use"
        assert (reply.content[0].name, reply.content[0].input) == (
            "get_weather",
            {"location": "Paris"},
        )


def test_anthropic_reads_a_scripted_error(
    provider: ProviderBed, claude: anthropic.Anthropic
) -> None:
    provider.on(anthropic_api.error(429, "slow down", "rate_limit_error"))
    with pytest.raises(anthropic.RateLimitError, match="slow down"):
        claude.messages.create(model="m", max_tokens=1, messages=ASK)


BEDROCK_ASK = [{"role": "user", "content": [{"text": "hello there"}]}]
BEDROCK_WEATHER = [{"role": "user", "content": [{"text": "the weather please"}]}]


def test_boto_reads_a_converse_reply(provider: ProviderBed, bedrock: BotoClient) -> None:
    reply = bedrock.converse(modelId="eu.vendor.model-v1:0", messages=BEDROCK_ASK)
    text = reply["output"]["message"]["content"][0]["text"]
    assert "answering as eu.vendor.model-v1:0" in text
    assert reply["stopReason"] == "end_turn"
    assert reply["usage"]["inputTokens"] == 3
    assert provider.only().target == b"/model/eu.vendor.model-v1%3A0/converse"
    assert (provider.only().header("authorization") or "").startswith("AWS4-HMAC-SHA256")


def test_boto_reads_a_converse_stream(bedrock: BotoClient) -> None:
    unary = bedrock.converse(modelId="m", messages=BEDROCK_ASK)
    events = list(bedrock.converse_stream(modelId="m", messages=BEDROCK_ASK)["stream"])
    text = "".join(e["contentBlockDelta"]["delta"]["text"] for e in events[1:-3])
    assert [next(iter(e)) for e in (events[0], *events[-3:])] == [
        "messageStart",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert text == unary["output"]["message"]["content"][0]["text"]
    assert events[-1]["metadata"]["usage"] == unary["usage"]


def test_boto_reads_tool_use(bedrock: BotoClient) -> None:
    ask: Any = {
        "modelId": "m",
        "messages": BEDROCK_WEATHER,
        "toolConfig": {"tools": [BEDROCK_TOOL]},
    }
    use = bedrock.converse(**ask)["output"]["message"]["content"][0]["toolUse"]
    assert use["input"] == {"location": "Paris"}
    events = list(bedrock.converse_stream(**ask)["stream"])
    start = events[1]["contentBlockStart"]["start"]["toolUse"]
    deltas = [e["contentBlockDelta"]["delta"] for e in events if "contentBlockDelta" in e]
    assert start["name"] == "get_weather"
    assert "".join(d["toolUse"]["input"] for d in deltas) == '{"location":"Paris"}'


def test_boto_reads_claude_bodies_through_invoke(bedrock: BotoClient) -> None:
    body = json.dumps({"max_tokens": 99, "messages": ASK})
    unary = bedrock.invoke_model(modelId="m", body=body)["body"].read()
    assert b'"type":"message"' in unary
    stream = bedrock.invoke_model_with_response_stream(modelId="m", body=body)["body"]
    assert b"message_start" in next(iter(stream))["chunk"]["bytes"]
    stream.close()


def test_boto_raises_an_exception_in_mid_stream(provider: ProviderBed, bedrock: BotoClient) -> None:
    start = frames.event("messageStart", {"role": "assistant"})
    broken = frames.exception("throttlingException", "slow down")
    provider.on(
        Reply(200, STREAM_HEADERS, (start, broken)), match=Match(path="/model/m/converse-stream")
    )
    reply = bedrock.converse_stream(modelId="m", messages=BEDROCK_ASK)
    with contextlib.closing(reply["stream"]) as stream:
        events = iter(stream)
        assert next(events) == {"messageStart": {"role": "assistant"}}
        with pytest.raises(botocore.exceptions.EventStreamError, match="slow down"):
            next(events)
