"""AI routes on Envoy Gateway: its extension server, the core beside Envoy, and what users apply.

No controller runs: the plan is compiled from the same documents that are applied, and the objects
that a controller would write are rendered here.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.ai_service_backend import AIServiceBackend
from aigw.api.load import Source, load
from aigw.compile.compiler import compile_plan
from aigw.extension import ExtensionServer, ServerOptions, Settings
from aigw.render.envoy import render_credentials, render_filter_config
from aigw.render.envoy.discovery import as_text
from aigw.render.kubernetes import Surroundings, objects_of
from beds.documents import NOWHERE
from kube.bed.process import wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aigw.extension.server import Context, Hook
    from aigw.plan import Plan
    from kube.bed.cluster import Cluster

Json = dict[str, Any]
_INCLUDED = {"includeAll": True}


def settings_of_envoy_gateway(port: int) -> Json:
    """The part of Envoy Gateway's configuration that names the extension server."""
    included = dict.fromkeys(("listener", "route", "cluster", "secret"), _INCLUDED)
    post = ["Translation", "Cluster", "Route", "Endpoints"]
    return {
        "extensionManager": {
            "maxMessageSize": "64Mi",
            "hooks": {"xdsTranslator": {"post": post, "translation": included}},
            "service": {"fqdn": {"hostname": "localhost", "port": port}},
        }
    }


@dataclass
class ExtensionBed:
    """The pieces around an Envoy Gateway. `plan` is what the extension server sees."""

    folder: Path
    port: int
    home: Path
    plan: Plan | None = None
    asked: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        """Where the core listens."""
        return self.folder / "core.sock"

    def publish(self, plan: Plan) -> None:
        """Gives a plan to the core and to the extension server."""
        (self.folder / "config.json").write_bytes(as_text(render_filter_config(plan)))
        (self.folder / "credentials.json").write_bytes(as_text(render_credentials(plan, {})))
        self.plan = plan

    def apply(self, cluster: Cluster, documents: list[Json], unseen: tuple[Json, ...] = ()) -> Plan:
        """Compiles documents, applies those of Envoy Gateway, and those that go with the rest.

        `unseen` are for Envoy Gateway only.
        """
        loaded = load([Source("bed.yaml", yaml.safe_dump_all(documents))], NOWHERE)
        compiled = compile_plan(loaded)
        assert compiled.plan is not None, compiled.diagnostics
        self.publish(compiled.plan)
        found = {
            (item.namespace, item.metadata.name): item
            for item in loaded.resources
            if isinstance(item, AIServiceBackend)
        }
        around = Surroundings(lambda *at: found.get(at), lambda *_: True)
        routes = [item for item in loaded.resources if isinstance(item, AIGatewayRoute)]
        ours = [item for item in documents if not item["apiVersion"].startswith("aigateway.")]
        rendered = sorted(objects_of(routes, around), key=lambda item: item["kind"], reverse=True)
        cluster.load(yaml.safe_dump_all([*ours, *unseen, *rendered]))
        return compiled.plan

    def admin(self, path: str) -> str:
        """An answer of the admin interface of the Envoy that was started last."""
        files = sorted(self.home.glob("run/*/admin-address.txt"), key=lambda x: x.stat().st_mtime)
        return httpx.get(f"http://{files[-1].read_text()}{path}").text


class RecordingServer(ExtensionServer):
    """Keeps what it was asked, under the names of its own functions."""

    asked: list[tuple[str, bytes]]

    def start(self) -> None:
        """Nothing was asked yet."""
        self.asked = []
        super().start()

    def _agreed(self, hook: Hook, request: bytes, context: Context) -> bytes:
        self.asked.append((getattr(hook, "__name__", ""), request))
        return super()._agreed(hook, request, context)


@contextlib.contextmanager
def run_extension(folder: Path, port: int, home: Path) -> Iterator[ExtensionBed]:
    """A bed whose server and core run; `home` is the folder of Envoy Gateway."""
    bed = ExtensionBed(folder, port, home)
    options = ServerOptions(f"127.0.0.1:{port}")
    server = RecordingServer(lambda: bed.plan, Settings(socket=str(bed.socket)), options)
    server.start()
    bed.asked = server.asked
    empty = {"version": 1, "generation": "none", "gateways": {}, "backends": {}}
    (folder / "config.json").write_bytes(as_text(empty))
    command = [sys.executable, "-m", "aigw.extproc", "--runtime", folder, "--socket", bed.socket]
    with (folder / "core.log").open("wb") as log:
        core = subprocess.Popen([*map(str, command), "--debug"], stdout=log, stderr=log)
    try:
        wait(bed.socket.exists, "socket of the core")
        yield bed
    finally:
        core.terminate()
        core.wait(10)
        server.stop(1)
