"""Ways to providers: own authorities, client certificates, Unix sockets, CONNECT proxies."""

from __future__ import annotations

import base64
import json
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aigw.providers import FakeProvider, Reply
from aigw.providers.script import Persistence
from beds.authority import Authority, Pair
from beds.chats import JSON_TYPE, STREAM, ask, body_of, chat
from beds.gateway import RunningGateway, run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.raw_http import RawConnection, request
from beds.resources import (
    GROUP,
    BackendSpec,
    Resource,
    aws_keys,
    gateway_yaml,
    resource,
    rule,
)
from beds.tunnels import ConnectProxy, Ear, listening, unix_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts

EG = "gateway.envoyproxy.io/v1alpha1"
NAME = "provider.test"
USER, PASSWORD = "canary-user", "canary%2Fpassword"
BASIC = base64.b64encode(b"canary-user:canary/password").decode()
UNRESOLVED = "nothing.invalid"
MOST_RULES = 15
OK = Reply(200, (JSON_TYPE,), b'{"id":"answer"}', persistence=Persistence.CLOSE)


@dataclass(frozen=True, slots=True)
class World:
    """Everything around the gateway. `mutual` demands a certificate of `company`."""

    public: Authority
    company: Authority
    secure: ProviderBed
    mutual: ProviderBed
    plain: ProviderBed
    proxy: ConnectProxy
    other_proxy: ConnectProxy
    socket: Path
    ear: Ear


@pytest.fixture(scope="module")
def world(loop_thread: LoopThread) -> Iterator[World]:
    public, company = Authority("public"), Authority("company")
    names = (NAME, "https://provider.test/identity")
    contexts = (public.server(*names), public.server(NAME, clients=company), None)
    beds = [ProviderBed(loop_thread, FakeProvider(tls=context)) for context in contexts]
    secure, mutual, plain = beds
    targets = {
        f"{NAME}:443": secure.port,
        f"{NAME}:8443": mutual.port,
        "plain.test:80": plain.port,
        "other.test:443": secure.port,
        "hang.test:443": 0,
    }
    proxy = ConnectProxy(targets, f"Basic {BASIC}")
    other_proxy = ConnectProxy(targets)
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aigw-"))) / "p.sock"
        stack.enter_context(proxy.running(loop_thread))
        stack.enter_context(other_proxy.running(loop_thread))
        stack.enter_context(unix_socket(loop_thread, path, plain.port))
        ear = stack.enter_context(listening(loop_thread))
        yield World(public, company, secure, mutual, plain, proxy, other_proxy, path, ear)
    for bed in beds:
        bed.stop()


@pytest.fixture(scope="module")
def gateway(host: tuple[str, ...], free_port: FreePorts, world: World) -> Iterator[RunningGateway]:
    url = f"http://{USER}:{PASSWORD}@127.0.0.1:{world.proxy.port}"
    variables = {
        "HTTPS_PROXY": url,
        "HTTP_PROXY": url,
        "NO_PROXY": f"{UNRESOLVED}, 192.0.2.0/24",
    }
    text = configuration(*sorted((free_port(), free_port())), world)
    with run_gateway(*host, config=text, extra=variables) as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(world: World) -> None:
    for bed in (world.secure, world.mutual, world.plain):
        bed.reset()
        bed.on(OK)
    world.proxy.asked.clear()
    world.other_proxy.asked.clear()


def authorities(name: str, authority: Authority) -> Resource:
    return {**resource("v1", "ConfigMap", name), "data": {"ca.crt": authority.pem}}


def certificate(name: str, pair: Pair) -> Resource:
    return {
        **resource("v1", "Secret", name),
        "stringData": pair.data,
    }


def trust(name: str = "public", **more: object) -> Resource:
    ref = {"group": "", "kind": "ConfigMap", "name": name}
    return {"caCertificateRefs": [ref], "sni": NAME, **more}


def at(name: str, port: int = 443) -> Resource:
    return {"fqdn": {"hostname": name, "port": port}}


