"""Two providers and one that is down, and rules that fail over between them."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aigw.providers import Match, Reply
from beds.chats import JSON_TYPE
from beds.raw_http import RawConnection, Response, request
from beds.resources import (
    BackendSpec,
    Resource,
    anthropic_key,
    api_key,
    aws_keys,
    gateway_yaml,
    resource,
    rule,
)

if TYPE_CHECKING:
    from aigw.providers import Received, Responder
    from beds.gateway import RunningGateway
    from beds.provider import ProviderBed

CANARY = "canary-first"
"""In everything that belongs to the first provider."""
SCRIPT = "x-script-id"
"""The header by which a request finds its script."""
CODES = (429, 500, 503)
TRIGGERS = ("connect-failure", "retriable-status-codes")
EVENT_STREAM = (("content-type", "text/event-stream"), ("x-canary", CANARY))
EVENTS = (b'data: {"id":"canary-first"}\n\n', b"data: {}\n\n", b"data: [DONE]\n\n")
SECOND_EVENTS = (b'data: {"id":"second"}\n\n', b"data: [DONE]\n\n")
STREAM = Reply(200, EVENT_STREAM, EVENTS)
OK = Reply(200, (JSON_TYPE, ("x-canary", CANARY)), b'{"id":"canary-first"}')
_ids = itertools.count()
MARKED_SCHEMA = {"name": "OpenAI", "prefix": f"/{CANARY}/v1"}
MARKED = {
    "headerMutation": {
        "set": [
            {"name": "x-marked", "value": CANARY},
            {"name": "x-repeat", "value": CANARY},
            {"name": "x-own", "value": CANARY},
        ],
        "remove": ["x-removed"],
    },
    "bodyMutation": {"set": [{"path": "user", "value": CANARY}], "remove": ["seed"]},
}


def failed(status: int) -> Reply:
    """A JSON error of the first provider with all that must not leak."""
    headers = (JSON_TYPE, ("x-canary", CANARY), ("set-cookie", CANARY), ("retry-after", "7"))
    return Reply(status, headers, b'{"error":{"message":"canary-first","type":"t"}}')


def error_event(kind: str) -> Reply:
    """A stream whose first event is an error."""
    event = {"error": {"message": CANARY, "type": kind, "code": None}}
    return replace(STREAM, body=(b"data: " + json.dumps(event).encode() + b"\n\n",))


def second_ok(received: Received) -> Reply:
    """What the second provider answers to a request or a stream request."""
    if json.loads(received.body).get("stream"):
        return Reply(200, (("content-type", "text/event-stream"),), SECOND_EVENTS)
    return Reply(200, (JSON_TYPE,), b'{"id":"second"}')


@dataclass(frozen=True, slots=True)
class Beds:
    """The providers of this module; `dead` refuses connections."""

    first: ProviderBed
    second: ProviderBed
    dead: ProviderBed


def policy(
    rule_name: str, count: int = 1, triggers: tuple[str, ...] = TRIGGERS, **more: object
) -> Resource:
    """A BackendTrafficPolicy for one rule."""
    target = {
        "group": "gateway.networking.k8s.io",
        "kind": "HTTPRoute",
        "name": "route",
        "sectionName": rule_name,
    }
    on = {"httpStatusCodes": list(CODES), "triggers": list(triggers)}
    retry = {"numRetries": count, "numAttemptsPerPriority": 1, "retryOn": on, **more}
    return resource(
        "gateway.envoyproxy.io/v1alpha1",
        "BackendTrafficPolicy",
        rule_name,
        targetRefs=[target],
        retry=retry,
    )


def priorities(*names: str, **more: object) -> list[Resource]:
    """One backendRef per priority."""
    return [{"name": name, "priority": index, **more} for index, name in enumerate(names)]


def configuration(port: int, beds: Beds) -> str:
    """All rules of this module; a rule is named as its model."""
    first, second = beds.first.port, beds.second.port
    nowhere = {"fqdn": {"hostname": "nothing.invalid", "port": 80}}
    backends = [
        BackendSpec("first", first),
        BackendSpec("second", second),
        BackendSpec("dead", beds.dead.port),
        BackendSpec("nowhere", 80, endpoint=nowhere),
        BackendSpec("marked", first, MARKED_SCHEMA, api_key("marked", CANARY), MARKED),
        BackendSpec("claude", first, {"name": "Anthropic"}, anthropic_key("claude", CANARY)),
        BackendSpec("bedrock", first, {"name": "AWSBedrock"}, aws_keys("bedrock", CANARY, CANARY)),
        BackendSpec("plain", second),
        BackendSpec("keyed", second, auth=api_key("keyed", "key-of-the-second")),
    ]
    both = priorities("first", "second")
    marked = priorities("marked", "plain")
    marked[0]["modelNameOverride"] = f"model-{CANARY}"
    keyed = priorities("marked", "keyed")
    keyed[0]["modelNameOverride"] = f"model-{CANARY}"
    rules = {
        "policy": rule("policy", *both),
        "default": rule("default", *both),
        "timed": rule("timed", *both),
        "idle": rule("idle", *both, streamIdleTimeout="300ms"),
        "twice": rule("twice", *both),
        "dead": rule("dead", *priorities("dead", "second")),
        "nowhere": rule("nowhere", *priorities("nowhere", "second")),
        "nowhere-policy": rule("nowhere-policy", *priorities("nowhere", "second")),
        "all-dead": rule("all-dead", *priorities("dead", "nowhere")),
        "marked": rule("marked", *marked),
        "keyed": rule("keyed", *keyed),
        "claude": rule("claude", *priorities("claude", "plain")),
        "bedrock": rule("bedrock", *priorities("bedrock", "plain")),
        "open": rule("open", *priorities("first", "keyed")),
        "weights": rule(
            "weights", {"name": "first", "weight": 75}, {"name": "second", "weight": 25}
        ),
    }
    policies = [
        policy("policy"),
        policy("nowhere-policy"),
        policy("timed", triggers=(*TRIGGERS, "reset"), perRetry={"timeout": "300ms"}),
        policy("twice", 3, numAttemptsPerPriority=2),
    ]
    named = [{**found, "name": name} for name, found in rules.items()]
    return gateway_yaml(port, backends, named, *policies)


@dataclass(frozen=True, slots=True)
class Seen:
    """One request through the gateway: the client's response and what the providers got."""

    response: Response
    first: list[Received]
    second: list[Received]


