"""Two providers and one that is down, and rules that fail over between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    from beds.provider import ProviderBed

CANARY = "canary-first"
"""In everything that belongs to the first provider."""
CODES = (429, 500, 503)
TRIGGERS = ("connect-failure", "retriable-status-codes")
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
