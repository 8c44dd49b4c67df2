"""`aigw run --debug`: every exchange can be followed, and nothing private shows."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from beds.gateway import run_gateway
from beds.raw_http import RawConnection, request
from beds.resources import BackendSpec, api_key, gateway_yaml, rule

if TYPE_CHECKING:
    from beds.gateway import RunningGateway
    from beds.ports import FreePorts
    from beds.provider import ProviderBed

CANARIES = ("canary-client", "canary-provider", "canary-prompt")
EVENT = re.compile(r"event=(\w+) id=([0-9a-f]{32}) (.*)")


def chat(gateway: RunningGateway, *, stream: bool) -> bytes:
    message = {"role": "user", "content": "canary-prompt"}
    body = {"model": "demo", "messages": [message], "stream": stream}
    headers = (("authorization", "Bearer canary-client"), ("x-team", "hive"))
    with RawConnection(gateway.port) as client:
        client.send(
            request("POST", "/v1/chat/completions", *headers, body=json.dumps(body).encode())
        )
        return client.response().body


def test_a_request_can_be_followed_and_nothing_private_shows(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    backend = BackendSpec("a", provider.port, auth=api_key("a", "canary-provider"))
    text = gateway_yaml(
        free_port(), [backend], [rule(None, {"name": "a", "modelNameOverride": "real"})]
    )
    with run_gateway("--debug", *host, config=text) as gateway:
        for stream in (False, True):
            assert b"canary-prompt" in chat(gateway, stream=stream)
        gateway.wait_until(lambda: gateway.errors.count("event=end") >= 2, "two ended requests")
        log = gateway.errors + gateway.output
    events: dict[str, list[tuple[str, str]]] = {}
    for kind, identity, rest in EVENT.findall(log):
        events.setdefault(identity, []).append((kind, rest))
    assert len(events) == 2
    for found in events.values():
        assert [kind for kind, _ in found] == ["request", "attempt", "response", "end"]
        lines = dict(found)
        assert 'model="demo"' in lines["request"]
        assert "x-team: hive" in lines["request"]
        assert "[REDACTED LENGTH=13 HASH=" in lines["request"]
        assert '"model":"real"' in lines["attempt"]
        record = json.loads(lines["end"].partition("record=")[2])
        assert record["requested_model"] == "demo"
        assert record["outcome"] == "completed"
    for canary in CANARIES:
        assert canary not in log
