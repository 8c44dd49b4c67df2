"""What the controller makes of the objects of a cluster."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from aigw.controller.objects import Objects
from aigw.controller.view import View, Viewer
from aigw.errors import ResourceId
from aigw.plan import EndpointPrefixes
from beds.cluster_objects import AIGW, LISTENER, Document, backend, gateway, protected_by, route
from beds.resources import resource

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/*.yaml"))


def held(*documents: Document) -> Objects:
    objects = Objects()
    for document in documents:
        objects.put(document)
    return objects


def view_of(*documents: Document) -> View:
    return Viewer(EndpointPrefixes()).view(held(*documents))


def own(kind: str, name: str) -> ResourceId:
    return ResourceId("aigateway.envoyproxy.io", kind, "default", name)


def said(view: View, identity: ResourceId) -> list[tuple[str, str, str]]:
    return [(item.type, item.status, item.reason) for item in view.conditions[identity]]


def test_a_route_is_accepted_and_gets_its_objects() -> None:
    view = view_of(gateway(), *backend("openai"), route("chat", ("m", "openai")))
    assert said(view, own("AIGatewayRoute", "chat")) == [
        ("ResolvedRefs", "True", "ResolvedRefs"),
        ("Accepted", "True", "ReconciliationSucceeded"),
    ]
    assert {(item.kind, item.name) for item in view.generated} == {
        ("HTTPRoute", "chat"),
        ("HTTPRouteFilter", "ai-eg-host-rewrite-chat"),
        ("HTTPRouteFilter", "ai-eg-route-not-found-response-chat"),
    }
    assert view.shares["default/edge"].routes == {"default/chat"}


def test_of_a_route_with_a_missing_backend_the_rest_is_served_and_the_part_is_named() -> None:
    chat = route("chat", ("a", "openai"), ("b", "missing"))
    view = view_of(gateway(), *backend("openai"), chat)
    resolved, accepted = view.conditions[own("AIGatewayRoute", "chat")]
    assert (resolved.status, resolved.reason) == ("False", "BackendNotFound")
    assert (accepted.type, accepted.reason) == ("Accepted", "PartiallyAccepted")
    for condition in (resolved, accepted):
        assert "spec.rules[1].backendRefs[0]" in condition.message
        assert "AIServiceBackend missing.default not found" in condition.message


@pytest.mark.parametrize("documents", [[], [gateway("other")]])
def test_a_route_without_its_gateway_is_not_accepted(documents: list[Document]) -> None:
    view = view_of(*documents, *backend("openai"), route("chat", ("m", "openai")))
    assert said(view, own("AIGatewayRoute", "chat"))[-1] == (
        "NotAccepted",
        "False",
        "ReconciliationFailed",
    )


def test_what_others_serve_may_have_fields_that_are_not_known_here() -> None:
    listener = {**LISTENER, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "none"}]}}
    edge = gateway(listeners=[listener], defaultScope="All", infrastructure={"news": 1})
    documents = backend("openai")
    documents[0]["spec"] |= {"tls": {"caCertificateRefs": [{"name": "none"}]}, "news": {"a": 1}}
    view = view_of(edge, *documents, route("chat", ("m", "openai")))
    assert said(view, own("AIGatewayRoute", "chat"))[-1][0] == "Accepted"


def test_two_credentials_for_one_backend_show_on_both_and_on_the_backend() -> None:
    target = {"group": "aigateway.envoyproxy.io", "kind": "AIServiceBackend", "name": "a"}
    policies = [
        resource(
            AIGW,
            "BackendSecurityPolicy",
            name,
            type="APIKey",
            apiKey={"secretRef": {"name": "key"}},
            targetRefs=[target],
        )
        for name in ("one", "two")
    ]
    chat = route("chat", ("x", "a"), ("y", "b"))
    view = view_of(gateway(), *backend("a"), *backend("b"), *policies, chat)
    failed = [own("AIServiceBackend", "a")]
    failed += [own("BackendSecurityPolicy", name) for name in ("one", "two")]
    for identity in failed:
        assert said(view, identity)[-1] == ("NotAccepted", "False", "ReconciliationFailed")
        message = view.conditions[identity][-1].message
        assert (
            "multiple BackendSecurityPolicies found for AIServiceBackend a: [one, two]" in message
        )
    assert said(view, own("AIGatewayRoute", "chat"))[-1][2] == "PartiallyAccepted"


# --- policies that Envoy Gateway enforces ---


def protected(**policies: Document) -> View:
    """Routes by the names of policies, each on the host of all others."""
    routes = [route(name, (name, "openai")) for name in policies]
    for position, item in enumerate(routes):
        item["metadata"]["creationTimestamp"] = f"2026-01-0{position + 1}T00:00:00Z"
    made = [protected_by(name, **spec) for name, spec in policies.items()]
    return view_of(gateway(), *backend("openai"), *routes, *made)


def accepted(view: View) -> list[str]:
    return [
        identity.name
        for identity, found in view.conditions.items()
        if identity.kind == "AIGatewayRoute" and found[-1].type == "Accepted"
    ]


def service(name: str) -> Document:
    return {"http": {"backendRefs": [{"name": name, "port": 80}], "news": [1]}}


@pytest.mark.parametrize(
    "spec",
    [
        {"extAuth": service("a")},
        {"oidc": {"provider": {"issuer": "https://id"}}, "authorization": {"rules": []}},
        {"basicAuth": {"users": {"name": "missing"}}},
        {"jwt": {"providers": [{"name": "p", "remoteJWKS": {"uri": 7}, "recomputeRoute": True}]}},
        {"cors": {"maxAge": "news"}, "mergeType": "StrategicMerge"},
        {"news": 1},
    ],
)
def test_a_policy_that_is_not_understood_keeps_no_route_from_being_served(spec: Document) -> None:
    assert accepted(protected(one=spec, two=spec)) == ["one", "two"]


def test_policies_of_one_host_differ_by_fields_that_are_not_understood_too() -> None:
    view = protected(one={"extAuth": service("a")}, two={"extAuth": service("b")})
    assert accepted(view) == ["one"]
    message = view.conditions[own("AIGatewayRoute", "two")][-1].message
    assert "another security policy" in message


def test_what_is_known_of_a_policy_stays_though_another_part_is_not_understood() -> None:
    keys = {
        "credentialRefs": [{"name": "missing"}],
        "extractFrom": [{"headers": ["X-Key", "Host"]}],
        "forwardClientIDHeader": "X-Client",
    }
    plan = protected(one={"apiKeyAuth": keys, "cors": {"maxAge": "news"}}).plan
    assert plan
    (security,) = plan.security.values()
    assert [source.name for source in security.sources] == ["x-key"]
    assert [*security.identity] == ["x-client"]
    assert security.api_keys
    assert not security.api_keys.clients


def test_gateways_get_their_own_part_only() -> None:
    documents = [
        gateway(),
        gateway("other", listeners=[{**LISTENER, "port": 81}]),
        *backend("a"),
        *backend("b"),
        route("one", ("a", "a")),
        route("two", ("b", "b"), parent="other"),
    ]
    shares = view_of(*documents).shares
    reached = {
        name: {b.backend for b in share.plan.backends.values()} for name, share in shares.items()
    }
    assert reached == {"default/edge": {"default/a"}, "default/other": {"default/b"}}


def test_a_route_that_is_being_deleted_is_served_no_more() -> None:
    chat = route("chat", ("m", "openai"))
    chat["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    view = view_of(gateway(), *backend("openai"), chat)
    assert not view.generated
    assert not view.shares["default/edge"].routes


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_gives_the_same_in_steps_as_at_once(path: Path) -> None:
    documents = [item for item in yaml.safe_load_all(path.read_text()) if item]
    viewer, objects = Viewer(EndpointPrefixes()), Objects()
    for document in documents:
        objects.put(document)
        viewer.view(objects)
    for document in documents[::2]:
        changed = copy.deepcopy(document)
        changed["metadata"].setdefault("labels", {})["a"] = "b"
        objects.put(changed)
        viewer.view(objects)
        objects.put(document)
    assert viewer.view(objects) == Viewer(EndpointPrefixes()).view(objects)
