"""OpenAI's library, chat completions, against every kind of backend."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from openai import APIStatusError, OpenAI, OpenAIError

from beds.sdks import BUILT, QUESTION, SCHEMA, SCHEMAS, SdkBed, Tide, cell

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "depth", "parameters": SCHEMA, "strict": True},
}


def message(reply: str) -> dict[str, Any]:
    """The message of a recorded reply."""
    recorded = json.loads(cell(reply).file("client.json") or b"{}")
    found: dict[str, Any] = recorded["choices"][0]["message"]
    return found


def tools_of(case: str, schema: str) -> tuple[str, str]:
    """A recorded reply with calls, and a backend: the two families of OpenAI share replies."""
    recorded = "AzureOpenAI" if schema == "OpenAI" else schema
    return f"chat_completions/{case}/{recorded}", f"chat_completions/text/{schema}"


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_completion_is_read(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    reply = f"chat_completions/text/{schema}"
    completion = openai.chat.completions.create(
        model="harbour", messages=ASK, extra_headers=sdks.headers(reply)
    )
    assert completion.choices[0].message.content == message(reply)["content"]
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 9
    sdks.check_sent(reply)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_stream_is_put_together(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    reply = f"chat_completions/stream_text/{schema}"
    with openai.chat.completions.stream(
        model="harbour",
        messages=ASK,
        stream_options={"include_usage": True},
        extra_headers=sdks.headers(reply),
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert "".join(deltas) == final.choices[0].message.content
    assert deltas
    assert final.choices[0].message.role == "assistant"
    assert final.choices[0].finish_reason == "stop"
    assert final.usage is not None
    assert final.usage.total_tokens > 0
    sdks.check_sent(reply)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_tools_are_called_and_answered(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    reply, backend = tools_of("tool_calls", schema)
    choice = openai.chat.completions.create(
        model="harbour", messages=ASK, tools=[TOOL], extra_headers=sdks.headers(reply, backend)
    ).choices[0]
    calls: Any = choice.message.tool_calls or []
    assert choice.finish_reason == "tool_calls"
    want = [call["function"]["arguments"] for call in message(reply)["tool_calls"]]
    assert [call.function.arguments for call in calls] == want
    assert len(want) > 1
    sdks.check_sent(reply, backend)
    # What the library keeps of the reply can be sent back.
    results: list[ChatCompletionMessageParam] = [
        {"role": "tool", "tool_call_id": call.id, "content": "9 m"} for call in calls
    ]
    history: Any = [*ASK, choice.message.model_dump(exclude_none=True), *results]
    text = f"chat_completions/text/{schema}"
    completion = openai.chat.completions.create(
        model="harbour", messages=history, tools=[TOOL], extra_headers=sdks.headers(text)
    )
    assert completion.choices[0].message.content == message(text)["content"]
    sdks.check_sent(text)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_calls_of_tools_are_streamed(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    reply, backend = tools_of("stream_tool_calls", schema)
    with openai.chat.completions.stream(
        model="harbour", messages=ASK, tools=[TOOL], extra_headers=sdks.headers(reply, backend)
    ) as stream:
        for _ in stream:
            pass
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    calls = choice.message.tool_calls or []
    assert len(calls) > 1
    assert calls[0].function.name == "depth"
    assert isinstance(calls[0].function.parsed_arguments, dict)
    assert all(isinstance(json.loads(call.function.arguments), dict) for call in calls)
    sdks.check_sent(reply, backend)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_structured_output_is_parsed(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    reply = f"chat_completions/structured_output/{schema}"
    completion = openai.chat.completions.parse(
        model="harbour", messages=ASK, response_format=Tide, extra_headers=sdks.headers(reply)
    )
    assert completion.choices[0].message.parsed == Tide(at="noon", m=4.5)
    sdks.check_sent(reply)


@pytest.mark.parametrize("schema", ["AWSAnthropic", "Anthropic", "GCPAnthropic"])
def test_thinking_of_a_stream_is_put_together(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    with openai.chat.completions.stream(
        model="harbour",
        messages=ASK,
        extra_headers=sdks.headers(f"chat_completions/stream_thinking/{schema}"),
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion().choices[0].message.model_dump()
    blocks = final["thinking_blocks"]
    assert blocks[0]["thinking"] == final["reasoning_content"]
    assert blocks[0]["signature"]
    assert [block["type"] for block in blocks[1:]] in ([], ["redacted_thinking"])


def test_signatures_of_a_stream_of_bedrock_are_kept(sdks: SdkBed, openai: OpenAI) -> None:
    with openai.chat.completions.stream(
        model="harbour",
        messages=ASK,
        extra_headers=sdks.headers("chat_completions/stream_thinking/AWSBedrock"),
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion().choices[0].message.model_dump()
    assert final["reasoning_content"] == "Hm."
    signed, redacted = final["thinking_blocks"]
    assert (signed["type"], signed["signature"]) == ("thinking", "c2ln")
    assert (redacted["type"], redacted["data"]) == ("redacted_thinking", "b3BhcXVl")


def test_choices_of_one_stream_stay_apart(sdks: SdkBed, openai: OpenAI) -> None:
    with openai.chat.completions.stream(
        model="gemini-2.5-pro",
        messages=ASK,
        n=2,
        extra_headers=sdks.headers("chat_completions/stream_two_candidates/GCPVertexAI"),
    ) as stream:
        for _ in stream:
            pass
        choices = stream.get_final_completion().choices
    assert {choice.message.role for choice in choices} == {"assistant"}
    calls = {
        choice.index: [call.function.name for call in choice.message.tool_calls or []]
        for choice in choices
    }
    assert calls == {0: ["tide"], 1: ["tide", "horn"]}
    second = next(choice.message.model_dump() for choice in choices if choice.index == 1)
    assert [block["signature"] for block in second["thinking_blocks"]] == ["c2lnMQ==", "c2lnMg=="]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_refusal_of_the_provider_has_its_class(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    reply = f"chat_completions/error_json/{schema}"
    with pytest.raises(APIStatusError) as caught:
        openai.chat.completions.create(
            model="harbour", messages=ASK, extra_headers=sdks.headers(reply)
        )
    recorded = cell(reply).reply()
    assert recorded is not None
    assert caught.value.status_code == recorded[0]
    assert caught.value.body


@pytest.mark.parametrize("schema", [*BUILT, "AzureOpenAI"])
def test_a_stream_that_breaks_is_an_error(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    extra = sdks.headers(f"chat_completions/stream_error/{schema}")
    with (
        pytest.raises(OpenAIError),
        openai.chat.completions.create(
            model="harbour", messages=ASK, stream=True, extra_headers=extra
        ) as stream,
    ):
        list(stream)
