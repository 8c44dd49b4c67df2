"""What a run leaves for people: logs and the configuration, without anything secret."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import yaml

from beds.gateway import run_gateway, spawn
from beds.raw_http import RawConnection, request
from beds.resources import BackendSpec, api_key, gateway_yaml, rule

if TYPE_CHECKING:
    from pathlib import Path

    from beds.ports import FreePorts
    from beds.provider import ProviderBed

SECRET = "canary-secret-0123456789"
CLIENT_KEY = "client-key-0123456789"
CHAT = request(
    "POST",
    "/v1/chat/completions",
    ("content-type", "application/json"),
    ("x-api-key", CLIENT_KEY),
    body=b'{"model":"m","messages":[{"role":"user","content":"hello"}]}',
)
PROTECTED = f"""
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: {{name: keys, namespace: default}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: gw}}]
  apiKeyAuth: {{credentialRefs: [{{name: clients}}], extractFrom: [{{headers: [x-api-key]}}]}}
---
apiVersion: v1
kind: Secret
metadata: {{name: clients, namespace: default}}
stringData: {{client: {CLIENT_KEY}}}
"""


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_logs_and_configuration_stay_and_are_private(
    free_port: FreePorts, host: tuple[str, ...], provider: ProviderBed
) -> None:
    backend = BackendSpec("a", provider.port, auth=api_key("a", SECRET))
    text = gateway_yaml(free_port(), [backend], [rule(None, "a")])
    config = (
        f"{text}---\n{PROTECTED}---\n{{kind: Nothing, apiVersion: v9, metadata: {{name: n}}}}\n"
    )
    with run_gateway(*host, config=config) as gateway:
        state = gateway.folder / "state"
        address = (gateway.runtime / "admin-address.txt").read_text()
        assert address == str(gateway.runtime / "admin.sock")
        with RawConnection(gateway.port) as client:
            client.send(CHAT)
            assert client.response().status == 200
        assert len(gateway.access_log(1)) == 1
        records, envoy_logs = state / "runs" / "test", state / "envoy-runs" / "test"
        edited = yaml.safe_dump_all([*yaml.safe_load_all(text), *yaml.safe_load_all(PROTECTED)])
        (gateway.folder / "gateway.yaml").write_text(edited.replace("name: a\n", "name: b\n"))
        gateway.wait_until(lambda: "default/b/" in kept_config(records), "reload")
        assert gateway.interrupt() == 0
        log = (records / "aigw.log").read_text()
        assert "Nothing" in log
        assert f"listening on {gateway.url}" in log
        assert "INFO configuration reloaded" in log
        assert "INFO stopping" in log
        (line,) = (envoy_logs / "stdout.log").read_text().splitlines()
        assert json.loads(line)["model"] == "m"
        assert "caught ENVOY_SIGTERM" in (envoy_logs / "stderr.log").read_text()
        envoy_config = yaml.safe_load((records / "envoy-config.yaml").read_text())
        assert envoy_config["static_resources"]["listeners"]
        for path in files_below(state):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            content = path.read_bytes()
            assert not [word for word in (SECRET, CLIENT_KEY) if word.encode() in content]
        assert stat.S_IMODE((state / "ledger").stat().st_mode) == 0o700


def kept_config(records: Path) -> str:
    path = records / "extproc-config.yaml"
    return path.read_text() if path.exists() else ""


def test_a_run_that_fails_says_so_in_its_log(tmp_path: Path) -> None:
    gateway = spawn(("--listen-address", "203.0.113.9"), tmp_path)
    assert gateway.process.wait(30) == 1
    log = (tmp_path / "state" / "runs" / "test" / "aigw.log").read_text()
    assert "Error running: cannot listen on 203.0.113.9" in log


def test_nothing_is_made_for_a_configuration_that_cannot_run(tmp_path: Path) -> None:
    gateway = spawn(("missing.yaml",), tmp_path)
    assert gateway.process.wait(30) == 1
    assert not (tmp_path / "state").exists()
