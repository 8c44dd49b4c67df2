"""ClientTrafficPolicies: what a client may do, and what no setting of a policy lets it do."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from aigw.providers import FakeProvider, Fault, FaultKind, Match
from beds.authority import Authority, Pair
from beds.chats import CHUNKED_HEAD, JSON_TYPE, UNARY, body_of, chat, error_of
from beds.gateway import RunningGateway, run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import RawConnection, Response, request
from beds.resources import BackendSpec, Resource, gateway_yaml, resource, rule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aigw.providers import Received
    from beds.ports import FreePorts

EG = "gateway.envoyproxy.io/v1alpha1"
CLIENT = "203.0.113.7"
FORGED = (
    ("x-ai-eg-model", "forged"),
    ("x-ai-eg-anything", "forged"),
    ("x-gateway-destination-endpoint", "127.0.0.1:1"),
    ("x-envoy-upstream-rq-timeout-ms", "1"),
    ("x-envoy-max-retries", "9"),
    ("x-envoy-internal", "true"),
)
EDITS = {
    "set": [{"name": "x-edge", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}],
    "addIfAbsent": [{"name": "x-team", "value": "none"}],
    "remove": ["X-User-Id"],
    "removeOnMatch": [{"type": "Prefix", "value": "X-Internal-"}],
}
LISTENERS: dict[str, Resource] = {
    "plain": {},
    "short": {
        "timeout": {
            "http": {
                "requestReceivedTimeout": "300ms",
                "idleTimeout": "300ms",
                "streamIdleTimeout": "800ms",
            }
        }
    },
    "few": {"connection": {"connectionLimit": {"value": 2}}},
    "edited": {
        "headers": {
            "earlyRequestHeaders": EDITS,
            "withUnderscoresAction": "RejectRequest",
        },
        "healthCheck": {"path": "/healthz"},
        "path": {"escapedSlashesAction": "RejectRequest"},
    },
    "hops": {"clientIPDetection": {"xForwardedFor": {"numTrustedHops": 1}}},
    "ranges": {"clientIPDetection": {"xForwardedFor": {"trustedCIDRs": ["127.0.0.0/8"]}}},
    "custom": {"clientIPDetection": {"customHeader": {"name": "X-Real-IP", "failClosed": True}}},
    "proxied": {"proxyProtocol": {}, "tcpKeepalive": {"idleTime": "5s", "probes": 3}},
    "secure": {
        "tls": {
            "minVersion": "1.3",
            "clientValidation": {
                "caCertificateRefs": [{"kind": "ConfigMap", "name": "clients"}],
                "subjectAltNames": {"dnsNames": [{"type": "Suffix", "value": ".good.example"}]},
            },
        },
        "headers": {"xForwardedClientCert": {"mode": "SanitizeSet", "certDetailsToAdd": ["DNS"]}},
    },
}


@dataclass(frozen=True, slots=True)
class Bed:
    """A gateway with a listener for each set of settings, and its provider."""

    gateway: RunningGateway
    provider: ProviderBed
    ports: dict[str, int]
    authority: Authority

    def ask(self, listener: str, message: bytes) -> Response:
        """A request on a connection of its own."""
        with RawConnection(self.ports[listener], 20) as client:
            client.send(message)
            return client.response()

    def passes(self, listener: str, *headers: tuple[str, str]) -> Received:
        """What arrives at the provider."""
        self.provider.reset()
        self.provider.on(UNARY)
        assert self.ask(listener, chat("m", *headers)).status == 200
        return self.provider.only()


def configuration(ports: dict[str, int], provider: int, authority: Authority) -> str:
    """One Gateway, and one ClientTrafficPolicy for each of its listeners."""
    secret = {"stringData": authority.issue("localhost").data}
    bundle = {"data": {"ca.crt": authority.pem}}
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"}
    file = {"type": "File", "file": {"path": "/dev/stdout"}}
    line = "client=%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %REQ(X-TEST)%\n"
    log = {"sinks": [file], "format": {"type": "Text", "text": line}}
    proxy = resource(
        EG,
        "EnvoyProxy",
        "proxy",
        provider={"type": "Host"},
        telemetry={"accessLog": {"settings": [log]}},
    )
    policies = [
        resource(
            EG,
            "ClientTrafficPolicy",
            name,
            targetRefs=[{**target, "sectionName": name}],
            **settings,
        )
        for name, settings in LISTENERS.items()
        if settings
    ]
    limit = {"connection": {"bufferLimit": "1Mi"}}
    policies.append(resource(EG, "ClientTrafficPolicy", "all", targetRefs=[target], **limit))
    text = gateway_yaml(
        0,
        [BackendSpec("a", provider)],
        [rule("m", "a")],
        {**resource("v1", "Secret", "server"), **secret},
        {**resource("v1", "ConfigMap", "clients"), **bundle},
        proxy,
        *policies,
    )
    documents = list(yaml.safe_load_all(text))
    listeners: list[dict[str, Any]] = [
        {"name": name, "protocol": "HTTP", "port": port} for name, port in ports.items()
    ]
    listeners[-1] |= {"protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "server"}]}}
    documents[0]["spec"]["listeners"] = listeners
    parameters = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "proxy"}
    documents[0]["spec"]["infrastructure"] = {"parametersRef": parameters}
    return yaml.safe_dump_all(documents)


@pytest.fixture(scope="module")
def bed(host: tuple[str, ...], free_port: FreePorts, loop_thread: LoopThread) -> Iterator[Bed]:
    with contextlib.ExitStack() as stack:
        provider = ProviderBed(loop_thread, FakeProvider())
        stack.callback(provider.stop)
        authority = Authority()
        # The first port is the one that the gateway names when it is ready.
        ports = dict(zip(LISTENERS, sorted(free_port() for _ in LISTENERS), strict=True))
        config = configuration(ports, provider.port, authority)
        gateway = stack.enter_context(run_gateway(*host, config=config))
        yield Bed(gateway, provider, ports, authority)


def test_a_body_over_the_limit_of_the_gateway_is_refused(bed: Bed) -> None:
    body = body_of("m", b"x" * 2_000_000)
    message = request("POST", "/v1/chat/completions", JSON_TYPE, body=body)
    seen = bed.ask("plain", message)
    assert seen.status == 413
    assert "the request body is larger than" in error_of(seen)


def test_a_request_that_does_not_arrive_in_time_is_refused(bed: Bed) -> None:
    with RawConnection(bed.ports["short"], 20) as client:
        client.send(CHUNKED_HEAD + b"5\r\nhello\r\n")
        seen = client.response()
    assert seen.status == 408
    assert "too long to arrive" in error_of(seen)


def test_a_connection_without_requests_is_closed(bed: Bed) -> None:
    bed.provider.reset()
    bed.provider.on(UNARY)
    with RawConnection(bed.ports["short"], 20) as client:
        client.send(chat("m"))
        assert client.response().status == 200
        assert client.closed()


def test_an_exchange_in_which_nothing_moves_ends(bed: Bed) -> None:
    bed.provider.reset()
    bed.provider.on(UNARY.failing(Fault(FaultKind.HANG)))
    seen = bed.ask("short", chat("m"))
    assert seen.status in (408, 504)
    error_of(seen)


def test_connections_over_the_limit_are_closed(bed: Bed) -> None:
    bed.provider.reset()
    bed.provider.on(UNARY)
    with RawConnection(bed.ports["few"], 20) as one, RawConnection(bed.ports["few"], 20) as two:
        for client in (one, two):
            client.send(chat("m"))
            assert client.response().status == 200
        with RawConnection(bed.ports["few"], 20) as third:
            assert third.closed()
        one.send(chat("m"))
        assert one.response().status == 200


@pytest.mark.parametrize("listener", ["plain", "edited", "hops", "ranges", "custom"])
def test_no_setting_lets_a_client_set_headers_of_the_gateway(bed: Bed, listener: str) -> None:
    address = (("x-forwarded-for", "255.255.255.255"), ("x-real-ip", "255.255.255.255"))
    found = bed.passes(listener, *FORGED, *address, ("x-kept", "1"))
    names = {name.lower() for name, _ in found.headers}
    internal = (b"x-ai-eg-", b"x-gateway-", b"x-envoy-", b"x-forwarded-", b"x-request-id")
    assert [name for name in names if name.startswith(internal)] == []
    assert found.header("x-kept") == "1"


def test_headers_are_edited_before_anything_else(bed: Bed) -> None:
    sent = (("x-user-id", "forged"), ("x-internal-role", "admin"), ("x-edge", "forged"))
    found = bed.passes("edited", *sent)
    assert found.header("x-user-id") is None
    assert found.header("x-internal-role") is None
    assert found.header_values("x-edge") == ["127.0.0.1"]
    assert found.header("x-team") == "none"
    assert bed.passes("edited", ("x-team", "a")).header_values("x-team") == ["a"]


ADDRESSES = {
    "plain": (("x-forwarded-for", CLIENT), "127.0.0.1"),
    "hops": (("x-forwarded-for", f"10.9.9.9, {CLIENT}"), CLIENT),
    "ranges": (("x-forwarded-for", f"10.9.9.9, {CLIENT}, 127.0.0.9"), CLIENT),
    "custom": (("x-real-ip", CLIENT), CLIENT),
}


@pytest.mark.parametrize(
    ("listener", "header", "address"),
    [(name, *case) for name, case in ADDRESSES.items()],
    ids=ADDRESSES,
)
def test_only_a_trusted_proxy_names_the_client(
    bed: Bed, listener: str, header: tuple[str, str], address: str
) -> None:
    bed.passes(listener, header, ("x-test", listener))
    line = f"client={address} {listener}\n"
    bed.gateway.wait_until(lambda: line in bed.gateway.output, f"line {line!r}")


def test_a_client_without_the_header_of_its_address_is_refused(bed: Bed) -> None:
    seen = bed.ask("custom", chat("m"))
    assert seen.status == 403
    error_of(seen)


def test_headers_with_underscores_are_refused_where_asked_for(bed: Bed) -> None:
    assert bed.ask("edited", chat("m", ("a_b", "1"))).status == 400
    assert bed.passes("plain", ("a_b", "1")).header("a_b") == "1"


def test_escaped_slashes_are_refused_where_asked_for(bed: Bed) -> None:
    seen = bed.ask("edited", request("GET", "/v1%2Fmodels"))
    assert seen.status == 400
    error_of(seen)


def test_the_path_for_health_checks_is_answered_by_the_proxy(bed: Bed) -> None:
    seen = bed.ask("edited", request("GET", "/healthz"))
    assert (seen.status, seen.body) == (200, b"")
    assert bed.ask("plain", request("GET", "/healthz")).status == 404


def test_the_proxy_protocol_comes_before_the_request(bed: Bed) -> None:
    bed.provider.reset()
    bed.provider.on(UNARY)
    start = f"PROXY TCP4 {CLIENT} 127.0.0.1 1234 80\r\n".encode()
    assert bed.ask("proxied", start + chat("m", ("x-test", "proxied"))).status == 200
    line = f"client={CLIENT} proxied\n"
    bed.gateway.wait_until(lambda: line in bed.gateway.output, f"line {line!r}")
    with RawConnection(bed.ports["proxied"], 20) as client:
        client.send(chat("m"))
        with pytest.raises(ConnectionError):
            client.response()


@dataclass(frozen=True, slots=True)
class Handshake:
    """A client's side of TLS."""

    context: ssl.SSLContext
    port: int

    def ask(self, message: bytes) -> bytes:
        """The first bytes of the answer."""
        with (
            socket.create_connection(("127.0.0.1", self.port), 20) as raw,
            self.context.wrap_socket(raw, server_hostname="localhost") as secure,
        ):
            secure.sendall(message)
            return secure.recv(65536)

    def is_refused(self, message: bytes) -> bool:
        """Whether the gateway ends the connection instead of answering."""
        try:
            return self.ask(message) == b""
        except (ssl.SSLError, ConnectionError):
            return True


