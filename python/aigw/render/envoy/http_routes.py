"""Plain routes: proxied as they are, past both filters of the core.

A virtual host that has the API too decides by the path first: those of the API go to the routes
of the API, and all others to the plain ones. So no plain route, however
specific, comes between a client of the API and its provider, and the request filter can be off
on all of them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from aigw.plan import Gateway, MatchType, Plan, VirtualHost
from aigw.plan.http import (
    DirectResponse,
    Forward,
    HeaderChanges,
    HostRewrite,
    HostSource,
    HttpBackend,
    HttpMatch,
    HttpRetry,
    HttpRule,
    PathChange,
    PathMatch,
    PathRewrite,
    PathType,
    QueryMatch,
    Redirect,
)
from aigw.render.envoy.backend_traffic import IDLE_TIMEOUT
from aigw.render.envoy.clusters import bare_cluster
from aigw.render.envoy.local_replies import error_body
from aigw.render.envoy.match_tree import header_input, header_matcher, route_list
from aigw.render.envoy.names import (
    HOST_METADATA,
    HTTP_OPTIONS,
    REQUEST_FILTER,
    TYPE,
    Json,
    seconds,
    typed,
)
from aigw.render.envoy.security import guarded
from aigw.render.envoy.target import EnvoyTarget
from aigw.render.envoy.tls import upstream_socket

_MILLION = 1_000_000
_OVERWRITE = "OVERWRITE_IF_EXISTS_OR_ADD"
_REDIRECTS = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
_PORTS = {"http": 80, "https": 443}
_RETRY_ON = "connect-failure,refused-stream,reset,retriable-status-codes"
_PAST_THE_CORE: Json = {
    REQUEST_FILTER: {"@type": f"{TYPE}envoy.config.route.v3.FilterConfig", "disabled": True}
}
# What the client says about its own address is replaced.
_FORWARDED_FOR: Json = {
    "header": {"key": "x-forwarded-for", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"},
    "append_action": _OVERWRITE,
}


def with_plain_routes(
    plan: Plan, gateway: Gateway, host: VirtualHost, api: Json, rest: Sequence[Json]
) -> Json:
    """What chooses a route in a host with plain routes.

    `api` is what chooses among the routes of the API, `rest` answers what no route matches.
    """
    hidden = gateway.credential_headers
    plain: list[Json] = []
    for match in host.http:
        route = _route(match, plan.http_rules[match.rule], hidden)
        plain.extend(guarded([route], match.security, host, plan))
    plain.extend(rest)
    if not host.api_paths:
        return {"routes": plain}
    outcome: Json = {"matcher": api["matcher"]} if "matcher" in api else _listed(api)
    paths = "|".join(re.escape(path) for path in host.api_paths)
    is_api = {
        "input": header_input(":path"),
        "value_match": {"safe_regex": {"google_re2": {}, "regex": rf"({paths})(\?.*)?"}},
    }
    first = {"predicate": {"single_predicate": is_api}, "on_match": outcome}
    return {"matcher": {"matcher_list": {"matchers": [first]}, "on_no_match": route_list(plain)}}


def _listed(api: Json) -> Json:
    routes = api["routes"]
    return route_list(routes if isinstance(routes, list) else [])


def longest_answer(plan: Plan) -> int:
    """Bytes of the longest body that a plain route answers with."""
    actions = [rule.action for rule in plan.http_rules.values()]
    return max((len(x.body.encode()) for x in actions if isinstance(x, DirectResponse)), default=0)


def plain_clusters(plan: Plan, target: EnvoyTarget) -> list[Json]:
    """One cluster for each backend of plain routes."""
    return [_cluster(plan, target, item) for _, item in sorted(plan.http_backends.items())]


def _cluster(plan: Plan, target: EnvoyTarget, backend: HttpBackend) -> Json:
    protocol = "http2_protocol_options" if backend.http2 else "http_protocol_options"
    options = typed(
        HTTP_OPTIONS,
        common_http_protocol_options={"idle_timeout": IDLE_TIMEOUT},
        explicit_http_config={protocol: {}},
    )
    cluster: Json = {
        **bare_cluster(_name(backend.name), backend.endpoints),
        "typed_extension_protocol_options": {HTTP_OPTIONS: options},
    }
    if backend.tls:
        cluster["transport_socket"] = upstream_socket(plan, backend.tls, target)
    return cluster


def _name(backend: str) -> str:
    return f"http/{backend}"


def _route(match: HttpMatch, rule: HttpRule, hidden: tuple[str, ...]) -> Json:
    """A route; `hidden` headers are for the API alone."""
    route: Json = {
        "name": rule.id,
        "match": _match(match),
        "metadata": {"filter_metadata": {HOST_METADATA: {"aigw_route_name": rule.route}}},
        "typed_per_filter_config": _PAST_THE_CORE,
    }
    match rule.action:
        case Forward(shares=()):
            return route | _unusable()
        case Forward():
            route["route"] = _forward(rule.action, match.path)
            changes = rule.request_headers
            changes = replace(changes, remove=(*hidden, *changes.remove))
            route |= _changes("request", changes, [_FORWARDED_FOR])
            route |= _changes("response", rule.response_headers)
        case Redirect():
            route["redirect"] = _redirect(rule.action, match.path)
            route |= _changes("response", rule.response_headers)
        case DirectResponse():
            route |= _answer(rule.action, rule.response_headers)
    return route


def _match(match: HttpMatch) -> Json:
    headers = [header_matcher(header) for header in match.headers]
    if match.method:
        headers.append({"name": ":method", "string_match": {"exact": match.method}})
    found: Json = {**_path(match.path)}
    if headers:
        found["headers"] = headers
    if match.query:
        found["query_parameters"] = [_parameter(parameter) for parameter in match.query]
    return found


def _path(path: PathMatch) -> Json:
    match path.type:
        case PathType.EXACT:
            return {"path": path.value}
        case PathType.REGULAR_EXPRESSION:
            return {"safe_regex": {"regex": path.value}}
        case PathType.PREFIX:
            return {"path_separated_prefix": path.value} if path.value else {"prefix": "/"}


def _parameter(parameter: QueryMatch) -> Json:
    condition: Json = {"exact": parameter.value}
    if parameter.type is MatchType.REGULAR_EXPRESSION:
        condition = {"safe_regex": {"regex": parameter.value}}
    return {"name": parameter.name, "string_match": condition}


def _forward(action: Forward, path: PathMatch) -> Json:
    route: Json = {
        "timeout": seconds(action.request_ms),
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        **_host(action.host),
        **(_new_path(action.path, path) if action.path else {}),
    }
    if len(action.shares) == 1:
        route["cluster"] = _name(action.shares[0].backend)
    else:
        shares = [{"name": _name(x.backend), "weight": x.weight} for x in action.shares]
        route["weighted_clusters"] = {"clusters": shares}
    if action.mirrors:
        route["request_mirror_policies"] = [
            {
                "cluster": _name(mirror.backend),
                "disable_shadow_host_suffix_append": True,
                "runtime_fraction": {
                    "default_value": {
                        "numerator": mirror.numerator * _MILLION // mirror.denominator,
                        "denominator": "MILLION",
                    }
                },
            }
            for mirror in action.mirrors
        ]
    if policy := _retry(action.retry, action.attempt_ms):
        route["retry_policy"] = policy
    return route


def _host(host: HostRewrite) -> Json:
    match host.source:
        case HostSource.CLIENT:
            return {}
        case HostSource.LITERAL:
            return {"host_rewrite_literal": host.value}
        case HostSource.HEADER:
            return {"host_rewrite_header": host.value}
        case HostSource.BACKEND:
            return {"auto_host_rewrite": True}


def _retry(retry: HttpRetry | None, attempt_ms: int) -> Json:
    policy: Json = {"per_try_timeout": seconds(attempt_ms)} if attempt_ms else {}
    if retry is None:
        return {**policy, "num_retries": 0} if policy else {}
    back_off = {
        "base_interval": seconds(retry.back_off_ms),
        "max_interval": seconds(retry.back_off_ms * 10),
    }
    return {
        **policy,
        "retry_on": _RETRY_ON,
        "num_retries": retry.attempts,
        "retriable_status_codes": list(retry.status_codes),
        "retry_back_off": back_off,
    }


def _new_path(rewrite: PathRewrite, path: PathMatch) -> Json:
    """A rewrite, as a part of a route or of a redirect."""
    match rewrite.change:
        case PathChange.FULL:
            return _expression("^.*$", rewrite.value)
        case PathChange.EXPRESSION:
            change = {"pattern": {"regex": rewrite.pattern}, "substitution": rewrite.value}
            return {"regex_rewrite": change}
        case PathChange.PREFIX:
            value = rewrite.value.rstrip("/")
            if not path.value:
                return {"prefix_rewrite": f"{value}/"}
            if value:
                return {"prefix_rewrite": value}
            return _expression(f"^{re.escape(path.value)}/*", "/")


def _expression(pattern: str, text: str) -> Json:
    """Replaces what an expression matches by a text without groups."""
    substitution = text.replace("\\", "\\\\")
    return {"regex_rewrite": {"pattern": {"regex": pattern}, "substitution": substitution}}


def _redirect(action: Redirect, path: PathMatch) -> Json:
    redirect: Json = {"response_code": _REDIRECTS[action.status]}
    if action.scheme:
        redirect["scheme_redirect"] = action.scheme
    if action.hostname:
        redirect["host_redirect"] = action.hostname
    # With the host of the request its port would go on too.
    port = action.port or (0 if action.hostname else _PORTS.get(action.scheme, 0))
    if port:
        redirect["port_redirect"] = port
    if action.path and action.path.change is PathChange.FULL:
        redirect["path_redirect"] = action.path.value
    elif action.path:
        redirect |= _new_path(action.path, path)
    return redirect


def _unusable() -> Json:
    """The answer of a rule that cannot be served."""
    body = error_body(500, "InternalServerError", "this route cannot be served")
    return _answer(DirectResponse(500, body, "application/json"), HeaderChanges())


def _answer(action: DirectResponse, changes: HeaderChanges) -> Json:
    response: Json = {"status": action.status}
    if action.body:
        response["body"] = {"inline_string": action.body}
    written: list[Json] = []
    if action.content_type:
        written = list(_added([("content-type", action.content_type)], _OVERWRITE))
    return {"direct_response": response, **_changes("response", changes, written)}


def _changes(side: str, changes: HeaderChanges, first: Sequence[Json] = ()) -> Json:
    """Changes of headers of a `request` or a `response`."""
    added = [
        *first,
        *_added(changes.set, _OVERWRITE),
        *_added(changes.add, "APPEND_IF_EXISTS_OR_ADD"),
    ]
    found: Json = {}
    if added:
        found[f"{side}_headers_to_add"] = added
    if changes.remove:
        found[f"{side}_headers_to_remove"] = list(changes.remove)
    return found


def _added(pairs: Iterable[tuple[str, str]], action: str) -> list[Json]:
    return [
        {
            "header": {"key": name, "value": value.replace("%", "%%")},
            "append_action": action,
        }
        for name, value in pairs
    ]
