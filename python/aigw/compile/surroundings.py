"""What routes are compiled against: everything that is not a route.

It is compiled once for as long as none of it changes, so nothing here may look at a route, and the
index that it is made from has none. Routes look at it: a policy that selects routes by their labels
is found by each route that has them.
"""

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import is_
from typing import TYPE_CHECKING, Any

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.backend_security_policy import BackendSecurityPolicy
from aigw.api.gateway import Gateway
from aigw.api.model import Resource
from aigw.compile import telemetry
from aigw.compile.backends import Backends
from aigw.compile.costs import billing_of
from aigw.compile.credentials.override import headers_of, override_of
from aigw.compile.credentials.policies import Credentials
from aigw.compile.egress import Egress
from aigw.compile.endpoints import Upstreams
from aigw.compile.index import Index
from aigw.compile.kept import Name
from aigw.compile.listeners import Attachments, Entrance, Entrances
from aigw.compile.policy_targets import HTTP_ROUTE
from aigw.compile.ports import Ports
from aigw.compile.report import Report
from aigw.compile.routes import Routes
from aigw.compile.security.policies import SecurityPolicies
from aigw.compile.site import Site
from aigw.compile.support import Support
from aigw.compile.targets import report_targets
from aigw.compile.traffic.backend import BackendPolicies
from aigw.compile.traffic.client import ClientPolicies
from aigw.compile.unserved import report_unserved
from aigw.errors import Code, Diagnostic, ResourceId
from aigw.plan import Collector, EndpointPrefixes
from aigw.plan import Gateway as PlanGateway

if TYPE_CHECKING:
    from aigw.api.http_route import HTTPRoute
    from aigw.compile.http.routes import HttpRoutes

Rejected = Mapping[ResourceId, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Here:
    """What is known of the machine: variables of the environment, extras without libraries.

    `site` tells it from a cluster.
    """

    variables: Mapping[str, str] = field(repr=False)
    missing_extras: Collection[str]
    site: Site = Site.MACHINE


_ROUTES = ((AIGatewayRoute.GROUP, AIGatewayRoute.KIND), HTTP_ROUTE)


class Surroundings:
    """Gateways and their listeners, and the parts of which routes are made.

    `before` and `after` are what was found: that of routes stands between them.
    """

    def __init__(
        self,
        resources: Sequence[Resource],
        rejected: Rejected,
        prefixes: EndpointPrefixes,
        here: Here,
    ) -> None:
        """Compiles all that does not depend on routes."""
        self.prefixes = prefixes
        self._site = here.site
        self.resources = resources
        self.rejected = rejected
        self.report = report = Report()
        self.index = index = Index({item.id: item for item in resources}, rejected)
        self.credentials = Credentials(index, report, here.missing_extras)
        self.egress = Egress(index, report, here.variables)
        self.upstreams = Upstreams(index, report, self.egress.certificates)
        self.support = Support(prefixes)
        opening = report.noting(self._open)
        self.before: tuple[Diagnostic, ...] = opening.findings
        opened = opening.value
        self.attachments = Attachments(opened, index, report)
        served = [gateway for key, gateway in self.all_gateways.items() if opened[key]]
        closing = report.noting(lambda: self._settings(served))
        self.after: tuple[Diagnostic, ...] = closing.findings if served else ()
        self.gateways = closing.value
        """Gateways that are served, without their models; none: there is nothing to serve."""

    def is_made_of(self, resources: Sequence[Resource], rejected: Rejected) -> bool:
        """Whether these are the very same objects, and documents of the same content."""
        return (
            len(resources) == len(self.resources)
            and all(map(is_, resources, self.resources))
            and rejected == self.rejected
        )

    @property
    def has_rejected_routes(self) -> bool:
        """Whether there are routes of ours with errors."""
        return self.index.has_rejected(AIGatewayRoute)

    @property
    def collectors(self) -> list[Collector]:
        """Where access logs go."""
        logs = [
            log for found in self.gateways.values() for log in found.telemetry.access_logs or ()
        ]
        return [log.collector for log in logs if log.collector]

    @cached_property
    def plain_routes(self) -> "HttpRoutes":
        """For HTTPRoutes, if there are any: their models cost start time."""
        from aigw.compile.http.backends import HttpBackends  # noqa: PLC0415
        from aigw.compile.http.routes import HttpRoutes  # noqa: PLC0415

        backends = HttpBackends(self.index, self.report, self.upstreams, self.egress)
        return HttpRoutes(self.index, self.report, backends, self.security)

    def check_plain(self, route: "HTTPRoute") -> None:
        """Names policies of an HTTPRoute that do not apply to it."""
        self.policies.check_plain(route)
        self.security.applied.check(route)

    def check_absent(self, routes: Container[Name], plain: Container[Name]) -> None:
        """Names policies for routes that are neither among ours nor among the plain ones."""

        def is_written(name: Name) -> bool:
            rejected = any(ResourceId(*kind, *name) in self.rejected for kind in _ROUTES)
            return rejected or name in routes or name in plain

        self.policies.applied.check_absent(lambda name: name in routes, is_written)
        self.security.applied.check_absent(lambda name: name in routes or name in plain, is_written)

    def _open(self) -> Mapping[tuple[str, str], list[Entrance]]:
        """Listeners by Gateway."""
        index, report = self.index, self.report
        report_targets(index, report)
        report_unserved(index, report)
        backends = Backends(index, report, self.credentials, self.upstreams, self.egress)
        self.policies = BackendPolicies(index, report)
        self.routes = Routes(
            report,
            backends,
            self.policies,
            self.support,
            headers_of(map(override_of, index.all(BackendSecurityPolicy))),
        )
        self.all_gateways = {
            (gateway.namespace, gateway.metadata.name): gateway for gateway in index.all(Gateway)
        }
        self.clients = ClientPolicies(index, report)
        self.entrances = Entrances(index, report, self.clients)
        self.security = SecurityPolicies(index, report, self._site)
        self.ports = Ports(report, self.security, self._site)
        if not self.all_gateways:
            what = "Gateway without errors" if index.has_rejected(Gateway) else "Gateway"
            message = f"no {what} found in configuration"
            report.error(None, Code.NOT_FOUND, "", message)
        return {
            key: self.ports.open(self.entrances.of(gateway))
            for key, gateway in self.all_gateways.items()
        }

    def _settings(self, served: list[Gateway]) -> Mapping[str, PlanGateway]:
        index, report = self.index, self.report
        telemetry.report_unused_proxies(self.all_gateways.values(), index, report)
        return {
            gateway.id.path: PlanGateway(
                limits=self.clients.limits(gateway),
                telemetry=telemetry.telemetry_of(gateway, index, report, self.upstreams),
                billing=billing_of(gateway, index),
            )
            for gateway in served
        }
