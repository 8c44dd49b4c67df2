"""The golden exchanges over HTTP: a provider that answers as recorded, and what it received."""

from __future__ import annotations

import base64
import functools
import json
import re
import threading
import time
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from aigw.providers import eventstream
from beds.resources import GROUP, BackendSpec, Resource, resource

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1] / "golden"
CLOCK = 1_767_225_600
CELL_HEADER = "x-golden-cell"
BACKEND_HEADER = "x-golden-backend"
# The model that lists of models show; no case asks for it.
LISTED_MODEL = "lighthouse"
_PATHS = {
    "chat_completions": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "responses": "/v1/responses",
    "responses_input_tokens": "/v1/responses/input_tokens",
    "speech": "/v1/audio/speech",
    "transcriptions": "/v1/audio/transcriptions",
    "translations": "/v1/audio/translations",
    "image_generations": "/v1/images/generations",
    "image_edits": "/v1/images/edits",
    "image_variations": "/v1/images/variations",
    "rerank": "/cohere/v2/rerank",
    "messages": "/anthropic/v1/messages",
    "tokenize": "/tokenize",
    "count_tokens": "/anthropic/v1/messages/count_tokens",
}
_RULES_PER_ROUTE = 15


@dataclass(frozen=True, slots=True)
class Cell:
    """One folder: a case as one backend schema sees it."""

    folder: Path
    expect: dict[str, Any]

    @property
    def id(self) -> str:
        """`<endpoint>/<case>/<Schema>`."""
        return self.folder.relative_to(ROOT).as_posix()

    @property
    def path(self) -> str:
        """The endpoint's path at the gateway."""
        return _PATHS[self.folder.parts[-3]]

    @property
    def request(self) -> tuple[bytes, str]:
        """The client's body and its content type."""
        form = self.folder.parent / "request.form"
        if form.is_file():
            return form.read_bytes(), "multipart/form-data; boundary=golden"
        return (self.folder.parent / "request.json").read_bytes().strip(), "application/json"

    @property
    def backend(self) -> str:
        """Name of the backend with the settings of this cell."""
        settings = json.dumps([self.folder.name, self.expect.get("backend", {})], sort_keys=True)
        letters = re.sub(r"[^a-z0-9]+", "-", settings.lower())
        return f"b{letters.rstrip('-')}"

    def file(self, name: str) -> bytes | None:
        """A file of the folder."""
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None

    def reply(self) -> tuple[int, dict[str, str], list[bytes]] | None:
        """Status, headers and pieces of the provider's reply."""
        given = self.expect.get("response", {})
        for name, status, kind, split in _REPLIES:
            body = self.file(name)
            if body is not None:
                pieces = _cut(split(body), given.get("cut", 0))
                headers = {"content-type": kind, **given.get("headers", {})}
                return given.get("status", status), headers, pieces
        return None


def _whole(body: bytes) -> list[bytes]:
    return [body]


def _events(body: bytes) -> list[bytes]:
    return [event for event in re.split(rb"(?<=\n\n)", body) if event]


def _messages(lines: bytes) -> list[bytes]:
    return [_message(json.loads(line)) for line in lines.splitlines() if line.strip()]


def _message(line: dict[str, Any]) -> bytes:
    payload = json.dumps(line["data"], ensure_ascii=False).encode() if "data" in line else b""
    if "event" in line:
        headers = {":message-type": "event", ":event-type": line["event"]}
    elif "chunk" in line:
        inner = base64.b64encode(json.dumps(line["chunk"], ensure_ascii=False).encode()).decode()
        payload = json.dumps({"bytes": inner, "p": "abc"}).encode()
        headers = {":message-type": "event", ":event-type": "chunk"}
    elif "exception" in line:
        headers = {":message-type": "exception", ":exception-type": line["exception"]}
    else:
        headers = {
            ":message-type": "error",
            ":error-code": line["error"],
            ":error-message": line.get("message", ""),
        }
    frame = bytearray(eventstream.message(headers, payload))
    frame[-1] ^= bool(line.get("corrupt"))
    return bytes(frame)


def _cut(pieces: list[bytes], count: int) -> list[bytes]:
    if not count:
        return pieces
    whole = b"".join(pieces)[:-count]
    return [whole]


_REPLIES = (
    ("response.json", 200, "application/json", _whole),
    ("response.bin", 200, "application/octet-stream", _whole),
    ("response.sse", 200, "text/event-stream", _events),
    ("response.events.jsonl", 200, eventstream.CONTENT_TYPE, _messages),
    ("error.json", 400, "application/json", _whole),
    ("error.txt", 400, "text/plain", _whole),
)