def handshake(bed: Bed, folder: Path, pair: Pair | None) -> Handshake:
    """A client with a certificate, or without one."""
    context = ssl.create_default_context(cadata=bed.authority.pem)
    if pair:
        file = folder / "client.pem"
        file.write_text(pair.chain + pair.key)
        context.load_cert_chain(file)
    return Handshake(context, bed.ports["secure"])


def test_clients_need_a_certificate_of_the_authority(bed: Bed, tmp_path: Path) -> None:
    bed.provider.reset()
    bed.provider.on(UNARY, match=Match(path="/v1/chat/completions"))
    good = bed.authority.issue("one.good.example")
    forged = ("x-forwarded-client-cert", "forged")
    answer = handshake(bed, tmp_path, good).ask(chat("m", forged))
    assert answer.startswith(b"HTTP/1.1 200")
    [certificate] = bed.provider.only().header_values("x-forwarded-client-cert")
    assert "DNS=one.good.example" in certificate
    assert "forged" not in certificate
    others = (None, bed.authority.issue("one.bad.example"), Authority().issue("a.good.example"))
    for pair in others:
        client = handshake(bed, tmp_path, pair)
        assert client.is_refused(chat("m"))
    assert len(bed.provider.received) == 1


def test_versions_of_tls_below_the_least_are_refused(bed: Bed, tmp_path: Path) -> None:
    client = handshake(bed, tmp_path, bed.authority.issue("one.good.example"))
    client.context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        client.ask(chat("m"))
