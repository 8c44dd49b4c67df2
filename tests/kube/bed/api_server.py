"""etcd and kube-apiserver on the loopback interface, with the CRDs established.

Establishing the CRDs takes longer than all the rest, so etcd starts from a snapshot: a tar in the
cache, named after everything that went into it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import secrets
import signal
import ssl
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from beds.authority import Authority
from kube.bed.build import cache, locked
from kube.bed.process import BedError, Program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts
    from kube.bed.build import Binaries

Json = dict[str, Any]
OURS = Path(__file__).parents[3] / "crds"
SERVICES = "10.96.0.0/16"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ISSUER = "https://kubernetes.default.svc"
_SNAPSHOTS_KEPT = 4
# Addresses at which pods may reach the API server, besides the loopback interface.
NODE_ADDRESS = "10.244.0.1"


@dataclass(slots=True)
class ApiServer:
    """An API server and what a client needs."""

    folder: Path
    url: str
    ca: str
    token: str
    programs: list[Program] = field(default_factory=list)

    @property
    def kubeconfig(self) -> Path:
        """For an administrator."""
        return self.folder / "kubeconfig"

    @property
    def context(self) -> ssl.SSLContext:
        """Trusts this server."""
        return ssl.create_default_context(cadata=self.ca)

    def write_kubeconfig(self, name: str, token: str) -> Path:
        """A kubeconfig for the bearer of a token."""
        ca = base64.b64encode(self.ca.encode()).decode()
        cluster = {"server": self.url, "certificate-authority-data": ca}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bed", "cluster": cluster}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": "user"}}],
            "current-context": "bed",
        }
        path = self.folder / name
        path.write_text(json.dumps(document))
        path.chmod(0o600)
        return path

    def client(self) -> httpx.Client:
        """Speaks to it as an administrator."""
        bearer = {"authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, verify=self.context, headers=bearer, timeout=30)


@contextlib.contextmanager
def run_api_server(
    binaries: Binaries, folder: Path, free_port: FreePorts, crds: list[Json]
) -> Iterator[ApiServer]:
    """An API server that serves these CRDs.

    Raises:
        BedError: it does not start, or does not take the CRDs.
    """
    snapshot = cache() / "snapshots" / f"{_key(binaries, crds)}.tar"
    with locked(snapshot.with_name("lock")):
        if not snapshot.exists():
            _take_snapshot(snapshot, binaries, folder, free_port, crds)
        # Those that nobody uses are removed.
        snapshot.touch()
    with tarfile.open(snapshot) as archive:
        archive.extractall(folder, filter="data")
    server = _start(binaries, folder, free_port)
    try:
        with server.client() as client:
            server.programs[-1].wait(lambda: _all_served(client, crds), "CRD served")
        yield server
    finally:
        stop(server)


def documents(folder: Path) -> list[Json]:
    """The CRDs of the files in a folder."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = [
        document
        for path in sorted(folder.glob("*.yaml"))
        for document in yaml.load_all(path.read_text(), loader)
    ]
    return [item for item in found if item and item["kind"] == "CustomResourceDefinition"]


def stop(server: ApiServer) -> None:
    """Ends it at once: a graceful end waits for open watches."""
    for program in reversed(server.programs):
        program.stop(signal.SIGKILL)
    server.programs.clear()


def start_again(server: ApiServer, binaries: Binaries, free_port: FreePorts) -> None:
    """Starts it after `stop`, at the same address and with all that it had."""
    _start_programs(server, binaries, free_port)


