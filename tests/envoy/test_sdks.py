"""The official libraries as clients: what they make of the replies of every kind of backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from anthropic import Anthropic
from openai import OpenAI, OpenAIError

from beds.gateway import RunningGateway, run_gateway
from beds.golden import BACKEND_HEADER, CELL_HEADER, Cell, GoldenProvider, cells, configuration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openai.types.responses import FunctionToolParam

    from beds.ports import FreePorts

BUILT = ["AWSAnthropic", "AWSBedrock", "Anthropic", "Cohere", "GCPAnthropic", "GCPVertexAI"]
SAID = "High tide is at 14:20 \N{EN DASH} plan for it."
QUESTION = "When is high tide?"
SCHEMA = {
    "type": "object",
    "properties": {"zone": {"type": "string"}, "berth": {"type": "integer"}},
    "required": ["zone", "berth"],
    "additionalProperties": False,
}
DEPTH: FunctionToolParam = {
    "type": "function",
    "name": "depth",
    "parameters": SCHEMA,
    "strict": True,
}


@pytest.fixture(scope="module")
def gateway(free_port: FreePorts) -> Iterator[RunningGateway]:
    """A gateway in front of the provider that answers as recorded."""
    provider = GoldenProvider()
    with (
        provider.running(),
        run_gateway(config=configuration(free_port(), provider.port)) as running,
    ):
        yield running


def headers(name: str) -> dict[str, str]:
    """Chooses backend and reply of a golden cell."""
    cell: Cell = next(cell for cell in cells() if cell.id == name)
    return {CELL_HEADER: cell.id, BACKEND_HEADER: cell.backend}


@pytest.fixture
def openai(gateway: RunningGateway) -> Iterator[OpenAI]:
    """OpenAI's library."""
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic(gateway: RunningGateway) -> Iterator[Anthropic]:
    """Anthropic's library."""
    with Anthropic(base_url=f"{gateway.url}/anthropic", api_key="k", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("schema", [*BUILT, "OpenAI"])
def test_responses_are_typed(openai: OpenAI, schema: str) -> None:
    extra = headers(f"responses/thinking/{schema}")
    response = openai.responses.create(
        model="harbour",
        input=QUESTION,
        include=["reasoning.encrypted_content"],
        extra_headers=extra,
    )
    assert response.output_text == SAID
    assert response.status == "completed"
    assert response.usage is not None
    assert response.usage.total_tokens == 15
    assert [item.type for item in response.output] == ["reasoning", "message"]


@pytest.mark.parametrize("schema", [*BUILT, "OpenAI"])
def test_responses_stream_calls_of_tools(openai: OpenAI, schema: str) -> None:
    extra = headers(f"responses/stream_tool_calls/{schema}")
    with openai.responses.stream(
        model="harbour", input=QUESTION, tools=[DEPTH], extra_headers=extra
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    calls = [item for item in final.output if item.type == "function_call"]
    assert [call.parsed_arguments for call in calls] == [
        {"zone": "b", "berth": 7},
        {"zone": "b", "berth": 8},
    ]
    assert len({call.call_id for call in calls}) == 2


def test_odd_calls_of_tools_stay_apart(openai: OpenAI) -> None:
    extra = headers("responses/stream_odd_tool_calls/OpenAI")
    with openai.responses.stream(
        model="harbour", input=QUESTION, tools=[DEPTH], extra_headers=extra
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    calls = [item for item in final.output if item.type == "function_call"]
    assert [call.name for call in calls] == ["depth", "depth", "tide", "tide", "ring"]
    assert [call.arguments for call in calls] == ['{"berth":6}', '{"berth":7}', "{}", "{}", "{}"]
    assert len({call.call_id for call in calls}) == 5


@pytest.mark.parametrize("schema", [*BUILT, "OpenAI"])
def test_a_response_that_breaks_is_an_error(openai: OpenAI, schema: str) -> None:
    extra = headers(f"responses/stream_error/{schema}")
    with (
        pytest.raises(OpenAIError, match="too many ships"),
        openai.responses.create(
            model="harbour", input=QUESTION, stream=True, extra_headers=extra
        ) as stream,
    ):
        list(stream)


@pytest.mark.parametrize("schema", BUILT)
def test_chat_streams_calls_of_tools(openai: OpenAI, schema: str) -> None:
    extra = headers(f"chat_completions/stream_tool_calls/{schema}")
    with openai.chat.completions.stream(
        model="harbour",
        messages=[{"role": "user", "content": QUESTION}],
        tools=[
            {
                "type": "function",
                "function": {"name": "depth", "parameters": SCHEMA, "strict": True},
            }
        ],
        extra_headers=extra,
    ) as stream:
        for _ in stream:
            pass
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    names = [call.function.name for call in choice.message.tool_calls or []]
    assert names[0] == "depth"
    assert len(names) > 1


@pytest.mark.parametrize("schema", ["AWSAnthropic", "Anthropic", "GCPAnthropic"])
def test_thinking_of_a_chat_stream_is_put_together(openai: OpenAI, schema: str) -> None:
    extra = headers(f"chat_completions/stream_thinking/{schema}")
    with openai.chat.completions.stream(
        model="harbour",
        messages=[{"role": "user", "content": QUESTION}],
        extra_headers=extra,
    ) as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message.model_dump()
    blocks = message["thinking_blocks"]
    assert blocks[0]["thinking"] == message["reasoning_content"]
    assert blocks[0]["signature"]
    assert [block["type"] for block in blocks[1:]] in ([], ["redacted_thinking"])


def test_choices_of_one_stream_stay_apart(openai: OpenAI) -> None:
    extra = headers("chat_completions/stream_two_candidates/GCPVertexAI")
    with openai.chat.completions.stream(
        model="gemini-2.5-pro",
        messages=[{"role": "user", "content": QUESTION}],
        n=2,
        extra_headers=extra,
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
    message = next(choice.message.model_dump() for choice in choices if choice.index == 1)
    assert [block["signature"] for block in message["thinking_blocks"]] == ["c2lnMQ==", "c2lnMg=="]


@pytest.mark.parametrize("schema", [*BUILT, "AzureOpenAI"])
def test_completions_stream(openai: OpenAI, schema: str) -> None:
    extra = headers(f"completions/stream_text/{schema}")
    with openai.completions.create(
        model="harbour", prompt="High tide", stream=True, extra_headers=extra
    ) as stream:
        text = "".join(choice.text for chunk in stream for choice in chunk.choices)
    assert text == SAID


@pytest.mark.parametrize("schema", ["AWSBedrock", "Cohere", "GCPVertexAI"])
def test_embeddings_come_as_the_library_asks(openai: OpenAI, schema: str) -> None:
    extra = headers(f"embeddings/base64/{schema}")
    result = openai.embeddings.create(model="harbour", input="tide", extra_headers=extra)
    assert result.data[0].embedding == [0.25, -1.5]
    assert result.usage.total_tokens == 3


def test_media_go_through(openai: OpenAI) -> None:
    image = openai.images.generate(
        model="harbour",
        prompt="a lighthouse",
        extra_headers=headers("image_generations/url/OpenAI"),
    )
    assert image.data is not None
    assert image.data[0].url == "https://img.example/1.png"
    edited = openai.images.edit(
        model="harbour",
        image=[("a.png", b"PNG 1"), ("b.png", b"PNG 2")],
        prompt="a lighthouse",
        extra_headers=headers("image_edits/model_added/OpenAI"),
    )
    assert edited.usage is not None
    assert edited.usage.total_tokens == 322
    text = openai.audio.transcriptions.create(
        model="harbour",
        file=("a.wav", b"RIFFdata"),
        extra_headers=headers("transcriptions/json/OpenAI"),
    )
    assert text.text == "Land ho"
    speech = openai.audio.speech.create(
        model="harbour",
        input="Mind the gap",
        voice="ash",
        extra_headers=headers("speech/audio/OpenAI"),
    )
    assert speech.content == b"ID3 sound"


@pytest.mark.parametrize("schema", [*BUILT, "AzureOpenAI", "OpenAI"])
def test_messages_stream_calls_of_tools(anthropic: Anthropic, schema: str) -> None:
    extra = headers(f"messages/stream_tool_calls/{schema}")
    with anthropic.messages.stream(
        model="harbour",
        max_tokens=100,
        messages=[{"role": "user", "content": QUESTION}],
        tools=[{"name": "depth", "input_schema": SCHEMA}],
        extra_headers=extra,
    ) as stream:
        message = stream.get_final_message()
    inputs = [block.input for block in message.content if block.type == "tool_use"]
    assert inputs == [{"zone": "b", "berth": 7}, {"zone": "b", "berth": 8}]
    assert message.stop_reason == "tool_use"
    assert message.usage.output_tokens == 6


@pytest.mark.parametrize("schema", [*BUILT, "AzureOpenAI", "OpenAI"])
def test_messages_carry_thinking(anthropic: Anthropic, schema: str) -> None:
    extra = headers(f"messages/thinking/{schema}")
    message = anthropic.messages.create(
        model="harbour",
        max_tokens=2000,
        messages=[{"role": "user", "content": QUESTION}],
        extra_headers=extra,
    )
    kinds = [block.type for block in message.content]
    assert kinds == ["thinking", "text"]
    counted = message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0)
    assert counted == 9


@pytest.mark.parametrize("schema", ["AWSAnthropic", "AWSBedrock", "Anthropic", "GCPAnthropic"])
def test_tokens_are_counted(anthropic: Anthropic, schema: str) -> None:
    extra = headers(f"count_tokens/messages/{schema}")
    counted = anthropic.messages.count_tokens(
        model="eu.anthropic.claude-x",
        messages=[{"role": "user", "content": "hi"}],
        extra_headers=extra,
    )
    assert counted.input_tokens == 8
