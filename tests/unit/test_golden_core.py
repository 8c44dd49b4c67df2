"""Every golden exchange through `aigw._core`, without Envoy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from aigw import _core
from beds.golden import CLOCK, Cell, cells, normal

if TYPE_CHECKING:
    from collections.abc import Iterable

_CREDENTIALS = {
    "version": 1,
    "credentials": {"c": {"type": "GCPCredentials", "access_token": "t"}},
}


@dataclass(slots=True)
class Client:
    """What a client has got so far."""

    headers: list[tuple[str, bytes]]
    body: bytes = b""

    def apply(self, edits: Iterable[tuple[str, str, bytes]]) -> None:
        """Edits of the response headers."""
        for operation, name, value in edits:
            if operation != "append":
                self.headers = [item for item in self.headers if item[0] != name]
            if operation != "remove":
                self.headers.append((name, value))


def _config(cell: Cell) -> bytes:
    settings = cell.expect.get("backend", {})
    backend = {
        "name": "default/b/route/r/rule/0/ref/0",
        "backend": "default/b",
        "route": "default/r",
        "schema": {
            "name": cell.folder.name,
            "prefix": settings.get("prefix", "v1"),
            "version": settings.get("version", ""),
            "chat_only": settings.get("chat_only", False),
        },
        "host": "provider.example",
        "model_name_override": settings.get("model_name_override"),
    }
    if cell.folder.name.startswith("GCP"):
        auth = {"type": "GCPCredentials", "credential": "c", "project": "p", "region": "r"}
        backend["auth"] = auth
    document = {
        "version": 1,
        "generation": "golden",
        "gateways": {"g": {}},
        "backends": {"b": backend},
    }
    return json.dumps(document).encode()


def _exchange(cell: Cell) -> tuple[bytes | None, bytes | None]:
    """The provider's body, and the client's where the provider answers."""
    body, content_type = cell.request
    core = _core.Exchange(_config(cell), json.dumps(_CREDENTIALS).encode(), "g", now=CLOCK)
    head = [
        (":method", b"POST"),
        (":path", cell.path.encode()),
        ("content-type", content_type.encode()),
    ]
    assert core.head(head) is None
    try:
        core.body(body)
        attempt = core.attempt("b")
        upstream = attempt.prepare(body)
    except _core.RequestError as error:
        return None, error.reply.body
    sent = body if upstream.body is None else upstream.body
    reply = cell.reply()
    return sent, None if reply is None else _answered(attempt, reply)


def _answered(attempt: _core.Attempt, reply: tuple[int, dict[str, str], list[bytes]]) -> bytes:
    status, headers, pieces = reply
    client = Client([(name, value.encode()) for name, value in headers.items()])
    head = attempt.response_head(status, client.headers)
    client.apply(head.edits)
    for piece in pieces:
        if head.body == "skip":
            client.body += piece
            continue
        step = attempt.response_body(piece)
        client.body += piece if step.replaced is None else step.replaced
    if head.body != "skip":
        client.body += attempt.response_end(b"").replaced or b""
    return client.body


@pytest.mark.parametrize("cell", cells(), ids=lambda cell: cell.id)
def test_the_exchange_is_as_recorded(cell: Cell) -> None:
    sent, answer = _exchange(cell)
    if (want := cell.file("upstream.json")) is not None:
        assert json.loads(sent or b"null") == json.loads(want)
    else:
        assert sent == cell.file("upstream.form")
    if answer is None:
        return
    if (stream := cell.file("client.sse")) is not None:
        assert normal(answer.decode()) == normal(stream.decode())
    elif (raw := cell.file("client.bin")) is not None:
        assert answer == raw
    else:
        want = cell.file("client.json") or b"null"
        assert json.loads(normal(answer.decode())) == json.loads(want)
