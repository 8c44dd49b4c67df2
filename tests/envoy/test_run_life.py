"""Start, stop, crash: the life of `aigw run` and its exit codes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from beds.gateway import run_gateway, spawn
from beds.raw_http import RawConnection, request
from beds.resources import BackendSpec, api_key, gateway_yaml, resource, rule

if TYPE_CHECKING:
    from beds.gateway import RunningGateway
    from beds.ports import FreePorts
    from beds.provider import ProviderBed

BODY = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'
CHAT = request("POST", "/v1/chat/completions", ("content-type", "application/json"), body=BODY)
SECRET = "canary-secret-0123456789"


def chat_status(gateway: RunningGateway) -> int:
    try:
        with RawConnection(gateway.port) as client:
            client.send(CHAT)
            return client.response().status
    except OSError:
        return 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly(
    free_port: FreePorts, host: tuple[str, ...], number: signal.Signals
) -> None:
    with run_gateway("--port", str(free_port()), *host) as gateway:
        assert chat_status(gateway) == 200
        assert gateway.interrupt(number) == 0


def test_all_ports_are_announced_on_one_line(free_port: FreePorts, provider: ProviderBed) -> None:
    first, second = sorted((free_port(), free_port()))
    listeners = [
        {"name": name, "protocol": "HTTP", "port": port}
        for name, port in (("a", first), ("b", second))
    ]
    text = gateway_yaml(first, [BackendSpec("a", provider.port)], [rule(None, "a")])
    documents = list(yaml.safe_load_all(text))
    documents[0]["spec"]["listeners"] = listeners
    with run_gateway(config=yaml.safe_dump_all(documents)) as gateway:
        assert gateway.port == first
        url = "http://127.0.0.1"
        line = f"listening on {url}:{first} (also {url}:{second}, admin {gateway.runtime}"
        assert line in gateway.errors
        assert chat_status(gateway) == 200


def test_a_stream_in_progress_survives_the_drain(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    from aigw.providers import Gate, Reply

    gate = Gate()
    pieces = (b"data: {}\n\n", b"data: [DONE]\n\n")
    reply = Reply(200, (("content-type", "text/event-stream"),), pieces).gated(1, gate)
    provider.on(reply)
    text = gateway_yaml(free_port(), [BackendSpec("a", provider.port)], [rule(None, "a")])
    with run_gateway(*host, config=text) as gateway, RawConnection(gateway.port, 30) as client:
        body = BODY.replace(b"}]}", b'}],"stream":true}')
        client.send(request("POST", "/v1/chat/completions", body=body))
        stream = client.pieces(client.head())
        assert next(stream).data == pieces[0]
        gateway.process.send_signal(signal.SIGTERM)
        gateway.wait_until(lambda: "stopping" in gateway.errors, "drain")
        gate.open()
        assert b"".join(piece.data for piece in stream) == pieces[1]
        assert gateway.process.wait(30) == 0


def test_a_crashed_envoy_is_restarted(free_port: FreePorts, host: tuple[str, ...]) -> None:
    with run_gateway("--port", str(free_port()), *host) as gateway:
        first = gateway.envoy_pid()
        os.kill(first, signal.SIGKILL)
        gateway.wait_until(lambda: "envoy serves again" in gateway.errors, "restart")
        assert gateway.envoy_pid() != first
        assert chat_status(gateway) == 200


@pytest.mark.parametrize(
    ("arguments", "config", "status", "part"),
    [
        (("missing.yaml",), None, 1, "missing.yaml: No such file or directory"),
        (("gateway.yaml",), "a: [1", 1, "gateway.yaml:"),
        (("gateway.yaml",), "{kind: Nothing, apiVersion: v9, metadata: {name: n}}", 1, "Nothing"),
        (("gateway.yaml",), "", 1, "no Gateway found in configuration"),
        (("--port", "99999"), None, 80, "99999 is not a port"),
        (("--port", "abc"), None, 80, "abc is not a port"),
        (("--listen-address", "203.0.113.9"), None, 1, "cannot listen on 203.0.113.9"),
        (("--nothing",), None, 80, "--nothing"),
        (("--mcp-json", "{}"), None, 80, "--mcp-json: MCP is not served yet"),
        (("--run-id", "a/b"), None, 80, "--run-id"),
        (("--run-id", ".."), None, 80, "--run-id"),
        (("--state-home", "/$NOT_SET/x"), None, 80, "the variable NOT_SET is not set"),
    ],
)
def test_what_cannot_run_says_why(
    tmp_path: Path, arguments: tuple[str, ...], config: str | None, status: int, part: str
) -> None:
    if config is not None:
        (tmp_path / "gateway.yaml").write_text(config)
    gateway = spawn(arguments, tmp_path)
    assert gateway.process.wait(30) == status
    assert part in gateway.errors
    assert "Traceback" not in gateway.errors


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        gateway = spawn(("--port", str(port)), tmp_path)
        assert gateway.process.wait(30) == 1
    assert f"port {port} is in use" in gateway.errors


def test_two_runs_that_start_at_once_do_not_share_a_port(free_port: FreePorts) -> None:
    arguments = ("--port", str(free_port()))
    with tempfile.TemporaryDirectory(prefix="aigw-test-") as name:
        folders = [Path(name, part) for part in ("a", "b")]
        for folder in folders:
            folder.mkdir()
        first, second = (spawn(arguments, folder) for folder in folders)
        loser, winner = (first, second) if first_to_end(first, second) else (second, first)
        assert loser.process.wait(30) == 1
        assert "is in use" in loser.errors
        winner.wait_until(lambda: "listening on" in winner.errors, "start")
        assert winner.interrupt() == 0


def first_to_end(first: RunningGateway, second: RunningGateway) -> bool:
    """Waits until one of two has ended; true where it is the first."""
    runs = (first, second)
    first.wait_until(lambda: any(run.process.poll() is not None for run in runs), "loser")
    return first.process.poll() is not None


def test_a_configuration_that_envoy_refuses_is_no_success(
    tmp_path: Path, free_port: FreePorts, host: tuple[str, ...]
) -> None:
    """An access log that cannot be opened: only Envoy finds out."""
    sink = {"type": "File", "file": {"path": str(tmp_path / "missing" / "access.log")}}
    settings = [{"sinks": [sink], "format": {"type": "Text", "text": "x"}}]
    proxy = resource(
        "gateway.envoyproxy.io/v1alpha1",
        "EnvoyProxy",
        "proxy",
        telemetry={"accessLog": {"settings": settings}},
    )
    text = gateway_yaml(free_port(), [BackendSpec("a", 1)], [rule(None, "a")], proxy)
    documents = list(yaml.safe_load_all(text))
    gateway = next(item for item in documents if item["kind"] == "Gateway")
    reference = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": "proxy"}
    gateway["spec"]["infrastructure"] = {"parametersRef": reference}
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump_all(documents))
    run = spawn(("gateway.yaml", *host), tmp_path)
    assert run.process.wait(30) == 1
    assert "envoy refuses its configuration" in run.errors
    assert "missing/access.log" in run.errors
    assert "listening on" not in run.errors


def test_a_key_that_cannot_be_sent_is_no_success(tmp_path: Path) -> None:
    run = spawn((), tmp_path, {"OPENAI_API_KEY": "a\nb"})
    assert run.process.wait(30) == 1
    assert "not a single line of text" in run.errors


def test_provider_keys_make_a_configuration(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    extra = {
        "OPENAI_API_KEY": SECRET,
        "OPENAI_BASE_URL": f"{provider.url}/v1",
        "ANTHROPIC_API_KEY": f"{SECRET}-anthropic",
        "ANTHROPIC_BASE_URL": f"{provider.url}/v1",
    }
    with run_gateway("--port", str(free_port()), *host, extra=extra) as gateway:
        assert chat_status(gateway) == 200
        with RawConnection(gateway.port) as client:
            body = b'{"model":"claude-x","max_tokens":5,"messages":[{"role":"user","content":"x"}]}'
            client.send(request("POST", "/anthropic/v1/messages", body=body))
            assert client.response().status == 200
        secrets_shown = _everything_visible(gateway)
    openai, anthropic = provider.received
    assert openai.header("authorization") == f"Bearer {SECRET}"
    assert anthropic.header("x-api-key") == f"{SECRET}-anthropic"
    assert SECRET not in secrets_shown


def _everything_visible(gateway: RunningGateway) -> str:
    """Config dump, arguments and environment of processes, logs."""
    with RawConnection(str(gateway.runtime / "admin.sock")) as admin:
        admin.send(request("GET", "/config_dump?include_eds", ("connection", "close")))
        dump = admin.response().body.decode()
    assert "aigw.request" in dump
    arguments = [
        Path(f"/proc/{pid}/cmdline").read_text()
        for pid in [gateway.process.pid, *gateway.descendants()]
    ]
    variables = [Path(f"/proc/{pid}/environ").read_text() for pid in gateway.descendants()]
    assert any("PATH=" in text for text in variables)
    return "\n".join([dump, *arguments, *variables, gateway.errors, gateway.output])


def test_what_is_not_supported_is_refused_by_name_and_the_rest_serves(
    free_port: FreePorts, provider: ProviderBed
) -> None:
    route = {
        "apiVersion": "aigateway.envoyproxy.io/v1beta1",
        "kind": "MCPRoute",
        "metadata": {"name": "tools"},
        "spec": {},
    }
    backend = BackendSpec("a", provider.port, auth=api_key("a", SECRET))
    text = gateway_yaml(free_port(), [backend], [rule(None, "a")], route)
    with run_gateway(config=text) as gateway:
        assert "MCPRoute default/tools" in gateway.errors
        assert chat_status(gateway) == 200


def test_nothing_heavy_is_imported_by_aigw_run() -> None:
    code = (
        "import sys, aigw.standalone.run; "
        "print([m for m in ('kubernetes', 'kopf', 'botocore', 'msal', 'google', 'urllib3', 'grpc') "
        "if m in sys.modules])"
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=folder
        )
    assert done.stdout.strip() == "[]"


def test_what_a_killed_run_left_behind_is_no_obstacle(free_port: FreePorts) -> None:
    arguments = ("--port", str(free_port()))
    with tempfile.TemporaryDirectory(prefix="aigw-test-") as name:
        gateway = spawn(arguments, Path(name))
        gateway.wait_until(lambda: "listening on" in gateway.errors, "start")
        gateway.process.kill()
        gateway.process.wait()
        assert (gateway.core / "credentials.json").exists()
        again = spawn(arguments, Path(name))
        again.wait_until(lambda: "listening on" in again.errors, "second start")
        assert again.interrupt() == 0
        assert not again.runtime.exists()


def test_a_signal_during_the_start_is_heard(free_port: FreePorts) -> None:
    with tempfile.TemporaryDirectory(prefix="aigw-test-") as name:
        gateway = spawn(("--port", str(free_port())), Path(name))
        gateway.wait_until(lambda: has_envoy(gateway), "envoy")
        envoy = gateway.envoy_pid()
        os.kill(envoy, signal.SIGSTOP)
        assert gateway.interrupt() == 0
        assert "listening on" not in gateway.errors
        assert not gateway.runtime.exists()


def has_envoy(gateway: RunningGateway) -> bool:
    names = [Path(f"/proc/{pid}/comm") for pid in gateway.descendants()]
    return any(name.exists() and "envoy" in name.read_text() for name in names)


def test_a_second_signal_ends_the_drain(free_port: FreePorts, provider: ProviderBed) -> None:
    from aigw.providers import Gate, Reply

    gate = Gate()
    pieces = (b"data: {}\n\n", b"data: [DONE]\n\n")
    reply = Reply(200, (("content-type", "text/event-stream"),), pieces).gated(1, gate)
    provider.on(reply)
    text = gateway_yaml(free_port(), [BackendSpec("a", provider.port)], [rule(None, "a")])
    options = ("--drain-seconds", "1000")
    with run_gateway(*options, config=text) as gateway, RawConnection(gateway.port, 30) as client:
        body = BODY.replace(b"}]}", b'}],"stream":true}')
        client.send(request("POST", "/v1/chat/completions", body=body))
        assert next(client.pieces(client.head())).data == pieces[0]
        gateway.process.send_signal(signal.SIGTERM)
        gateway.wait_until(lambda: "stopping" in gateway.errors, "drain")
        assert gateway.interrupt() == 0
        gate.open()
