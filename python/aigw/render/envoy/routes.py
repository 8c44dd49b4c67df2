"""Route configurations: virtual hosts, one Envoy route per match, and what answers the rest."""

from collections.abc import Mapping

from aigw.plan import Gateway, Listener, Plan, RouteMatch, Rule, VirtualHost
from aigw.render.envoy.backend_traffic import cluster_name, hash_policies, skipping
from aigw.render.envoy.local_replies import (
    NO_MODEL_MESSAGE,
    error_body,
    models_on_offer,
    shapes,
    unknown_model_message,
)
from aigw.render.envoy.match_tree import MatchedRoutes, header_matcher, selection
from aigw.render.envoy.names import HOST_METADATA, MODEL_HEADER, Json, seconds, typed
from aigw.render.envoy.security import guarded, host_filters, no_model_routes, with_rest
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
    "x-envoy-internal",
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
        "max_direct_response_body_size_bytes": _longest_answer(plan),
        "ignore_port_in_host_matching": True,
        "virtual_hosts": with_rest(
            [_virtual_host(plan, gateway, host, target, ids) for host in listener.virtual_hosts],
            listener,
        ),
    }


def _longest_answer(plan: Plan) -> int:
    if not plan.http_rules:
        return MAX_DIRECT_RESPONSE
    from aigw.render.envoy.http_routes import longest_answer  # noqa: PLC0415 - for few plans

    return max(MAX_DIRECT_RESPONSE, longest_answer(plan))


def _virtual_host(
    plan: Plan, gateway: Gateway, host: VirtualHost, target: EnvoyTarget, ids: Mapping[str, str]
) -> Json:
    entries = [
        MatchedRoutes(match, _guarded_routes(plan, host, match, target, ids))
        for match in host.matches
    ]
    others = [*guarded(rest(plan, gateway, host), host.security, host, plan)]
    found: Json = {
        "name": host.hostname,
        "domains": [host.hostname],
        "request_body_buffer_limit": gateway.limits.request_body_bytes,
        **host_filters(host, plan),
    }
    if not host.http:
        taken_off = {"request_headers_to_remove": NOT_FOR_PROVIDERS}
        return {**found, **taken_off, **selection(entries, others)}
    from aigw.render.envoy.http_routes import with_plain_routes  # noqa: PLC0415 - for few plans

    for route in (route for entry in entries for route in entry.routes):
        route["request_headers_to_remove"] = NOT_FOR_PROVIDERS
    return {**found, **with_plain_routes(plan, gateway, host, selection(entries, others), others)}


def _guarded_routes(
    plan: Plan, host: VirtualHost, match: RouteMatch, target: EnvoyTarget, ids: Mapping[str, str]
) -> tuple[Json, ...]:
    return (*guarded(_routes(plan, match, target, ids), match.security, host, plan),)


def rest(plan: Plan, gateway: Gateway, host: VirtualHost) -> list[Json]:
    """What answers requests that no match takes."""
    if host.is_closed:
        message = "the security policy of this host cannot be enforced"
        return direct(plan, {}, 503, "ServiceUnavailable", message)
    absent: list[Json] = [{"name": MODEL_HEADER, "present_match": False}]
    nameless = direct(plan, {"headers": absent}, 400, "BadRequest", NO_MODEL_MESSAGE)
    if security := plan.security.get(host.security):
        nameless = no_model_routes(absent, security) or nameless
    message = unknown_model_message(models_on_offer(gateway.models, host.hostname))
    return [*nameless, *direct(plan, {}, 404, "NotFound", message)]


def _routes(
    plan: Plan, match: RouteMatch, target: EnvoyTarget, ids: Mapping[str, str]
) -> list[Json]:
    """One route, or one per path."""
    rule = plan.rules[match.rule]
    headers = [header_matcher(header) for header in match.headers]
    if not rule.groups:
        message = "no backend of this route can be used"
        return direct(plan, {"headers": headers}, 503, "ServiceUnavailable", message)
    if target.data_plane is DataPlane.MODULE:
        rule = skipping(rule)
    action: Json = {
        **_destination(rule, target, ids),
        **hash_policies(rule.traffic),
        "auto_host_rewrite": True,
        "timeout": seconds(rule.timeouts.request_ms),
    }
    if policy := retry_policy(rule, target):
        action["retry_policy"] = policy
    paths: list[Json] = [{"path": path} for path in match.paths]
    return [
        {
            "name": rule.id,
            "match": {**path, "headers": headers},
            "metadata": {"filter_metadata": {HOST_METADATA: {"aigw_route_name": rule.route}}},
            "route": action,
        }
        for path in paths or [{"prefix": "/"}]
    ]


def _destination(rule: Rule, target: EnvoyTarget, ids: Mapping[str, str]) -> Json:
    """A cluster; for the module with several backends, one cluster group per attempt."""
    if target.data_plane is DataPlane.EXTPROC:
        return {"cluster": rule.id}
    if len(rule.groups) == 1 and len(rule.groups[0].members) == 1:
        backend = rule.groups[0].members[0].backend
        return {"cluster": cluster_name(ids[backend], rule.traffic)}
    repeats = rule.retry.attempts_per_group if rule.retry else 1
    attempts = rule.retry.num_retries + 1 if rule.retry else 1
    groups = [group for group in rule.groups for _ in range(min(repeats, attempts))]
    rendered = [
        {
            "name": f"attempt-{number}",
            "clusters": [
                {
                    "cluster_name": cluster_name(ids[member.backend], rule.traffic),
                    "weight": member.weight,
                }
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


def retry_policy(rule: Rule, target: EnvoyTarget) -> Json:
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


def direct(plan: Plan, conditions: Json, status: int, type_name: str, message: str) -> list[Json]:
    """An error in the client's shape: once for Cohere's paths, once for all others."""
    return [
        {
            "match": {"prefix": prefix, **conditions},
            "direct_response": {
                "status": status,
                "body": {"inline_string": error_body(status, type_name, message, shape)},
            },
            "response_headers_to_add": [
                {
                    "header": {"key": "content-type", "value": "application/json"},
                    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                }
            ],
        }
        for prefix, shape in shapes(plan.prefixes)
    ]