@functools.cache
def cells() -> tuple[Cell, ...]:
    """All cells, in order."""
    folders = sorted(path for path in ROOT.glob("*/*/*") if path.is_dir())
    return tuple(Cell(folder, _expect(folder)) for folder in folders)


def _expect(folder: Path) -> dict[str, Any]:
    path = folder / "expect.toml"
    return tomllib.loads(path.read_text()) if path.is_file() else {}


@dataclass(frozen=True, slots=True)
class Received:
    """A request as the provider got it; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class GoldenProvider:
    """Answers by the cell that a request names; gives tokens at `/token`."""

    port: int = 0
    received: dict[str, list[Received]] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listens on a free port."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        by_id = {cell.id: cell for cell in cells()}
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                if self.path == "/token":
                    token = {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}
                    json_type = {"content-type": "application/json"}
                    self._answer(200, json_type, [json.dumps(token).encode()])
                    return
                cell = by_id[headers[CELL_HEADER]]
                received.setdefault(cell.id, []).append(Received(self.path, headers, body))
                self._answer(*(cell.reply() or (200, {"content-type": "text/plain"}, [b"ok"])))

            def _answer(self, status: int, headers: dict[str, str], pieces: list[bytes]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                # The end of the connection is the end of the reply, also of one that is cut.
                self.send_header("connection", "close")
                self.end_headers()
                for piece in pieces:
                    self.wfile.write(piece)
                    self.wfile.flush()
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Nothing."""

        return Handler


def configuration(port: int, provider: int) -> str:
    """One backend for each set of settings, chosen by a header of the client."""
    by_name = {cell.backend: cell for cell in cells()}
    key = _service_account(f"http://127.0.0.1:{provider}/token")
    documents: list[Resource] = [
        resource(
            "gateway.networking.k8s.io/v1",
            "Gateway",
            "gw",
            gatewayClassName="aigw",
            listeners=[{"name": "http", "protocol": "HTTP", "port": port}],
        )
    ]
    listed = {"type": "Exact", "name": "x-ai-eg-model", "value": LISTED_MODEL}
    rules = [{"matches": [{"headers": [listed]}], "backendRefs": [{"name": next(iter(by_name))}]}]
    for name, cell in by_name.items():
        documents += _backend(name, cell, provider, key)
        override = cell.expect.get("backend", {}).get("model_name_override")
        ref = {"name": name} | ({"modelNameOverride": override} if override else {})
        match = {"type": "Exact", "name": BACKEND_HEADER, "value": name}
        rules.append({"matches": [{"headers": [match]}], "backendRefs": [ref]})
    for start in range(0, len(rules), _RULES_PER_ROUTE):
        documents.append(
            resource(
                f"{GROUP}/v1beta1",
                "AIGatewayRoute",
                f"route-{start}",
                parentRefs=[{"name": "gw"}],
                rules=rules[start : start + _RULES_PER_ROUTE],
            )
        )
    return yaml.safe_dump_all(documents, sort_keys=False)


def _backend(name: str, cell: Cell, provider: int, key: str) -> list[Resource]:
    settings = cell.expect.get("backend", {})
    schema = {
        "name": cell.folder.name,
        "version": settings.get("version", ""),
        "prefix": settings.get("prefix", "v1"),
    }
    if schema["name"] not in ("OpenAI", "Anthropic", "Cohere"):
        del schema["prefix"]
    auth = None
    if cell.folder.name.startswith("GCP"):
        file = {"secretRef": {"name": name}}
        gcp = {"projectName": "p", "region": "r", "credentialsFile": file}
        policy: Resource = {"type": "GCPCredentials", "gcpCredentials": gcp}
        auth = (policy, {"service_account.json": key})
    found = BackendSpec(name, provider, {k: v for k, v in schema.items() if v}, auth).resources()
    if settings.get("chat_only"):
        found[1]["metadata"]["annotations"] = {f"{GROUP}/chat-only": "true"}
    return found


def _service_account(token_uri: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    info = {
        "type": "service_account",
        "client_email": "golden@p.example",
        "private_key": pem.decode(),
        "token_uri": token_uri,
    }
    return json.dumps(info)


def normal(text: str) -> str:
    """A reply with the clock and the request id of the golden files."""
    text = re.sub(r"[0-9a-f]{32}", "0" * 32, text)
    now = time.time()

    def clock(found: re.Match[str]) -> str:
        recent = abs(int(found[2]) - now) < 3600
        return f"{found[1]}{CLOCK}" if recent else found[0]

    return re.sub(r'("created(?:_at)?":\s*)(\d{10})', clock, text)
