"""The Envoy bed: a real Envoy in front of the provider."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from aigw.providers import Fault, FaultKind, Gate, Outcome, Phase, Reply
from beds import processes
from beds.envoy import EnvoyError, EnvoyOptions
from beds.raw_http import request

if TYPE_CHECKING:
    from pathlib import Path

    from beds.fixtures import RawHttp, RunEnvoy
    from beds.ports import FreePorts
    from beds.provider import ProviderBed

TYPE = "type.googleapis.com/envoy.extensions.filters"


def bootstrap(port: int) -> dict[str, Any]:
    """A listener that forwards everything to a port of the loopback interface."""
    router = {"name": "router", "typed_config": {"@type": f"{TYPE}.http.router.v3.Router"}}
    manager = {
        "@type": f"{TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}],
                }
            ]
        },
        "http_filters": [router],
    }
    listener = {
        "name": "in",
        "address": _address(0),
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
    }
    endpoint = {"endpoint": {"address": _address(port)}}
    cluster = {
        "name": "up",
        "load_assignment": {"cluster_name": "up", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def test_envoy_streams_from_the_provider_chunk_by_chunk(
    provider: ProviderBed, run_envoy: RunEnvoy, raw_http: RawHttp
) -> None:
    gate = Gate()
    provider.on(Reply(body=(b"one", b"two")).gated(1, gate))
    with run_envoy(bootstrap(provider.port)) as envoy:
        client = raw_http(envoy.port("in"))
        client.send(request("POST", "/x", body=b"hello"))
        pieces = client.pieces(client.head())
        assert next(pieces).data == b"one"
        gate.open()
        assert [piece.data for piece in pieces] == [b"two"]
        assert provider.only().body == b"hello"
        assert envoy.stats("cluster.up.upstream_rq_200")["cluster.up.upstream_rq_200"] == 1


def test_envoy_answers_503_where_the_provider_resets(
    provider: ProviderBed, run_envoy: RunEnvoy, raw_http: RawHttp
) -> None:
    provider.on(Reply(body=b"x").failing(Fault(FaultKind.RESET, Phase.BEFORE_HEAD)))
    with run_envoy(bootstrap(provider.port)) as envoy:
        client = raw_http(envoy.port())
        client.send(request("GET", "/x"))
        assert client.response().status == 503
    assert provider.finished()[0].outcome is Outcome.RESET


def test_envoy_carries_a_client_disconnect_to_the_provider(
    provider: ProviderBed, run_envoy: RunEnvoy, raw_http: RawHttp
) -> None:
    provider.on(Reply(body=b"x").failing(Fault(FaultKind.HANG)))
    with run_envoy(bootstrap(provider.port)) as envoy:
        client = raw_http(envoy.port())
        client.send(request("GET", "/x"))
        provider.journal.wait(len)
        client.close()
        assert provider.finished()[0].outcome is Outcome.ABANDONED


def test_envoy_leaves_no_process_and_no_file(provider: ProviderBed, run_envoy: RunEnvoy) -> None:
    with run_envoy(bootstrap(provider.port), EnvoyOptions(log_level="info")) as envoy:
        assert envoy.process.pid in processes.children()
        assert "starting" in envoy.log
    assert not processes.alive(envoy.process.pid)
    assert not envoy.folder.exists()


def test_a_refused_bootstrap_shows_the_log(run_envoy: RunEnvoy) -> None:
    with (
        pytest.raises(EnvoyError, match=r"(?s)exited with 1.*no_such_field"),
        run_envoy({"no_such_field": 1}),
    ):
        pass


def test_a_failing_block_gets_the_log_as_a_note(provider: ProviderBed, run_envoy: RunEnvoy) -> None:
    with (
        pytest.raises(LookupError) as caught,
        run_envoy(bootstrap(provider.port)),
    ):
        raise LookupError
    assert "envoy log" in "".join(caught.value.__notes__)


def test_the_binary_and_ports_are_found(envoy_binary: Path, free_port: FreePorts) -> None:
    assert os.access(envoy_binary, os.X_OK)
    assert free_port() != free_port()
