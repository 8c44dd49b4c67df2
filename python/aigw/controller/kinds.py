"""Kinds that the controller reads or writes, and where the API server has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aigw.errors import ResourceId

OWN_GROUP = "aigateway.envoyproxy.io"
_EG = "gateway.envoyproxy.io"
_GW = "gateway.networking.k8s.io"

FINALIZER = f"{OWN_GROUP}/finalizer"
"""Keeps an object until what it leads to is gone."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind in the version that is asked for."""

    group: str
    version: str
    plural: str
    name: str
    is_namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def identity(self, document: Mapping[str, Any]) -> ResourceId:
        """The identity of an object of this kind."""
        metadata = document["metadata"]
        return ResourceId(self.group, self.name, metadata.get("namespace", ""), metadata["name"])

    def path(self, namespace: str = "", name: str = "", part: str = "") -> str:
        """The path of a collection, an object, or a part of an object."""
        root = f"/{'apis' if self.group else 'api'}/{self.api_version}"
        space = f"/namespaces/{namespace}" if namespace and self.is_namespaced else ""
        return "/".join([f"{root}{space}", self.plural, *(item for item in (name, part) if item)])


OWN = (
    Kind(OWN_GROUP, "v1beta1", "aigatewayroutes", "AIGatewayRoute"),
    Kind(OWN_GROUP, "v1beta1", "aiservicebackends", "AIServiceBackend"),
    Kind(OWN_GROUP, "v1beta1", "backendsecuritypolicies", "BackendSecurityPolicy"),
    Kind(OWN_GROUP, "v1beta1", "gatewayconfigs", "GatewayConfig"),
    Kind(OWN_GROUP, "v1beta1", "mcproutes", "MCPRoute"),
    Kind(OWN_GROUP, "v1alpha1", "quotapolicies", "QuotaPolicy"),
)
"""Those with a status that is ours."""

HELD_BY_US = frozenset(
    {"AIGatewayRoute", "AIServiceBackend", "BackendSecurityPolicy", "MCPRoute", "QuotaPolicy"}
)
"""Those that get the finalizer."""

READ = (
    *OWN,
    Kind(_GW, "v1", "gateways", "Gateway"),
    Kind(_GW, "v1beta1", "referencegrants", "ReferenceGrant"),
    Kind(_EG, "v1alpha1", "backends", "Backend"),
    Kind(_EG, "v1alpha1", "securitypolicies", "SecurityPolicy"),
    Kind("", "v1", "secrets", "Secret"),
    Kind("", "v1", "namespaces", "Namespace", is_namespaced=False),
)
"""Those that the compiler reads."""

HTTP_ROUTE = Kind(_GW, "v1", "httproutes", "HTTPRoute")
GENERATED = (
    HTTP_ROUTE,
    Kind(_EG, "v1alpha1", "httproutefilters", "HTTPRouteFilter"),
)
"""Those that are written, and watched to be put right again."""

LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
DAEMON_SET = Kind("apps", "v1", "daemonsets", "DaemonSet")
POD = Kind("", "v1", "pods", "Pod")
WEBHOOK = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    is_namespaced=False,
)
SECRET = next(kind for kind in READ if kind.name == "Secret")

_BY_NAME = {(kind.group, kind.name): kind for kind in (*READ, *GENERATED, LEASE)}


def kind_of(identity: ResourceId) -> Kind:
    """The kind of an object."""
    return _BY_NAME[identity.group, identity.kind]
