"""Rendered traffic policies, read by the real binary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from aigw.compile.tls_algorithms import CIPHERS, CURVES, SIGNATURES
from aigw.render.envoy import DataPlane, EnvoyConfig, render_envoy, self_contained
from beds.authority import Authority
from beds.documents import compile_documents, faultless
from beds.rendering import authorities, module_path, target, validate
from beds.resources import BackendSpec, Resource, gateway_yaml, resource, rule

if TYPE_CHECKING:
    from pathlib import Path

    from aigw.plan import Plan

__all__ = ["authorities", "module_path"]
EG = "gateway.envoyproxy.io/v1alpha1"
GW = "gateway.networking.k8s.io"
ROUTE = {"group": GW, "kind": "HTTPRoute", "name": "route"}
GATEWAY = {"group": GW, "kind": "Gateway", "name": "gw"}
HEALTH = {
    "panicThreshold": 0,
    "active": {
        "type": "HTTP",
        "interval": "1s",
        "timeout": "500ms",
        "initialJitter": "10ms",
        "overrides": {"port": 9000},
        "http": {
            "path": "/health",
            "hostname": "a.example",
            "method": "HEAD",
            "expectedStatuses": [200, 204],
            "retriableStatuses": [503],
            "expectedResponse": {"type": "Text", "text": "ok"},
        },
    },
    "passive": {
        "consecutive5XxErrors": 2,
        "consecutiveGatewayErrors": 1,
        "failurePercentageThreshold": 50,
        "maxEjectionPercent": 100,
        "splitExternalLocalOriginErrors": True,
    },
}
BACKEND: Resource = {
    "timeout": {
        "tcp": {"connectTimeout": "100ms"},
        "http": {
            "connectionIdleTimeout": "5s",
            "maxConnectionDuration": "1h",
            "streamIdleTimeout": "7s",
        },
    },
    "circuitBreaker": {
        "maxConnections": 5,
        "maxRequestsPerConnection": 9,
        "perEndpoint": {"maxConnections": 3},
        "retryBudget": {"percent": {"numerator": 20}, "minRetryConcurrency": 2},
    },
    "healthCheck": HEALTH,
    "tcpKeepalive": {"probes": 3, "idleTime": "10s", "interval": "1500ms"},
    "connection": {"bufferLimit": "64Ki", "preconnect": {"perEndpointPercent": 150}},
    "dns": {"dnsRefreshRate": "3s", "respectDnsTtl": False, "lookupFamily": "IPv4AndIPv6"},
    "http2": {
        "initialStreamWindowSize": "128Ki",
        "initialConnectionWindowSize": "1Mi",
        "maxConcurrentStreams": 50,
        "onInvalidMessage": "TerminateStream",
        "connectionKeepalive": {"interval": "20s", "intervalJitter": 10, "idleInterval": "5s"},
    },
}
BALANCERS: dict[str, Resource] = {
    "least request": {"type": "LeastRequest", "slowStart": {"window": "10s"}},
    "round robin": {"type": "RoundRobin", "slowStart": {"window": "10s"}},
    "random": {"type": "Random"},
    "header": {
        "type": "ConsistentHash",
        "consistentHash": {"type": "Header", "header": {"name": "X-Session"}},
    },
    "cookie": {
        "type": "ConsistentHash",
        "consistentHash": {
            "type": "Cookie",
            "tableSize": 1009,
            "cookie": {"name": "s", "ttl": "1m", "attributes": {"SameSite": "Strict"}},
        },
    },
    "query": {
        "type": "ConsistentHash",
        "consistentHash": {"type": "QueryParams", "queryParams": [{"name": "s"}]},
    },
    "address": {"type": "ConsistentHash", "consistentHash": {"type": "SourceIP"}},
}
CLIENT: Resource = {
    "timeout": {
        "http": {
            "requestReceivedTimeout": "5s",
            "idleTimeout": "30s",
            "streamIdleTimeout": "0s",
        }
    },
    "connection": {
        "bufferLimit": "8Mi",
        "socketBufferLimit": "128Ki",
        "maxAcceptPerSocketEvent": 4,
        "connectionLimit": {
            "value": 10,
            "closeDelay": "100ms",
            "maxConnectionDuration": "1h",
            "maxRequestsPerConnection": 100,
            "maxStreamDuration": "10m",
        },
    },
    "tcpKeepalive": {"probes": 3, "idleTime": "10s", "interval": "1500ms"},
    "http1": {
        "disableSafeMaxConnectionDuration": True,
        "ignoredUpgradeTypes": [{"type": "Prefix", "value": "TLS/"}],
    },
    "http2": BACKEND["http2"],
    "path": {"escapedSlashesAction": "UnescapeAndRedirect", "disableMergeSlashes": True},
    "headers": {
        "withUnderscoresAction": "DropHeader",
        "xForwardedClientCert": {"mode": "SanitizeSet", "certDetailsToAdd": ["Subject", "DNS"]},
        "earlyRequestHeaders": {
            "set": [{"name": "X-Edge", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}],
            "add": [{"name": "x-added", "value": "100%%"}],
            "addIfAbsent": [{"name": "x-absent", "value": "1"}],
            "remove": ["X-User-Id"],
            "removeOnMatch": [{"type": "Prefix", "value": "X-Internal-"}],
        },
    },
    "clientIPDetection": {"xForwardedFor": {"numTrustedHops": 2}},
    "healthCheck": {"path": "/healthz"},
    "proxyProtocol": {"optional": True},
    "scheme": "MatchBackend",
}
DETECTIONS: dict[str, Resource] = {
    "ranges": {"xForwardedFor": {"trustedCIDRs": ["10.0.0.0/8", "fd00::/8"]}},
    "header": {"customHeader": {"name": "X-Real-IP", "failClosed": True}},
}


def policy(kind: str, name: str, to: Resource, **spec: Any) -> Resource:  # noqa: ANN401
    """A policy with one target."""
    return resource(EG, kind, name, targetRefs=[to], **spec)


def backend_policy(**spec: Any) -> Resource:  # noqa: ANN401
    """A BackendTrafficPolicy of the route."""
    return policy("BackendTrafficPolicy", "traffic", ROUTE, **spec)


def client_policy(**spec: Any) -> Resource:  # noqa: ANN401
    """A ClientTrafficPolicy of the Gateway."""
    return policy("ClientTrafficPolicy", "clients", GATEWAY, **spec)


def configuration(*more: Resource) -> str:
    """Two priorities: by a name with TLS, and by an address."""
    named = {"fqdn": {"hostname": "a.example", "port": 443}}
    backends = [BackendSpec("a", 443, endpoint=named), BackendSpec("b", 9)]
    refs: list[Resource | str] = [{"name": "a", "priority": 0}, {"name": "b", "priority": 1}]
    tls = resource(
        f"{GW}/v1",
        "BackendTLSPolicy",
        "a",
        targetRefs=[{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "a"}],
        validation={"hostname": "a.example", "wellKnownCACertificates": "System"},
    )
    return gateway_yaml(1975, backends, [rule("m", *refs), rule("n", "a")], tls, *more)


def https(text: str, authority: Authority) -> str:
    """The same Gateway with an HTTPS listener and the Secret and ConfigMap that it needs."""
    documents = list(yaml.safe_load_all(text))
    listener = documents[0]["spec"]["listeners"][0]
    listener |= {"protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "server"}]}}
    secret = {**resource("v1", "Secret", "server"), "stringData": authority.issue("localhost").data}
    bundle = {**resource("v1", "ConfigMap", "clients"), "data": {"ca.crt": authority.pem}}
    return yaml.safe_dump_all([*documents, secret, bundle])


def plan_of(text: str) -> Plan:
    """A plan without findings."""
    return faultless(compile_documents(text))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(params=DataPlane)
def data_plane(request: pytest.FixtureRequest) -> DataPlane:
    return DataPlane(request.param)


@pytest.fixture
def check(data_plane: DataPlane, tmp_path: Path, authorities: str, module_path: str) -> Any:  # noqa: ANN401
    """Renders a configuration, lets Envoy validate it, and returns it."""

    def run(text: str) -> EnvoyConfig:
        where = target(tmp_path, data_plane, authorities, module_path)
        config = render_envoy(plan_of(text), where)
        for path, secret in config.secrets.items():
            file = tmp_path / "xds" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(secret)
        validate(self_contained(config), tmp_path)
        return config

    return run


@pytest.mark.parametrize("balancer", BALANCERS.values(), ids=BALANCERS)
def test_envoy_accepts_all_settings_of_providers(check: Any, balancer: Resource) -> None:  # noqa: ANN401
    check(configuration(backend_policy(**BACKEND, loadBalancer=balancer)))


def test_envoy_accepts_all_settings_of_clients(check: Any) -> None:  # noqa: ANN401
    check(configuration(client_policy(**CLIENT)))


@pytest.mark.parametrize("detection", DETECTIONS.values(), ids=DETECTIONS)
def test_envoy_accepts_every_way_to_find_a_client(check: Any, detection: Resource) -> None:  # noqa: ANN401
    check(configuration(client_policy(clientIPDetection=detection)))


def test_envoy_accepts_all_settings_of_tls(check: Any, authority: Authority) -> None:  # noqa: ANN401
    validation = {
        "caCertificateRefs": [{"kind": "ConfigMap", "name": "clients"}],
        "certificateHashes": ["ab" * 32],
        "spkiHashes": ["A" * 43 + "="],
        "subjectAltNames": {
            "dnsNames": [{"type": "Suffix", "value": ".example"}],
            "uris": [{"value": "spiffe://a/b"}],
            "emailAddresses": [{"type": "RegularExpression", "value": ".*@example"}],
            "ipAddresses": [{"value": "10.0.0.1"}],
        },
    }
    tls = {
        "minVersion": "1.2",
        "maxVersion": "1.3",
        "ciphers": [
            "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]",
            *sorted(CIPHERS),
        ],
        "ecdhCurves": sorted(CURVES),
        "signatureAlgorithms": sorted(SIGNATURES),
        "alpnProtocols": ["http/1.1"],
        "clientValidation": validation,
    }
    check(https(configuration(client_policy(**CLIENT, tls=tls)), authority))
