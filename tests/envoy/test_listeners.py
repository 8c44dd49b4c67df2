"""Gateways, listeners and host names in each host: who is served what, and by which certificate."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from aigw.providers import FakeProvider
from beds.authority import Authority, Pair
from beds.gateway import RunningGateway, run_gateway
from beds.provider import LoopThread, ProviderBed
from beds.resources import GROUP, BackendSpec, Resource, resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts

GATEWAY_API = "gateway.networking.k8s.io"
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]
AUTHORITY = Authority()
PAIRS = {
    "exact": AUTHORITY.issue("one.example.com"),
    "wildcard": AUTHORITY.issue("*.example.com"),
}


@dataclass(frozen=True, slots=True)
class Ports:
    """Of the Gateways."""

    first: int
    second: int
    tls: int


@dataclass(frozen=True, slots=True)
class Beds:
    """The gateway with its ports, and the providers by model name."""

    gateway: RunningGateway
    ports: Ports
    provider: ProviderBed

    def chat(self, port: int, model: str, host: str = "localhost") -> httpx.Response:
        """A chat request over plain HTTP."""
        body = {"model": model, "messages": MESSAGES}
        url = f"http://127.0.0.1:{port}{CHAT}"
        return httpx.post(url, json=body, headers={"host": host})

    def models(self, port: int, host: str = "localhost") -> list[str]:
        """Names in the list of models."""
        url = f"http://127.0.0.1:{port}/v1/models"
        listed = httpx.get(url, headers={"host": host}).json()
        return [item["id"] for item in listed["data"]]


def placed(found: Resource, namespace: str) -> Resource:
    """The same resource in another namespace."""
    return {**found, "metadata": {**found["metadata"], "namespace": namespace}}


def gateway(name: str, *listeners: Resource) -> Resource:
    """A Gateway."""
    spec: dict[str, Any] = {"gatewayClassName": "aigw", "listeners": list(listeners)}
    return resource(f"{GATEWAY_API}/v1", "Gateway", name, **spec)


def http(name: str, port: int, **more: object) -> Resource:
    """A plain listener."""
    return {"name": name, "protocol": "HTTP", "port": port, **more}


def https(name: str, port: int, hostname: str, secret: Resource) -> Resource:
    """A listener with a certificate."""
    tls = {"certificateRefs": [secret]}
    listener = {"name": name, "protocol": "HTTPS", "port": port, "hostname": hostname}
    return {**listener, "tls": tls}


def taking(**namespaces: object) -> Resource:
    """`allowedRoutes` of a listener."""
    return {"namespaces": namespaces}


def route(name: str, model: str, parent: Resource, **more: object) -> Resource:
    """An AIGatewayRoute for one model; its backend may be in `default`."""
    match = {"headers": [{"name": "x-ai-eg-model", "value": model}]}
    rule = {"matches": [match], "backendRefs": [{"name": "p", "namespace": "default"}]}
    spec = {"parentRefs": [{"namespace": "default", **parent}], "rules": [rule], **more}
    return resource(f"{GROUP}/v1beta1", "AIGatewayRoute", name, **spec)


def grant(name: str, namespace: str, referrer: tuple[str, str, str], *to: Resource) -> Resource:
    """A ReferenceGrant."""
    group, kind, origin = referrer
    found = resource(
        f"{GATEWAY_API}/v1beta1",
        "ReferenceGrant",
        name,
        **{"from": [{"group": group, "kind": kind, "namespace": origin}]},
        to=list(to),
    )
    return placed(found, namespace)


def secret(name: str, pair: Pair, namespace: str = "default") -> Resource:
    """The Secret of a certificate."""
    return placed({**resource("v1", "Secret", name), "stringData": pair.data}, namespace)


def namespace(name: str, **labels: str) -> Resource:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


BACKEND = {"group": GROUP, "kind": "AIServiceBackend"}
SERVER = {"group": "gateway.envoyproxy.io", "kind": "Backend"}


def resources(ports: Ports, provider: int) -> list[Resource]:
    """Everything."""
    team = {"from": "Selector", "selector": {"matchLabels": {"team": "red"}}}
    listeners = [
        http(
            "open",
            ports.first,
            hostname="open.example.com",
            allowedRoutes=taking(**{"from": "All"}),
        ),
        http("own", ports.first),
        http("team", ports.first, hostname="*.team.example.com", allowedRoutes=taking(**team)),
    ]
    certificates = [
        https("exact", ports.tls, "one.example.com", {"name": "exact"}),
        https("wildcard", ports.tls, "*.example.com", {"name": "wildcard", "namespace": "vault"}),
        https("refused", ports.tls, "*.example.org", {"name": "closed", "namespace": "vault"}),
    ]
    spread = {"hostnames": ["a.example.net", "*.example.net"]}
    return [
        gateway("first", *listeners),
        gateway("second", http("http", ports.second)),
        gateway("secure", *certificates),
        route("everywhere", "own", {"name": "first"}),
        route("other", "other", {"name": "second"}),
        route("hosts", "net", {"name": "second"}, **spread),
        route("exactly", "one", {"name": "second"}, hostnames=["a.example.net"]),
        route("tls", "tls", {"name": "secure"}),
        route("tls-one", "tls-one", {"name": "secure", "sectionName": "exact"}),
        placed(route("red", "red", {"name": "first"}), "red"),
        placed(route("blue", "blue", {"name": "first"}), "blue"),
        placed(route("strange", "strange", {"name": "first"}), "strange"),
        namespace("red", team="red"),
        namespace("blue", team="blue"),
        *BackendSpec("p", provider).resources(),
        *(
            item
            for origin in ("red", "blue")
            for item in (
                grant(origin, "default", (GROUP, "AIGatewayRoute", origin), BACKEND),
                grant(f"{origin}-2", "default", (GATEWAY_API, "HTTPRoute", origin), SERVER),
            )
        ),
        secret("exact", PAIRS["exact"]),
        secret("wildcard", PAIRS["wildcard"], "vault"),
        secret("closed", AUTHORITY.issue("*.example.org"), "vault"),
        grant(
            "certificates",
            "vault",
            (GATEWAY_API, "Gateway", "default"),
            {"group": "", "kind": "Secret", "name": "wildcard"},
        ),
    ]


@pytest.fixture(scope="module")
def beds(host: tuple[str, ...], free_port: FreePorts, loop_thread: LoopThread) -> Iterator[Beds]:
    provider = ProviderBed(loop_thread, FakeProvider())
    # The bed looks for the URL of the lowest port, which must be plain HTTP.
    ports = Ports(*sorted(free_port() for _ in range(3)))
    config = yaml.safe_dump_all(resources(ports, provider.port))
    with run_gateway(*host, config=config) as running:
        yield Beds(running, ports, provider)
    provider.stop()


# --- Gateways ---


def test_each_gateway_serves_its_own_routes_and_models(beds: Beds) -> None:
    assert beds.chat(beds.ports.first, "own").status_code == 200
    assert beds.chat(beds.ports.second, "other").status_code == 200
    crossed = [
        beds.chat(beds.ports.first, "other"),
        beds.chat(beds.ports.second, "own"),
    ]
    assert [answer.status_code for answer in crossed] == [404, 404]
    assert "other" not in crossed[0].json()["error"]["message"]
    assert beds.models(beds.ports.second) == ["other"]


# --- host names ---


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("a.example.net", {"other", "net", "one"}),
        ("a.example.net:1234", {"other", "net", "one"}),
        ("b.example.net", {"other", "net"}),
        ("example.net", {"other"}),
        ("localhost", {"other"}),
    ],
)
def test_a_host_has_the_routes_that_cover_it(beds: Beds, name: str, models: set[str]) -> None:
    port = beds.ports.second
    assert set(beds.models(port, name)) == models
    for model in ("other", "net", "one"):
        answer = beds.chat(port, model, name)
        assert answer.status_code == (200 if model in models else 404), model
        if answer.status_code == 404:
            text = answer.json()["error"]["message"]
            offered = text.partition("models on offer: ")[2].split(", ")
            assert set(offered) == models


# --- namespaces ---


@pytest.mark.parametrize(
    ("name", "models"),
    [
        ("open.example.com", {"own", "red", "blue"}),
        ("x.team.example.com", {"own", "red"}),
        ("elsewhere.org", {"own"}),
    ],
)
def test_a_listener_takes_routes_of_the_namespaces_that_it_allows(
    beds: Beds, name: str, models: set[str]
) -> None:
    for model in ("own", "red", "blue"):
        expected = 200 if model in models else 404
        assert beds.chat(beds.ports.first, model, name).status_code == expected, model


def test_a_backend_of_another_namespace_needs_a_grant(beds: Beds) -> None:
    """The namespace `strange` has none; its route is attached and has no backend."""
    answer = beds.chat(beds.ports.first, "strange", "open.example.com")
    assert answer.status_code == 503
    assert "no valid ReferenceGrant found in namespace default" in beds.gateway.errors


# --- certificates ---


def shown(port: int, name: str) -> str:
    """The certificate that a client sees who asks for a name."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        found = secure.getpeercert(binary_form=True)
    assert found is not None
    return ssl.DER_cert_to_PEM_cert(found)


