"""The explanation of one request."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aigw.errors import AigwError
from aigw.explain import matching, paths
from aigw.explain.asking import Asked, Asking, Question
from aigw.plan import Auth, Backend, HeaderSource, Plan, Rule, VirtualHost
from aigw.render.envoy.local_replies import models_on_offer, unknown_model_message


class QuestionError(AigwError):
    """The question does not fit; the text says why."""


@dataclass(frozen=True, slots=True)
class BackendView:
    """A backend of the rule: its place in the order, its share, and what it would be asked.

    `proxies` are those on the way, as `host:port`.
    """

    name: str
    schema: str
    group: int
    weight: int
    credential: str
    costs: tuple[str, ...]
    proxies: tuple[str, ...]
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

    @property
    def is_error(self) -> bool:
        """Whether the client gets an error of the gateway, whoever of the first group is asked."""
        first = [item.asked.refusal for item in self.backends if item.group == 0]
        answers = [self.answer] if self.answer else first
        return bool(answers) and all(answer and answer[:1] not in "23" for answer in answers)


def explain(plan: Plan, question: Question, now: int = 0) -> Explanation:
    """What the data plane would do with a request at `now` (Unix seconds; signatures have dates).

    Raises:
        QuestionError: there is no such port, or the body asks for another model.
    """
    port = next((item for item in plan.ports if question.port in (None, item.number)), None)
    if port is None:
        message = f"nothing listens on port {question.port}"
        raise QuestionError(message)
    found = Explanation(port.gateway, port.number, question.model, "", ())
    listener = matching.listener_of(port, question.host)
    if listener is None:
        answer = f"no listener has a certificate for {question.host}, so the connection is closed"
        return replace(found, answer=answer)
    normal = paths.normal(question.path, listener.traffic)
    if normal.answer:
        return replace(found, answer=normal.answer)
    question = replace(question, path=normal.path)
    asking = Asking(plan, port.gateway, question, now)
    entry = asking.entry()
    if entry.answer:
        return replace(found, answer=entry.answer)
    if entry.model != question.model:
        message = f"the body asks for the model {entry.model!r}, not for {question.model!r}"
        raise QuestionError(message)
    host = matching.virtual_host(listener, question.host)
    if host is None:
        return replace(found, answer=f"404: no listener or route has the host {question.host}")
    if host.http and question.path.partition("?")[0] not in host.api_paths:
        answer = "this path is not of the API; the HTTPRoutes of the host take it, or a 404"
        return replace(found, answer=answer)
    scheme = "https" if listener.certificates else "http"
    headers = {**entry.headers, "host": (question.host,), "x-forwarded-proto": (scheme,)}
    return _routed(found, host, headers, asking, question.path.partition("?")[0])


def _routed(
    found: Explanation, host: VirtualHost, headers: matching.Values, asking: Asking, path: str
) -> Explanation:
    """What the rules of a virtual host do with a request."""
    plan = asking.plan
    taken, passed = matching.first_match(host.matches, headers, path)
    found = replace(
        found,
        considered=tuple(
            RuleView(item.match.rule, item.reason) for item in passed if not item.match.paths
        ),
    )
    if taken is None:
        return replace(found, answer=_nobody(plan, found, host))
    rule = plan.rules[taken.rule]
    backends = _backends(rule, asking)
    return replace(
        found,
        rule=rule.id,
        backends=backends,
        limits=_limits(plan, found.gateway, rule),
        answer="" if rule.groups else "503: no backend of this route can be used",
    )


def _nobody(plan: Plan, found: Explanation, host: VirtualHost) -> str:
    """What a client gets whose request no rule takes."""
    if not found.model:
        return "400: invalid request body: the request names no model"
    models = models_on_offer(plan.gateways[found.gateway].models, host.hostname)
    return f"404: {unknown_model_message(models)}"


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


def _backends(rule: Rule, asking: Asking) -> tuple[BackendView, ...]:
    return tuple(
        _view(asking.plan.backends[member.backend], number, member.weight, asking)
        for number, group in enumerate(rule.groups)
        for member in group.members
    )


def _view(backend: Backend, group: int, weight: int, asking: Asking) -> BackendView:
    return BackendView(
        name=backend.name,
        schema=backend.schema.name,
        group=group,
        weight=weight,
        credential=_credential(backend.auth),
        costs=_costs(backend, asking),
        proxies=_proxies(asking.plan, backend),
        asked=asking.of(backend),
    )


def _costs(backend: Backend, asking: Asking) -> tuple[str, ...]:
    """Those of the route, and of the Gateway where the route has none with the same key."""
    own = {cost.metadata_key for cost in backend.costs}
    shared = asking.plan.gateways[asking.gateway].billing.costs
    costs = [*backend.costs, *(cost for cost in shared if cost.metadata_key not in own)]
    return tuple(f"{cost.metadata_key} = {cost.cel or cost.type.value}" for cost in costs)


def _proxies(plan: Plan, backend: Backend) -> tuple[str, ...]:
    keys = dict.fromkeys(item.proxy for item in backend.endpoints if item.proxy)
    found = (plan.proxies[key] for key in keys)
    return tuple(f"{proxy.host}:{proxy.port}" for proxy in found)


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
