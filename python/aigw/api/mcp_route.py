"""MCPRoute: several MCP servers behind one path."""

from typing import Annotated, ClassVar

from pydantic import Field

from aigw.api.fields import Hostname, Text, UniqueBy
from aigw.api.header_match import HTTPHeaderMatch
from aigw.api.mcp_security import Action, Expression, MCPRouteSecurityPolicy
from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.references import BackendObjectReference, ParentReference, SecretObjectReference

Path = Annotated[str, Field(max_length=1024)]
Names = Annotated[list[str], Field(max_length=32)]


class ForwardHeader(ApiModel):
    """A header of the client for one server."""

    backend_header: Text | None = None
    """Its name there; absent: the same."""
    name: Text


class MCPBackendAPIKey(ApiModel):
    """An API key for a server."""

    RULES = (
        Rule(
            "MCP-7",
            "has(self.secretRef) != has(self.inline)",
            "exactly one of secretRef or inline must be set",
        ),
        Rule(
            "MCP-8",
            "!(has(self.header) && has(self.queryParam))",
            "only one of header or queryParam can be set",
        ),
    )

    header: Text | None = None
    """Absent: `Authorization`, after `Bearer `."""
    inline: Annotated[str | None, Field(repr=False)] = None
    """The key itself, for all to read."""
    query_param: Text | None = None
    secret_ref: SecretObjectReference | None = None
    """Secret key `apiKey`."""


class MCPBackendSecurityPolicy(ApiModel):
    """Credentials for a server."""

    api_key: MCPBackendAPIKey | None = None


class MCPToolFilter(ApiModel):
    """Tools that clients see. What is excluded stays so, whatever is included."""

    RULES = (
        Rule(
            "MCP-4",
            "!(has(self.include) && has(self.includeRegex))",
            "include and includeRegex are mutually exclusive",
        ),
        Rule(
            "MCP-5",
            "!(has(self.exclude) && has(self.excludeRegex))",
            "exclude and excludeRegex are mutually exclusive",
        ),
        Rule(
            "MCP-6",
            "has(self.include) || has(self.includeRegex) || "
            "has(self.exclude) || has(self.excludeRegex)",
            "at least one of include, includeRegex, exclude, or excludeRegex must be specified",
        ),
    )

    exclude: Names | None = None
    exclude_regex: Names | None = None
    """RE2, found anywhere in the name."""
    include: Names | None = None
    include_regex: Names | None = None
    """RE2, found anywhere in the name."""


class MCPRouteBackendRef(BackendObjectReference):
    """An MCP server."""

    forward_headers: Annotated[list[ForwardHeader], Field(max_length=32)] | None = None
    path: Path = "/mcp"
    security_policy: MCPBackendSecurityPolicy | None = None
    tool_selector: MCPToolFilter | None = None
    """Absent: all tools."""


class BackendSelectorRule(ApiModel):
    """Decides on a server when its expression is true."""

    action: Action = "Allow"
    cel: Expression | None = None
    """Absent: matches."""


class BackendSelector(ApiModel):
    """Servers that a session may use; the first rule that matches decides."""

    default_action: Action = "Deny"
    rules: Annotated[list[BackendSelectorRule], Field(max_length=32)] | None = None


class MCPRouteSpec(ApiModel):
    """Spec of an MCPRoute."""

    RULES = (
        Rule(
            "MCP-1",
            "self.all(p, p.kind == 'Gateway')",
            "only Gateway is supported",
            field="parentRefs",
        ),
        Rule(
            "MCP-2",
            "self.all(a, self.exists_one(b, b.name == a.name))",
            "all backendRefs names must be unique",
            field="backendRefs",
        ),
    )

    backend_refs: Annotated[list[MCPRouteBackendRef], Field(min_length=1, max_length=256)]
    """Servers; their names come before the names of their tools."""
    backend_selector: BackendSelector | None = None
    """Absent: all servers."""
    headers: Annotated[list[HTTPHeaderMatch], Field(max_length=16), UniqueBy("name")] | None = None
    """Conditions on requests, besides the path."""
    hostnames: Annotated[list[Hostname], Field(max_length=16)] | None = None
    parent_refs: Annotated[list[ParentReference], Field(min_length=1, max_length=16)]
    path: Path = "/mcp"
    """Path that clients call."""
    security_policy: MCPRouteSecurityPolicy | None = None


class MCPRoute(Resource):
    """Serves the tools of several MCP servers as one."""

    GROUP: ClassVar[str] = "aigateway.envoyproxy.io"
    KIND: ClassVar[str] = "MCPRoute"

    spec: MCPRouteSpec
