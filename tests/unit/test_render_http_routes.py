"""Plain routes as Envoy reads them: where they end and the API begins."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from aigw.plan import EndpointPrefixes, Plan
from aigw.render.envoy import DataPlane, EnvoyTarget, render_envoy
from beds.documents import compile_documents, faultless

EXAMPLE = Path(__file__).parents[2] / "examples" / "09-beside-a-website" / "gateway.yaml"
Json = dict[str, Any]


def plan_of(prefixes: EndpointPrefixes) -> Plan:
    """The plan of the example."""
    return faultless(compile_documents(EXAMPLE.read_text(), prefixes=prefixes))


def host_of(plan: Plan) -> Json:
    """The only virtual host."""
    target = EnvoyTarget(DataPlane.EXTPROC, "/run", "/xds", "/admin", extproc_socket="/socket")
    files = render_envoy(plan, target).files
    (found,) = [response for path, response in files.items() if path.startswith("rds/")]
    resources: Any = found["resources"]
    (host,) = resources[0]["virtual_hosts"]
    assert isinstance(host, dict)
    return host


def plain_routes(host: Json) -> list[Json]:
    """Routes that pass the core."""
    routes = host["matcher"]["on_no_match"]["action"]["typed_config"]["routes"]
    return [route for route in routes if "typed_per_filter_config" in route]


def test_the_paths_of_the_api_are_where_its_prefixes_say() -> None:
    host = host_of(plan_of(EndpointPrefixes(root="/ai.example")))
    (matcher,) = host["matcher"]["matcher_list"]["matchers"]
    expression = matcher["predicate"]["single_predicate"]["value_match"]["safe_regex"]["regex"]
    is_api = {
        path: re.fullmatch(expression, path) is not None
        for path in (
            "/ai.example/v1/chat/completions",
            "/ai.example/v1/chat/completions?a=/b",
            "/ai.example/anthropic/v1/messages",
            "/aiXexample/v1/chat/completions",
            "/ai.example/v1/chat/completions/",
            "/v1/chat/completions",
        )
    }
    assert list(is_api.values()) == [True, True, True, False, False, False]


def test_headers_for_providers_are_taken_off_on_plain_routes_and_those_of_proxies_are_not() -> None:
    plan = plan_of(EndpointPrefixes())
    hidden = ("x-my-key",)
    gateways = {
        name: replace(gateway, credential_headers=hidden) for name, gateway in plan.gateways.items()
    }
    host = host_of(replace(plan, gateways=gateways))
    forwarding = [route for route in plain_routes(host) if "route" in route]
    assert [route["request_headers_to_remove"] for route in forwarding] == [["x-my-key"]]
    assert "request_headers_to_remove" not in host
    api = host["matcher"]["matcher_list"]["matchers"][0]["on_match"]["action"]["typed_config"]
    removed = [route["request_headers_to_remove"] for route in api["routes"] if "route" in route]
    assert all("x-forwarded-for" in names for names in removed)