@dataclass(frozen=True, slots=True)
class Case:
    """A scripted request: replies of the two providers, and what the client sends."""

    model: str
    first: Reply | Responder = OK
    second: tuple[Reply | Responder, ...] = (second_ok,)
    stream: bool = False
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        """The body that the client sends."""
        messages = [{"role": "user", "content": "hello"}]
        body = {"model": self.model, "messages": messages, "seed": 1}
        return json.dumps({**body, "stream": True} if self.stream else body).encode()

    def message(self, script: str, *headers: tuple[str, str]) -> bytes:
        """The bytes of the request."""
        fields = (JSON_TYPE, (SCRIPT, script), *self.headers, *headers)
        return request("POST", "/v1/chat/completions", *fields, body=self.body)


def scripted(beds: Beds, case: Case) -> str:
    """Sets both providers up for one case and returns its script id."""
    script = f"case-{next(_ids)}"
    beds.first.on(case.first, match=Match(header=(SCRIPT, script)))
    beds.second.on(*case.second, match=Match(header=(SCRIPT, script)))
    return script


def received(bed: ProviderBed, script: str) -> list[Received]:
    """The requests of one script at one provider."""
    return [found for found in bed.received if found.header(SCRIPT) == script]


def ask(gateway: RunningGateway, beds: Beds, case: Case) -> Seen:
    """Sends a case on a connection of its own."""
    script = scripted(beds, case)
    with RawConnection(gateway.port) as client:
        client.send(case.message(script))
        response = client.response()
    return Seen(response, received(beds.first, script), received(beds.second, script))
