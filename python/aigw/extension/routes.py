"""Route configurations: AI routes turn the core on, carry their policy, and fail closed.

Envoy chooses the filters of a request by the first match of its route, when its model is not known.
Then only the catch-all of an AI route matches, so it turns the core on as well, and what it answers
itself becomes what `aigw run` answers.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from aigw.extension.clusters import Clusters
from aigw.extension.filters import CORE_FILTER, request_filter_on
from aigw.extension.messages import Message, any_of, encoded, from_json, message
from aigw.extension.mixed import ordered
from aigw.extension.names import Place, route_place
from aigw.extension.policies import PROTECTING, policy_filters
from aigw.extension.served import Served, ServedHost, ServedRule
from aigw.plan import Gateway, Plan
from aigw.render.envoy.local_replies import NO_MODEL_ROUTE
from aigw.render.envoy.names import HOST_METADATA, POLICY_KEY, Json
from aigw.render.envoy.routes import (
    MAX_DIRECT_RESPONSE,
    NOT_FOR_PROVIDERS,
    direct,
    rest,
    retry_policy,
)
from aigw.render.envoy.target import EnvoyTarget

EG_METADATA = "envoy-gateway"
GENERATED = "ai-gateway-generated"
ROUTE_KEY = "aigw_route_name"
_ROUTE = "envoy.config.route.v3.Route"
_RETRIES = "envoy.config.route.v3.RetryPolicy"
_UNKNOWN = Gateway()


@dataclass(frozen=True, slots=True)
class Host:
    """A virtual host of xDS, and what the plan says about it."""

    gateway: str
    domain: str
    served: ServedHost | None

    @property
    def is_closed(self) -> bool:
        """Whether nothing may be served: its policy cannot be enforced, or it is not known."""
        return self.served is None or self.served.host.is_closed


@dataclass
class Routes:
    """Rewrites route configurations of one bundle, and remembers what they need."""

    served: Served
    clusters: Clusters
    target: EnvoyTarget
    used: dict[str, str] = field(default_factory=dict)
    """Clusters of AI routes, each with a Gateway that has it."""
    configs: set[str] = field(default_factory=set)
    """Route configurations with AI routes."""
    joined: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Clusters to be made, each with those that it tries in this order."""
    needs_no_model: bool = False
    unknown: set[str] = field(default_factory=set)
    """Rules that the plan does not have."""

    def __post_init__(self) -> None:
        """Nothing is known yet."""
        self._retries: dict[tuple[object, ...], Message | None] = {}
        self._on: dict[str, Message] = {}
        self._filters: dict[str, dict[str, Message]] = {}
        self._answers: dict[str, list[Message]] = {}

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.served.plan

    def rewrite(self, config: Message) -> bool:
        """Changes a route configuration in place, and says whether it has AI routes."""
        hosts = [host for host in config.virtual_hosts if any(map(is_generated, host.routes))]
        for host in hosts:
            self._host(config.name, host)
        if hosts:
            longest = config.max_direct_response_body_size_bytes
            longest.value = max(longest.value, MAX_DIRECT_RESPONSE)
        return bool(hosts)

    def _host(self, config: str, host: Message) -> None:
        gateway, section = gateway_of(host)
        domain = host.domains[0] if host.domains else "*"
        known = Host(gateway, domain, self.served.host(gateway, section, config, domain))
        if not host.HasField("request_body_buffer_limit"):
            limits = self.plan.gateways.get(gateway, _UNKNOWN).limits
            host.request_body_buffer_limit.value = limits.request_body_bytes
        self.configs.add(config)
        routes = [*self._routes(host.routes, known)]
        del host.routes[:]
        host.routes.extend(routes)

    def _routes(self, routes: Iterable[Message], host: Host) -> Iterator[Message]:
        """The routes of a host; only the first of equal catch-alls can ever match."""
        seen: set[bytes] = set()
        for route in routes:
            if not is_generated(route):
                yield route
            elif route.route.cluster == NO_MODEL_ROUTE:
                self.needs_no_model = True
                yield route
            elif not route.HasField("direct_response") or self._is_rule(route, host):
                yield from self._route(route, host)
            elif (key := encoded(route.match)) not in seen:
                seen.add(key)
                yield from self._catch_all(route, host)

    def _is_rule(self, route: Message, host: Host) -> bool:
        """Whether a rule of ours was made a route that answers, for want of an object."""
        place = route_place(route.name)
        if place is None or is_marked(route):
            return False
        return host.served is not None and place.rule in host.served.matches

    def _route(self, route: Message, host: Host) -> list[Message]:
        """A route to providers, or what takes its place when it may not be served."""
        place = route_place(route.name)
        rule = self._rule(place, host)
        self._mark(route, host, place)
        if rule is None or not route.HasField("route"):
            return self._refuse(route)
        action = route.route
        self._use(action, rule, host)
        action.append_x_forwarded_host = False
        known = set(route.request_headers_to_remove)
        route.request_headers_to_remove.extend(
            name for name in NOT_FOR_PROVIDERS if name not in known
        )
        self._put_retries(action, rule)
        return [route]

    def _use(self, action: Message, rule: ServedRule, host: Host) -> None:
        """Notes the clusters of an action, in the order of their priorities if there are several.

        Where some have the same priority, weights choose among the first.
        """
        names = cluster_names(action)
        groups = ordered(names, rule)
        if groups and all(len(group) == 1 for group in groups):
            name = f"httproute/{rule.rule.id.partition('@')[0]}"
            action.cluster = name
            self.joined[name] = tuple(name for (name,) in groups)
            names = [name, *names]
        elif groups:
            weighted = action.weighted_clusters.clusters
            kept = [item for item in weighted if item.name in groups[0]]
            del weighted[:]
            weighted.extend(kept)
        for name in names:
            self.used.setdefault(name, host.gateway)

    def _rule(self, place: Place | None, host: Host) -> ServedRule | None:
        """The rule of a route where it may be served."""
        if place is None or host.served is None or host.is_closed:
            if place is not None:
                self.unknown.add(place.rule)
            return None
        match = host.served.matches.get(place.rule)
        rule = self.plan.rules.get(match.rule) if match else None
        if rule is None:
            self.unknown.add(place.rule)
            return None
        if not rule.groups:
            return None
        found = self.served.of(rule)
        return found if self.clusters.has_ways(found) else None

    def _refuse(self, route: Message) -> list[Message]:
        message_ = "no backend of this route can be used"
        answers = direct(self.plan, {}, 503, "ServiceUnavailable", message_)
        return self._answering(route, [from_json(_ROUTE, item) for item in answers])

    def _answering(self, route: Message, answers: Iterable[Message]) -> list[Message]:
        """Copies of a route, each with the answer, and with the path of one that is narrower."""
        found = []
        for answer in answers:
            copy = message(_ROUTE)()
            copy.CopyFrom(route)
            if answer.match.prefix not in ("", "/"):
                headers = [*copy.match.headers]
                copy.match.CopyFrom(answer.match)
                del copy.match.headers[:]
                copy.match.headers.extend(headers)
            for header in answer.match.headers:
                if header not in copy.match.headers:
                    copy.match.headers.append(header)
            copy.response_headers_to_add.extend(answer.response_headers_to_add)
            if answer.HasField("direct_response"):
                copy.direct_response.CopyFrom(answer.direct_response)
            else:
                copy.name = answer.name
                copy.route.CopyFrom(answer.route)
            found.append(copy)
        return found

    def _catch_all(self, route: Message, host: Host) -> list[Message]:
        """What answers requests that no rule takes, or that name no model."""
        if is_marked(route):
            return [route]
        self._mark(route, host, route_place(route.name))
        if host.served is None or host.is_closed:
            return self._refuse(route)
        key = f"{host.gateway} {host.domain} {host.served.host.security}"
        known = self._answers.get(key)
        if known is None:
            gateway = self.plan.gateways.get(host.gateway, _UNKNOWN)
            written = rest(self.plan, gateway, host.served.host)
            known = self._answers[key] = [from_json(_ROUTE, item) for item in written]
        self.needs_no_model |= any(item.route.cluster == NO_MODEL_ROUTE for item in known)
        return self._answering(route, known)

    def _mark(self, route: Message, host: Host, place: Place | None) -> None:
        """Turns the core on and says which route and policy this is."""
        fields = route.metadata.filter_metadata[HOST_METADATA].fields
        fields[ROUTE_KEY].string_value = route_name(route, place)
        key, match = "", None
        if host.served is not None:
            key = host.served.host.security
            match = host.served.matches.get(place.rule) if place else None
        if match is not None:
            key = match.security
        if policy := self._policy(route, key):
            fields[POLICY_KEY].string_value = policy
        per_filter = route.typed_per_filter_config
        if not host.is_closed:
            per_filter[CORE_FILTER].CopyFrom(self._turned_on(host.gateway))
        for name, config in self._policy_filters(key).items():
            per_filter[name].CopyFrom(config)

    def _policy(self, route: Message, key: str) -> str:
        """A hash of what protects a route: the plan's word for it, and the filters that are on."""
        names = sorted(
            name for name in route.typed_per_filter_config if name.startswith(PROTECTING)
        )
        if not names:
            return key
        return hashlib.sha256("\n".join((key, *names)).encode()).hexdigest()[:32]

    def _policy_filters(self, key: str) -> dict[str, Message]:
        known = self._filters.get(key)
        if known is None:
            written = policy_filters(self.plan, key)
            known = {name: any_of(cast("Json", item)) for name, item in written.items()}
            self._filters[key] = known
        return known

    def _turned_on(self, gateway: str) -> Message:
        known = self._on.get(gateway)
        if known is None:
            known = self._on[gateway] = any_of(request_filter_on(gateway))
        return known

    def _put_retries(self, action: Message, rule: ServedRule) -> None:
        """Ours where nobody said anything; else only what a failover cannot do without."""
        ours = self._retry_policy(rule)
        if ours is None:
            return
        if not action.HasField("retry_policy"):
            action.retry_policy.CopyFrom(ours)
            return
        policy = action.retry_policy
        for name in ("per_try_idle_timeout", "retry_priority"):
            if ours.HasField(name) and not policy.HasField(name):
                getattr(policy, name).CopyFrom(getattr(ours, name))

    def _retry_policy(self, rule: ServedRule) -> Message | None:
        key = (rule.rule.retry, rule.rule.timeouts, len(rule.rule.groups))
        if key not in self._retries:
            written = retry_policy(rule.rule, self.target)
            self._retries[key] = from_json(_RETRIES, written) if written else None
        return self._retries[key]


