"""Edits of the configuration while requests are running."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import yaml

from aigw.providers import Gate, Match, Reply
from beds.gateway import RunningGateway, run_gateway
from beds.raw_http import RawConnection, request
from beds.resources import BackendSpec, api_key, gateway_yaml, resource, rule

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from beds.ports import FreePorts
    from beds.provider import ProviderBed

RELOADED = "configuration reloaded"
KEPT = "the one before stays in force"


def chat(model: str, *, stream: str = "false") -> bytes:
    body = b'{"model":"%s","stream":%s,"messages":[{"role":"user","content":"hello"}]}'
    content = body % (model.encode(), stream.encode())
    kind = ("content-type", "application/json")
    return request("POST", "/v1/chat/completions", kind, body=content)


def status(gateway: RunningGateway, model: str, port: int = 0) -> int:
    try:
        with RawConnection(port or gateway.port) as client:
            client.send(chat(model))
            return client.response().status
    except OSError:
        return 0


class Editor:
    """Edits the file of a running gateway and waits for what comes of it."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway
        self.path = gateway.folder / "gateway.yaml"

    def write(self, text: str, expected: str = RELOADED) -> str:
        """Replaces the file; what the gateway has said since."""
        with self.expecting(expected) as said:
            draft = self.path.with_name("draft.yaml")
            draft.write_text(text)
            draft.replace(self.path)
        return said()

    def expecting(self, expected: str) -> Expectation:
        """A context at whose end the gateway must have said this."""
        return Expectation(self._gateway, expected)


class Expectation:
    """Waits at its end until the gateway has said something new."""

    def __init__(self, gateway: RunningGateway, expected: str) -> None:
        self._gateway = gateway
        self._expected = expected
        self._start = 0

    def __enter__(self) -> Callable[[], str]:
        self._start = len(self._gateway.errors)
        return self._said

    def _said(self) -> str:
        return self._gateway.errors[self._start :]

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._gateway.wait_until(lambda: self._expected in self._said(), self._expected)


class Load:
    """Requests on a few connections, one after the other, until it is stopped."""

    def __init__(self, port: int, models: tuple[str, ...], connections: int = 4) -> None:
        self.answers: list[int] = []
        self.faults: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(port, models[number % len(models)]))
            for number in range(connections)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, port: int, model: str) -> None:
        while not self._stop.is_set():
            try:
                with RawConnection(port) as client:
                    self._talk(client, model)
            except OSError as error:
                self.faults.append(repr(error))

    def _talk(self, client: RawConnection, model: str) -> None:
        while not self._stop.is_set():
            client.send(chat(model))
            answer = client.response()
            self.answers.append(answer.status)
            if answer.status != 200:
                self.faults.append(f"{model}: {answer.status} {answer.body!r}")
            if "close" in (answer.head.header("connection") or ""):
                return


def base(port: int, provider: ProviderBed, *names: str, **more: str) -> str:
    """A gateway with a backend and a model of each name; `more` are keys of backends."""
    backends = [
        BackendSpec(name, provider.port, auth=api_key(name, more.get(name, "first-key")))
        for name in names
    ]
    return gateway_yaml(port, backends, [rule(name, name) for name in names])


def with_refused_log(text: str, folder: Path) -> str:
    """A configuration that only Envoy finds fault with: an access log that cannot be opened."""
    sink = {"type": "File", "file": {"path": str(folder / "missing" / "access.log")}}
    settings = [{"sinks": [sink], "format": {"type": "Text", "text": "x"}}]
    log = {"accessLog": {"settings": settings}}
    proxy = resource("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy", "proxy", telemetry=log)
    return with_proxy(text, proxy)


def with_proxy(text: str, proxy: dict[str, object]) -> str:
    documents = [*yaml.safe_load_all(text), proxy]
    reference = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "proxy"}
    documents[0]["spec"]["infrastructure"] = {"parametersRef": reference}
    return yaml.safe_dump_all(documents)