def here(bed: ProviderBed | Ear) -> Resource:
    return {"ip": {"address": "127.0.0.1", "port": bed.port}}


@dataclass(frozen=True, slots=True)
class TlsBackend(BackendSpec):
    """A backend with more in its Backend."""

    more: Any = None

    def resources(self) -> list[Resource]:
        """As without TLS, and more."""
        backend, *others = BackendSpec.resources(self)
        return [{**backend, "spec": {**backend["spec"], **(self.more or {})}}, *others]


def backend(name: str, endpoint: Resource, **more: object) -> TlsBackend:
    return TlsBackend(name, 0, endpoint=endpoint, more=more)


def configuration(port: int, second_port: int, world: World) -> str:
    """A rule for each backend, named as it, and rules that fail over."""
    secure, mutual = here(world.secure), here(world.mutual)
    client = {"clientCertificateRef": {"name": "company-client"}}
    backends = [
        backend("own-ca", secure, tls=trust()),
        backend("wrong-ca", secure, tls=trust("company")),
        backend("wrong-name", secure, tls=trust(sni="other.test")),
        backend("unchecked", secure, tls={"insecureSkipVerify": True}),
        backend("policy", secure),
        backend("policy-uri", secure),
        backend("policy-other-name", secure),
        backend("mutual", mutual, tls=trust(**client)),
        backend("no-certificate", mutual, tls=trust()),
        backend("wrong-certificate", mutual, tls=trust(clientCertificateRef={"name": "stranger"})),
        backend("tuned", secure, tls=trust(minVersion="1.3", ecdhCurves=["P-256"])),
        backend("http1", secure, tls=trust(alpnProtocols=["http/1.1"])),
        backend("unix", {"unix": {"path": str(world.socket)}, "hostname": "unix.test"}),
        backend("by-name", at(NAME), tls=trust()),
        backend("by-name-mutual", at(NAME, 8443), tls=trust(**client)),
        backend(
            "two-names",
            at(NAME),
            endpoints=[at(NAME), at("other.test")],
            tls={"caCertificateRefs": trust()["caCertificateRefs"]},
        ),
        backend("h2c", here(world.ear), appProtocols=["gateway.envoyproxy.io/h2c"]),
        backend("refused", at("refused.test"), tls=trust()),
        backend("hang", at("hang.test"), tls=trust()),
        backend("excepted", at(UNRESOLVED), tls=trust()),
        backend("excepted-plain", at(UNRESOLVED, 80)),
        backend("dead", {"ip": {"address": "127.0.0.1", "port": 1}}),
        backend("dead-localhost", at("localhost", 1)),
        backend("plain", at("plain.test", 80)),
        replace(
            backend("bedrock", at(NAME), tls=trust()),
            schema={"name": "AWSBedrock"},
            auth=aws_keys("bedrock", "canary-id", "canary-key"),
        ),
        backend("last", secure, tls=trust(), fallback=True),
        backend("first", here(world.plain)),
    ]
    chains = {
        "refused-chain": ("refused", "by-name"),
        "hang-chain": ("hang", "by-name"),
        "excepted-chain": ("excepted", "by-name"),
        "dead-chain": ("dead", "by-name"),
        "localhost-chain": ("dead-localhost", "by-name"),
        "unix-chain": ("refused", "unix"),
        "name-and-unix-chain": ("excepted", "unix"),
        "proxied-then-plain": ("refused", "first"),
    }
    rules = [rule(item.name, item.name) for item in backends]
    rules += [
        rule(
            name,
            *({"name": item, "priority": rank} for rank, item in enumerate(chain)),
            timeouts={"backendRequest": "1s"},
        )
        for name, chain in chains.items()
    ]
    rules.append(rule("fallback", "last", "first"))
    return gateway_yaml(
        port,
        list(backends),
        rules[:MOST_RULES],
        route("more", rules[MOST_RULES : 2 * MOST_RULES], "gw"),
        route("most", rules[2 * MOST_RULES :], "gw"),
        authorities("public", world.public),
        authorities("company", world.company),
        certificate("company-client", world.company.issue("gateway.test")),
        certificate("stranger", world.public.issue("gateway.test")),
        policy("policy"),
        policy(
            "policy-uri",
            hostname="whatever.test",
            subjectAltNames=[
                {"type": "URI", "uri": "https://provider.test/identity"},
            ],
        ),
        policy(
            "policy-other-name",
            subjectAltNames=[
                {"type": "Hostname", "hostname": "other.test"},
            ],
        ),
        *second_gateway(second_port, world),
    )


