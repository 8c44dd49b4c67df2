"""Faults of MCPRoutes that the API server lets through and that would break later."""

from collections.abc import Iterator

from aigw.api.gateway import Gateway
from aigw.api.mcp_route import MCPRoute, MCPRouteBackendRef, MCPToolFilter
from aigw.compile.expressions import expression_faults, is_regular_expression
from aigw.compile.report import Finding

_SERVERS = (("", "Service"), ("gateway.envoyproxy.io", "Backend"))


def faults_of(route: MCPRoute) -> Iterator[Finding]:
    """Expressions, paths and references that cannot work."""
    spec = route.spec
    yield from _path_faults(spec.path, "spec.path")
    for position, parent in enumerate(spec.parent_refs):
        if parent.group != Gateway.GROUP:
            yield f"spec.parentRefs[{position}].group", f"only {Gateway.GROUP} is supported"
    for position, header in enumerate(spec.headers or []):
        if header.type == "RegularExpression":
            yield from _regex_faults([header.value], f"spec.headers[{position}].value")
    for position, ref in enumerate(spec.backend_refs):
        yield from _server_faults(route, ref, f"spec.backendRefs[{position}]")
    if spec.backend_selector:
        for position, rule in enumerate(spec.backend_selector.rules or []):
            yield from expression_faults(rule.cel, f"spec.backendSelector.rules[{position}].cel")
    yield from _authorization_faults(route)


def _server_faults(route: MCPRoute, ref: MCPRouteBackendRef, path: str) -> Iterator[Finding]:
    yield from _path_faults(ref.path, f"{path}.path")
    if (ref.group, ref.kind) not in _SERVERS:
        yield path, "must be a Service or a Backend"
    if ref.namespace not in (None, route.namespace):
        message = (
            f"cross-namespace backend reference is not supported: backend "
            f"{ref.namespace}/{ref.name} in MCPRoute {route.id.path}"
        )
        yield f"{path}.namespace", message
    key = ref.security_policy.api_key if ref.security_policy else None
    if key and key.inline == "":
        yield f"{path}.securityPolicy.apiKey.inline", "must not be empty"
    if ref.tool_selector:
        yield from _selector_faults(ref.tool_selector, f"{path}.toolSelector")


def _selector_faults(selector: MCPToolFilter, path: str) -> Iterator[Finding]:
    yield from _regex_faults(selector.include_regex or [], f"{path}.includeRegex")
    yield from _regex_faults(selector.exclude_regex or [], f"{path}.excludeRegex")


def _authorization_faults(route: MCPRoute) -> Iterator[Finding]:
    security = route.spec.security_policy
    authorization = security.authorization if security else None
    names = {ref.name for ref in route.spec.backend_refs}
    for position, rule in enumerate((authorization and authorization.rules) or []):
        path = f"spec.securityPolicy.authorization.rules[{position}]"
        yield from expression_faults(rule.cel, f"{path}.cel")
        for index, tool in enumerate(rule.target.tools if rule.target else []):
            if tool.backend not in names:
                yield f"{path}.target.tools[{index}].backend", "is not the name of a backendRef"


def _path_faults(text: str, path: str) -> Iterator[Finding]:
    if text and not text.startswith("/"):
        yield path, "must start with /"


def _regex_faults(texts: list[str], path: str) -> Iterator[Finding]:
    for text in texts:
        if not is_regular_expression(text):
            yield path, "is not a valid RE2 expression"
