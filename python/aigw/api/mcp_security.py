"""Who may call which tools of an MCPRoute."""

from typing import Annotated, Literal

from pydantic import Field

from aigw.api.client_auth import APIKeyAuth, ExtAuth, JWTClaim, LocalJWKS, RemoteJWKS
from aigw.api.fields import ObjectName, Uri
from aigw.api.model import ApiModel, Rule

Action = Literal["Allow", "Deny"]
Expression = Annotated[str, Field(max_length=4096)]


class ClaimToHeader(ApiModel):
    """A claim that becomes a header."""

    claim: str
    """Dots go into objects."""
    header: str


class JWKS(ApiModel):
    """Where the keys of tokens come from."""

    RULES = (
        Rule(
            "MCP-12",
            "has(self.remoteJWKS) || has(self.localJWKS)",
            "either remoteJWKS or localJWKS must be specified.",
        ),
        Rule(
            "MCP-13",
            "!(has(self.remoteJWKS) && has(self.localJWKS))",
            "remoteJWKS and localJWKS cannot both be specified.",
        ),
    )

    local_jwks: Annotated[LocalJWKS | None, Field(alias="localJWKS")] = None
    remote_jwks: Annotated[RemoteJWKS | None, Field(alias="remoteJWKS")] = None


class ProtectedResourceMetadata(ApiModel):
    """What clients read about the resource (RFC 9728)."""

    resource: Uri
    """Identifier of the resource, normally the public URL of the route."""
    resource_documentation: Uri | None = None
    resource_name: Annotated[str, Field(max_length=256)] | None = None
    resource_policy_uri: Uri | None = None
    resource_signing_alg_values_supported: (
        Annotated[list[str], Field(min_length=1, max_length=16)] | None
    ) = None
    scopes_supported: Annotated[list[str], Field(max_length=32)] | None = None


class MCPRouteOAuth(ApiModel):
    """Clients need tokens of an authorization server."""

    audiences: Annotated[list[str], Field(max_length=32)] | None = None
    claim_to_headers: Annotated[list[ClaimToHeader], Field(max_length=16)] | None = None
    """Claims that become headers towards the servers."""
    issuer: Uri
    jwks: JWKS | None = None
    """Absent: found through the metadata of the issuer."""
    protected_resource_metadata: ProtectedResourceMetadata


class JWTSource(ApiModel):
    """Scopes and claims that a token must have."""

    RULES = (
        Rule(
            "MCP-10",
            "(has(self.scopes) && self.scopes.size() > 0) || "
            "(has(self.claims) && self.claims.size() > 0)",
            "either scopes or claims must be specified",
        ),
        Rule(
            "MCP-11",
            "!self.exists(c, c.name == 'scope')",
            "'scope' claim name is reserved for OAuth scopes",
            field="claims",
        ),
    )

    claims: Annotated[list[JWTClaim], Field(max_length=16)] | None = None
    scopes: Annotated[list[ObjectName], Field(max_length=16)] | None = None


class AuthorizationSource(ApiModel):
    """Who calls."""

    jwt: JWTSource


class ToolCall(ApiModel):
    """A tool of a server."""

    backend: str
    """Name of a backendRef."""
    tool: str
    """Name of the tool at its server."""


class AuthorizationTarget(ApiModel):
    """What is called."""

    tools: Annotated[list[ToolCall], Field(min_length=1, max_length=16)]


class AuthorizationRule(ApiModel):
    """A rule; all its parts must match."""

    action: Action = "Allow"
    cel: Expression | None = None
    source: AuthorizationSource | None = None
    """Absent: any caller."""
    target: AuthorizationTarget | None = None
    """Absent: all tools."""


class Authorization(ApiModel):
    """Rules for calls; the first one that matches decides."""

    default_action: Action = "Deny"
    rules: Annotated[list[AuthorizationRule], Field(max_length=32)] | None = None


class MCPRouteSecurityPolicy(ApiModel):
    """Authentication and authorization of clients."""

    RULES = (
        Rule(
            "MCP-9",
            "!(has(self.authorization) && has(self.authorization.rules) && "
            "self.authorization.rules.exists(r, has(r.source) && has(r.source.jwt)) && "
            "!has(self.oauth))",
            "oauth must be configured when any authorization rule uses a jwt source",
        ),
    )

    api_key_auth: APIKeyAuth | None = None
    authorization: Authorization | None = None
    ext_auth: ExtAuth | None = None
    oauth: MCPRouteOAuth | None = None
