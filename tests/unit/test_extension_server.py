"""The gRPC server of the hooks, as Envoy Gateway and probes see it."""

from __future__ import annotations

import datetime
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aigw.extension import ExtensionServer, ServerOptions, Settings
from aigw.extension.messages import encoded, message, parsed
from beds import recorded_xds
from beds.documents import compile_documents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aigw.extension.messages import Message
    from aigw.plan import Plan

SERVICE = "/envoygateway.extension.EnvoyGatewayExtension/"
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
LIMIT = 1 << 20


@dataclass
class Running:
    """A server, its plan, and a channel to it."""

    server: ExtensionServer
    channel: grpc.Channel
    plan: Plan | None = None

    def call(self, path: str, request: bytes = b"") -> bytes:
        """An answer in bytes."""
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(path)
        return method(request, timeout=10)

    def hook(self, name: str, **fields: object) -> Message:
        """The answer of a hook."""
        request = message(f"envoygateway.extension.{name}Request")(**fields)
        answer = self.call(SERVICE + name, encoded(request))
        return parsed(f"envoygateway.extension.{name}Response", answer)

    def health(self) -> bytes:
        """What probes are told."""
        return self.call("/grpc.health.v1.Health/Check")


@pytest.fixture
def running() -> Iterator[Running]:
    server = ExtensionServer(
        lambda: found.plan,
        Settings(),
        ServerOptions("127.0.0.1:0", max_message_bytes=LIMIT, agreement_seconds=1.0),
    )
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        found = Running(server, channel)
        yield found
    server.stop(0)


@pytest.fixture(scope="module")
def plan() -> Plan:
    compiled = compile_documents(recorded_xds.documents()).plan
    assert compiled is not None
    return compiled


def fault(error: pytest.ExceptionInfo[grpc.RpcError]) -> grpc.StatusCode:
    """The status of a failed call."""
    code: grpc.StatusCode = error.value.code()
    return code


def test_without_a_plan_it_is_not_healthy_and_asks_to_come_again(
    running: Running, plan: Plan
) -> None:
    assert running.health() == NOT_SERVING
    with pytest.raises(grpc.RpcError) as refused:
        running.hook("PostTranslateModify")
    assert fault(refused) is grpc.StatusCode.UNAVAILABLE
    assert "not known yet" in str(refused.value.details())
    running.plan = plan
    assert running.health() == SERVING
    assert not running.hook("PostTranslateModify").clusters


def test_watchers_are_told_when_it_is_ready(running: Running, plan: Plan) -> None:
    watch: grpc.UnaryStreamMultiCallable[bytes, bytes] = running.channel.unary_stream(
        "/grpc.health.v1.Health/Watch"
    )
    states = watch(b"", timeout=10)
    assert next(states) == NOT_SERVING
    running.plan = plan
    assert next(states) == SERVING
    states.cancel()


def test_a_translation_comes_back_whole(running: Running, plan: Plan) -> None:
    running.plan = plan
    recorded = recorded_xds.read()
    kinds = {kind: recorded[kind] for kind in ("clusters", "listeners", "routes")}
    answer = running.hook("PostTranslateModify", secrets=[b"kept"], **kinds)
    assert list(answer.secrets) == [b"kept"]
    assert len(answer.clusters) == len(kinds["clusters"]) + 2
    assert len(answer.listeners) == len(kinds["listeners"])
    (endpoints,) = {
        len(running.hook("PostEndpointsModify", load_assignment=item).load_assignment) > len(item)
        for item in recorded["endpoints"]
    }
    assert endpoints


def test_single_resources_are_echoed(running: Running, plan: Plan) -> None:
    running.plan = plan
    route, cluster = b"\x72\x01r", b"\x0a\x01c"
    assert running.hook("PostRouteModify", route=route).route == route
    assert running.hook("PostClusterModify", cluster=cluster).cluster == cluster


def test_malformed_requests_are_errors_and_the_server_lives(running: Running, plan: Plan) -> None:
    running.plan = plan
    with pytest.raises(grpc.RpcError) as broken:
        running.hook("PostTranslateModify", routes=[b"\xff\xff\xff"])
    assert fault(broken) is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as large:
        running.hook("PostTranslateModify", secrets=[bytes(2 * LIMIT)])
    assert fault(large) is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as unknown:
        running.call(SERVICE + "PostVirtualHostModify")
    assert fault(unknown) is grpc.StatusCode.UNIMPLEMENTED
    assert running.health() == SERVING


def test_a_plan_that_is_a_moment_behind_is_waited_for(running: Running, plan: Plan) -> None:
    recorded = recorded_xds.read()
    less = [item for item in recorded_xds.documents() if item["kind"] != "AIGatewayRoute"]
    running.plan = compile_documents(less).plan
    threading.Timer(0.1, lambda: setattr(running, "plan", plan)).start()
    answer = running.hook("PostTranslateModify", routes=recorded["routes"])
    assert b"aigw_route_name" in answer.routes[0]
    assert b"no backend of this route" in answer.routes[0]  # of the one that is not served


def test_what_never_comes_is_waited_for_once(running: Running, plan: Plan) -> None:
    recorded = recorded_xds.read()
    running.plan = compile_documents(
        item for item in recorded_xds.documents() if item["metadata"]["name"] != "open"
    ).plan
    del plan
    waited = []
    for _ in range(2):
        start = time.monotonic()
        running.hook("PostTranslateModify", routes=recorded["routes"])
        waited.append(time.monotonic() - start)
    assert waited[0] >= 1
    assert waited[1] < 1


def test_a_stopping_server_finishes_what_it_does(running: Running, plan: Plan) -> None:
    running.plan = plan
    assert running.health() == SERVING
    running.server.stop(1)
    with pytest.raises(grpc.RpcError):
        running.hook("PostTranslateModify")


def test_with_a_certificate_it_speaks_tls(plan: Plan) -> None:
    certificate, key = self_signed()
    options = ServerOptions("127.0.0.1:0", certificate=lambda: (certificate, key))
    server = ExtensionServer(lambda: plan, Settings(), options)
    server.start()
    credentials = grpc.ssl_channel_credentials(certificate)
    with grpc.secure_channel(f"localhost:{server.port}", credentials) as channel:
        assert Running(server, channel).health() == SERVING
    server.stop(0)


def self_signed() -> tuple[bytes, bytes]:
    """A certificate for localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), text
