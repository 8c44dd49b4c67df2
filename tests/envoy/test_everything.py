"""All parts of a configuration at once: commands, requests, and edits of each part under load."""

from __future__ import annotations

import copy
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from everything_bed import (
    ALICE,
    BOB,
    LOG_KEY,
    PREFIX,
    PROVIDER_KEY,
    SECRETS,
    Addresses,
    Client,
    chat_bytes,
    documents,
    pair,
    shown_certificate,
    text_of,
    tokens,
)
from security_bed import OK, Issuer
from test_otlp_logs import running as running_collector
from test_reload import KEPT, Editor

from beds.authority import Authority
from beds.gateway import environment, run_gateway
from beds.raw_http import RawConnection
from beds.tunnels import ConnectProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from beds.ports import FreePorts
    from beds.provider import LoopThread, ProviderBed
    from beds.raw_http import Response
    from beds.resources import Resource

KEY, OTHER_KEY = {"x-gateway-key": ALICE}, {"x-gateway-key": BOB}
INTERNAL = (b"x-ai-eg-", b"x-gateway-", b"x-aigw-", b"x-own")


@dataclass(slots=True)
class World:
    """What stands around the gateway, and its configuration."""

    at: Addresses
    issuer: Issuer
    documents: dict[str, Resource]
    provider: ProviderBed
    proxies: tuple[ConnectProxy, ConnectProxy]

    @property
    def token(self) -> dict[str, str]:
        """What the host `tokens.test` asks for."""
        return {"host": "tokens.test", "authorization": f"Bearer {self.issuer.token()}"}

    def edited(self, **changes: Resource) -> dict[str, Resource]:
        """A copy to be changed."""
        return {**copy.deepcopy(self.documents), **changes}


@pytest.fixture
def world(free_port: FreePorts, loop_thread: LoopThread, provider: ProviderBed) -> Iterator[World]:
    provider.on(OK)
    proxies = tuple(ConnectProxy({"plain.test:80": provider.port}) for _ in range(2))
    with (
        proxies[0].running(loop_thread),
        proxies[1].running(loop_thread),
        running_collector() as collector,
    ):
        ports = sorted(free_port() for _ in range(3))
        at = Addresses(*ports, provider.port, proxies[0].port, collector.port)
        issuer = Issuer()
        found = documents(at, issuer, Authority().issue("*.example.test"))
        yield World(at, issuer, found, provider, (proxies[0], proxies[1]))


@dataclass(slots=True)
class Load:
    """Clients that ask all the time; `faults` are answers other than 200."""

    world: World
    count: int = 0
    faults: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        at = self.world.at
        token = self.world.token
        clients = [("a", KEY, at.http), ("far", KEY, at.http), ("a", token, at.http)]
        for client in [*clients, ("a", {}, at.other)]:
            self._threads.append(threading.Thread(target=self._run, args=client))
            self._threads[-1].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, model: str, headers: dict[str, str], port: int) -> None:
        while not self._stop.is_set():
            try:
                with RawConnection(port, 30) as client:
                    self._talk(client, chat_bytes(model, headers))
            except OSError as error:
                self.faults.append(repr(error))

    def _talk(self, client: RawConnection, sent: bytes) -> None:
        while not self._stop.is_set():
            client.send(sent)
            answer = client.response()
            self.count += 1
            if answer.status != 200:
                self.faults.append(f"{answer.status} {answer.body!r}")
            if "close" in (answer.head.header("connection") or ""):
                return


def refused(answer: Response, status: int) -> bool:
    """Whether this is an error in the client's shape."""
    error = json.loads(answer.body)["error"]
    return answer.status == status and error["code"] == str(status)


