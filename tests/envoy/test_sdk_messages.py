"""Anthropic's library, messages, against every kind of backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from anthropic import AnthropicError, APIStatusError

from beds.sdks import BERTHS, QUESTION, SAID, SCHEMA, SCHEMAS, SdkBed, cell

if TYPE_CHECKING:
    from anthropic import Anthropic
    from anthropic.types import MessageParam, ToolParam

ASK: list[MessageParam] = [{"role": "user", "content": QUESTION}]
TOOL: ToolParam = {"name": "depth", "input_schema": SCHEMA}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_message_is_read(sdks: SdkBed, anthropic: Anthropic, schema: str) -> None:
    reply = f"messages/text/{schema}"
    message = anthropic.messages.create(
        model="harbour", max_tokens=100, messages=ASK, extra_headers=sdks.headers(reply)
    )
    assert [block.text for block in message.content if block.type == "text"] == [SAID]
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == 6
    sdks.check_sent(reply)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_text_is_streamed(sdks: SdkBed, anthropic: Anthropic, schema: str) -> None:
    reply = f"messages/stream_text/{schema}"
    with anthropic.messages.stream(
        model="harbour", max_tokens=100, messages=ASK, extra_headers=sdks.headers(reply)
    ) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == SAID
    assert message.stop_reason == "end_turn"
    sdks.check_sent(reply)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_tools_are_called_and_answered(sdks: SdkBed, anthropic: Anthropic, schema: str) -> None:
    message = anthropic.messages.create(
        model="harbour",
        max_tokens=100,
        messages=ASK,
        tools=[TOOL],
        extra_headers=sdks.headers(f"messages/tool_calls/{schema}"),
    )
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.input for call in calls] == BERTHS
    assert message.stop_reason == "tool_use"
    results: Any = [
        {"type": "tool_result", "tool_use_id": call.id, "content": "9 m"} for call in calls
    ]
    # The library's own blocks can be sent back.
    history: list[MessageParam] = [
        *ASK,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": results},
    ]
    text = f"messages/text/{schema}"
    answer = anthropic.messages.create(
        model="harbour",
        max_tokens=100,
        messages=history,
        tools=[TOOL],
        extra_headers=sdks.headers(text),
    )
    assert answer.content[0].type == "text"
    sdks.check_sent(text)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_calls_of_tools_are_streamed(sdks: SdkBed, anthropic: Anthropic, schema: str) -> None:
    reply = f"messages/stream_tool_calls/{schema}"
    with anthropic.messages.stream(
        model="harbour",
        max_tokens=100,
        messages=ASK,
        tools=[TOOL],
        extra_headers=sdks.headers(reply),
    ) as stream:
        message = stream.get_final_message()
    inputs = [block.input for block in message.content if block.type == "tool_use"]
    assert inputs == BERTHS
    assert message.stop_reason == "tool_use"
    assert message.usage.output_tokens == 6
    sdks.check_sent(reply)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_thinking_is_read_and_streamed(sdks: SdkBed, anthropic: Anthropic, schema: str) -> None:
    reply = f"messages/thinking/{schema}"
    message = anthropic.messages.create(
        model="harbour",
        max_tokens=4000,
        thinking={"type": "enabled", "budget_tokens": 2000},
        messages=ASK,
        extra_headers=sdks.headers(reply),
    )
    thought, _ = message.content
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert thought.type == "thinking"
    assert isinstance(thought.signature, str)
    counted = message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0)
    assert counted == 9
    sdks.check_sent(reply)
    with anthropic.messages.stream(
        model="harbour",
        max_tokens=4000,
        messages=ASK,
        extra_headers=sdks.headers(f"messages/stream_thinking/{schema}"),
    ) as stream:
        thoughts = [event.thinking for event in stream if event.type == "thinking"]
        final = stream.get_final_message()
    first = final.content[0]
    assert first.type == "thinking"
    assert first.thinking == "".join(thoughts) != ""
    assert isinstance(first.signature, str)


@pytest.mark.parametrize("schema", ["AWSAnthropic", "Anthropic", "GCPAnthropic"])
def test_claude_goes_on_where_another_model_has_thought(
    sdks: SdkBed, anthropic: Anthropic, schema: str
) -> None:
    message = anthropic.messages.create(
        model="harbour",
        max_tokens=4000,
        messages=ASK,
        extra_headers=sdks.headers("messages/thinking/OpenAI"),
    )
    history: list[MessageParam] = [
        *ASK,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": "Sure?"},
    ]
    reply = f"messages/text/{schema}"
    anthropic.messages.create(
        model="harbour", max_tokens=100, messages=history, extra_headers=sdks.headers(reply)
    )
    asked = sdks.check_sent(reply)["messages"][1]
    assert [block["type"] for block in asked["content"]] == ["text"]


@pytest.mark.parametrize("schema", ["AWSAnthropic", "AWSBedrock", "Anthropic", "GCPAnthropic"])
def test_tokens_are_counted(sdks: SdkBed, anthropic: Anthropic, schema: str) -> None:
    counted = anthropic.messages.count_tokens(
        model="eu.anthropic.claude-x",
        messages=[{"role": "user", "content": "hi"}],
        extra_headers=sdks.headers(f"count_tokens/messages/{schema}"),
    )
    assert counted.input_tokens == 8


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_refusal_of_the_provider_has_its_class(
    sdks: SdkBed, anthropic: Anthropic, schema: str
) -> None:
    reply = f"messages/error/{schema}"
    with pytest.raises(APIStatusError) as caught:
        anthropic.messages.create(
            model="harbour", max_tokens=100, messages=ASK, extra_headers=sdks.headers(reply)
        )
    recorded = cell(reply).reply()
    assert recorded is not None
    assert caught.value.status_code == recorded[0]
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["type"]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_stream_that_breaks_is_an_error(sdks: SdkBed, anthropic: Anthropic, schema: str) -> None:
    extra = sdks.headers(f"messages/stream_error/{schema}")
    with (
        pytest.raises(AnthropicError),
        anthropic.messages.create(
            model="harbour", max_tokens=100, messages=ASK, stream=True, extra_headers=extra
        ) as stream,
    ):
        list(stream)
