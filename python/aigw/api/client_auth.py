"""How clients are authenticated: API keys, token keys, an authorization service.

Shapes of Envoy Gateway's APIKeyAuth, LocalJWKS, RemoteJWKS, JWTClaim and ExtAuth.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from aigw.api.backend_cluster import (
    NO_RETRY_STATUSES,
    NO_RETRY_TIMEOUT,
    NO_SINGLE_REFERENCE,
    BackendCluster,
)
from aigw.api.fields import (
    Boolean,
    CrdSchema,
    Duration,
    Integer,
    ObjectName,
    PositiveCount,
    UniqueBy,
)
from aigw.api.model import ApiModel, Rule
from aigw.api.references import LocalObjectReference, SecretObjectReference


class ExtractFrom(ApiModel):
    """Places of a key, tried in order."""

    cookies: list[str] | None = None
    headers: list[str] | None = None
    params: list[str] | None = None
    """Query parameters."""


class APIKeyAuth(ApiModel):
    """Clients with API keys."""

    credential_refs: list[SecretObjectReference]
    """Secrets in which each key is a client id and its value the API key."""
    extract_from: list[ExtractFrom]
    """The first place with a value wins."""
    forward_client_id_header: Annotated[str | None, Field(alias="forwardClientIDHeader")] = None
    """Header that gets the client id."""
    sanitize: Boolean | None = None
    """Takes the key off the request."""


class LocalJWKS(ApiModel):
    """Keys that are written down."""

    RULES = (
        Rule(
            "EG-14",
            "(self.type == 'Inline') == has(self.inline) && "
            "(self.type == 'ValueRef') == has(self.valueRef)",
            "Exactly one of inline or valueRef must be set with correct type.",
        ),
    )

    inline: str | None = None
    type: Literal["Inline", "ValueRef"] = "Inline"
    value_ref: LocalObjectReference | None = None
    """ConfigMap with the key `jwks`."""


class RemoteJWKS(BackendCluster):
    """Keys that are fetched."""

    RULES = (NO_SINGLE_REFERENCE, NO_RETRY_TIMEOUT, NO_RETRY_STATUSES)

    cache_duration: Duration = "300s"
    uri: ObjectName


class JWTClaim(ApiModel):
    """A claim and its accepted values."""

    name: ObjectName
    """Dots go into objects."""
    value_type: Literal["String", "StringArray"] = "String"
    values: Annotated[list[str], Field(min_length=1, max_length=128)]


class BodyToExtAuth(ApiModel):
    """The body for the authorization service."""

    max_request_bytes: PositiveCount


class ContextValueReference(LocalObjectReference):
    """A key of a ConfigMap or Secret."""

    RULES = (
        Rule(
            "EG-19",
            "self.kind in ['ConfigMap', 'Secret'] && self.group in ['', 'v1']",
            "Only a reference to an object of kind ConfigMap or Secret belonging to default v1 "
            "API group is supported.",
        ),
    )

    key: str


class ContextExtension(ApiModel):
    """A value for the authorization service."""

    RULES = (
        Rule(
            "EG-18",
            "(self.type == 'Value') == has(self.value) && "
            "(self.type == 'ValueRef') == has(self.valueRef)",
            "Exactly one of value or valueRef must be set with correct type.",
        ),
    )

    name: str
    type: Literal["Value", "ValueRef"] = "Value"
    value: str | None = None
    value_ref: ContextValueReference | None = None


_SERVICE_RULES = (
    Rule(
        "EG-20",
        "has(self.backendRef) || (has(self.backendRefs) && self.backendRefs.size() > 0)",
        "backendRef or backendRefs needs to be set",
    ),
    Rule(
        "EG-21",
        "!has(self.backendRefs) || "
        "self.backendRefs.all(f, f.kind in ['Service', 'ServiceImport', 'Backend'])",
        "BackendRefs only supports Service, ServiceImport, and Backend kind.",
    ),
    Rule(
        "EG-22",
        "!has(self.backendRefs) || self.backendRefs.all(f, "
        "f.group in ['', 'multicluster.x-k8s.io', 'gateway.envoyproxy.io'])",
        "BackendRefs only supports Core, multicluster.x-k8s.io, and gateway.envoyproxy.io groups.",
    ),
)


class GRPCExtAuthService(BackendCluster):
    """An authorization service over gRPC."""

    RULES = _SERVICE_RULES


class HTTPExtAuthService(BackendCluster):
    """An authorization service over HTTP."""

    RULES = (
        *_SERVICE_RULES,
        Rule(
            "EG-23",
            "!(has(self.path) && has(self.pathOverride))",
            "only one of path or pathOverride can be specified",
        ),
    )

    headers_to_backend: list[str] | None = None
    """Headers of the answer that go on with the request."""
    path: str | None = None
    """Before the path of the request."""
    path_override: str | None = None
    """Instead of the path of the request."""


_STATUSES = (
    *range(400, 418),
    *range(421, 425),
    426,
    428,
    429,
    431,
    *range(500, 509),
    510,
    511,
)


def _error_status(value: int) -> int:
    if value not in _STATUSES:
        message = "is not a status of errors that can be answered"
        raise ValueError(message)
    return value


ErrorStatus = Annotated[
    Integer,
    AfterValidator(_error_status),
    CrdSchema({"format": "int32", "enum": list(_STATUSES)}),
]


class ExtAuth(ApiModel):
    """An authorization service."""

    RULES = (
        Rule(
            "EG-15",
            "has(self.grpc) || has(self.http)",
            "one of grpc or http must be specified",
        ),
        Rule(
            "EG-16",
            "!(has(self.grpc) && has(self.http))",
            "only one of grpc or http can be specified",
        ),
    )

    body_to_ext_auth: BodyToExtAuth | None = None
    context_extensions: Annotated[list[ContextExtension], UniqueBy("name")] | None = None
    fail_open: Boolean = False
    """Lets requests through when the service fails."""
    grpc: GRPCExtAuthService | None = None
    headers_to_ext_auth: list[str] | None = None
    http: HTTPExtAuthService | None = None
    include_route_metadata: Boolean | None = None
    recompute_route: Boolean | None = None
    status_on_error: ErrorStatus | None = None
    timeout: Duration | None = None
