"""The compiler's entrance."""

from dataclasses import dataclass, replace

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.gateway import Gateway
from aigw.api.load import Loaded
from aigw.compile import models, settings, telemetry
from aigw.compile.backends import Backends
from aigw.compile.credentials import Credentials
from aigw.compile.endpoints import Upstreams
from aigw.compile.guards import guarded
from aigw.compile.index import Index
from aigw.compile.listeners import Attachments, Entrance, Entrances
from aigw.compile.ports import Ports
from aigw.compile.report import Report
from aigw.compile.retry import TrafficPolicies
from aigw.compile.routes import CompiledRule, Routes
from aigw.compile.targets import report_targets
from aigw.compile.unserved import report_unserved
from aigw.errors import Code, Diagnostic, Severity
from aigw.plan import Backend, Plan, Rule
from aigw.plan import Gateway as PlanGateway


@dataclass(frozen=True, slots=True)
class Compiled:
    """The plan, or None when there is nothing to serve, and all findings, loading included."""

    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """Findings because of which something is not served."""
        return tuple(item for item in self.diagnostics if item.severity is Severity.ERROR)


def compile_plan(loaded: Loaded, loaded_at: int = 0) -> Compiled:
    """Compiles everything that was loaded, for all Gateways. Never raises for user input.

    The result does not depend on the order of documents. `loaded_at` (Unix seconds) dates the
    models of routes that carry no time of their own.
    """
    index = Index(loaded)
    report = Report(loaded.origins)
    report_targets(index, report)
    report_unserved(index, report)
    plan = _Compiler(index, report, loaded_at).plan()
    return Compiled(plan, (*loaded.diagnostics, *report.findings()))


class _Compiler:
    """Everything that a compilation collects."""

    def __init__(self, index: Index, report: Report, loaded_at: int) -> None:
        self._index = index
        self._report = report
        self._loaded_at = loaded_at
        self._credentials = Credentials(index, report)
        self._upstreams = Upstreams(index, report)
        backends = Backends(index, report, self._credentials, self._upstreams)
        self._routes = Routes(report, backends, TrafficPolicies(index, report))
        self._ports = Ports(report)
        self._offers: dict[str, list[models.Offer]] = {}
        self._rules: dict[str, Rule] = {}
        self._backends: dict[str, Backend] = {}

    def plan(self) -> Plan | None:
        """The plan, or None without anything to listen on."""
        gateways = self._index.all(Gateway)
        if not gateways:
            message = "no Gateway found in configuration"
            if self._index.has_rejected(Gateway):
                message = "no Gateway without errors found in configuration"
            self._report.error(None, Code.NOT_FOUND, "", message)
            return None
        entrances = Entrances(self._index, self._report)
        opened = {
            (gateway.namespace, gateway.metadata.name): self._ports.open(entrances.of(gateway))
            for gateway in gateways
        }
        if not any(opened.values()):
            return None
        attachments = Attachments(opened, self._index, self._report)
        for route in self._index.all(AIGatewayRoute):
            for gateway, attached in attachments.of(route):
                self._add(gateway, route, attached)
        telemetry.report_unused_proxies(gateways, self._index, self._report)
        used = {backend.auth.credential for backend in self._backends.values() if backend.auth}
        return Plan(
            gateways={
                gateway.id.path: self._gateway(gateway)
                for gateway in gateways
                if opened[gateway.namespace, gateway.metadata.name]
            },
            ports=self._ports.ports(),
            rules=self._rules,
            backends=self._backends,
            credentials={name: self._credentials.found[name] for name in sorted(used)},
            certificates=entrances.certificates,
        )

    def _add(self, gateway: Gateway, route: AIGatewayRoute, entrances: list[Entrance]) -> None:
        """Serves a route on listeners of one Gateway."""
        compiled = self._routes.compile(gateway, route)
        compiled = guarded(route, gateway, compiled, self._index, self._report)
        compiled = tuple(self._distinct(gateway, item) for item in compiled)
        self._rules.update({rule.id: rule for item in compiled for rule in item.rules})
        for item in compiled:
            self._backends.update({backend.name: backend for backend in item.backends})
        offer = models.offer_of(route, compiled, self._loaded_at)
        self._offers.setdefault(gateway.id.path, []).append(offer)
        for entrance in entrances:
            self._ports.add(entrance, route, compiled)

    def _distinct(self, gateway: Gateway, item: CompiledRule) -> CompiledRule:
        """The same rule under another id, where another Gateway has it with other settings."""
        if all(self._rules.get(rule.id, rule) == rule for rule in item.rules):
            return item

        def renamed(rule: Rule) -> Rule:
            return replace(rule, id=f"{rule.id}@{gateway.id.path}")

        narrowed = tuple((renamed(rule), paths) for rule, paths in item.narrowed)
        return replace(item, rule=renamed(item.rule), narrowed=narrowed)

    def _gateway(self, gateway: Gateway) -> PlanGateway:
        return PlanGateway(
            models=models.lists_of(self._offers.get(gateway.id.path, [])),
            limits=settings.limits_of(gateway, self._index, self._report),
            telemetry=telemetry.telemetry_of(gateway, self._index, self._report, self._upstreams),
        )
