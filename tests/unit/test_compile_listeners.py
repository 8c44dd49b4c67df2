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
