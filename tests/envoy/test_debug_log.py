"""`aigw run --debug`: every exchange can be followed, and nothing private shows."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from aigw.providers import Reply
from beds.gateway import run_gateway
from beds.raw_http import RawConnection, request
from beds.resources import BackendSpec, api_key, gateway_yaml, rule

if TYPE_CHECKING:
    from beds.gateway import RunningGateway
    from beds.ports import FreePorts
    from beds.provider import ProviderBed

CANARIES = ("canary-client", "canary-provider", "canary-prompt", "canary-reply", "canary-set")
QUERY_CANARY = "canary-query"
USAGE = {"prompt_tokens": 21, "completion_tokens": 4, "total_tokens": 25}
PRIVATE = (
    ("authorization", "Bearer canary-client-1"),
    ("x-api-key", "canary-client-2"),
    ("api-key", "canary-client-3"),
    ("cookie", "a=canary-client-4"),
    ("x-team", "hive"),
)
EVENT = re.compile(r"event=(\w+) id=([0-9a-f]{32}) (.*)")


def chat(gateway: RunningGateway, *, stream: bool) -> bytes:
    message = {"role": "user", "content": "canary-prompt"}
    body = {"model": "demo", "messages": [message], "stream": stream}
    target = f"/v1/chat/completions?key={QUERY_CANARY}"
    with RawConnection(gateway.port) as client:
        client.send(request("POST", target, *PRIVATE, body=json.dumps(body).encode()))
        return client.response().body


def replies() -> tuple[Reply, Reply]:
    """A unary reply and a streamed one, both with a cookie, a model and usage."""
    headers = (("set-cookie", "s=canary-reply"), ("x-provider", "bee"))
    unary = {"model": "real-1", "note": "canary-reply", "usage": USAGE}
    delta = {"model": "real-1", "choices": [{"delta": {"content": "canary-reply"}}]}
    last = {"model": "real-1", "choices": [], "usage": USAGE}
    lines = tuple(f"data: {json.dumps(event)}\n\n".encode() for event in (delta, last))
    return (
        Reply(200, (("content-type", "application/json"), *headers), json.dumps(unary).encode()),
        Reply(
            200, (("content-type", "text/event-stream"), *headers), (*lines, b"data: [DONE]\n\n")
        ),
    )


def configuration(port: int, provider: int) -> str:
    mutation = {"headerMutation": {"set": [{"name": "x-team-key", "value": "canary-set"}]}}
    backend = BackendSpec("a", provider, auth=api_key("a", "canary-provider"), extra=mutation)
    return gateway_yaml(port, [backend], [rule(None, {"name": "a", "modelNameOverride": "real"})])


def check_lines(found: list[tuple[str, str]], *, stream: bool) -> None:
    assert [kind for kind, _ in found] == ["request", "attempt", "response", "end"]
    lines = dict(found)
    assert f'model="demo" stream={json.dumps(stream)} ' in lines["request"]
    assert "x-team: hive" in lines["request"]
    assert "[REDACTED LENGTH=13 HASH=" in lines["request"]
    backend = "default/a/route/route/rule/0/ref/0"
    assert f'backend={backend} path="/v1/chat/completions' in lines["attempt"]
    assert '"model":"real"' in lines["attempt"]
    assert lines["response"].startswith("status=200 ")
    assert "x-provider: bee" in lines["response"]
    record = json.loads(lines["end"].partition("record=")[2])
    assert record["requested_model"] == "demo"
    assert record["routed_model"] == "real"
    assert record["response_model"] == "real-1"
    assert record["outcome"] == "completed"
    assert [attempt["backend_name"] for attempt in record["attempts"]] == [backend]
    assert (record["usage"]["input_tokens"], record["usage"]["output_tokens"]) == (21, 4)


def test_a_request_can_be_followed_and_nothing_private_shows(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    provider.on(*replies())
    config = configuration(free_port(), provider.port)
    with run_gateway("--debug", *host, config=config) as gateway:
        for stream in (False, True):
            assert b"canary-reply" in chat(gateway, stream=stream)
        gateway.wait_until(lambda: gateway.errors.count("event=end") >= 2, "two ended requests")
        gateway.access_log(2)
        errors, output = gateway.errors, gateway.output
    events: dict[str, list[tuple[str, str]]] = {}
    for kind, identity, rest in EVENT.findall(errors):
        events.setdefault(identity, []).append((kind, rest))
    assert len(events) == 2
    for found, stream in zip(events.values(), (False, True), strict=True):
        check_lines(found, stream=stream)
    assert [name for name in (*CANARIES, QUERY_CANARY) if name in errors] == []
    # The access log has the client's path as it came.
    assert [name for name in CANARIES if name in output] == []
