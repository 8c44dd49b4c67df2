"""Security policies as Envoy's configuration."""

import json
from collections.abc import Iterator
from typing import Any

from aigw.compile.compiler import Compiled
from aigw.render.envoy import DataPlane, EnvoyTarget, render_envoy, self_contained
from aigw.render.envoy.token_filters import with_tokens
from beds.security import (
    SHA,
    compiled,
    gateway,
    keys,
    listener,
    plain_route,
    plan,
    policy,
    provider,
    route,
    secret,
)


def rendered(result: Compiled) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Filters of the first listener, and virtual hosts by name."""
    target = EnvoyTarget(DataPlane.MODULE, "/r", "/x", "/a", module_path="/m")
    files: Any = render_envoy(plan(result), target).files
    (routes,) = (file for name, file in files.items() if name.startswith("rds/"))
    (chain,) = files["lds/listeners.json"]["resources"][0]["filter_chains"]
    found = {host["name"]: host for host in routes["resources"][0]["virtual_hosts"]}
    return chain["filters"][0]["typed_config"]["http_filters"], found


def test_without_policies_nothing_is_on() -> None:
    filters, found = rendered(compiled(route("r")))
    on = [item["name"] for item in filters if not item.get("disabled")]
    assert on == ["aigw.request", "envoy.filters.http.router"]
    assert "typed_per_filter_config" not in found["*"]
    assert "security_policy" not in json.dumps(found)


def test_the_first_policy_of_keys_or_passwords_changes_no_listener() -> None:
    users = secret("users", **{".htpasswd": f"a:{SHA}"})
    spec = {**keys(), "cors": {"allowOrigins": ["*"]}, "basicAuth": {"users": {"name": "users"}}}
    protected = compiled(route("r"), users, policy("p", ("Gateway", "gw"), **spec))
    assert rendered(protected)[0] == rendered(compiled(route("r")))[0]


def test_issuers_of_tokens_change_no_listener() -> None:
    protected = compiled(route("r"), policy("p", ("Gateway", "gw"), **provider()))
    assert rendered(protected)[0] == rendered(compiled(route("r")))[0]


def test_issuers_of_two_configurations_are_known_together() -> None:
    results = [
        compiled(route("r"), policy("p", ("Gateway", "gw"), **provider(issuer=name)))
        for name in ("a", "b")
    ]
    old, new = (settings(result) for result in results)
    both = with_tokens(old, new)
    assert named(both) == named(old) | named(new)
    assert len(named(both)) == 4
    assert with_tokens(both, new) == both


def settings(result: Compiled) -> dict[str, Any]:
    target = EnvoyTarget(DataPlane.MODULE, "/r", "/x", "/a", module_path="/m")
    found: Any = render_envoy(plan(result), target).files["ecds/tokens.json"]
    return dict(found)


def named(found: Any) -> set[str]:  # noqa: ANN401 - JSON
    """Issuers, and policies that ask for them."""
    config = found["resources"][0]["typed_config"]
    return {*config["providers"], *config["requirement_map"]}


def test_filters_stand_in_order_and_are_off() -> None:
    users = secret("users", **{".htpasswd": f"a:{SHA}"})
    spec = {
        **keys(forwardClientIDHeader="x-c"),
        **provider(),
        "cors": {"allowOrigins": ["*"]},
        "basicAuth": {"users": {"name": "users"}},
    }
    filters, found = rendered(compiled(route("r"), users, policy("p", ("Gateway", "gw"), **spec)))
    assert [item["name"] for item in filters] == [
        "envoy.filters.http.cors",
        "aigw.stranger",
        "envoy.filters.http.api_key_auth",
        "envoy.filters.http.basic_auth",
        "envoy.filters.http.jwt_authn",
        "aigw.spent",
        "aigw.request",
        "envoy.filters.http.router",
    ]
    assert all(item["disabled"] for item in filters[:6])
    assert found["*"]["typed_per_filter_config"].keys() == {item["name"] for item in filters[:6]}
    marks = {
        item["metadata"]["filter_metadata"]["aigateway.envoy.io"]["security_policy"]
        for item in found["*"]["routes"]
    }
    assert len(marks) == 1


def test_routes_in_a_table_of_models_carry_their_policy_too() -> None:
    documents = [route(f"r{number}") for number in range(20)]
    _, found = rendered(compiled(*documents, policy("p", ("Gateway", "gw"), **keys())))
    assert "matcher" in found["*"]
    text = json.dumps(found["*"])
    assert text.count('"security_policy"') == text.count('"match":') > 20


def test_every_filter_that_a_route_turns_on_is_in_the_chain() -> None:
    users = secret("users", **{".htpasswd": f"a:{SHA}"})
    result = compiled(
        route("r", "a.test"),
        plain_route("own", "a.test"),
        users,
        policy("p", ("HTTPRoute", "r"), **keys()),
        policy("q", ("HTTPRoute", "own"), basicAuth={"users": {"name": "users"}}),
    )
    filters, found = rendered(result)
    (plain,) = (x for x in _objects(found) if x.get("name") == "default/own/http/0")
    turned = {x: y for x, y in plain["typed_per_filter_config"].items() if not y.get("disabled")}
    assert turned.keys() == {"envoy.filters.http.basic_auth", "aigw.spent"}
    assert plain["typed_per_filter_config"]["envoy.filters.http.api_key_auth"]["disabled"]
    named = {name for x in _objects(found) for name in x.get("typed_per_filter_config", {})}
    assert named <= {item["name"] for item in filters}


def _objects(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            yield from _objects(item)


def test_a_new_key_changes_no_listener() -> None:
    def files(key: str) -> Any:  # noqa: ANN401 - any JSON
        documents = [
            route("r"),
            secret("own", a=key),
            policy("p", ("Gateway", "gw"), **keys("own")),
        ]
        target = EnvoyTarget(DataPlane.MODULE, "/r", "/x", "/a", module_path="/m")
        return render_envoy(plan(compiled(*documents)), target).files

    one, two = files("canary-1"), files("canary-2")
    assert [name for name in one if one[name] != two[name]] == ["rds/default_gw_http.json"]


def test_what_people_read_has_no_credentials() -> None:
    users = secret("users", **{".htpasswd": "a:{SHA}" + "c" * 27 + "="})
    spec = {**keys(), "basicAuth": {"users": {"name": "users"}}}
    result = compiled(route("r"), users, policy("p", ("Gateway", "gw"), **spec))
    target = EnvoyTarget(DataPlane.MODULE, "/r", "/x", "/a", module_path="/m")
    shown = json.dumps(self_contained(render_envoy(plan(result), target)))
    assert "canary" not in shown
    assert "c" * 27 not in shown
    assert "key-1-is-not-shown" in shown


def test_names_that_no_host_has_are_told_nothing_where_some_are_protected() -> None:
    result = compiled(
        gateway(listener("a", "a.test")), route("r"), policy("p", ("Gateway", "gw"), **keys())
    )
    _, found = rendered(result)
    assert [*found["no-host"]["domains"]] == ["*"]
    assert found["no-host"]["typed_per_filter_config"]["aigw.request"]["disabled"]


def test_a_closed_host_is_not_read_by_the_core() -> None:
    _, found = rendered(compiled(route("r"), policy("p", ("Gateway", "gw"), **keys("missing"))))
    assert found["*"]["typed_per_filter_config"]["aigw.request"]["disabled"]
    statuses = {item["direct_response"]["status"] for item in found["*"]["routes"]}
    assert statuses == {503}