def is_generated(route: Message) -> bool:
    """Whether Envoy Gateway made a route of an HTTPRoute that an AIGatewayRoute owns."""
    if EG_METADATA not in route.metadata.filter_metadata:
        return False
    fields = route.metadata.filter_metadata[EG_METADATA].fields
    if "resources" not in fields:
        return False
    for item in fields["resources"].list_value.values:
        resource = item.struct_value.fields
        if "annotations" not in resource:
            continue
        if GENERATED in resource["annotations"].struct_value.fields:
            return True
    return False


def is_marked(route: Message) -> bool:
    """Whether a route was rewritten before."""
    ours = route.metadata.filter_metadata
    return HOST_METADATA in ours and ROUTE_KEY in ours[HOST_METADATA].fields


def cluster_names(action: Message) -> list[str]:
    """The clusters that an action may choose."""
    if action.HasField("weighted_clusters"):
        return [item.name for item in action.weighted_clusters.clusters]
    return [action.cluster] if action.cluster else []


def gateway_of(host: Message) -> tuple[str, str]:
    """`<ns>/<name>` of the Gateway of a virtual host, and the name of its listener."""
    fields = (
        host.metadata.filter_metadata[EG_METADATA].fields
        if (EG_METADATA in host.metadata.filter_metadata)
        else {}
    )
    for item in fields["resources"].list_value.values if "resources" in fields else ():
        resource = item.struct_value.fields
        if "kind" in resource and resource["kind"].string_value == "Gateway":
            section = resource["sectionName"].string_value if "sectionName" in resource else ""
            return f"{_text(resource, 'namespace')}/{_text(resource, 'name')}", section
    return "", ""


def route_name(route: Message, place: Place | None) -> str:
    """`<ns>/<name>` of the route."""
    if place is not None:
        return place.route
    for item in route.metadata.filter_metadata[EG_METADATA].fields["resources"].list_value.values:
        resource = item.struct_value.fields
        return f"{_text(resource, 'namespace')}/{_text(resource, 'name')}"
    return str(route.name)


def _text(fields: Message, key: str) -> str:
    return str(fields[key].string_value) if key in fields else ""
