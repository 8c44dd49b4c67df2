"""The golden data against the official libraries: what providers get and send, what clients get."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from beds import official
from beds.golden import Cell, cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CHATS = ("chat_completions", "completions", "messages", "responses")
# A server whose bytes go through answers for them itself.
PASSED = {
    "chat_completions": ("OpenAI", "AzureOpenAI"),
    "completions": ("OpenAI",),
    "embeddings": ("OpenAI", "AzureOpenAI"),
    "messages": ("Anthropic", "AWSAnthropic", "GCPAnthropic"),
    "responses": ("OpenAI", "AzureOpenAI"),
    "count_tokens": ("Anthropic", "GCPAnthropic"),
}


def faults(found: Iterable[Cell], check: Callable[[Cell], int]) -> str:
    """Runs a check over cells and names those that fail; at least one body must be checked."""
    named = []
    count = 0
    for cell in found:
        try:
            count += check(cell)
        except (AssertionError, KeyError, ValidationError) as error:
            named.append(f"{cell.id}: {error!r}")
    assert count, "nothing was checked"
    return "\n\n".join(named)


def endpoint(cell: Cell) -> str:
    return cell.folder.parts[-3]


def of_schema(schema: str, *endpoints: str) -> Iterator[Cell]:
    return (c for c in cells() if c.folder.name == schema and endpoint(c) in endpoints)


def filled(members: dict[str, Any]) -> dict[str, Any]:
    """Fills in what OpenAI itself leaves null, or what there is nothing to say about."""
    if members.get("type") == "thinking":
        # Providers other than Anthropic sign nothing.
        members.setdefault("signature", "")
    if "top_logprobs" in members:
        members["top_logprobs"] = members["top_logprobs"] or []
    return members


def events(cell: Cell, name: str) -> Iterator[dict[str, Any]]:
    """The JSON events of a stream of server-sent events, up to the first error."""
    for event in (cell.file(name) or b"").decode().split("\n\n"):
        lines = [line[5:].strip() for line in event.splitlines() if line.startswith("data:")]
        data = "".join(lines)
        if data in ("", "[DONE]") or not data.startswith("{"):
            continue
        try:
            parsed: dict[str, Any] = json.loads(data, object_hook=filled)
        except ValueError:
            continue
        if "error" in parsed and parsed.get("type") != "response.failed":
            return
        yield parsed


def test_gemini_requests_have_what_googles_library_knows() -> None:
    def check(cell: Cell) -> int:
        body = cell.file("upstream.json")
        if body is None or "contents" not in json.loads(body):
            return 0
        official.check_gemini_request(body)
        return 1

    assert not faults(of_schema("GCPVertexAI", *CHATS, "tokenize"), check)


@pytest.mark.filterwarnings("ignore:.* is not a valid:UserWarning")  # names made up by cases
def test_gemini_replies_are_those_that_googles_library_reads() -> None:
    def check(cell: Cell) -> int:
        replies = [json.dumps(event).encode() for event in events(cell, "response.sse")]
        whole = cell.file("response.json")
        for reply in [*replies, *([whole] if whole else [])]:
            official.check_gemini_reply(reply)
        return len(replies)

    assert not faults(of_schema("GCPVertexAI", *CHATS), check)


def test_bedrock_requests_fit_the_service_model() -> None:
    def check(cell: Cell) -> int:
        body = cell.file("upstream.json")
        if body is None:
            return 0
        official.check_bedrock_request("/converse", body)
        return 1

    assert not faults(of_schema("AWSBedrock", *CHATS), check)


def test_bedrock_replies_are_those_that_boto_reads() -> None:
    def check(cell: Cell) -> int:
        reply = cell.reply()
        if reply is None or reply[0] != 200:
            return 0
        if cell.file("response.json"):
            assert official.bedrock_reply(reply[2][0]).keys() >= {"output", "stopReason"}
            return 1
        known = ("messageStart", "contentBlockDelta", "messageStop", "metadata")
        read = official.bedrock_events(b"".join(reply[2]))
        assert {name for event in read for name in event} & set(known)
        return len(read)

    # Odd replies have cases of their own.
    odd = ("without_output", "corrupt", "cut_", "error", "unknown_events", "cache_only")
    found = (c for c in of_schema("AWSBedrock", *CHATS) if not any(o in c.id for o in odd))
    assert not faults(found, check)


def built(*endpoints: str) -> Iterator[Cell]:
    """Cells whose reply the gateway writes itself."""
    for cell in cells():
        name = endpoint(cell)
        chat_only = cell.expect.get("backend", {}).get("chat_only", False)
        if name in endpoints and (chat_only or cell.folder.name not in PASSED[name]):
            yield cell


@pytest.mark.parametrize("name", [*CHATS, "embeddings", "count_tokens"])
def test_whole_replies_fit_the_types_of_the_clients_library(name: str) -> None:
    def check(cell: Cell) -> int:
        reply = json.loads(cell.file("client.json") or b"{}", object_hook=filled)
        if not reply or reply.get("error"):
            return 0
        if name == "embeddings" and isinstance(reply["data"][0]["embedding"], str):
            return 0  # base64, which the library decodes before it has a type
        official.check_client_reply(name, reply)
        return 1

    assert not faults(built(name), check)


@pytest.mark.parametrize("name", CHATS)
def test_events_fit_the_types_of_the_clients_library(name: str) -> None:
    def check(cell: Cell) -> int:
        count = 0
        for event in events(cell, "client.sse"):
            for choice in event.get("choices", ()) if name == "completions" else ():
                # The type has no stream in mind.
                choice["finish_reason"] = choice["finish_reason"] or "stop"
            official.check_client_event(name, event)
            count += 1
        return count

    assert not faults(built(name), check)