def route(name: str, rules: list[Resource], *gateways: str) -> Resource:
    parents = [{"name": gateway} for gateway in gateways]
    api = f"{GROUP}/v1beta1"
    return resource(api, "AIGatewayRoute", name, parentRefs=parents, rules=rules)


def policy(name: str, **more: object) -> Resource:
    ref = {"group": "", "kind": "ConfigMap", "name": "public"}
    target = {"group": "gateway.envoyproxy.io", "kind": "Backend", "name": name}
    return resource(
        "gateway.networking.k8s.io/v1",
        "BackendTLSPolicy",
        name,
        targetRefs=[target],
        validation={"hostname": NAME, "caCertificateRefs": [ref], **more},
    )


def second_gateway(port: int, world: World) -> list[Resource]:
    """A Gateway with a proxy and a client certificate of its own, and a route on both."""
    listener = {"name": "http", "protocol": "HTTP", "port": port}
    own = resource(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        "second",
        gatewayClassName="aigw",
        listeners=[listener],
        infrastructure={
            "parametersRef": {
                "group": "gateway.envoyproxy.io",
                "kind": "EnvoyProxy",
                "name": "certified",
            }
        },
    )
    own["metadata"]["annotations"] = {"aigateway.envoyproxy.io/gateway-config": "proxied"}
    address = f"127.0.0.1:{world.other_proxy.port}"
    shared = backend("shared", at(NAME, 8443), tls=trust())
    certified = {"clientCertificateRef": {"name": "company-client"}}
    return [
        own,
        resource(EG, "EnvoyProxy", "certified", backendTLS=certified),
        resource(f"{GROUP}/v1beta1", "GatewayConfig", "proxied", forwardProxy={"address": address}),
        route("shared", [rule("shared", "shared")], "gw", "second"),
        *shared.resources(),
    ]


@pytest.mark.parametrize("model", ["own-ca", "unchecked", "policy", "policy-uri", "tuned", "http1"])
def test_a_provider_is_trusted_as_written(
    gateway: RunningGateway, world: World, model: str
) -> None:
    assert ask(gateway, chat(model)).status == 200
    assert len(world.secure.received) == 1
    assert not world.proxy.asked


@pytest.mark.parametrize("model", ["wrong-ca", "wrong-name", "policy-other-name"])
def test_an_untrusted_provider_gets_nothing(
    gateway: RunningGateway, world: World, model: str
) -> None:
    assert ask(gateway, chat(model)).status == 503
    assert not world.secure.received


def test_a_client_certificate_is_shown(gateway: RunningGateway, world: World) -> None:
    assert ask(gateway, chat("mutual")).status == 200
    assert len(world.mutual.received) == 1


@pytest.mark.parametrize("model", ["no-certificate", "wrong-certificate"])
def test_a_provider_that_demands_a_certificate_refuses_others(
    gateway: RunningGateway, world: World, model: str
) -> None:
    assert ask(gateway, chat(model)).status == 503
    assert not world.mutual.received


def test_a_unix_socket_is_a_provider(gateway: RunningGateway, world: World) -> None:
    assert ask(gateway, chat("unix")).status == 200
    assert world.plain.only().header("host") == "unix.test"


def test_a_proxy_is_asked_for_names_that_do_not_resolve_here(
    gateway: RunningGateway, world: World
) -> None:
    assert ask(gateway, chat("by-name")).status == 200
    assert world.proxy.asked == [f"{NAME}:443"]
    assert world.secure.only().header("host") == NAME


