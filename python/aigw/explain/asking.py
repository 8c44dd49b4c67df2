"""What the gateway makes of a request: before a rule takes it, and for each backend."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aigw.explain.samples import sample
from aigw.plan import Backend, Plan
from aigw.render.envoy import render_filter_config
from aigw.render.envoy.filter_config import backend_ids
from aigw.render.envoy.names import MODEL_HEADER
from aigw.render.envoy.routes import NOT_FOR_PROVIDERS

if TYPE_CHECKING:
    from aigw import _core

HIDDEN = "(hidden)"
"""In place of every credential."""
_SECRET_NAME = re.compile(r"auth|cookie|credential|key|password|secret|session|signature|token")
# Nothing that a client sends may look like the gateway's own headers.
_FORGED = ("x-ai-eg-", "x-envoy-")
_FAR = 2**40


@dataclass(frozen=True, slots=True)
class Question:
    """A request: model, path, host name, further headers (lower case), body.

    Without a body, a small one is made up. `port` None is the first.
    """

    model: str
    path: str = "/v1/chat/completions"
    host: str = "localhost"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a provider would be asked; `refusal` when the gateway answers instead.

    `price` is what a prompt of few tokens costs, by which entry; empty where it is unknown.
    """

    method: str = ""
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    refusal: str = ""
    price: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A request as rules see it; `answer` when the gateway has answered before."""

    model: str = ""
    headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    answer: str = ""


class Asking:
    """Runs the request through the core, with stand-ins for all credentials."""

    def __init__(self, plan: Plan, gateway: str, question: Question, now: int) -> None:
        """Nothing is asked yet."""
        self.plan = plan
        self._now = now
        self._config = json.dumps(render_filter_config(plan)).encode()
        self._credentials = json.dumps(_stand_ins(plan)).encode()
        self._ids = backend_ids(plan)
        self.gateway = gateway
        made_up = sample(question.path.partition("?")[0], question.model)
        self._method = made_up.method
        self._body = made_up.body if question.body is None else question.body
        self._head = _head(question, made_up.method, made_up.content_type)

    def entry(self) -> Entry:
        """What rules are matched on."""
        from aigw import _core  # noqa: PLC0415 - only where something is explained

        exchange = self._exchange()
        read = exchange.head_only if self._method == "GET" else exchange.head
        if reply := read(self._head):
            return Entry(answer=_answer(reply))
        try:
            edits, _ = exchange.body(self._body)
        except _core.RequestError as error:
            return Entry(answer=_answer(error.reply))
        headers: dict[str, tuple[str, ...]] = {}
        for name, value in _edited(self._head, edits):
            headers[name] = (*headers.get(name, ()), value)
        return Entry(exchange.model, headers)

    def of(self, backend: Backend) -> Asked:
        """What a backend would be asked; each attempt starts from the client's request."""
        from aigw import _core  # noqa: PLC0415

        exchange = self._exchange()
        exchange.head(self._head)
        try:
            edits, _ = exchange.body(self._body)
            attempt = exchange.attempt(self._ids[backend.name])
            upstream = attempt.prepare(self._body)
        except _core.RequestError as error:
            return Asked(refusal=_answer(error.reply))
        headers = _edited(self._head, [*edits, *upstream.edits])
        asked = _asked(backend, headers, self._body if upstream.body is None else upstream.body)
        return replace(asked, price=_price(attempt))

    def _exchange(self) -> "_core.Exchange":
        from aigw import _core  # noqa: PLC0415

        return _core.Exchange(self._config, self._credentials, self.gateway, now=self._now)


def _price(attempt: "_core.Attempt") -> str:
    found = attempt.price_entry()
    if found is None:
        return ""
    entry, source, rates = found
    return f"{rates} ({entry}; {source})"


def _head(question: Question, method: str, content_type: str) -> list[tuple[str, bytes]]:
    """The head behind Envoy's first steps."""
    sent = list(question.headers)
    if content_type and "content-type" not in dict(sent):
        sent.append(("content-type", content_type))
    return [
        (":method", method.encode()),
        (":path", _bytes(question.path)),
        (":authority", _bytes(question.host)),
        *(
            (name, _bytes(value))
            for name, value in sent
            if not name.startswith(_FORGED) and name != "x-gateway-destination-endpoint"
        ),
    ]


def _bytes(text: str) -> bytes:
    """What a user typed may be no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _answer(reply: object) -> str:
    status, body = getattr(reply, "status", 0), getattr(reply, "body", b"")
    try:
        document = json.loads(body)
    except ValueError:
        return f"{status}: {_text(body)}"
    match document:
        case {"error": {"message": str(message)}}:
            return f"{status}: {message}"
        case {"data": [*models]}:
            names = ", ".join(str(model["id"]) for model in models) or "none"
            return f"{status}: models on offer: {names}"
        case _:
            return f"{status}: {_text(body)}"


def _asked(backend: Backend, headers: list[tuple[str, str]], body: bytes) -> Asked:
    pseudo = {name: value for name, value in headers if name.startswith(":")}
    endpoint = backend.endpoints[0]
    scheme = "https" if backend.tls else "http"
    usual = {"https": 443, "http": 80}[scheme]
    port = "" if endpoint.port in (0, usual) else f":{endpoint.port}"
    unseen = {MODEL_HEADER, *NOT_FOR_PROVIDERS}
    shown = tuple(
        (name, HIDDEN if _SECRET_NAME.search(name) else value)
        for name, value in headers
        if not name.startswith(":") and name not in unseen
    )
    return Asked(
        method=pseudo[":method"],
        url=f"{scheme}://{_host(endpoint.address)}{port}{pseudo[':path']}",
        headers=(("host", backend.host), *shown),
        body=_text(body),
    )


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _edited(
    head: list[tuple[str, bytes]], edits: Iterable[tuple[str, str, bytes]]
) -> list[tuple[str, str]]:
    headers = list(head)
    for operation, name, value in edits:
        if operation != "append":
            headers = [item for item in headers if item[0] != name]
        if operation != "remove":
            headers.append((name, value))
    return [(name, _text(value)) for name, value in headers]


def _stand_ins(plan: Plan) -> dict[str, object]:
    """A credential of the right kind for every policy; none of them is a secret."""
    entries: dict[str, object] = {}
    for backend in plan.backends.values():
        if backend.auth:
            entries[backend.auth.credential] = {
                "type": backend.auth.type.value,
                "key": HIDDEN,
                "access_key_id": HIDDEN,
                "secret_access_key": HIDDEN,
                "access_token": HIDDEN,
                "expires_at": _FAR,
            }
    return {"version": 1, "credentials": entries}
