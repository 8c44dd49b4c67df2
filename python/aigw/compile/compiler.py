"""The compiler's entrance."""

from dataclasses import dataclass

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.gateway import Gateway
from aigw.api.load import Loaded
from aigw.compile import models, settings
from aigw.compile.backends import Backends
from aigw.compile.credentials import Credentials
from aigw.compile.guards import guarded
from aigw.compile.index import Index
from aigw.compile.listeners import Ports, attachments, usable_listeners
from aigw.compile.report import Report
from aigw.compile.retry import TrafficPolicies
from aigw.compile.routes import Routes
from aigw.compile.targets import report_targets
from aigw.compile.unserved import report_unserved
from aigw.errors import Code, Diagnostic, Severity
from aigw.plan import Backend, Plan, Rule


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
    """Compiles everything that was loaded for its one Gateway. Never raises for user input.

    The result does not depend on the order of documents. `loaded_at` (Unix seconds) dates the
    models of routes that carry no time of their own.
    """
    index = Index(loaded)
    report = Report(loaded.origins)
    report_targets(index, report)
    report_unserved(index, report)
    gateway = _gateway(index, report)
    plan = _plan(gateway, index, report, loaded_at) if gateway else None
    return Compiled(plan, (*loaded.diagnostics, *report.findings()))


def _gateway(index: Index, report: Report) -> Gateway | None:
    """The oldest Gateway; any other is refused."""
    gateways = index.all(Gateway)
    if not gateways:
        report.error(None, Code.NOT_FOUND, "", "no Gateway found in configuration")
        return None
    for extra in gateways[1:]:
        message = f"multiple gateways are not supported: {extra.metadata.name}"
        report.error(extra.id, Code.UNSUPPORTED, "", message)
    return gateways[0]


def _plan(gateway: Gateway, index: Index, report: Report, loaded_at: int) -> Plan | None:
    listeners = usable_listeners(gateway, report)
    if not listeners:
        message = f"gateway {gateway.metadata.name} has no listeners configured"
        report.error(gateway.id, Code.INVALID_FIELD, "spec.listeners", message)
        return None
    credentials = Credentials(index, report)
    compiler = Routes(report, Backends(index, report, credentials), TrafficPolicies(index, report))
    ports = Ports(listeners)
    offers: list[models.Offer] = []
    rules: dict[str, Rule] = {}
    backends: dict[str, Backend] = {}
    for route in index.all(AIGatewayRoute):
        attached = attachments(gateway, listeners, route, report)
        if not attached:
            continue
        compiled = compiler.compile(gateway, route)
        compiled = guarded(route, gateway, compiled, index, report)
        rules.update({rule.id: rule for item in compiled for rule in item.rules})
        backends.update({backend.name: backend for item in compiled for backend in item.backends})
        offers.append(models.offer_of(route, compiled, loaded_at))
        for listener in attached:
            ports.add(listener, route, compiled)
    used = {backend.auth.credential for backend in backends.values() if backend.auth}
    return Plan(
        gateway=gateway.id.path,
        listeners=ports.listeners(),
        rules=rules,
        backends=backends,
        credentials={name: credentials.found[name] for name in sorted(used)},
        models=models.lists_of(offers),
        limits=settings.limits_of(gateway, index, report),
        telemetry=settings.telemetry_of(gateway, index, report),
    )
