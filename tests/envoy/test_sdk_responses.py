"""OpenAI's library, responses, against every kind of backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from openai import OpenAI, OpenAIError

from beds.sdks import BERTHS, BUILT, QUESTION, SAID, SCHEMA, SdkBed, Tide

if TYPE_CHECKING:
    from openai.types.responses import FunctionToolParam, ResponseInputParam

# `OpenAI` stands for a server that has chat only; others get the bytes of the client.
BY_WAY_OF_CHAT = (*BUILT, "OpenAI")
DEPTH: FunctionToolParam = {
    "type": "function",
    "name": "depth",
    "parameters": SCHEMA,
    "strict": True,
}


@pytest.mark.parametrize("schema", BY_WAY_OF_CHAT)
def test_a_response_is_typed(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    reply = f"responses/thinking/{schema}"
    response = openai.responses.create(
        model="harbour",
        input=QUESTION,
        include=["reasoning.encrypted_content"],
        extra_headers=sdks.headers(reply),
    )
    assert response.output_text == SAID
    assert response.status == "completed"
    assert response.usage is not None
    assert response.usage.total_tokens == 15
    assert response.usage.input_tokens_details.cache_write_tokens == 0
    assert [item.type for item in response.output] == ["reasoning", "message"]
    sdks.check_sent(reply)


@pytest.mark.parametrize("schema", ["AzureOpenAI", "OpenAI"])
def test_a_response_goes_through(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    whole = openai.responses.create(
        model="harbour",
        input=QUESTION,
        extra_headers=sdks.headers(f"responses/passthrough/{schema}"),
    )
    assert whole.output_text == "Noon."
    with openai.responses.create(
        model="harbour",
        input=QUESTION,
        stream=True,
        extra_headers=sdks.headers(f"responses/stream_passthrough/{schema}"),
    ) as stream:
        kinds = [event.type for event in stream]
    assert kinds == ["response.created", "response.output_text.delta", "response.completed"]


@pytest.mark.parametrize("schema", BY_WAY_OF_CHAT)
def test_text_is_streamed(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    reply = f"responses/stream_text/{schema}"
    with openai.responses.stream(
        model="harbour", input=QUESTION, extra_headers=sdks.headers(reply)
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text == SAID
    sdks.check_sent(reply)


@pytest.mark.parametrize("schema", BY_WAY_OF_CHAT)
def test_tools_are_called_and_answered(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    response = openai.responses.create(
        model="harbour",
        input=QUESTION,
        tools=[DEPTH],
        extra_headers=sdks.headers(f"responses/tool_calls/{schema}"),
    )
    calls = [item for item in response.output if item.type == "function_call"]
    assert len(calls) > 1
    history: ResponseInputParam = [{"role": "user", "content": QUESTION}]
    history += [item.model_dump(exclude_none=True) for item in response.output]  # type: ignore[misc]
    for call in calls:
        history.append({"type": "function_call_output", "call_id": call.call_id, "output": "9 m"})
    text = f"responses/text/{schema}"
    answer = openai.responses.create(
        model="harbour", input=history, tools=[DEPTH], extra_headers=sdks.headers(text)
    )
    assert answer.output_text == SAID
    sdks.check_sent(text)


@pytest.mark.parametrize("schema", BY_WAY_OF_CHAT)
def test_calls_of_tools_are_streamed(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    reply = f"responses/stream_tool_calls/{schema}"
    with openai.responses.stream(
        model="harbour", input=QUESTION, tools=[DEPTH], extra_headers=sdks.headers(reply)
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    calls = [item for item in final.output if item.type == "function_call"]
    assert [call.parsed_arguments for call in calls] == BERTHS
    assert len({call.call_id for call in calls}) == 2
    sdks.check_sent(reply)


def test_odd_calls_of_tools_stay_apart(sdks: SdkBed, openai: OpenAI) -> None:
    extra = sdks.headers("responses/stream_odd_tool_calls/OpenAI")
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


@pytest.mark.parametrize("schema", BY_WAY_OF_CHAT)
def test_structured_output_is_parsed(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    reply, backend = f"chat_completions/structured_output/{schema}", f"responses/text/{schema}"
    response = openai.responses.parse(
        model="harbour",
        input=QUESTION,
        text_format=Tide,
        extra_headers=sdks.headers(reply, backend),
    )
    assert response.output_parsed == Tide(at="noon", m=4.5)
    sdks.check_sent(reply, backend)


@pytest.mark.parametrize("schema", ["AzureOpenAI", "OpenAI"])
def test_structured_output_that_goes_through_is_parsed(
    sdks: SdkBed, openai: OpenAI, schema: str
) -> None:
    reply = f"responses/structured_output/{schema}"
    response = openai.responses.parse(
        model="harbour", input=QUESTION, text_format=Tide, extra_headers=sdks.headers(reply)
    )
    assert response.output_parsed == Tide(at="noon", m=4.5)
    asked = sdks.check_sent(reply)["text"]["format"]
    assert (asked["type"], asked["name"]) == ("json_schema", "Tide")


@pytest.mark.parametrize("schema", BY_WAY_OF_CHAT)
def test_a_response_that_breaks_is_an_error(sdks: SdkBed, openai: OpenAI, schema: str) -> None:
    extra = sdks.headers(f"responses/stream_error/{schema}")
    with (
        pytest.raises(OpenAIError, match="too many ships"),
        openai.responses.create(
            model="harbour", input=QUESTION, stream=True, extra_headers=extra
        ) as stream,
    ):
        list(stream)


def test_tokens_of_an_input_are_counted(sdks: SdkBed, openai: OpenAI) -> None:
    counted = openai.responses.input_tokens.count(
        model="harbour",
        input=QUESTION,
        extra_headers=sdks.headers("responses_input_tokens/text/OpenAI"),
    )
    assert counted.input_tokens == 4
