"""Edits while clients hold HTTP/2 connections: many requests on one, none may notice."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import yaml
from security_bed import Issuer
from test_reload import Editor
from test_reload_security import policies

from aigw.providers import Gate, Match, Reply
from beds.authority import Authority
from beds.gateway import run_gateway
from beds.resources import BackendSpec, Resource, gateway_yaml, resource, rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.gateway import RunningGateway
    from beds.ports import FreePorts
    from beds.provider import ProviderBed

PACE = "6000/m"


CERTIFICATE = Authority().issue("127.0.0.1")


def configuration(port: int, provider: int, *more: Resource, models: str = "a") -> str:
    """A listener with a certificate: there clients and Envoy agree on HTTP/2."""
    backends = [BackendSpec(name, provider) for name in models]
    secret = {**resource("v1", "Secret", "own"), "stringData": CERTIFICATE.data}
    rules = [rule(name, name) for name in models]
    documents = [*yaml.safe_load_all(gateway_yaml(port, backends, rules, *more)), secret]
    (listener,) = documents[0]["spec"]["listeners"]
    listener |= {"protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "own"}]}}
    return yaml.safe_dump_all(documents)


def smaller_buffers() -> Resource:
    """A policy that makes a new listener of the old one."""
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"}
    return resource(
        "gateway.envoyproxy.io/v1alpha1",
        "ClientTrafficPolicy",
        "clients",
        targetRefs=[target],
        connection={"bufferLimit": "1Mi"},
        http2={"maxConcurrentStreams": 50},
    )


def curl(url: str, *more: str, stream: str = "false") -> list[str]:
    body = '{"model":"a","messages":[{"role":"user","content":"hello"}],"stream":' + stream + "}"
    command = ["curl", "--silent", "--show-error", "--insecure", "--http2", "--data", body]
    return [*command, "--header", "content-type: application/json", *more, url]


@contextlib.contextmanager
def busy(gateway: RunningGateway, header: str) -> Iterator[list[tuple[str, ...]]]:
    """Requests one after the other; at the end version, status and new connections of each."""
    url = f"{gateway.url}/v1/chat/completions?n=[1-1000000]"
    report = "%{http_version} %{http_code} %{num_connects}\n"
    options = ("--rate", PACE, "--output", "/dev/null", "--write-out", report, "--header", header)
    found: list[tuple[str, ...]] = []
    log = gateway.folder / "curl"
    with log.open("w") as output:
        client = subprocess.Popen(curl(url, *options), stdout=output)
        try:
            gateway.wait_until(lambda: log.read_text().count("\n") > 10, "answers")
            yield found
            count = log.read_text().count("\n")
            gateway.wait_until(lambda: log.read_text().count("\n") > count + 10, "answers")
        finally:
            client.kill()
            client.wait()
    lines, _, _ = log.read_text().rpartition("\n")
    found += [tuple(line.split()) for line in lines.splitlines()]


def test_no_request_on_an_http2_connection_notices_an_edit(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    port = free_port()
    tokens, headers = policies(Issuer())["tokens"]
    header = f"authorization: {headers['authorization']}"
    edits = (
        configuration(port, provider.port, *tokens, models="ab"),
        configuration(port, provider.port, *tokens, models="ac"),
        configuration(port, provider.port),
    )
    with run_gateway(*host, config=edits[-1]) as gateway:
        with busy(gateway, header) as answers:
            for text in edits:
                Editor(gateway).write(text)
        assert {(version, code) for version, code, _ in answers} == {("2", "200")}
        assert sum(int(count) for *_, count in answers) == 1


def test_a_listener_that_is_replaced_ends_no_request_of_http2(
    free_port: FreePorts, provider: ProviderBed
) -> None:
    port, gate = free_port(), Gate()
    pieces = (b"data: {}\n\n", b"data: [DONE]\n\n")
    reply = Reply(200, (("content-type", "text/event-stream"),), pieces).gated(1, gate)
    provider.on(reply, match=Match(when=lambda received: b'"stream":true' in received.body))
    plain = configuration(port, provider.port)
    other = configuration(port, provider.port, smaller_buffers())
    with run_gateway(config=plain) as gateway:
        command = curl(f"{gateway.url}/v1/chat/completions", "--no-buffer", stream="true")
        with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
            assert client.stdout is not None
            first = client.stdout.read(len(pieces[0]))
            with busy(gateway, "x-any: 1") as answers:
                for text in (other, plain):
                    Editor(gateway).write(text)
            gate.open()
            assert (first, client.stdout.read()) == pieces
        assert {(version, code) for version, code, _ in answers} == {("2", "200")}
        assert sum(int(count) for *_, count in answers) <= 3
