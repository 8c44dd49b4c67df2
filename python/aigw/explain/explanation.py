"""The explanation of one request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from aigw.explain import matching
from aigw.explain.samples import sample
from aigw.plan import Auth, Backend, HeaderSource, Plan, Rule
from aigw.render.envoy import render_filter_config
from aigw.render.envoy.filter_config import backend_ids

HIDDEN = "(hidden)"
"""In place of every credential."""
MODEL_HEADER = "x-ai-eg-model"
_CREDENTIAL_HEADERS = frozenset(
    {"api-key", "authorization", "x-amz-security-token", "x-api-key", "x-goog-api-key"}
)
_FAR = 2**40


@dataclass(frozen=True, slots=True)
class Question:
    """A request: model, path without query, host name, further headers (lower case), body.

    Without a body, a small one is made up where the endpoint is known. `port` None is the first.
    """

    model: str
    path: str = "/v1/chat/completions"
    host: str = "localhost"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a provider would be asked; `refusal` when the gateway answers instead."""

    method: str = ""
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class BackendView:
    """A backend of the rule: its place in the order, its share, and what it would be asked."""

    name: str
    schema: str
    group: int
    weight: int
    credential: str
    costs: tuple[str, ...]
    asked: Asked


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule that was considered, and why it does not take the request (empty: it does)."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happens to a request.

    `rule` is empty when nothing takes it; `answer` says then what the client gets. `limits` are
    those that apply, as text by name.
    """

    gateway: str
    port: int
    model: str
    rule: str
    considered: tuple[RuleView, ...]
    backends: tuple[BackendView, ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict)
    answer: str = ""


def explain(plan: Plan, question: Question, now: int = 0) -> Explanation:
    """What the data plane would do with a request at `now` (Unix seconds; signatures have dates).

    Raises:
        LookupError: there is no such port.
    """
    port = next((item for item in plan.ports if question.port in (None, item.number)), None)
    if port is None:
        message = f"nothing listens on port {question.port}"
        raise LookupError(message)
    gateway = plan.gateways[port.gateway]
    host = matching.virtual_host(port, question.host)
    if host is None:
        answer = f"404: no listener or route has the host {question.host}"
        return Explanation(port.gateway, port.number, question.model, "", (), answer=answer)
    if host.http and question.path not in host.api_paths:
        answer = "this path is not of the API; the HTTPRoutes of the host take it, or a 404"
        return Explanation(port.gateway, port.number, question.model, "", (), answer=answer)
    headers = {**question.headers, MODEL_HEADER: question.model, "host": question.host}
    found, passed = matching.first_match(host.matches, headers, question.path)
    considered = tuple(
        RuleView(item.match.rule, item.reason) for item in passed if not item.match.paths
    )
    if found is None:
        offered = ", ".join(model.name for model in gateway.models.everywhere) or "none"
        answer = f"404: no route takes this model; models on offer: {offered}"
        return Explanation(port.gateway, port.number, question.model, "", considered, answer=answer)
    rule = plan.rules[found.rule]
    return Explanation(
        gateway=port.gateway,
        port=port.number,
        model=question.model,
        rule=rule.id,
        considered=considered,
        backends=_backends(rule, _Asking(plan, port.gateway, question, now)),
        limits=_limits(plan, port.gateway, rule),
        answer="" if rule.groups else "503: no backend of this rule can be used",
    )


def _limits(plan: Plan, gateway: str, rule: Rule) -> dict[str, str]:
    timeouts, retry = rule.timeouts, rule.retry
    attempts = retry.num_retries + 1 if retry else 1
    return {
        "request body": f"{plan.gateways[gateway].limits.request_body_bytes} bytes",
        "whole request": _duration(timeouts.request_ms),
        "one attempt until its response starts": _duration(timeouts.attempt_ms),
        "silence of the provider": _duration(timeouts.stream_idle_ms),
        "attempts": str(attempts),
        "retried on": ", ".join([*retry.triggers, *map(str, retry.status_codes)]) if retry else "-",
    }


def _duration(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g} s" if milliseconds else "no limit"


def _backends(rule: Rule, asking: "_Asking") -> tuple[BackendView, ...]:
    return tuple(
        _view(asking.plan.backends[member.backend], number, member.weight, asking)
        for number, group in enumerate(rule.groups)
        for member in group.members
    )


def _view(backend: Backend, group: int, weight: int, asking: "_Asking") -> BackendView:
    return BackendView(
        name=backend.name,
        schema=backend.schema.name,
        group=group,
        weight=weight,
        credential=_credential(backend.auth),
        costs=tuple(f"{cost.metadata_key} = {cost.type.value}" for cost in backend.costs),
        asked=asking.of(backend),
    )


def _credential(auth: Auth | None) -> str:
    if auth is None:
        return "the client's own"
    configured = f"{auth.type.value} of BackendSecurityPolicy {auth.credential}"
    if auth.override is None:
        return configured
    source = auth.override.source
    if isinstance(source, HeaderSource):
        place = f"header {', '.join(source.names)}"
    else:
        place = f"dynamic metadata {source.namespace} {source.key}"
    own = f"{auth.type.value} of the request, {place}"
    return f"{own}, or {configured}" if auth.override.falls_back else own


class _Asking:
    """Runs the request through the core, with stand-ins for all credentials."""

    def __init__(self, plan: Plan, gateway: str, question: Question, now: int) -> None:
        self.plan = plan
        self._now = now
        self._config = json.dumps(render_filter_config(plan)).encode()
        self._credentials = json.dumps(_stand_ins(plan)).encode()
        self._ids = backend_ids(plan)
        self._gateway = gateway
        self._question = question

    def of(self, backend: Backend) -> Asked:
        from aigw import _core  # noqa: PLC0415 - only where something is explained

        question = self._question
        body = question.body or sample(question.path, question.model)
        if body is None:
            return Asked(refusal="a body is needed to tell: --body FILE")
        head = [
            (":method", b"POST"),
            (":path", question.path.encode()),
            ("content-type", b"application/json"),
            *((name, value.encode()) for name, value in question.headers.items()),
        ]
        exchange = _core.Exchange(self._config, self._credentials, self._gateway, now=self._now)
        if reply := exchange.head(head):
            return _refused(reply)
        try:
            edits, _ = exchange.body(body)
            upstream = exchange.attempt(self._ids[backend.name]).prepare(body)
        except _core.RequestError as error:
            return _refused(error.reply)
        headers = _edited(head, [*edits, *upstream.edits])
        return _asked(backend, headers, body if upstream.body is None else upstream.body)


def _refused(reply: object) -> Asked:
    status, body = getattr(reply, "status", 0), getattr(reply, "body", b"")
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        message = body.decode(errors="replace")
    return Asked(refusal=f"{status}: {message}")


def _asked(backend: Backend, headers: list[tuple[str, str]], body: bytes) -> Asked:
    pseudo = {name: value for name, value in headers if name.startswith(":")}
    endpoint = backend.endpoints[0]
    scheme = "https" if backend.tls else "http"
    usual = {"https": 443, "http": 80}[scheme]
    port = "" if endpoint.port in (0, usual) else f":{endpoint.port}"
    own = backend.header_mutation.set
    shown = tuple(
        (name, HIDDEN if name in _CREDENTIAL_HEADERS and (name, value) not in own else value)
        for name, value in headers
        if not name.startswith(":") and name != MODEL_HEADER
    )
    return Asked(
        method=pseudo.get(":method", "POST"),
        url=f"{scheme}://{backend.host}{port}{pseudo.get(':path', '')}",
        headers=(("host", backend.host), *shown),
        body=body.decode(errors="replace"),
    )


def _edited(
    head: list[tuple[str, bytes]], edits: list[tuple[str, str, bytes]]
) -> list[tuple[str, str]]:
    headers = list(head)
    for operation, name, value in edits:
        if operation != "append":
            headers = [item for item in headers if item[0] != name]
        if operation != "remove":
            headers.append((name, value))
    return [(name, value.decode(errors="replace")) for name, value in headers]


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
