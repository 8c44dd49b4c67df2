"""The compiler's entrance."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.backend_security_policy import BackendSecurityPolicy
from aigw.api.gateway import Gateway
from aigw.api.load import Loaded
from aigw.compile import models, telemetry
from aigw.compile.backend_traffic import BackendPolicies
from aigw.compile.backends import Backends
from aigw.compile.client_traffic import ClientPolicies
from aigw.compile.credential_override import headers_of, override_of
from aigw.compile.credentials import Credentials
from aigw.compile.egress import Egress
from aigw.compile.endpoints import Upstreams
from aigw.compile.guards import guarded, withheld
from aigw.compile.index import Index
from aigw.compile.listeners import Attachments, Entrance, Entrances
from aigw.compile.metadata import namespaces_of
from aigw.compile.naming import distinct
from aigw.compile.ports import Ports
from aigw.compile.report import Report
from aigw.compile.routes import Routes
from aigw.compile.security import SecurityPolicies
from aigw.compile.support import Support
from aigw.compile.targets import report_targets
from aigw.compile.unserved import report_unserved
from aigw.errors import Code, Diagnostic, Severity
from aigw.plan import Backend, EndpointPrefixes, Plan, Rule
from aigw.plan import Gateway as PlanGateway

if TYPE_CHECKING:
    from aigw.compile.http_routes import HttpRoutes

_DEFAULT_PREFIXES = EndpointPrefixes()


@dataclass(frozen=True, slots=True)
class Compiled:
    """The plan, or None when there is nothing to serve, and all findings, loading included."""

    plan: Plan | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """Findings because of which something is not served."""
        return tuple(item for item in self.diagnostics if item.severity is Severity.ERROR)


def compile_plan(
    loaded: Loaded,
    loaded_at: int = 0,
    prefixes: EndpointPrefixes = _DEFAULT_PREFIXES,
    variables: Mapping[str, str] | None = None,
) -> Compiled:
    """Compiles everything that was loaded, for all Gateways. Never raises for user input.

    The result does not depend on the order of documents. `loaded_at` (Unix seconds) dates the
    models of routes that carry no time of their own. `prefixes` are where clients find the
    endpoints, `variables` those of the environment, which may name proxies.
    """
    index = Index(loaded)
    report = Report(loaded.origins)
    report_targets(index, report)
    report_unserved(index, report)
    egress = Egress(index, report, variables or {})
    plan = _Compiler(index, report, egress, loaded_at, prefixes).plan()
    return Compiled(plan, (*loaded.diagnostics, *report.findings()))


class _Compiler:
    """Everything that a compilation collects."""

    def __init__(
        self,
        index: Index,
        report: Report,
        egress: Egress,
        loaded_at: int,
        prefixes: EndpointPrefixes,
    ) -> None:
        self._index = index
        self._report = report
        self._egress = egress
        self._loaded_at = loaded_at
        self._prefixes = prefixes
        self._credentials = Credentials(index, report)
        self._upstreams = Upstreams(index, report, egress.certificates)
        self._support = Support(prefixes)
        self._routes = Routes(
            report,
            Backends(index, report, self._credentials, self._upstreams, egress),
            BackendPolicies(index, report),
            self._support,
            headers_of(map(override_of, index.all(BackendSecurityPolicy))),
        )
        self._security = SecurityPolicies(index, report)
        self._clients = ClientPolicies(index, report)
        self._ports = Ports(report, self._security)
        self._offers: dict[str, list[models.Offer]] = {}
        self._headers: dict[str, frozenset[str]] = {}
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
        entrances = Entrances(self._index, self._report, self._clients)
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
        http = self._plain_routes(attachments)
        telemetry.report_unused_proxies(gateways, self._index, self._report)
        auths = [backend.auth for backend in self._backends.values() if backend.auth]
        used = {auth.credential for auth in auths if auth.credential}
        return Plan(
            gateways={
                gateway.id.path: self._gateway(gateway)
                for gateway in gateways
                if opened[gateway.namespace, gateway.metadata.name]
            },
            ports=http.served(self._ports.ports(), self._rules) if http else self._ports.ports(),
            rules=self._rules,
            backends=self._backends,
            credentials={name: self._credentials.found[name] for name in sorted(used)},
            certificates={**entrances.certificates, **self._egress.certificates.pairs},
            authorities={**self._egress.certificates.authorities, **self._clients.authorities},
            proxies=self._egress.proxies,
            http_rules=http.rules if http else {},
            http_backends=http.backends if http else {},
            prefixes=self._prefixes,
            metadata_namespaces=namespaces_of(gateways, auths, self._index),
            security=self._security.found,
        )

    def _plain_routes(self, attachments: Attachments) -> "HttpRoutes | None":
        """HTTPRoutes, if there are any: their models cost start time."""
        if (Gateway.GROUP, "HTTPRoute") not in self._index.kinds:
            return None
        from aigw.compile.http_backends import HttpBackends  # noqa: PLC0415
        from aigw.compile.http_routes import HttpRoutes  # noqa: PLC0415

        backends = HttpBackends(self._index, self._report, self._upstreams, self._egress)
        http = HttpRoutes(self._index, self._report, backends, self._support, self._security)
        for route in http.all():
            for gateway, attached in attachments.of(route):
                http.add(gateway, route, attached, self._ports)
        return http

    def _add(self, gateway: Gateway, route: AIGatewayRoute, entrances: list[Entrance]) -> None:
        """Serves a route on listeners of one Gateway."""
        compiled = self._routes.compile(gateway, route)
        compiled = guarded(route, gateway, compiled, self._index, self._report)
        path, rules, backends = gateway.id.path, self._rules, self._backends
        compiled = tuple(distinct(item, path, rules, backends) for item in compiled)
        refused = tuple(map(withheld, compiled))
        offered = refused
        for entrance in entrances:
            verdict = self._security.admit(entrance, route)
            served = refused if verdict.guard else compiled
            offered = offered if verdict.guard else compiled
            self._rules.update({rule.id: rule for item in served for rule in item.rules})
            self._ports.add(entrance, route, served, verdict)
        for item in offered:
            self._backends.update({backend.name: backend for backend in item.backends})
            overrides = [item.auth.override for item in item.backends if item.auth]
            headers = self._headers.get(gateway.id.path, frozenset())
            self._headers[gateway.id.path] = headers | headers_of(overrides)
        offer = models.offer_of(route, offered, self._loaded_at)
        self._offers.setdefault(gateway.id.path, []).append(offer)

    def _gateway(self, gateway: Gateway) -> PlanGateway:
        return PlanGateway(
            models=models.lists_of(self._offers.get(gateway.id.path, [])),
            limits=self._clients.limits(gateway),
            telemetry=telemetry.telemetry_of(gateway, self._index, self._report, self._upstreams),
            credential_headers=tuple(sorted(self._headers.get(gateway.id.path, ()))),
        )
