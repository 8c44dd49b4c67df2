"""Micro-benchmark of the extension: the hook over a whole translation.

The bundle is made of a cluster and a route that a real Envoy Gateway sent, repeated under the
names of as many routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from micro.test_compile import configuration

from aigw.api.load import Source, load
from aigw.api.secret_sources import Environment
from aigw.compile.compiler import compile_plan
from aigw.extension import Bundle, Served, Settings, rewrite
from aigw.extension.messages import Message, encoded, packed, unpacked
from beds import recorded_xds

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from aigw.plan import Plan

LISTENER = "default/gw/http"
MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


def resource(message: Message) -> Message:
    """The object of Kubernetes that a part of xDS was made of."""
    fields = message.metadata.filter_metadata["envoy-gateway"].fields
    return fields["resources"].list_value.values[0].struct_value.fields


def plan_of(count: int) -> Plan:
    """The plan of so many routes."""
    loaded = load([Source("b", configuration(count))], Environment({}, lambda _: ""))
    compiled = compile_plan(loaded).plan
    assert compiled is not None
    return compiled


def bundle_of(count: int) -> Bundle:
    """What Envoy Gateway sends for them."""
    recorded = recorded_xds.read()
    cluster = recorded_xds.by_name("clusters", recorded["clusters"])[
        "httproute/recorded/guarded/rule/0"
    ]
    config = recorded_xds.by_name("routes", recorded["routes"])["recorded/gw/http"]
    listener = recorded_xds.by_name("listeners", recorded["listeners"])["recorded/gw/http"]
    host = next(item for item in config.virtual_hosts if item.domains[0] == "open.test")
    rule, last = host.routes[0], host.routes[-1]
    rules, catch_alls, clusters = [], [], []
    for number in range(count):
        route = f"r{number}"
        rule.match.headers[0].string_match.exact = f"model-{number}"
        rule.route.cluster = f"httproute/default/{route}/rule/0"
        rules.append(renamed(rule, route, 0))
        catch_alls.append(renamed(last, route, 1))
        clusters.append(named_cluster(cluster, route))
    config.name, host.domains[0] = LISTENER, "*"
    resource(host)["namespace"].string_value = "default"
    del host.routes[:]
    host.routes.extend([*rules, *catch_alls])
    others = [item for item in config.virtual_hosts if item.domains[0] != "*"]
    for item in others:
        config.virtual_hosts.remove(item)
    filter_ = listener.default_filter_chain.filters[0]
    manager = unpacked(MANAGER, filter_.typed_config)
    manager.rds.route_config_name = LISTENER
    filter_.typed_config.CopyFrom(packed(manager))
    return Bundle(tuple(clusters), (encoded(listener),), (encoded(config),))


def renamed(route: Message, name: str, rule: int) -> Message:
    """A route of xDS as that of another route."""
    copy = type(route)()
    copy.CopyFrom(route)
    copy.name = f"httproute/default/{name}/rule/{rule}/match/0/*"
    resource(copy)["namespace"].string_value = "default"
    resource(copy)["name"].string_value = name
    return copy


def named_cluster(cluster: Message, route: str) -> bytes:
    """A cluster as that of another route."""
    cluster.name = f"httproute/default/{route}/rule/0"
    cluster.load_assignment.cluster_name = cluster.name
    (locality,) = cluster.load_assignment.endpoints
    locality.locality.region = f"{cluster.name}/backend/0"
    address = locality.lb_endpoints[0].endpoint.address.socket_address
    address.address, address.port_value = "127.0.0.1", 1
    return encoded(cluster)


@pytest.mark.parametrize("count", [100, 1_000, 5_000])
def test_hook(benchmark: BenchmarkFixture, count: int) -> None:
    bundle, plan = bundle_of(count), plan_of(count)

    def run() -> None:
        result = rewrite(bundle, Served(plan), Settings())
        assert not result.unknown
        assert len(result.bundle.routes[0]) > len(bundle.routes[0]) // 2

    benchmark.pedantic(run, rounds=5)