def ask(port: int, name: str, model: str) -> httpx.Response:
    """A chat request over TLS, with the certificate of the name verified."""
    context = ssl.create_default_context(cadata=AUTHORITY.pem)
    with httpx.Client(verify=context) as client:
        return client.post(
            f"https://127.0.0.1:{port}{CHAT}",
            json={"model": model, "messages": MESSAGES},
            headers={"host": name},
            extensions={"sni_hostname": name},
        )


@pytest.mark.parametrize(
    ("name", "pair"), [("one.example.com", "exact"), ("two.example.com", "wildcard")]
)
def test_a_client_gets_the_certificate_for_the_name_that_it_asks_for(
    beds: Beds, name: str, pair: str
) -> None:
    assert shown(beds.ports.tls, name).split() == PAIRS[pair].chain.split()
    assert ask(beds.ports.tls, name, "tls").status_code == 200


def test_a_route_of_one_https_listener_is_not_served_on_the_other(beds: Beds) -> None:
    assert ask(beds.ports.tls, "one.example.com", "tls-one").status_code == 200
    assert ask(beds.ports.tls, "two.example.com", "tls-one").status_code == 404


def test_a_certificate_without_a_grant_is_not_used(beds: Beds) -> None:
    with pytest.raises(OSError, match=r".*"):
        shown(beds.ports.tls, "x.example.org")
    assert "listeners[2].tls.certificateRefs[0].namespace" in beds.gateway.errors
