"""Listeners that cannot be served are named, next to others that are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from aigw.errors import Severity
from aigw.plan import Listener
from aigw.render.envoy.listeners import route_file
from beds.documents import compile_documents
from beds.resources import BackendSpec, resource, rule

if TYPE_CHECKING:
    from aigw.compile.compiler import Compiled

GATEWAY = "gateway.networking.k8s.io/v1"
PLAIN = {"name": "a", "port": 80, "protocol": "HTTP"}
TCP = {"name": "a", "port": 81, "protocol": "TCP"}
SECURE = {
    "name": "s",
    "port": 443,
    "protocol": "HTTPS",
    "tls": {"certificateRefs": [{"name": "none"}]},
}


def gateway(name: str, *listeners: dict[str, Any]) -> dict[str, Any]:
    """A Gateway."""
    return resource(GATEWAY, "Gateway", name, gatewayClassName="aigw", listeners=list(listeners))


def compiled(parents: list[str], *gateways: dict[str, Any]) -> Compiled:
    """Gateways and a route on some of them."""
    refs = [{"name": name} for name in parents]
    documents = [
        *gateways,
        resource(
            "aigateway.envoyproxy.io/v1beta1",
            "AIGatewayRoute",
            "route",
            parentRefs=refs,
            rules=[rule("m", "main")],
        ),
        *BackendSpec("main", 8001).resources(),
    ]
    return compile_documents(documents)


def errors(found: Compiled) -> list[str]:
    """Resource, field and message of each error."""
    items = (item for item in found.diagnostics if item.severity is Severity.ERROR)
    return [f"{item.resource}: {item.field_path}: {item.message}" for item in items]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (
            gateway("other", TCP),
            [
                "Gateway default/other: spec.listeners[0].protocol: TCP listeners are not "
                "supported, only HTTP and HTTPS",
                "Gateway default/other: spec.listeners: gateway other has no listener that can "
                "be served",
                "AIGatewayRoute default/route: spec.parentRefs[1]: the Gateway has no listener "
                "that can be served",
            ],
        ),
        (
            gateway("other", {**PLAIN, "hostname": "no host"}),
            ["AIGatewayRoute default/route: spec.parentRefs[1]: gateway default/other has errors"],
        ),
        (
            gateway("other", PLAIN),
            [
                "Gateway default/other: spec.listeners[0].port: 80 belongs to Gateway "
                "default/good already",
                "AIGatewayRoute default/route: spec.parentRefs[1]: the Gateway has no listener "
                "that can be served",
            ],
        ),
        (
            gateway("other", SECURE),
            [
                "Gateway default/other: spec.listeners[0].tls.certificateRefs[0]: Secret "
                "default/none not found",
                "Gateway default/other: spec.listeners: gateway other has no listener that can "
                "be served",
                "AIGatewayRoute default/route: spec.parentRefs[1]: the Gateway has no listener "
                "that can be served",
            ],
        ),
    ],
    ids=["protocol", "field", "port", "certificate"],
)
def test_a_gateway_that_cannot_be_served_leaves_others_alone(
    other: dict[str, Any], expected: list[str]
) -> None:
    found = compiled(["good", "other"], gateway("good", PLAIN), other)
    assert errors(found)[-len(expected) :] == expected
    assert found.plan is not None
    assert [(port.number, port.gateway) for port in found.plan.ports] == [(80, "default/good")]


def test_no_gateway_and_none_without_errors_are_not_the_same() -> None:
    assert errors(compiled(["g"]))[-1].endswith("no Gateway found in configuration")
    broken = compiled(["g"], gateway("g", {**PLAIN, "port": 0}))
    assert errors(broken)[-1].endswith("no Gateway without errors found in configuration")


def test_names_of_files_are_as_different_as_names_of_listeners() -> None:
    long = f"{'n' * 63}/{'g' * 253}/{'l' * 252}"
    names = ["a/b.c/d", "a.b/c/d", "a/b/c.d", "a-b/c/d", f"{long}a", f"{long}b"]
    files = {route_file(Listener(name, ())) for name in names}
    assert len(files) == len(names)
    assert max(len(name) for name in files) < 255


CLOSED = {
    "own": {},
    "nobody": {"allowedRoutes": {"namespaces": {"from": "None"}}},
    "plain": {"allowedRoutes": {"kinds": [{"kind": "TCPRoute"}]}},
    "host": {"hostname": "a.example"},
}


@pytest.mark.parametrize(
    ("listeners", "ref", "message"),
    [
        (["nobody"], {}, "accepts this route: nobody takes no routes"),
        (
            ["plain", "host"],
            {},
            "accepts this route: plain takes only routes of the kind "
            "TCPRoute.gateway.networking.k8s.io; host is for a.example, and the route has other "
            "host names",
        ),
        (["host", "own"], {"sectionName": "host"}, "accepts this route: host is for a.example"),
        (["own"], {"sectionName": "none"}, "the Gateway has no listener of the name none"),
        (["own"], {"port": 81}, "the Gateway has no listener on port 81"),
        (
            ["own"],
            {"sectionName": "own", "port": 81},
            "the Gateway has no listener of the name own on port 81",
        ),
    ],
)
def test_a_route_that_no_listener_takes_is_told_why(
    listeners: list[str], ref: dict[str, Any], message: str
) -> None:
    written = [
        {**PLAIN, "name": name, "port": 80 + number, **CLOSED[name]}
        for number, name in enumerate(listeners)
    ]
    found = reasons(written, ref)
    assert len(found) == 1
    assert message in found[0]


def test_a_route_of_another_namespace_is_told_who_may() -> None:
    written = [{**PLAIN, "name": "own"}]
    (found,) = reasons(written, {"namespace": "default"}, "far")
    assert "own takes routes of its own namespace only" in found
    written = [{**PLAIN, "name": "own", "allowedRoutes": ONLY_LABELLED}]
    (found,) = reasons(written, {"namespace": "default"}, "far")
    assert "own takes only routes of namespaces with other labels" in found


def test_a_listener_that_cannot_be_served_is_no_unknown_one() -> None:
    written = [{**PLAIN, "name": "own"}, {**TCP, "name": "tcp"}]
    found = reasons(written, {"sectionName": "tcp"})
    assert found[-1].endswith("spec.parentRefs[0]: the listener tcp cannot be served")


ONLY_LABELLED = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "other"}}}}


def reasons(
    listeners: list[dict[str, Any]], ref: dict[str, Any], namespace: str = "default"
) -> list[str]:
    """Errors of a route with one host name on one Gateway."""
    route = resource(
        "aigateway.envoyproxy.io/v1beta1",
        "AIGatewayRoute",
        "route",
        parentRefs=[{"name": "good", **ref}],
        hostnames=["b.example"],
        rules=[rule("m", "main")],
    )
    route["metadata"]["namespace"] = namespace
    return errors(compile_documents([gateway("good", *listeners), route]))
