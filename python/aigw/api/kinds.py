"""Which kinds exist: where their models are, and which ones are refused by name."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from aigw.api.model import Resource


@dataclass(frozen=True, slots=True)
class KindEntry:
    """A kind: module and class name of its model, and the versions that are read."""

    module: str
    versions: tuple[str, ...]


_AIGW = "aigateway.envoyproxy.io"
_EG = "gateway.envoyproxy.io"
_GW = "gateway.networking.k8s.io"

KINDS = {
    ("", "ConfigMap"): KindEntry("config_map", ("v1",)),
    ("", "Namespace"): KindEntry("namespace", ("v1",)),
    ("", "Secret"): KindEntry("secret", ("v1",)),
    (_GW, "GatewayClass"): KindEntry("gateway_class", ("v1",)),
    (_GW, "Gateway"): KindEntry("gateway", ("v1",)),
    (_GW, "HTTPRoute"): KindEntry("http_route", ("v1", "v1beta1")),
    (_GW, "BackendTLSPolicy"): KindEntry("backend_tls_policy", ("v1", "v1alpha3")),
    (_GW, "ReferenceGrant"): KindEntry("reference_grant", ("v1beta1", "v1")),
    (_EG, "EnvoyProxy"): KindEntry("envoy_proxy", ("v1alpha1",)),
    (_EG, "ClientTrafficPolicy"): KindEntry("client_traffic_policy", ("v1alpha1",)),
    (_EG, "BackendTrafficPolicy"): KindEntry("backend_traffic_policy", ("v1alpha1",)),
    (_EG, "SecurityPolicy"): KindEntry("security_policy", ("v1alpha1",)),
    (_EG, "HTTPRouteFilter"): KindEntry("http_route_filter", ("v1alpha1",)),
    (_EG, "Backend"): KindEntry("backend", ("v1alpha1",)),
    (_AIGW, "AIGatewayRoute"): KindEntry("ai_gateway_route", ("v1beta1", "v1alpha1")),
    (_AIGW, "AIServiceBackend"): KindEntry("ai_service_backend", ("v1beta1", "v1alpha1")),
    (_AIGW, "BackendSecurityPolicy"): KindEntry("backend_security_policy", ("v1beta1", "v1alpha1")),
    (_AIGW, "GatewayConfig"): KindEntry("gateway_config", ("v1beta1", "v1alpha1")),
    (_AIGW, "MCPRoute"): KindEntry("mcp_route", ("v1beta1", "v1alpha1")),
    (_AIGW, "QuotaPolicy"): KindEntry("quota_policy", ("v1alpha1",)),
}
"""Models by (group, kind)."""

NOT_YET = frozenset(
    {
        (_GW, "GRPCRoute"),
        (_GW, "TCPRoute"),
        (_GW, "TLSRoute"),
        (_GW, "UDPRoute"),
        (_EG, "EnvoyExtensionPolicy"),
        (_EG, "EnvoyPatchPolicy"),
        ("inference.networking.k8s.io", "InferencePool"),
    }
)
"""Kinds that exist and are not implemented."""


def model_of(group: str, kind: str) -> "type[Resource]":
    """The model of a kind in `KINDS`; imported on first use, because imports cost start time."""
    module = import_module(f"aigw.api.{KINDS[group, kind].module}")
    return cast("type[Resource]", getattr(module, kind))