def test_each_endpoint_is_asked_for_its_own_name(gateway: RunningGateway, world: World) -> None:
    """The second one has the certificate of the first, so only the first is trusted."""
    statuses = {ask(gateway, chat("two-names")).status for _ in range(6)}
    assert statuses == {200, 503}
    hosts = {received.header("host") for received in world.secure.received}
    assert hosts == {NAME}
    assert set(world.proxy.asked) == {f"{NAME}:443", "other.test:443"}


def test_plain_http2_is_spoken_from_the_start(gateway: RunningGateway, world: World) -> None:
    with RawConnection(gateway.port) as client:
        client.send(chat("h2c"))
        world.ear.wait()
    assert world.ear.heard == b"PRI * HTTP/2.0"


def test_a_stream_comes_through_a_proxy(gateway: RunningGateway, world: World) -> None:
    world.secure.reset()
    world.secure.on(STREAM)
    response = ask(gateway, chat("by-name", stream=True))
    assert response.status == 200
    assert response.body.endswith(b"data: [DONE]\n\n")


def test_large_bodies_come_through_a_proxy(gateway: RunningGateway, world: World) -> None:
    world.secure.reset()
    size = 8 << 20
    reply = b'{"id":"%s"}' % (b"r" * size)
    world.secure.on(replace(OK, body=reply))
    body = body_of("by-name", b"q" * size)
    message = request("POST", "/v1/chat/completions", JSON_TYPE, body=body)
    response = ask(gateway, message)
    assert response.status == 200
    assert response.body == reply
    assert len(world.secure.only().body) > size


def test_a_client_certificate_is_shown_through_a_proxy(
    gateway: RunningGateway, world: World
) -> None:
    assert ask(gateway, chat("by-name-mutual")).status == 200
    assert len(world.mutual.received) == 1


def test_plain_text_goes_through_a_tunnel_as_well(gateway: RunningGateway, world: World) -> None:
    assert ask(gateway, chat("plain")).status == 200
    assert world.proxy.asked == ["plain.test:80"]
    assert world.plain.only().header("host") == "plain.test"


def test_requests_are_signed_for_the_provider_behind_a_proxy(
    gateway: RunningGateway, world: World
) -> None:
    world.secure.reset()
    assert ask(gateway, chat("bedrock")).status == 200
    received = world.secure.only()
    assert "SignedHeaders=" in (received.header("authorization") or "")
    assert received.header("host") == NAME
    assert received.header("proxy-authorization") is None


@pytest.mark.parametrize("model", ["excepted", "excepted-plain"])
def test_an_exception_is_not_reached_by_a_proxy(
    gateway: RunningGateway, world: World, model: str
) -> None:
    assert ask(gateway, chat(model)).status == 503
    assert not world.proxy.asked


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("refused-chain", ["refused.test:443", f"{NAME}:443"]),
        ("hang-chain", ["hang.test:443", f"{NAME}:443"]),
        ("excepted-chain", [f"{NAME}:443"]),
        ("dead-chain", [f"{NAME}:443"]),
        ("localhost-chain", [f"{NAME}:443"]),
    ],
)
def test_failover_works_through_a_proxy(
    gateway: RunningGateway, world: World, model: str, asked: list[str]
) -> None:
    assert ask(gateway, chat(model)).status == 200
    assert len(world.secure.received) == 1
    assert world.proxy.asked == asked


@pytest.mark.parametrize("model", ["unix-chain", "name-and-unix-chain", "proxied-then-plain"])
def test_failover_mixes_all_ways(gateway: RunningGateway, world: World, model: str) -> None:
    assert ask(gateway, chat(model)).status == 200
    assert len(world.plain.received) == 1


def test_a_fallback_comes_after_the_others_of_its_priority(
    gateway: RunningGateway, world: World
) -> None:
    for _ in range(5):
        assert ask(gateway, chat("fallback")).status == 200
    assert len(world.plain.received) == 5
    world.plain.reset()
    world.plain.on(Reply(503, (JSON_TYPE,), b"{}"))
    assert ask(gateway, chat("fallback")).status == 200
    assert len(world.secure.received) == 1


