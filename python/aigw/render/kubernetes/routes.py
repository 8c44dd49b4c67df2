"""An AIGatewayRoute as Envoy Gateway sees it: an HTTPRoute of its name, and two filters."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aigw.api.ai_gateway_route import (
    AIGatewayRoute,
    AIGatewayRouteRule,
    AIGatewayRouteRuleBackendRef,
)
from aigw.api.ai_service_backend import AIServiceBackend
from aigw.api.header_match import HTTPHeaderMatch
from aigw.api.model import ApiModel
from aigw.errors import ResourceId

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beside the routes.

    `backend` finds an AIServiceBackend by namespace and name; `permits` says whether a route may
    refer to an object, which another namespace must have granted.
    """

    backend: Callable[[str, str], AIServiceBackend | None]
    permits: Callable[[AIGatewayRoute, ResourceId], bool]


_EG = "gateway.envoyproxy.io"
_NOT_FOUND = "route-not-found"
_NOT_FOUND_TEXT = (
    "No matching route found. It is likely because the model specified in your request is not "
    "configured in the Gateway."
)
_DEFAULT_REQUEST_TIMEOUT = "60s"
_FOREIGN_ANNOTATIONS = "kubectl.kubernetes.io/"


def objects_of(
    routes: Iterable[AIGatewayRoute], around: Surroundings, root_prefix: str = "/"
) -> Iterator[Object]:
    """HTTPRoutes, then HTTPRouteFilters, each in the order of the routes."""
    routes = list(routes)
    yield from (http_route(route, around, root_prefix) for route in routes)
    for route in routes:
        yield from route_filters(route)


def http_route(route: AIGatewayRoute, around: Surroundings, root_prefix: str = "/") -> Object:
    """The HTTPRoute; references that cannot be used are left out of it."""
    spec = route.spec
    not_found = {
        "name": _NOT_FOUND,
        "matches": [{"path": {"value": root_prefix}}],
        "filters": [_filter(_not_found_name(route))],
    }
    # Empty lists too: who applies it owns them, so nobody else can add to them.
    rendered: Object = {
        "parentRefs": [_written(ref) for ref in spec.parent_refs],
        "hostnames": list(spec.hostnames),
        "rules": [*(_rule(route, rule, around, root_prefix) for rule in spec.rules), not_found],
    }
    annotations = {
        name: value
        for name, value in route.metadata.annotations.items()
        if not name.startswith(_FOREIGN_ANNOTATIONS)
    }
    annotations |= {
        f"{_EG}/ai-gateway-generated": "true",
        f"{_EG}/backend-ref-priority": _priorities(route),
    }
    metadata = _metadata(route, route.metadata.name)
    if route.metadata.labels:
        metadata["labels"] = dict(route.metadata.labels)
    metadata["annotations"] = annotations
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata,
        "spec": rendered,
    }


def route_filters(route: AIGatewayRoute) -> tuple[Object, Object]:
    """The host of the backend for its requests, and what answers when no rule matches."""
    rewrite = {"urlRewrite": {"hostname": {"type": "Backend"}}}
    answer = {"directResponse": {"statusCode": 404, "body": {"inline": _NOT_FOUND_TEXT}}}
    return (
        _route_filter(route, _rewrite_name(route), rewrite),
        _route_filter(route, _not_found_name(route), answer),
    )


def _route_filter(route: AIGatewayRoute, name: str, spec: Object) -> Object:
    return {
        "apiVersion": f"{_EG}/v1alpha1",
        "kind": "HTTPRouteFilter",
        "metadata": _metadata(route, name),
        "spec": spec,
    }


def _metadata(route: AIGatewayRoute, name: str) -> Object:
    return {"name": name, "namespace": route.namespace}


def _rewrite_name(route: AIGatewayRoute) -> str:
    return f"ai-eg-host-rewrite-{route.metadata.name}"


def _not_found_name(route: AIGatewayRoute) -> str:
    return f"ai-eg-route-not-found-response-{route.metadata.name}"


def _filter(name: str) -> Object:
    reference = {"group": _EG, "kind": "HTTPRouteFilter", "name": name}
    return {"type": "ExtensionRef", "extensionRef": reference}


def _priorities(route: AIGatewayRoute) -> str:
    """Envoy Gateway translates again when an object changes; priorities are not in its spec."""
    return ",".join(
        f"{number}:{ref.name}:{ref.priority}"
        for number, rule in enumerate(route.spec.rules)
        for ref in rule.backend_refs
    )


def _rule(
    route: AIGatewayRoute, rule: AIGatewayRouteRule, around: Surroundings, root_prefix: str
) -> Object:
    timeouts = {"request": _DEFAULT_REQUEST_TIMEOUT}
    if rule.timeouts is not None:
        timeouts |= _written(rule.timeouts)
    path = {"path": {"value": root_prefix}}
    matches: list[Object] = [{**path, **_headers(match.headers)} for match in rule.matches]
    references = (_backend_ref(route, ref, around) for ref in rule.backend_refs)
    named = {"name": rule.name} if rule.name else {}
    return {
        **named,
        "matches": matches or [path],
        "filters": [_filter(_rewrite_name(route))],
        "timeouts": timeouts,
        "backendRefs": [reference for reference in references if reference],
    }


def _headers(conditions: Iterable[HTTPHeaderMatch]) -> Object:
    written = [_written(condition) for condition in conditions]
    return {"headers": written} if written else {}


def _backend_ref(
    route: AIGatewayRoute, ref: AIGatewayRouteRuleBackendRef, around: Surroundings
) -> Object | None:
    weight = {"weight": ref.weight} if "weight" in ref.model_fields_set else {}
    namespace = ref.namespace or route.namespace
    group, kind = ref.group or AIServiceBackend.GROUP, ref.kind or AIServiceBackend.KIND
    if not around.permits(route, ResourceId(group, kind, namespace, ref.name)):
        return None
    if ref.is_pool:
        return {
            "group": ref.group,
            "kind": ref.kind,
            "name": ref.name,
            "namespace": namespace,
            **weight,
        }
    backend = around.backend(namespace, ref.name)
    if backend is None:
        return None
    target = _written(backend.spec.backend_ref)
    if backend.namespace != route.namespace:
        target.setdefault("namespace", backend.namespace)
    return {**target, **weight}


def _written(model: ApiModel) -> Object:
    """A part of a resource as its author wrote it."""
    written: Mapping[str, Any] = model.model_dump(
        mode="json", by_alias=True, exclude_unset=True, exclude_none=True
    )
    return dict(written)
