"""A newcomer's first minute: `aigw run` with nothing configured, curl and the SDKs."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest

from beds.raw_http import RawConnection, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.gateway import RunningGateway

HELLO = [{"role": "user", "content": "hello"}]
WEATHER = [{"role": "user", "content": "what is the weather in Oslo?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture
def openai_client(demo: RunningGateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(demo: RunningGateway) -> Iterator[anthropic.Anthropic]:
    base_url = f"{demo.url}/anthropic"
    with anthropic.Anthropic(base_url=base_url, api_key="any", max_retries=0) as client:
        yield client


def test_it_says_what_it_does_and_what_to_try(demo: RunningGateway) -> None:
    assert "demo provider" in demo.errors
    assert f"curl {demo.url}/v1/chat/completions" in demo.errors


def test_curl_gets_an_answer(demo: RunningGateway) -> None:
    body = json.dumps({"model": "demo", "messages": HELLO})
    command = ["curl", "-sS", "-f", f"{demo.url}/v1/chat/completions", "-d", body]
    done = subprocess.run(
        [*command, "-H", "content-type: application/json"], capture_output=True, check=True
    )
    assert json.loads(done.stdout)["choices"][0]["message"]["content"]


def test_the_openai_sdk_chats(openai_client: openai.OpenAI) -> None:
    reply = openai_client.chat.completions.create(model="demo", messages=HELLO)
    assert reply.choices[0].message.content
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_the_openai_sdk_streams(openai_client: openai.OpenAI) -> None:
    stream = openai_client.chat.completions.create(
        model="demo", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert chunks[-1].usage is not None


def test_the_openai_sdk_calls_tools(openai_client: openai.OpenAI) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}
    reply = openai_client.chat.completions.create(model="demo", messages=WEATHER, tools=[tool])
    calls = reply.choices[0].message.tool_calls
    assert calls
    assert json.loads(calls[0].function.arguments) is not None


async def test_the_async_openai_sdk_can_cancel_a_stream(demo: RunningGateway) -> None:
    async with openai.AsyncOpenAI(base_url=f"{demo.url}/v1", api_key="any") as client:
        stream = await client.chat.completions.create(model="demo", messages=HELLO, stream=True)
        async for _ in stream:
            break
        await stream.close()
        again = await client.chat.completions.create(model="demo", messages=HELLO)
    assert again.choices


def test_the_other_openai_endpoints_answer(openai_client: openai.OpenAI) -> None:
    assert openai_client.completions.create(model="demo", prompt="hello").choices[0].text
    assert openai_client.embeddings.create(model="demo", input="hello").data[0].embedding
    assert openai_client.responses.create(model="demo", input="hello").output_text
    events = list(openai_client.responses.create(model="demo", input="hello", stream=True))
    assert events[-1].type == "response.completed"


def test_the_anthropic_sdk_talks_streams_and_calls_tools(
    anthropic_client: anthropic.Anthropic,
) -> None:
    message = anthropic_client.messages.create(model="claude-demo", max_tokens=64, messages=HELLO)
    assert message.content[0].type == "text"
    with anthropic_client.messages.stream(
        model="claude-demo", max_tokens=64, messages=HELLO
    ) as stream:
        assert "".join(stream.text_stream)
        assert stream.get_final_message().usage.output_tokens > 0
    tool = {"name": "weather", "input_schema": PARAMETERS}
    called = anthropic_client.messages.create(
        model="claude-demo", max_tokens=64, messages=WEATHER, tools=[tool]
    )
    assert called.stop_reason == "tool_use"


def test_the_access_log_has_model_backend_tokens_and_times(
    demo: RunningGateway, openai_client: openai.OpenAI
) -> None:
    stream = openai_client.chat.completions.create(model="demo-logged", messages=HELLO, stream=True)
    list(stream)
    lines: list[dict[str, Any]] = []

    def logged() -> bool:
        lines[:] = [entry for entry in demo.access_log(0) if entry["model"] == "demo-logged"]
        return bool(lines)

    demo.wait_until(logged, "access-log line")
    (line,) = lines
    assert line["path"] == "/v1/chat/completions"
    assert line["status"] == 200
    assert line["backend"].startswith("default/demo-openai/route/aigw-run/rule/")
    assert line["attempts"] == 1
    assert line["input_tokens"] > 0
    assert line["output_tokens"] > 0
    assert line["time_to_first_token_ms"] >= 0
    assert line["duration_ms"] >= 0
    assert len(line["request_id"]) == 32


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "part"),
    [
        ("POST", "/v1/chat/completions", b"{", 400, "malformed request"),
        ("POST", "/v1/chat/completions", b"", 400, "the body is empty"),
        ("POST", "/v1/chat/completions", b'{"model":5}', 400, "model: a string is expected"),
        ("POST", "/v1/chat/completions", b'{"model":"\xff"}', 400, "malformed request"),
        ("POST", "/v1/chat/completions", b'{"messages":[]}', 400, "names no model"),
        (
            "POST",
            "/v1/chat/completions",
            b'{"model":"a\\u0001b"}',
            400,
            "without control characters",
        ),
        ("POST", "/anthropic/v1/messages", b'{"messages":[]}', 400, "model field is required"),
        ("POST", "/v1/nothing?x=1", b"{}", 404, "unsupported path: /v1/nothing"),
        ("GET", "/v1/chat/completions", b"", 405, "use POST"),
        ("POST", "/v1/models", b"{}", 405, "use GET"),
    ],
)
def test_bad_requests_get_json_errors(
    demo: RunningGateway, method: str, target: str, body: bytes, status: int, part: str
) -> None:
    with RawConnection(demo.port) as client:
        headers = [("content-type", "application/json")]
        if not body and method == "POST":
            headers.append(("content-length", "0"))
        client.send(request(method, target, *headers, body=body))
        response = client.response()
    assert response.status == status
    assert response.head.header("content-type") == "application/json"
    error = json.loads(response.body)
    assert error["type"] == "error"
    assert error["error"]["code"] == str(status)
    assert part in error["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status", "part"),
    [
        ((("transfer-encoding", "gzip"),), 501, "transfer encoding"),
        ((("upgrade", "websocket"), ("connection", "upgrade")), 403, "upgrade"),
    ],
)
def test_what_http_allows_and_the_gateway_does_not_gets_json_errors(
    demo: RunningGateway, headers: tuple[tuple[str, str], ...], status: int, part: str
) -> None:
    with RawConnection(demo.port) as client:
        client.send(request("POST", "/v1/responses", *headers))
        response = client.response()
    assert response.status == status
    assert part in json.loads(response.body)["error"]["message"]


def test_errors_are_the_exceptions_of_the_sdks(
    openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    with pytest.raises(openai.BadRequestError):
        openai_client.chat.completions.create(model=5, messages=HELLO)  # type: ignore[call-overload]
    with pytest.raises(openai.UnprocessableEntityError, match="unsupported API schema"):
        openai_client.images.generate(model="claude-demo", prompt="a lighthouse")
    with pytest.raises(anthropic.UnprocessableEntityError, match="unsupported API schema"):
        anthropic_client.messages.count_tokens(model="gpt", messages=HELLO)
