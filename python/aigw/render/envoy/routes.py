"""Route configurations: virtual hosts, one Envoy route per match, and what answers the rest."""

from collections.abc import Mapping

from aigw.plan import Gateway, HeaderMatch, Listener, MatchType, Plan, RouteMatch, Rule, VirtualHost
from aigw.render.envoy.local_replies import (
    COHERE_PREFIX,
    error_body,
    models_on_offer,
    unknown_model_message,
)
from aigw.render.envoy.names import HOST_METADATA, MODEL_HEADER, Json, seconds, typed
from aigw.render.envoy.target import DataPlane, EnvoyTarget

MAX_DIRECT_RESPONSE = 8192
LONGEST_RETRY_AFTER = "10s"
"""Beyond it the usual back-off applies, and the client soon gets the reply with the header."""
_SPECIFIER = (
    "envoy.extensions.router.cluster_specifiers.priority_group.v3.PriorityGroupClusterSpecifier"
)
_PREVIOUS = "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
# What Envoy and clients add on the way; providers get what the client's library sent.
NOT_FOR_PROVIDERS = [
    "forwarded",
    "via",
    "x-envoy-external-address",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
]


def route_configuration(
    plan: Plan, gateway: Gateway, listener: Listener, target: EnvoyTarget, ids: Mapping[str, str]
) -> Json:
    """The RDS resource of a listener of a Gateway."""
    return {
        "name": listener.name,
        "max_direct_response_body_size_bytes": MAX_DIRECT_RESPONSE,
        "ignore_port_in_host_matching": True,
        "virtual_hosts": [
            _virtual_host(plan, gateway, host, target, ids) for host in listener.virtual_hosts
        ],
    }


def _virtual_host(
    plan: Plan, gateway: Gateway, host: VirtualHost, target: EnvoyTarget, ids: Mapping[str, str]
) -> Json:
    routes: list[Json] = []
    for match in host.matches:
        rule = plan.rules[match.rule]
        if rule.groups:
            routes.extend(_routes(match, rule, target, ids))
        else:
            message = "no backend of this route can be used"
            routes.extend(_direct(_headers(match), 503, "ServiceUnavailable", message))
    absent = [{"name": MODEL_HEADER, "present_match": False}]
    message = "invalid request body: the request names no model"
    routes.extend(_direct(absent, 400, "BadRequest", message))
    message = unknown_model_message(models_on_offer(gateway.models, host.hostname))
    routes.extend(_direct([], 404, "NotFound", message))
    return {
        "name": host.hostname,
        "domains": [host.hostname],
        "request_body_buffer_limit": gateway.limits.request_body_bytes,
        "request_headers_to_remove": NOT_FOR_PROVIDERS,
        "routes": routes,
    }


def _routes(
    match: RouteMatch, rule: Rule, target: EnvoyTarget, ids: Mapping[str, str]
) -> list[Json]:
    """One route, or one per path."""
    action: Json = {
        **_destination(rule, target, ids),
        "auto_host_rewrite": True,
        "timeout": seconds(rule.timeouts.request_ms),
    }
    if policy := _retry_policy(rule, target):
        action["retry_policy"] = policy
    paths: list[Json] = [{"path": path} for path in match.paths]
    return [
        {
            "name": rule.id,
            "match": {**path, "headers": _headers(match)},
            "metadata": {"filter_metadata": {HOST_METADATA: {"aigw_route_name": rule.route}}},
            "route": action,
        }
        for path in paths or [{"prefix": "/"}]
    ]


def _headers(match: RouteMatch) -> list[Json]:
    return [_header(header) for header in match.headers]


def _header(header: HeaderMatch) -> Json:
    name = ":authority" if header.name == "host" else header.name
    if header.type is MatchType.REGULAR_EXPRESSION:
        return {"name": name, "string_match": {"safe_regex": {"regex": header.value}}}
    return {"name": name, "string_match": {"exact": header.value}}


def _destination(rule: Rule, target: EnvoyTarget, ids: Mapping[str, str]) -> Json:
    """A cluster; for the module with several backends, one cluster group per attempt."""
    if target.data_plane is DataPlane.EXTPROC:
        return {"cluster": rule.id}
    if len(rule.groups) == 1 and len(rule.groups[0].members) == 1:
        return {"cluster": ids[rule.groups[0].members[0].backend]}
    repeats = rule.retry.attempts_per_group if rule.retry else 1
    attempts = rule.retry.num_retries + 1 if rule.retry else 1
    groups = [group for group in rule.groups for _ in range(min(repeats, attempts))]
    rendered = [
        {
            "name": f"attempt-{number}",
            "clusters": [
                {"cluster_name": ids[member.backend], "weight": member.weight}
                for member in group.members
            ],
        }
        for number, group in enumerate(groups[:attempts], start=1)
    ]
    extension = {
        "name": "envoy.router.cluster_specifier_plugin.priority_group",
        "typed_config": typed(_SPECIFIER, priority_groups=rendered),
    }
    return {"inline_cluster_specifier_plugin": {"extension": extension}}


def _retry_policy(rule: Rule, target: EnvoyTarget) -> Json:
    """Retries and limits of one attempt; empty when the rule has neither."""
    policy: Json = {}
    if rule.timeouts.attempt_ms:
        policy["per_try_timeout"] = seconds(rule.timeouts.attempt_ms)
    if rule.timeouts.stream_idle_ms:
        policy["per_try_idle_timeout"] = seconds(rule.timeouts.stream_idle_ms)
    retry = rule.retry
    if retry is None:
        return {**policy, "num_retries": 0} if policy else {}
    policy |= {
        "retry_on": ",".join(retry.triggers),
        "num_retries": retry.num_retries,
        "retriable_status_codes": list(retry.status_codes),
        "retry_back_off": {
            "base_interval": seconds(retry.back_off_base_ms),
            "max_interval": seconds(retry.back_off_max_ms),
        },
    }
    if len(rule.groups) == 1:
        # The same provider is asked again: not before it wants to be, unless that is far off.
        policy["rate_limited_retry_back_off"] = {
            "reset_headers": [{"name": "retry-after", "format": "SECONDS"}],
            "max_interval": LONGEST_RETRY_AFTER,
        }
    if target.data_plane is DataPlane.MODULE:
        policy["refresh_cluster_on_retry"] = True
    elif len(rule.groups) > 1:
        policy["retry_priority"] = {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": typed(_PREVIOUS, update_frequency=retry.attempts_per_group),
        }
    return policy


def _direct(headers: list[Json], status: int, type_name: str, message: str) -> list[Json]:
    """An error in the client's shape: once for Cohere's paths, once for all others."""
    return [
        {
            "match": {"prefix": prefix, "headers": headers},
            "direct_response": {
                "status": status,
                "body": {"inline_string": error_body(status, type_name, message, prefix)},
            },
            "response_headers_to_add": [
                {
                    "header": {"key": "content-type", "value": "application/json"},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            ],
        }
        for prefix in (COHERE_PREFIX, "/")
    ]
