"""Traffic policies with a Gateway, a route and backends to compile them with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beds.documents import compile_documents, faultless
from beds.resources import BackendSpec, Resource, resource, rule

if TYPE_CHECKING:
    from aigw.compile.compiler import Compiled
    from aigw.plan import Plan

EG = "gateway.envoyproxy.io/v1alpha1"
GW = "gateway.networking.k8s.io"
HTTP = {"name": "http", "protocol": "HTTP", "port": 80}
LEFT = "it is left out"


def gateway(*listeners: Resource, name: str = "gw", **labels: str) -> Resource:
    """A Gateway."""
    found = resource(
        f"{GW}/v1", "Gateway", name, gatewayClassName="c", listeners=list(listeners) or [HTTP]
    )
    return {**found, "metadata": {"name": name, "labels": labels}}


def route(*rules: Resource, name: str = "route", gateways: tuple[str, ...] = ("gw",)) -> Resource:
    """An AIGatewayRoute with the label `team: ai`."""
    found = resource(
        "aigateway.envoyproxy.io/v1beta1",
        "AIGatewayRoute",
        name,
        parentRefs=[{"name": item} for item in gateways],
        rules=list(rules) or [{**rule("m", "a"), "name": "one"}, {**rule("n", "a"), "name": "two"}],
    )
    return {**found, "metadata": {"name": name, "labels": {"team": "ai"}}}


def target(kind: str, name: str, section: str | None = None) -> Resource:
    """A target."""
    more = {"sectionName": section} if section else {}
    return {"group": GW, "kind": kind, "name": name, **more}


def policy(kind: str, name: str, *targets: Resource, **spec: Any) -> Resource:  # noqa: ANN401
    """A policy; those whose names come first in the alphabet are older."""
    refs = {"targetRefs": list(targets)} if targets else {}
    return resource(EG, kind, name, **refs, **spec)


def backend(name: str, *targets: Resource, **spec: Any) -> Resource:  # noqa: ANN401
    """A BackendTrafficPolicy."""
    return policy("BackendTrafficPolicy", name, *targets, **spec)


def client(name: str, *targets: Resource, **spec: Any) -> Resource:  # noqa: ANN401
    """A ClientTrafficPolicy."""
    return policy("ClientTrafficPolicy", name, *targets, **spec)


def compiled(*documents: Resource) -> Compiled:
    """The documents with a backend `a`, and a Gateway and a route unless there are some."""
    found = [*documents, *BackendSpec("a", 9).resources(), *BackendSpec("b", 9).resources()]
    for kind, default in (("Gateway", gateway()), ("AIGatewayRoute", route())):
        if not any(item["kind"] == kind for item in documents):
            found.append(default)
    return compile_documents(found)


def findings(*documents: Resource) -> list[tuple[str, str, str]]:
    """Severity, path and message of every finding."""
    return [
        (item.severity.value, item.field_path, item.message)
        for item in compiled(*documents).diagnostics
    ]


def plan_of(*documents: Resource) -> Plan:
    """A plan without findings."""
    return faultless(compiled(*documents))