def test_commands_know_it_all_and_tell_no_secrets(world: World, tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(text_of(world.documents))
    for arguments in (
        ("validate",),
        ("explain", "--model", "far"),
        ("explain", "--model", "aws", "--output", "json"),
        ("translate",),
        ("translate", "--to", "kubernetes"),
    ):
        command = [sys.executable, "-m", "aigw", *arguments, str(path)]
        done = subprocess.run(
            command, env=environment({}, tmp_path), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert [secret for secret in SECRETS if secret in done.stdout + done.stderr] == []
        if arguments == ("validate",):
            assert "0 errors, 0 warnings" in done.stdout + done.stderr


def test_requests_get_what_is_theirs(world: World, host: tuple[str, ...]) -> None:
    config = text_of(world.documents)
    with run_gateway(*host, "--root-prefix", PREFIX, config=config) as gateway:
        client = Client(gateway, world.at)
        forged = {"x-client": "root", "x-ai-eg-model": "own", "x-own": "canary-own"}
        assert client.chat("a", {**KEY, **forged}).status == 200
        received = world.provider.received[-1]
        assert received.header("authorization") == f"Bearer {PROVIDER_KEY}"
        assert received.header("x-client") == "alice"
        assert client.chat("far", KEY).status == 200
        assert world.proxies[0].asked == ["plain.test:80"]
        assert refused(client.chat("own", KEY), 401)
        assert client.chat("own", {**KEY, "x-own": "canary-own"}).status == 200
        assert world.provider.received[-1].header("authorization") == "Bearer canary-own"
        for model in ("aws", "gcp"):
            answer = client.chat(model, KEY)
            assert refused(answer, 503)
            assert answer.head.header("retry-after")
        assert refused(client.chat("none", KEY), 404)
        assert refused(client.chat("a"), 401)
        assert refused(client.chat("a", KEY, pad=1 << 21), 413)
        assert refused(client.chat("a", {**KEY, "host": "tokens.test"}), 401)
        assert client.chat("a", world.token).status == 200
        assert client.chat("a", port=world.at.other).status == 200
        assert refused(client.get("/site/x"), 401)
        assert client.get("/site/x", KEY).status == 200
        shown = client.admin("/config_dump?include_eds") + client.admin("/stats")
        assert [secret for secret in SECRETS if secret in shown + gateway.errors] == []
    assert_nothing_leaked(world)


def assert_nothing_leaked(world: World) -> None:
    """Nothing that is for the gateway has reached a provider."""
    for received in world.provider.received:
        text = repr(received.headers)
        assert not [secret for secret in (ALICE, BOB, LOG_KEY) if secret in text]
        names = [name.lower() for name, _ in received.headers]
        assert not [name for name in names if name.startswith(INTERNAL)]


def test_each_part_changes_without_a_failed_request(
    world: World, host: tuple[str, ...], free_port: FreePorts
) -> None:
    at, config = world.at, text_of(world.documents)
    with (
        run_gateway(*host, "--root-prefix", PREFIX, config=config) as gateway,
        Load(world) as load,
        RawConnection(at.http, 30) as open_one,
    ):
        client, editor = Client(gateway, at), Editor(gateway)
        open_one.send(chat_bytes("a", OTHER_KEY))
        assert open_one.response().status == 200
        found = world.edited()
        del found["Secret/clients"]["stringData"]["bob"]
        editor.write(text_of(found))
        open_one.send(chat_bytes("a", OTHER_KEY))
        assert open_one.response().status == 401, "a key that is gone, on an open connection"

        limits = found["ClientTrafficPolicy/gw"]["spec"]
        limits["connection"]["bufferLimit"] = "2Ki"
        more = copy.deepcopy(found["HTTPRoute/site"])
        more["metadata"]["name"] = "more"
        more["spec"]["rules"][0]["matches"][0]["path"]["value"] = "/more"
        assert client.get("/more", KEY).status == 404
        editor.write(text_of({**found, "HTTPRoute/more": more}))
        assert client.chat("a", KEY, pad=4096).status == 413
        assert client.get("/more", KEY).status == 200

        before = shown_certificate(at.https)
        found["Secret/pair"] = pair("pair", Authority().issue("*.example.test"))
        proxy = f"127.0.0.1:{world.proxies[1].port}"
        found["GatewayConfig/settings"]["spec"]["forwardProxy"]["address"] = proxy
        editor.write(text_of(found))
        assert client.get("/more", KEY).status == 404
        assert shown_certificate(at.https) != before
        gateway.wait_until(lambda: world.proxies[1].asked, "a request through the other proxy")

        found["AIGatewayRoute/open"]["spec"]["rules"].pop()
        found["Gateway/gw"]["spec"]["listeners"][1]["port"] = moved = free_port()
        editor.write(text_of(found))
        assert client.chat("gone", port=at.other).status == 404
        assert shown_certificate(moved)

        with socket.create_server(("127.0.0.1", 0)) as taken:
            number = taken.getsockname()[1]
            listener = {"name": "third", "protocol": "HTTP", "port": number}
            worse = copy.deepcopy(found)
            worse["Gateway/gw"]["spec"]["listeners"].append(listener)
            assert f"port {number} is in use" in editor.write(text_of(worse), KEPT)
        assert load.faults == []

        editor.write(config)
        assert client.chat("a", OTHER_KEY).status == 200
        assert load.faults == []
    assert load.count > 100
    assert_nothing_leaked(world)


def test_another_kind_of_policy_and_one_that_cannot_be_enforced(
    world: World, host: tuple[str, ...]
) -> None:
    config = text_of(world.documents)
    with run_gateway(*host, "--root-prefix", PREFIX, config=config) as gateway:
        client, editor = Client(gateway, world.at), Editor(gateway)
        token = {"authorization": world.token["authorization"]}
        found = world.edited()
        target = found["SecurityPolicy/gw"]["spec"]["targetRefs"]
        found["SecurityPolicy/gw"]["spec"] = {"targetRefs": target, **tokens(world.issuer)}
        editor.write(text_of(found))
        assert [client.chat("a", headers).status for headers in (KEY, token)] == [401, 200]

        found = world.edited()
        keys = found["SecurityPolicy/gw"]["spec"]["apiKeyAuth"]
        keys["credentialRefs"][0]["name"] = "missing"
        said = editor.write(text_of(found))
        assert "Secret default/missing not found" in said
        assert refused(client.chat("a", KEY), 503)
        assert refused(client.chat("a", token), 503)
        assert client.chat("a", world.token).status == 200
        assert client.chat("a", port=world.at.other).status == 200
        found["AIGatewayRoute/open"]["spec"]["rules"].pop()
        said = editor.write(text_of(found))
        assert "missing" not in said, "a finding that is known"

        os.kill(gateway.envoy_pid(), signal.SIGKILL)
        gateway.wait_until(lambda: "envoy serves again" in gateway.errors, "restart")
        assert refused(client.chat("a", KEY), 503)
        assert client.chat("gone", port=world.at.other).status == 404