def test_no_request_fails_while_the_configuration_changes_again_and_again(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    port = free_port()
    texts = [
        base(port, provider, "a", "b"),
        base(port, provider, "a", "b", "c", a="second-key"),
        base(port, provider, "b", "d", "a"),
    ]
    with run_gateway(*host, config=texts[0]) as gateway, Load(port, ("a", "b")) as load:
        editor = Editor(gateway)
        for number in range(9):
            editor.write(texts[(number + 1) % 3])
            if number % 3 == 1:
                said = editor.write(with_refused_log(texts[0], gateway.folder), KEPT)
                assert "missing/access.log" in said
                assert "Envoy refuses" in said
        answered = len(load.answers)
        gateway.wait_until(lambda: len(load.answers) > answered + 20, "more answers")
        assert status(gateway, "c") == 404
    assert load.faults == []
    assert len(load.answers) > 100


def test_a_stream_outlives_the_backend_that_sends_it(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    gate, pieces = Gate(), (b"data: {}\n\n", b"data: [DONE]\n\n")
    reply = Reply(200, (("content-type", "text/event-stream"),), pieces).gated(1, gate)
    provider.on(reply, match=Match(when=lambda received: b'"gone"' in received.body))
    port = free_port()
    first = base(port, provider, "a", "gone")
    with run_gateway(*host, config=first) as gateway, RawConnection(port, 30) as client:
        client.send(chat("gone", stream="true"))
        stream = client.pieces(client.head())
        assert next(stream).data == pieces[0]
        Editor(gateway).write(base(port, provider, "a"))
        assert status(gateway, "gone") == 404
        assert status(gateway, "a") == 200
        gate.open()
        assert b"".join(piece.data for piece in stream) == pieces[1]
        gateway.wait_until(lambda: not has_cluster(gateway, "gone"), "removal of the old cluster")
        for name in ("config.json", "credentials.json"):
            file = gateway.core / name
            gateway.wait_until(lambda file=file: "gone" not in file.read_text(), "its removal")
        assert status(gateway, "a") == 200


def has_cluster(gateway: RunningGateway, name: str) -> bool:
    with RawConnection(str(gateway.runtime / "admin.sock")) as admin:
        admin.send(request("GET", "/clusters", ("connection", "close")))
        return f"/{name}/route" in admin.response().body.decode()


def test_a_stream_ends_normally_when_its_cluster_goes_at_once(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    """Beyond the time that old parts are kept, Envoy's removal itself must not hurt."""
    gate, pieces = Gate(), (b"data: {}\n\n", b"data: [DONE]\n\n")
    provider.on(Reply(200, (("content-type", "text/event-stream"),), pieces).gated(1, gate))
    text = base(free_port(), provider, "a", "gone")
    with run_gateway(*host, config=text) as gateway, RawConnection(gateway.port, 30) as client:
        client.send(chat("gone", stream="true"))
        stream = client.pieces(client.head())
        assert next(stream).data == pieces[0]
        file = gateway.runtime / "envoy" / "cds" / "clusters.json"
        found = json.loads(file.read_text())
        kept = [item for item in found["resources"] if "gone" not in json.dumps(item)]
        draft = file.with_name(".test")
        draft.write_text(json.dumps({"version_info": "less", "resources": kept}))
        draft.replace(file)
        gateway.wait_until(lambda: not has_cluster(gateway, "gone"), "removal of the cluster")
        gate.open()
        assert b"".join(piece.data for piece in stream) == pieces[1]


def test_a_bad_edit_keeps_the_last_good_configuration(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    text = base(free_port(), provider, "a", "b")
    with run_gateway(*host, config=text) as gateway:
        editor = Editor(gateway)
        said = editor.write(f"{text}---\nkind: [", KEPT)
        assert "invalid YAML" in said
        assert "not found" not in said
        for bad in ("", "# nothing\n", "kind: Nothing"):
            editor.write(bad, KEPT)
            assert [status(gateway, model) for model in ("a", "b")] == [200, 200]
        with editor.expecting(KEPT) as said_then:
            editor.path.unlink()
        assert "No such file" in said_then()
        partly = text.replace("kind: AIServiceBackend", "kind: AIServiceBackends", 1)
        said = editor.write(partly)
        assert "AIServiceBackends" in said
        assert [status(gateway, model) for model in ("a", "b")] == [503, 200]
        said = editor.write(partly.replace("first-key", "second-key"))
        assert "AIServiceBackends" not in said, "findings that are known"
        said = editor.write(text)
        assert "1 route, 2 backends" in said
        assert [status(gateway, model) for model in ("a", "b")] == [200, 200]
        editor.write(f"# a comment\n{text}", "nothing has changed")


def test_a_rotated_secret_is_used_without_a_restart(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed, tmp_path: Path
) -> None:
    """As Kubernetes mounts it: a link to a link that moves to another folder."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "key").write_text(f"key-{version}")
    (tmp_path / "data").symlink_to(tmp_path / "1")
    (tmp_path / "key").symlink_to(tmp_path / "data" / "key")
    documents = list(yaml.safe_load_all(base(free_port(), provider, "a")))
    secret = next(item for item in documents if item["kind"] == "Secret")
    annotation = {"substitution.aigw.run/file/apiKey": str(tmp_path / "key")}
    secret["metadata"]["annotations"] = annotation
    with run_gateway(*host, config=yaml.safe_dump_all(documents)) as gateway:
        assert status(gateway, "a") == 200
        with Editor(gateway).expecting(RELOADED) as said:
            (tmp_path / "next").symlink_to(tmp_path / "2")
            (tmp_path / "next").replace(tmp_path / "data")
        assert "key-2" not in said()
        gateway.wait_until(lambda: sent_key(gateway, provider) == "Bearer key-2", "second key")
        with Editor(gateway).expecting(RELOADED):
            (tmp_path / "2" / "key").write_text("key-3")
        gateway.wait_until(lambda: sent_key(gateway, provider) == "Bearer key-3", "third key")


def sent_key(gateway: RunningGateway, provider: ProviderBed) -> str | None:
    assert status(gateway, "a") == 200
    return provider.received[-1].header("authorization")


def test_ports_come_and_go(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    first, second = free_port(), free_port()
    text = base(first, provider, "a")
    moved = text.replace(f"port: {first}", f"port: {second}", 1)
    with run_gateway(*host, config=text) as gateway, RawConnection(first, 30) as client:
        client.send(chat("a"))
        assert client.response().status == 200
        editor = Editor(gateway)
        editor.write(moved)
        assert status(gateway, "a", second) == 200
        gateway.wait_until(lambda: status(gateway, "a", first) == 0, "end of the first port")
        client.send(chat("a"))
        assert client.response().status == 200, "an open connection is drained, not cut"
        editor.write(text)
        assert status(gateway, "a", first) == 200


def test_a_port_that_is_taken_is_an_error_of_that_edit(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    text = base(free_port(), provider, "a")
    with run_gateway(*host, config=text) as gateway, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        moved = text.replace(f"port: {gateway.port}", f"port: {number}", 1)
        assert f"port {number} is in use" in Editor(gateway).write(moved, KEPT)
        assert status(gateway, "a") == 200


def test_a_killed_envoy_comes_back_with_the_new_configuration(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    port = free_port()
    with run_gateway(*host, config=base(port, provider, "a")) as gateway:
        editor = Editor(gateway)
        editor.write(base(port, provider, "b"))
        os.kill(gateway.envoy_pid(), signal.SIGKILL)
        gateway.wait_until(lambda: "envoy serves again" in gateway.errors, "restart")
        assert status(gateway, "b") == 200
        assert status(gateway, "a") == 404
        os.kill(gateway.envoy_pid(), signal.SIGKILL)
        editor.write(base(port, provider, "b", "c"))
        gateway.wait_until(lambda: status(gateway, "c") == 200, "new model after a crash")


def test_log_levels_change_while_envoy_runs(free_port: FreePorts, provider: ProviderBed) -> None:
    text = base(free_port(), provider, "a")

    def levels(**named: str) -> str:
        proxy = resource(
            "gateway.envoyproxy.io/v1alpha1", "EnvoyProxy", "proxy", logging={"level": named}
        )
        return with_proxy(text, proxy)

    with run_gateway(config=levels(default="error")) as gateway:
        editor = Editor(gateway)
        editor.write(levels(default="warn", upstream="debug"))
        gateway.wait_until(lambda: shown_level(gateway, "upstream") == "debug", "debug level")
        assert shown_level(gateway, "main") == "warning"
        editor.write(text)
        gateway.wait_until(lambda: shown_level(gateway, "upstream") == "warning", "default level")


def shown_level(gateway: RunningGateway, component: str) -> str:
    with RawConnection(str(gateway.runtime / "admin.sock")) as admin:
        admin.send(request("POST", "/logging", ("connection", "close")))
        lines = admin.response().body.decode().splitlines()
    return next(line.split(": ")[1] for line in lines if line.strip().startswith(f"{component}:"))
