"""The hooks over what a real Envoy Gateway asked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from aigw.extension import Bundle, Served, Settings, name_endpoints, rewrite
from aigw.extension.filters import CORE_CLUSTER, CORE_FILTER
from aigw.extension.messages import Message, encoded, parsed
from aigw.plan.attributes import Attributes
from aigw.render.envoy import render_filter_config
from beds import recorded_xds
from beds.documents import compile_documents
from beds.recorded_xds import ASSIGNMENT, CLUSTER, LISTENER, ROUTES, as_json, by_name
from beds.wire import differences

if TYPE_CHECKING:
    from aigw.plan import Plan

RULE = "httproute/recorded/open/rule"
NOT_SERVED = "httproute/recorded/unguarded/rule/0"
KEY, HOST = "per_route_rule_backend_name", "aigateway.envoy.io"


@pytest.fixture(scope="module")
def recorded() -> recorded_xds.Recorded:
    return recorded_xds.read()


@pytest.fixture(scope="module")
def plan() -> Plan:
    compiled = compile_documents(recorded_xds.documents()).plan
    assert compiled is not None
    return compiled


@pytest.fixture(scope="module")
def served(plan: Plan) -> Served:
    return Served(plan)


@pytest.fixture(scope="module")
def before(recorded: recorded_xds.Recorded) -> Bundle:
    return replace(recorded_xds.bundle(recorded), secrets=(b"secret",))


@pytest.fixture(scope="module")
def after(before: Bundle, served: Served) -> Bundle:
    result = rewrite(before, served, Settings())
    assert result.unknown == frozenset()
    return result.bundle


def cluster(bundle: Bundle, name: str) -> Message:
    return by_name("clusters", bundle.clusters)[name]


def routes_of(bundle: Bundle, domain: str, config: str = "recorded/gw/http") -> list[Message]:
    hosts = by_name("routes", bundle.routes)[config].virtual_hosts
    return [route for host in hosts if host.domains[0] == domain for route in host.routes]


def manager(bundle: Bundle, listener: str) -> dict[str, Any]:
    found = as_json(by_name("listeners", bundle.listeners)[listener])
    config: dict[str, Any] = found["default_filter_chain"]["filters"][0]["typed_config"]
    return config


def id_of(endpoint: Message) -> str:
    return str(endpoint.metadata.filter_metadata[HOST].fields[KEY].string_value)


def backend(plan: Plan, name: str) -> str:
    ids: dict[str, Any] = render_filter_config(plan)["backends"]  # type: ignore[assignment]
    (found,) = (item for item in ids if item.startswith(f"recorded/{name}@"))
    return str(found)


# --- what stays ---


def test_what_is_not_ours_keeps_its_bytes(before: Bundle, after: Bundle) -> None:
    untouched = {"httproute/recorded/plain/rule/0"}
    for name in untouched:
        (old,) = (data for data in before.clusters if parsed(CLUSTER, data).name == name)
        assert old in after.clusters
    (ready,) = (data for data in before.listeners if b"envoy-gateway-proxy-ready" in data[:60])
    assert ready in after.listeners
    assert after.secrets == before.secrets
    (old,), (new,) = routes_of(before, "plain.test"), routes_of(after, "plain.test")
    assert encoded(old) == encoded(new)


def test_without_ai_routes_a_bundle_stays_as_it_is(before: Bundle, served: Served) -> None:
    only = replace(
        before,
        routes=(),
        clusters=tuple(x for x in before.clusters if b"recorded/plain" in x[:60]),
    )
    assert rewrite(only, served, Settings()).bundle == only


def test_a_second_run_changes_nothing(after: Bundle, served: Served) -> None:
    assert rewrite(after, served, Settings()).bundle == after


def test_the_same_input_gives_the_same_bytes(before: Bundle, plan: Plan, after: Bundle) -> None:
    assert rewrite(before, Served(plan), Settings()).bundle == after


@pytest.mark.parametrize(
    ("kind", "type_name"), [("clusters", CLUSTER), ("listeners", LISTENER), ("routes", ROUTES)]
)
def test_fields_that_we_do_not_know_are_kept(
    recorded: recorded_xds.Recorded, kind: str, type_name: str
) -> None:
    for data in recorded[kind]:
        assert len(data) > 40
        assert differences(data, encoded(parsed(type_name, data)), type_name) == []


def test_unknown_fields_survive_changes(before: Bundle, after: Bundle) -> None:
    """Load balancing, lookups of names and TLS are fields that we do not know."""
    for data in before.clusters:
        name = parsed(CLUSTER, data).name
        (new,) = (item for item in after.clusters if parsed(CLUSTER, item).name == name)
        lost = differences(data, new, CLUSTER)
        touched = ("circuit_breakers", "load_assignment", "per_connection", "metadata", "typed_ext")
        assert [item for item in lost if not item.startswith(touched)] == []


# --- clusters and endpoints ---


def test_endpoints_by_name_get_their_backend_and_priority(after: Bundle, plan: Plan) -> None:
    first, second = cluster(after, f"{RULE}/1").load_assignment.endpoints
    (one,), (two,) = first.lb_endpoints, second.lb_endpoints
    assert (first.priority, second.priority) == (0, 1)
    assert id_of(one) == backend(plan, "name/route/open/rule/1/ref/0")
    assert id_of(two) == backend(plan, "other-name/route/open/rule/1/ref/1")
    assert two.metadata.filter_metadata[HOST].fields["upstream_host"].string_value == "api.two.test"
    assert one.endpoint.hostname == "api.one.test"
    assert "envoy.transport_socket_match" in one.metadata.filter_metadata


def test_endpoints_by_address_are_named_by_the_other_hook(
    recorded: recorded_xds.Recorded, served: Served, plan: Plan
) -> None:
    found: dict[str, Message] = {}
    for data in recorded["endpoints"]:
        result = name_endpoints(data, served)
        assert result.unknown == frozenset()
        (new,) = result.bundle.clusters
        assert name_endpoints(new, served).bundle.clusters == (new,)
        found |= by_name("endpoints", [new])
    other, first = found[f"{RULE}/3"].endpoints
    assert (other.priority, first.priority) == (1, 0)
    assert {id_of(item) for item in other.lb_endpoints} == {
        backend(plan, "other-address/route/open/rule/3/ref/1")
    }
    assert id_of(first.lb_endpoints[0]) == backend(plan, "address/route/open/rule/3/ref/2")


def test_a_cluster_of_one_backend_says_itself_which_it_is(after: Bundle, plan: Plan) -> None:
    fields = cluster(after, f"{RULE}/0").metadata.filter_metadata[HOST].fields
    assert fields[KEY].string_value == backend(plan, "address/route/open/rule/0/ref/0")


def test_a_backend_is_never_named_on_an_address_that_is_not_its_own(
    recorded: recorded_xds.Recorded, served: Served
) -> None:
    (data,) = (item for item in recorded["endpoints"] if f"{RULE}/3".encode() in item[:60])
    assignment = parsed(ASSIGNMENT, data)
    foreign = assignment.endpoints[1].lb_endpoints[0].endpoint.address.socket_address
    foreign.address = "192.0.2.1"
    result = name_endpoints(encoded(assignment), served)
    (new,) = by_name("endpoints", result.bundle.clusters).values()
    assert [item.locality.region for item in new.endpoints] == [f"{RULE}/3/backend/1"]
    assert result.unknown == {f"{RULE}/3"}


def test_references_that_are_missing_in_xds_move_no_names(
    recorded: recorded_xds.Recorded, plan: Plan
) -> None:
    """The numbers in xDS count what Envoy Gateway was given, which may be fewer."""
    (data,) = (item for item in recorded["endpoints"] if f"{RULE}/3".encode() in item[:60])
    assignment = parsed(ASSIGNMENT, data)
    for number, locality in enumerate(assignment.endpoints):
        locality.locality.region = f"{RULE}/3/backend/{number}"
    (new,) = name_endpoints(encoded(assignment), Served(plan)).bundle.clusters
    named = [
        id_of(item.lb_endpoints[0]) for item in by_name("endpoints", [new]).popitem()[1].endpoints
    ]
    assert named == [
        backend(plan, "other-address/route/open/rule/3/ref/1"),
        backend(plan, "address/route/open/rule/3/ref/2"),
    ]


def test_names_and_addresses_of_one_rule_are_tried_in_order(after: Bundle) -> None:
    (action,) = (r.route for r in routes_of(after, "open.test") if "/rule/2/" in r.name)
    assert action.cluster == f"{RULE}/2"
    found = as_json(cluster(after, f"{RULE}/2"))["cluster_type"]["typed_config"]
    assert found["clusters"] == [f"{RULE}/2/backend/1", f"{RULE}/2/backend/0"]
    (locality,) = cluster(after, f"{RULE}/2/backend/1").load_assignment.endpoints
    assert locality.priority == 0


def test_limits_are_ours_where_nobody_set_any(after: Bundle) -> None:
    (ours,) = cluster(after, f"{RULE}/0").circuit_breakers.thresholds
    assert ours.max_requests.value == 2**31 - 1
    assert ours.retry_budget.budget_percent.value == 100
    (users,) = cluster(after, f"{RULE}/3").circuit_breakers.thresholds
    assert users.max_requests.value == 7
    assert not users.HasField("retry_budget")


def test_every_provider_is_behind_the_core(after: Bundle) -> None:
    clusters = by_name("clusters", after.clusters)
    behind = {name for name in clusters if CORE_FILTER in json.dumps(as_json(clusters[name]))}
    used = {name for name in clusters if name.startswith("httproute/")}
    assert used - behind == {"httproute/recorded/plain/rule/0", NOT_SERVED}
    options = as_json(clusters[f"{RULE}/1"])["typed_extension_protocol_options"]
    names = [item["name"] for item in options.popitem()[1]["http_filters"]]
    assert names == [CORE_FILTER, "aigw.content_length", "envoy.filters.http.upstream_codec"]
    socket = clusters[CORE_CLUSTER].load_assignment.endpoints[0].lb_endpoints[0].endpoint
    assert socket.address.pipe.path == "/etc/ai-gateway-extproc-uds/run.sock"


# --- routes ---


def test_routes_keep_what_the_user_says_about_retries(after: Bundle) -> None:
    by_rule = {route.name.split("/")[4]: route.route for route in routes_of(after, "open.test")}
    assert not by_rule["0"].HasField("retry_policy")
    ours = by_rule["1"].retry_policy
    assert ours.retry_priority.name == "envoy.retry_priorities.previous_priorities"
    assert ours.per_try_idle_timeout.seconds == 5
    users = by_rule["3"].retry_policy
    assert (users.retry_on, users.num_retries.value) == ("connect-failure", 5)
    assert users.retry_priority.name == "envoy.retry_priorities.previous_priorities"


def test_the_catch_all_answers_as_aigw_run_does(after: Bundle) -> None:
    found = [r for r in routes_of(after, "open.test") if r.HasField("direct_response")]
    bodies = [json.loads(route.direct_response.body.inline_string) for route in found]
    assert [route.direct_response.status for route in found] == [400, 400, 404, 404]
    assert "models on offer: one, two, both, limited" in bodies[-1]["error"]["message"]
    assert all(CORE_FILTER in route.typed_per_filter_config for route in found)


def test_routes_carry_their_policy(after: Bundle) -> None:
    def policies(domain: str) -> set[str]:
        return {
            route.metadata.filter_metadata[HOST].fields["security_policy"].string_value
            for route in routes_of(after, domain)
            if not route.name.startswith("httproute/recorded/unguarded")
        }

    (guarded,) = policies("guarded.test")
    assert guarded
    assert policies("open.test") == {""}
    assert "canary" not in guarded
    for route in routes_of(after, "guarded.test"):
        assert {"aigw.spent", "aigw.stranger"} <= set(route.typed_per_filter_config)


def test_a_route_that_may_not_be_served_answers_itself(after: Bundle) -> None:
    found = [r for r in routes_of(after, "guarded.test") if "/unguarded/" in r.name]
    assert {route.direct_response.status for route in found} == {503}
    assert all(route.match.headers[0].string_match.exact == "two" for route in found)


def test_a_route_that_the_plan_does_not_have_is_refused(before: Bundle, plan: Plan) -> None:
    less = replace(plan, ports=(), rules={})
    result = rewrite(before, Served(less), Settings())
    assert "recorded/open/rule/0" in result.unknown
    for route in routes_of(result.bundle, "open.test"):
        assert route.direct_response.status == 503
        assert CORE_FILTER not in route.typed_per_filter_config
    assert rewrite(result.bundle, Served(less), Settings()).bundle == result.bundle


def test_bodies_are_buffered_to_the_limit(after: Bundle) -> None:
    hosts = by_name("routes", after.routes)["recorded/gw/http"].virtual_hosts
    limits = {host.domains[0]: host.request_body_buffer_limit.value for host in hosts}
    assert limits["open.test"] == 50 << 20
    assert limits["plain.test"] == 0


# --- listeners ---


def test_the_core_stands_behind_authentication(after: Bundle) -> None:
    names = [item["name"] for item in manager(after, "recorded/gw/http")["http_filters"]]
    assert names == [
        "aigw.stranger",
        "envoy.filters.http.api_key_auth",
        "aigw.spent",
        CORE_FILTER,
        "envoy.filters.http.router",
    ]


def test_internal_headers_go_first_and_errors_are_json(after: Bundle) -> None:
    found = manager(after, "recorded/gw/http")
    first = found["early_header_mutation_extensions"][0]["typed_config"]["mutations"]
    assert {"remove_on_match": {"key_matcher": {"prefix": "x-ai-eg-"}}} in first
    assert found["scheme_header_transformation"] == {"match_upstream": True}
    bodies = json.dumps(found["local_reply_config"]["mappers"])
    assert "application/json" in bodies
    (listener,) = (x for x in after.listeners if parsed(LISTENER, x).name == "recorded/gw/http")
    assert parsed(LISTENER, listener).per_connection_buffer_limit_bytes.value == 256 << 20


def test_headers_for_access_logs_become_metadata(before: Bundle, plan: Plan) -> None:
    attributes = Attributes(logs=(("x-team", "team"), ("x-app", "app")))
    served = Served(replace(plan, attributes=attributes))
    result = rewrite(before, served, Settings()).bundle
    filters = manager(result, "recorded/gw/http")["http_filters"]
    (found,) = (x for x in filters if x["name"] == "envoy.filters.http.header_to_metadata")
    rules = found["typed_config"]["request_rules"]
    assert [rule["header"] for rule in rules] == ["x-app", "x-team"]
    assert filters[filters.index(found) + 1]["name"] == CORE_FILTER
    assert rewrite(result, served, Settings()).bundle == result


def test_the_core_is_told_how_requests_end(after: Bundle) -> None:
    *_, log = manager(after, "recorded/gw/http")["access_log"]
    assert log["name"] == "envoy.access_loggers.http_grpc"
    service = log["typed_config"]["common_config"]["grpc_service"]
    assert service["envoy_grpc"]["cluster_name"] == CORE_CLUSTER
