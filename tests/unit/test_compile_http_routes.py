"""HTTPRoutes: order of precedence, what is left out and said, references by grant."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigw.compile.compiler import Compiled
from aigw.compile.http.matches import in_order
from aigw.plan import HeaderMatch
from aigw.plan.http import (
    DirectResponse,
    Forward,
    HeaderChanges,
    HttpMatch,
    HttpRetry,
    PathMatch,
    PathType,
    QueryMatch,
    Share,
)
from beds.documents import AIGW, EG, GW, compile_documents, document

Json = dict[str, Any]


def placed(found: Json, namespace: str) -> Json:
    """The document in a namespace."""
    return {**found, "metadata": {**found["metadata"], "namespace": namespace}}


def gateway(**listener: Any) -> Json:  # noqa: ANN401
    """A Gateway with one listener."""
    written = {"name": "http", "port": 80, "protocol": "HTTP", **listener}
    return document(GW, "Gateway", "gw", gatewayClassName="c", listeners=[written])


def backend(name: str, namespace: str = "default") -> Json:
    """A Backend."""
    endpoint = {"ip": {"address": "127.0.0.1", "port": 1}}
    return placed(document(EG, "Backend", name, endpoints=[endpoint]), namespace)


def to(name: str, **more: Any) -> Json:  # noqa: ANN401
    """A reference to a Backend."""
    return {"group": EG, "kind": "Backend", "name": name, **more}


def route(
    *rules: Json,
    name: str = "web",
    namespace: str = "default",
    **spec: Any,  # noqa: ANN401
) -> Json:
    """An HTTPRoute."""
    parents = [{"name": "gw", "namespace": "default"}]
    rest = {"parentRefs": parents, "rules": list(rules) or [{"backendRefs": [to("b")]}]}
    return placed(document(GW, "HTTPRoute", name, **{**rest, **spec}), namespace)


def ai_route(**spec: Any) -> Json:  # noqa: ANN401
    """An AIGatewayRoute without backends."""
    return document(AIGW, "AIGatewayRoute", "ai", parentRefs=[{"name": "gw"}], rules=[{}], **spec)


def extension(name: str = "f") -> Json:
    """A filter that an HTTPRouteFilter describes."""
    ref = {"group": EG, "kind": "HTTPRouteFilter", "name": name}
    return {"type": "ExtensionRef", "extensionRef": ref}


def compiled(*documents: Json) -> Compiled:
    """What these compile to; a Gateway `gw` and a Backend `b` are there if none is given."""
    found = list(documents)
    kinds = {item["kind"] for item in found}
    found += [item for item in (gateway(), backend("b")) if item["kind"] not in kinds]
    return compile_documents(found)


def findings(result: Compiled) -> list[tuple[str, str]]:
    """Field path and message of all findings."""
    return [(item.field_path, item.message) for item in result.diagnostics]


def hosts(result: Compiled) -> dict[str, tuple[HttpMatch, ...]]:
    """Plain matches by host of the only listener."""
    assert result.plan is not None
    (port,) = result.plan.ports
    (listener,) = port.listeners
    return {host.hostname: host.http for host in listener.virtual_hosts}


def action(result: Compiled, rule: str = "default/web/http/0") -> Any:  # noqa: ANN401
    """What a rule does."""
    assert result.plan is not None
    return result.plan.http_rules[rule].action


# --- precedence ---

path_matches = st.one_of(
    st.builds(PathMatch, st.just(PathType.EXACT), st.sampled_from(("/", "/a", "/a/b"))),
    st.builds(PathMatch, st.just(PathType.PREFIX), st.sampled_from(("", "/a", "/a/b"))),
    st.builds(PathMatch, st.just(PathType.REGULAR_EXPRESSION), st.just("/a.*")),
)
http_matches = st.builds(
    HttpMatch,
    path_matches,
    st.sampled_from(("one", "two")),
    st.sampled_from(("", "GET")),
    st.sampled_from(((), (HeaderMatch("a", "b"),))),
    st.sampled_from(((), (QueryMatch("a", "b"),))),
)
KINDS = [PathType.PREFIX, PathType.REGULAR_EXPRESSION, PathType.EXACT]


def weight(match: HttpMatch) -> tuple[int, ...]:
    """How specific a match is, in the words of Gateway API."""
    return (
        KINDS.index(match.path.type),
        len(match.path.value),
        int(match.method != ""),
        len(match.headers),
        len(match.query),
    )


@given(st.lists(st.tuples(st.sampled_from(("*", "*.a.b", "x.a.b")), http_matches), unique=True))
def test_the_most_specific_match_is_tried_first_and_equals_keep_their_order(
    entries: list[tuple[str, HttpMatch]],
) -> None:
    ranks = ["*", "*.a.b", "x.a.b"]
    best: dict[HttpMatch, tuple[Any, ...]] = {}
    for place, (host, match) in enumerate(entries):
        key = (-ranks.index(host), *(-part for part in weight(match)), place)
        best[match] = min(best.get(match, key), key)
    assert list(in_order(entries)) == sorted(best, key=best.__getitem__)


def test_rules_become_matches_and_every_host_has_those_that_cover_it() -> None:
    one = route(
        {"matches": [{"path": {"value": "/a/"}, "method": "GET"}], "backendRefs": [to("b")]},
        name="one",
    )
    two = route(name="two", hostnames=["*.example.com", "other.org"])
    found = hosts(compiled(gateway(hostname="*.example.com"), one, two))
    assert list(found) == ["*.example.com"]
    assert [(match.rule, match.path.value) for match in found["*.example.com"]] == [
        ("default/one/http/0", "/a"),
        ("default/two/http/0", ""),
    ]


def test_an_older_route_comes_first() -> None:
    routes = [route(name="a"), route(name="b")]
    routes[0]["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    routes[1]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    for documents in itertools.permutations(routes):
        (found,) = hosts(compiled(*documents)).values()
        assert [match.rule for match in found] == ["default/b/http/0", "default/a/http/0"]


# --- beside the API ---


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ({"value": "/"}, None),
        ({"value": "/v1"}, "/v1/chat/completions and 11 more paths"),
        ({"value": "/v1/chat"}, "/v1/chat/completions"),
        ({"type": "Exact", "value": "/v1/models"}, "/v1/models"),
        ({"value": "/v1/cha"}, None),
        ({"type": "Exact", "value": "/v1"}, None),
    ],
)
def test_a_match_for_paths_of_the_api_is_named_where_a_route_of_ours_has_the_host(
    path: Json, taken: str | None
) -> None:
    plain = route({"matches": [{"path": path}], "backendRefs": [to("b")]})
    alone = compiled(plain)
    assert not findings(alone)
    said = [item for item in findings(compiled(plain, ai_route())) if "of the API" in item[1]]
    message = f"does not get requests for {taken} of the API, which go to AIGatewayRoute default/ai"
    assert said == ([("spec.rules[0].matches[0].path", message)] if taken else [])


def test_the_paths_of_the_api_are_for_plain_routes_only_where_no_route_of_ours_can_be() -> None:
    broken = ai_route(unknown=1)
    for documents, has_api in (
        ((route(),), False),
        ((route(), ai_route()), True),
        ((route(), broken), True),
        ((route(), ai_route(hostnames=["a.example"])), False),
    ):
        result = compiled(*documents)
        assert result.plan is not None
        (port,) = result.plan.ports
        hosts = port.listeners[0].virtual_hosts
        assert [bool(host.api_paths) for host in hosts if host.hostname == "*"] == [has_api]


def test_the_name_of_a_route_of_ours_is_taken() -> None:
    result = compiled(route(name="ai"), ai_route())
    message = "is left out, because its name belongs to what AIGatewayRoute default/ai generates"
    assert ("metadata.name", message) in findings(result)
    assert result.plan is not None
    assert not result.plan.http_rules


@pytest.mark.parametrize(("kind", "name"), [("HTTPRoute", "web"), ("Gateway", "gw")])
def test_a_route_whose_protection_cannot_be_enforced_is_not_served(kind: str, name: str) -> None:
    target = {"group": GW, "kind": kind, "name": name}
    policy = document(EG, "SecurityPolicy", "p", targetRefs=[target], unknown={})
    result = compiled(route(), policy)
    assert any("SecurityPolicy default/p protects it" in item for _, item in findings(result))
    assert action(result, "default/web/http/0/withheld") == Forward(())


def test_a_traffic_policy_for_a_plain_route_is_refused_by_name() -> None:
    target = {"group": GW, "kind": "HTTPRoute", "name": "web"}
    retry = {"numRetries": 1}
    policy = document(EG, "BackendTrafficPolicy", "p", targetRefs=[target], retry=retry)
    said = "a plain HTTPRoute is not supported as a target, only an AIGatewayRoute"
    assert findings(compiled(route(), policy)) == [("spec.targetRefs[0]", said)]


# --- backends ---


def test_weights_timeouts_and_retries_are_kept() -> None:
    rule = {
        "backendRefs": [to("b", weight=3), to("c", weight=0), to("d")],
        "timeouts": {"request": "10s", "backendRequest": "2s"},
        "retry": {"codes": [500], "backoff": "0ms"},
    }
    result = compiled(route(rule), backend("b"), backend("c"), backend("d"))
    assert not findings(result)
    shares = (Share("default/b", 3), Share("default/d", 1))
    assert action(result) == Forward(
        shares, request_ms=10_000, attempt_ms=2000, retry=HttpRetry(1, (500,), 1)
    )


@pytest.mark.parametrize(
    ("ref", "field", "message"),
    [
        ({"name": "s", "port": 80}, "kind", "no cluster with a Service s here; use a Backend"),
        (to("gone"), "", "Backend default/gone not found"),
        ({"group": "x", "kind": "Y", "name": "z"}, "kind", "Y is not supported here"),
        (to("b", namespace="far"), "namespace", "a ReferenceGrant there must allow"),
    ],
)
def test_a_backend_that_cannot_be_had_is_named_and_answered_with_500(
    ref: Json, field: str, message: str
) -> None:
    result = compiled(route({"backendRefs": [ref]}))
    path = ".".join(filter(None, ("spec.rules[0].backendRefs[0]", field)))
    assert any(place == path and message in text for place, text in findings(result))
    assert action(result) == Forward(())


@pytest.mark.parametrize("kind", ["HTTPRoute", "AIGatewayRoute"])
def test_a_grant_is_for_the_kind_that_refers(kind: str) -> None:
    group = GW if kind == "HTTPRoute" else AIGW
    grant = document(
        GW,
        "ReferenceGrant",
        "g",
        **{"from": [{"group": group, "kind": kind, "namespace": "default"}]},
        to=[{"group": EG, "kind": "Backend"}],
    )
    written = route({"backendRefs": [to("b", namespace="far")]})
    result = compiled(written, backend("b", "far"), placed(grant, "far"))
    allowed = kind == "HTTPRoute"
    assert action(result) == Forward((Share("far/b", 1),) if allowed else ())
    assert (not findings(result)) == allowed


def test_a_listener_for_other_kinds_takes_no_plain_route() -> None:
    kinds = {"kinds": [{"group": AIGW, "kind": "AIGatewayRoute"}]}
    result = compiled(gateway(allowedRoutes=kinds), route())
    message = (
        "no listener of the Gateway accepts this route: http takes only routes of the kind "
        f"AIGatewayRoute.{AIGW}"
    )
    assert findings(result) == [("spec.parentRefs[0]", message)]


# --- filters ---

HEADERS = {"type": "RequestHeaderModifier"}


@pytest.mark.parametrize(
    ("written", "place", "message"),
    [
        (
            {**HEADERS, "requestHeaderModifier": {"set": [{"name": "Host", "value": "x"}]}},
            "requestHeaderModifier.set[0].name",
            "the header Host is owned by the gateway and cannot be changed",
        ),
        (
            {**HEADERS, "requestHeaderModifier": {"add": [{"name": "a", "value": "x\ny"}]}},
            "requestHeaderModifier.add[0].value",
            "must be a single line without control characters",
        ),
        (
            {**HEADERS, "requestHeaderModifier": {"remove": [":path"]}},
            "requestHeaderModifier.remove[0]",
            "is not the name of a header",
        ),
        ({"type": "CORS"}, "type", "CORS is not supported yet"),
        (extension(), "extensionRef", "HTTPRouteFilter default/f not found"),
        (
            {"type": "ExtensionRef", "extensionRef": {"group": "a.b", "kind": "F", "name": "x"}},
            "extensionRef.kind",
            "F of a.b is not supported here, only HTTPRouteFilter",
        ),
    ],
)
def test_a_filter_that_cannot_be_applied_is_named_and_its_rule_not_served(
    written: Json, place: str, message: str
) -> None:
    result = compiled(route({"filters": [written], "backendRefs": [to("b")]}))
    assert (f"spec.rules[0].filters[0].{place}", message) in findings(result)
    assert action(result) == Forward(())


@pytest.mark.parametrize(
    ("pattern", "substitution", "fault"),
    [
        ("^/(a)(?:b)([(])", r"\1\\", None),
        (r"^/(a)\(", r"\2", "substitution"),
        ("^/(?P<name>a)", r"\1", None),
        ("^/a", "\\", "substitution"),
        ("(", "", "pattern"),
        ("(?=a)", "", "pattern"),
    ],
)
def test_expressions_that_envoy_would_refuse_are_named(
    pattern: str, substitution: str, fault: str | None
) -> None:
    change = {"pattern": pattern, "substitution": substitution}
    path = {"type": "ReplaceRegexMatch", "replaceRegexMatch": change}
    written = document(EG, "HTTPRouteFilter", "f", urlRewrite={"path": path})
    result = compiled(route({"filters": [extension()], "backendRefs": [to("b")]}), written)
    place = f"spec.urlRewrite.path.replaceRegexMatch.{fault}"
    assert any(path == place for path, _ in findings(result)) == (fault is not None)
    assert bool(action(result).shares) == (fault is None)


def test_an_answer_comes_from_a_config_map() -> None:
    ref = {"group": "", "kind": "ConfigMap", "name": "texts"}
    direct = {
        "statusCode": 404,
        "body": {"type": "ValueRef", "valueRef": ref},
        "header": {"add": [{"name": "X-A", "value": "b"}]},
    }
    written = document(EG, "HTTPRouteFilter", "f", directResponse=direct)
    plain = route({"filters": [extension()]})
    texts = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "texts"}}
    result = compiled(plain, written, {**texts, "data": {"a": "x", "response.body": "y"}})
    assert not findings(result)
    assert action(result) == DirectResponse(404, "y")
    assert result.plan is not None
    (rule,) = result.plan.http_rules.values()
    assert rule.response_headers == HeaderChanges(add=(("x-a", "b"),))
    assert action(compiled(plain, written, {**texts, "data": {"a": "x"}})).body == "x"
    said = ("spec.directResponse.body.valueRef", "ConfigMap default/texts not found")
    assert said in findings(compiled(plain, written))


@pytest.mark.parametrize(
    ("match", "place"),
    [
        ({"path": {"type": "RegularExpression", "value": "(?=a)"}}, "path.value"),
        (
            {"headers": [{"name": "a", "type": "RegularExpression", "value": "["}]},
            "headers[0].value",
        ),
        (
            {"queryParams": [{"name": "a", "type": "RegularExpression", "value": "["}]},
            "queryParams[0].value",
        ),
    ],
)
def test_a_match_with_a_broken_expression_is_left_out(match: Json, place: str) -> None:
    good = {"path": {"value": "/good"}}
    result = compiled(route({"matches": [match, good], "backendRefs": [to("b")]}))
    said = "is not a valid RE2 expression; this match is left out"
    assert findings(result) == [(f"spec.rules[0].matches[0].{place}", said)]
    assert [item.path.value for item in hosts(result)["*"]] == ["/good"]


def test_a_condition_on_a_header_that_is_taken_off_is_named() -> None:
    match = {"headers": [{"name": "X-AI-EG-Model", "value": "m"}]}
    result = compiled(route({"matches": [match], "backendRefs": [to("b")]}))
    said = "the header X-AI-EG-Model is taken off before; nothing matches this"
    assert findings(result) == [("spec.rules[0].matches[0].headers[0].name", said)]