def _key(binaries: Binaries, crds: list[Json]) -> str:
    programs = [binaries.find(name) for name in ("etcd", "kube-apiserver")]
    known = [(str(path), path.stat().st_size) for path in programs if path]
    content = json.dumps([known, crds], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _take_snapshot(
    path: Path, binaries: Binaries, folder: Path, free_port: FreePorts, crds: list[Json]
) -> None:
    place = folder / "snapshot"
    place.mkdir()
    server = _start(binaries, place, free_port)
    etcd, api_server = server.programs
    try:
        with server.client() as client:
            _create(client, crds)
            api_server.wait(lambda: _all_served(client, crds), "CRD served")
        api_server.stop(signal.SIGKILL)
        etcd.stop(signal.SIGTERM)
    finally:
        stop(server)
    unfinished = path.with_suffix(f".{os.getpid()}")
    with tarfile.open(unfinished, "w") as archive:
        archive.add(place / "etcd", "etcd")
    unfinished.rename(path)
    for old in sorted(path.parent.glob("*.tar"), key=lambda file: -file.stat().st_mtime)[
        _SNAPSHOTS_KEPT:
    ]:
        old.unlink()


def _create(client: httpx.Client, crds: list[Json]) -> None:
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda crd: client.post(_CRDS, json=crd), crds))
    for reply, crd in zip(replies, crds, strict=True):
        if reply.status_code != httpx.codes.CREATED:
            message = f"CRD {crd['metadata']['name']}: {reply.text}"
            raise BedError(message)


def _all_served(client: httpx.Client, crds: list[Json]) -> bool:
    for crd in crds:
        spec = crd["spec"]
        for version in spec["versions"]:
            path = f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}"
            if version["served"] and client.get(path, params={"limit": 1}).status_code != 200:
                return False
    return True


def _start(binaries: Binaries, folder: Path, free_port: FreePorts) -> ApiServer:
    authority = Authority("kubernetes")
    token = secrets.token_hex()
    names = ("127.0.0.1", "localhost", "kubernetes.default.svc", NODE_ADDRESS)
    pair, accounts = authority.issue(*names), authority.issue("accounts")
    for name, content in {
        "ca.crt": authority.pem,
        "server.crt": pair.chain,
        "server.key": pair.key,
        "accounts.crt": accounts.chain,
        "accounts.key": accounts.key,
        "tokens.csv": f'{token},admin,admin,"system:masters"\n',
    }.items():
        (folder / name).write_text(content)
    server = ApiServer(folder, f"https://127.0.0.1:{free_port()}", authority.pem, token)
    server.write_kubeconfig("kubeconfig", token)
    try:
        _start_programs(server, binaries, free_port)
    except BaseException:
        stop(server)
        raise
    return server


def _start_programs(server: ApiServer, binaries: Binaries, free_port: FreePorts) -> None:
    etcd, api_server = binaries.find("etcd"), binaries.find("kube-apiserver")
    assert etcd is not None
    assert api_server is not None
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command = [etcd, *_etcd_flags(server.folder, client, peer)]
    server.programs.append(Program.start("etcd", command, server.folder))
    port = server.url.rpartition(":")[2]
    command = [api_server, *_api_server_flags(server.folder, client, port)]
    server.programs.append(Program.start("kube-apiserver", command, server.folder))
    with server.client() as http:
        server.programs[-1].wait(lambda: _ready(http), "API server ready")


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _etcd_flags(folder: Path, client: str, peer: str) -> list[str | Path]:
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _api_server_flags(folder: Path, etcd: str, port: str) -> list[str | Path]:
    return [
        f"--etcd-servers={etcd}",
        f"--secure-port={port}",
        "--bind-address=0.0.0.0",
        f"--advertise-address={NODE_ADDRESS}",
        "--endpoint-reconciler-type=none",
        f"--tls-cert-file={folder / 'server.crt'}",
        f"--tls-private-key-file={folder / 'server.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        f"--service-cluster-ip-range={SERVICES}",
        f"--service-account-issuer={_ISSUER}",
        f"--service-account-key-file={folder / 'accounts.crt'}",
        f"--service-account-signing-key-file={folder / 'accounts.key'}",
        # Services have no proxies here: webhooks of Services are called at their endpoints.
        "--enable-aggregator-routing=true",
        "--enable-priority-and-fairness=false",
        "--allow-privileged=true",
        "--profiling=false",
    ]