def test_each_gateway_has_its_own_way(gateway: RunningGateway, world: World) -> None:
    assert ask(gateway, chat("shared")).status == 503
    assert world.proxy.asked == [f"{NAME}:8443"]
    statuses = json.loads(admin(gateway, "/listeners?format=json"))["listener_statuses"]
    port = next(
        item["local_address"]["socket_address"]["port_value"]
        for item in statuses
        if item["name"].startswith("default/second/")
    )
    with RawConnection(port) as client:
        client.send(chat("shared"))
        assert client.response().status == 200
    assert world.other_proxy.asked == [f"{NAME}:8443"]
    assert len(world.mutual.received) == 1


def test_credentials_of_a_proxy_are_in_no_file_and_in_no_log(
    gateway: RunningGateway, world: World
) -> None:
    assert ask(gateway, chat("by-name")).status == 200
    files = [path.read_text() for path in gateway.runtime.rglob("*.json")]
    texts = [admin(gateway, "/config_dump"), gateway.errors, gateway.output, *files]
    assert f"127.0.0.1:{world.proxy.port}" in gateway.errors
    for secret in (BASIC, "canary%2F", "canary/", USER):
        assert not any(secret in text for text in texts)


def admin(gateway: RunningGateway, target: str) -> str:
    with RawConnection(str(gateway.runtime / "admin.sock")) as client:
        client.send(request("GET", target, ("connection", "close")))
        return client.response().body.decode()


def test_a_proxy_may_have_tls(
    host: tuple[str, ...], free_port: FreePorts, loop_thread: LoopThread, world: World
) -> None:
    proxy = ConnectProxy(world.proxy.targets)
    backends = [backend("by-name", at(NAME), tls={"wellKnownCACertificates": "System"})]
    text = gateway_yaml(free_port(), list(backends), [rule("by-name", "by-name")])
    with tempfile.TemporaryDirectory(prefix="aigw-") as folder:
        trusted = Path(folder) / "trusted.pem"
        trusted.write_text(world.public.pem)
        with proxy.running(loop_thread, world.public.server("127.0.0.1")):
            variables = {
                "all_proxy": f"https://127.0.0.1:{proxy.port}",
                "SSL_CERT_FILE": str(trusted),
            }
            with run_gateway(*host, config=text, extra=variables) as running:
                assert ask(running, chat("by-name")).status == 200
    assert proxy.asked == [f"{NAME}:443"]


def test_what_runs_at_the_end_still_finds_its_way(
    host: tuple[str, ...], free_port: FreePorts, loop_thread: LoopThread, world: World
) -> None:
    """The first attempt ends when nobody is listened to any more; the second one connects anew."""
    backends = [
        backend("held", at("held.test"), tls=trust()),
        backend("next", at(NAME), tls=trust()),
    ]
    chain = [{"name": "held"}, {"name": "next", "priority": 1}]
    rules = [rule("chain", *chain, timeouts={"backendRequest": "2s"})]
    public = authorities("public", world.public)
    text = gateway_yaml(free_port(), list(backends), rules, public)
    proxy = ConnectProxy({"held.test:443": 0, f"{NAME}:443": world.secure.port})
    with proxy.running(loop_thread):
        variables = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        with run_gateway(*host, config=text, extra=variables) as running:
            with RawConnection(running.port, 20) as client:
                client.send(chat("chain"))
                running.wait_until(lambda: proxy.asked, "first attempt")
                running.process.terminate()
                running.wait_until(lambda: refused(running.port), "closed listener")
                assert proxy.asked == ["held.test:443"]
                assert client.response().status == 200
            assert running.process.wait(20) == 0
    assert proxy.asked == ["held.test:443", f"{NAME}:443"]


def refused(port: int) -> bool:
    try:
        with RawConnection(port):
            return False
    except OSError:
        return True
