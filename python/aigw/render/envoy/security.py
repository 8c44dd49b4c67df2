"""Authentication of clients by Envoy's own filters, in front of the request filter.

Each filter is in the chain once and off; virtual hosts, and routes that differ from theirs, turn
on what their policy asks for. All are there from the start: an open connection keeps the chain that
it began with, and takes new routes and new issuers of tokens. What a policy needs beyond that is
in a new chain only, so each policy turns on a filter that refuses where it is missing.

Credentials of clients stand in the files of routes, so that a new key changes no listener, in
members that Envoy leaves out when it shows its configuration. Which filters are on is decided by
the first match of the route, before the model is known: routes carry a hash of their policy, and
the core compares that of the first match with that of the last.
"""

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, cast

from aigw.plan import Listener, Plan, Tls, VirtualHost
from aigw.plan.security import (
    ApiKeys,
    Cors,
    Passwords,
    Place,
    RemoteKeys,
    Security,
    TokenIssuer,
    Tokens,
)
from aigw.render.envoy.backend_traffic import CONNECT_TIMEOUT, circuit_breakers
from aigw.render.envoy.local_replies import NO_MODEL_ROUTE, error_body
from aigw.render.envoy.names import (
    HOST_METADATA,
    POLICY_KEY,
    REQUEST_FILTER,
    TYPE,
    Json,
    seconds,
    typed,
)
from aigw.render.envoy.target import EnvoyTarget
from aigw.render.envoy.tls import upstream_socket

CORS_FILTER = "envoy.filters.http.cors"
STRANGER_FILTER = "aigw.stranger"
"""Takes off what only authentication may say."""
API_KEY_FILTER = "envoy.filters.http.api_key_auth"
BASIC_FILTER = "envoy.filters.http.basic_auth"
JWT_FILTER = "envoy.filters.http.jwt_authn"
SPENT_FILTER = "aigw.spent"
"""Takes off the credentials for this gateway once they were checked."""
TOKENS_FILE = "ecds/tokens.json"
"""Settings of the filter of tokens."""
KEYS_TIMEOUT = "5s"

_FILTERS = "envoy.extensions.filters.http"
_CORS = f"{_FILTERS}.cors.v3.Cors"
_API_KEY = f"{_FILTERS}.api_key_auth.v3.ApiKeyAuth"
_BASIC = f"{_FILTERS}.basic_auth.v3.BasicAuth"
_JWT = f"{_FILTERS}.jwt_authn.v3"
_TOKENS = f"{_JWT}.JwtAuthentication"
_MUTATION = f"{_FILTERS}.header_mutation.v3.HeaderMutation"
_FILTER_CONFIG = "envoy.config.route.v3.FilterConfig"
_DNS = "envoy.extensions.clusters.dns.v3.DnsCluster"
# Envoy wants users where the filter stands, and uses those of the route. Nothing has this hash.
_NO_HASH = f"{{SHA}}{'A' * 27}="
_NOBODY = f"nobody:{_NO_HASH}"
_OFF: Json = typed(_FILTER_CONFIG, disabled=True)


class _PerRoute(StrEnum):
    """Types of messages with credentials of clients."""

    API_KEY = f"{TYPE}{_API_KEY}PerRoute"
    BASIC = f"{TYPE}{_BASIC}PerRoute"


def security_filters(plan: Plan, listener: Listener, tokens: Json) -> list[Json]:
    """`http_filters` in front of the request filter; `tokens` is where its settings come from."""
    keys = _keys(listener)
    used = [plan.security[key] for key in sorted(keys) if key in plan.security]
    forwards = {item.passwords.forward for item in used if item.passwords}
    return [
        _filter(CORS_FILTER, typed(_CORS)),
        _filter(STRANGER_FILTER, typed(_MUTATION)),
        _filter(API_KEY_FILTER, typed(_API_KEY)),
        *(_basic(forward) for forward in sorted({"", *forwards})),
        {
            "name": JWT_FILTER,
            "disabled": True,
            "config_discovery": {"config_source": tokens, "type_urls": [f"{TYPE}{_TOKENS}"]},
        },
        _filter(SPENT_FILTER, typed(_MUTATION)),
    ]


def _basic(forward: str) -> Json:
    settings: Json = {"users": {"inline_string": _NOBODY}}
    if forward:
        settings["forward_username_header"] = forward
    return _filter(_basic_name(forward), typed(_BASIC, **settings))


def _keys(listener: Listener) -> set[str]:
    """All policies behind a listener: each of their filters must be in its chain."""
    found: set[str] = set()
    for host in listener.virtual_hosts:
        found.add(host.security)
        found.update(match.security for match in host.matches)
        found.update(match.security for match in host.http)
    return found


def _filter(name: str, config: Json) -> Json:
    return {"name": name, "disabled": True, "typed_config": config}


def _basic_name(forward: str) -> str:
    """The header of the user name is a setting of the filter, not of routes.

    The filter without a name checks too, for the sake of chains that lack this one.
    """
    return f"{BASIC_FILTER}.{forward}" if forward else BASIC_FILTER


def host_filters(host: VirtualHost, plan: Plan) -> Json:
    """The part of a virtual host that turns filters on, and the core off where it is closed."""
    if host.is_closed:
        return {"typed_per_filter_config": {REQUEST_FILTER: _OFF}}
    config = per_filter(plan, host.security)
    return {"typed_per_filter_config": config} if config else {}


def guarded(routes: Iterable[Json], key: str, host: VirtualHost, plan: Plan) -> Iterator[Json]:
    """Routes under a policy: marked with its hash, with filters where they differ from the host."""
    own: Json = {}
    if key != host.security:
        own = {**dict.fromkeys(per_filter(plan, host.security), _OFF), **per_filter(plan, key)}
    for route in routes:
        found = {**route, "metadata": _marked(route, key)} if key else dict(route)
        if own:
            before = cast("Json", route.get("typed_per_filter_config", {}))
            found["typed_per_filter_config"] = {**before, **own}
        yield found


def _marked(route: Json, key: str) -> Json:
    metadata = cast("dict[str, dict[str, Json]]", route.get("metadata", {}))
    namespaces = metadata.get("filter_metadata", {})
    ours = {**namespaces.get(HOST_METADATA, {}), POLICY_KEY: key}
    return {"filter_metadata": {**namespaces, HOST_METADATA: ours}}


def no_model_routes(match: list[Json], security: Security) -> list[Json]:
    """The first match of most requests, where web pages may call; otherwise nothing.

    The filter for web pages passes over routes without an upstream. This one has a cluster without
    hosts: what stays on it is answered as by a direct response.
    """
    if security.cors is None:
        return []
    return [
        {
            "name": NO_MODEL_ROUTE,
            "match": {"prefix": "/", "headers": match},
            "route": {"cluster": NO_MODEL_ROUTE},
        }
    ]


def with_rest(hosts: list[Json], listener: Listener) -> list[Json]:
    """With a host for all other names where some are protected: the core tells them nothing."""
    is_guarded = any(host.security or host.is_closed for host in listener.virtual_hosts)
    if not is_guarded or any(host.hostname == "*" for host in listener.virtual_hosts):
        return hosts
    body = error_body(404, "NotFound", "no matching route")
    header = {"key": "content-type", "value": "application/json"}
    nothing: Json = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 404, "body": {"inline_string": body}},
        "response_headers_to_add": [
            {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
    }
    rest: Json = {
        "name": "no-host",
        "domains": ["*"],
        "routes": [nothing],
        "typed_per_filter_config": {REQUEST_FILTER: _OFF},
    }
    return [*hosts, rest]


def per_filter(plan: Plan, key: str) -> Json:
    """`typed_per_filter_config` of a policy."""
    security = plan.security.get(key, Security())
    config: Json = {}
    if security.cors:
        config[CORS_FILTER] = _cors(security.cors)
    if removed := [{"remove": name} for name in dict.fromkeys(security.identity)]:
        config[STRANGER_FILTER] = _mutations(request_mutations=removed)
    if security.api_keys:
        config[API_KEY_FILTER] = _api_keys(security.api_keys)
    if security.passwords:
        config[BASIC_FILTER] = _passwords(security.passwords)
        config[_basic_name(security.passwords.forward)] = _passwords(security.passwords)
    if security.tokens:
        config[JWT_FILTER] = typed(f"{_JWT}.PerRouteConfig", requirement_name=key)
    if any(security.sources):
        config[SPENT_FILTER] = _spent(security)
    return config


def _spent(security: Security) -> Json:
    """Cookies go as a whole: those of this gateway are of no use to a provider."""
    headers: dict[str, None] = {}
    params: dict[str, None] = {}
    for source in security.sources:
        match source.place:
            case Place.HEADER:
                headers[source.name] = None
            case Place.COOKIE:
                headers["cookie"] = None
            case Place.QUERY:
                params[source.name] = None
    return _mutations(
        request_mutations=[{"remove": name} for name in headers],
        query_parameter_mutations=[{"remove": name} for name in params],
    )


def _mutations(**mutations: object) -> Json:
    return typed(f"{_MUTATION}PerRoute", mutations=mutations)


def _api_keys(keys: ApiKeys) -> Json:
    forwarding: Json = {"hide_credentials": True}
    if keys.forward:
        forwarding["header"] = keys.forward
    return typed(
        f"{_API_KEY}PerRoute",
        credentials=[{"key": key, "client": client} for client, key in keys.clients],
        key_sources=[{source.place.value: source.name} for source in keys.sources],
        forwarding=forwarding,
    )


def _passwords(passwords: Passwords) -> Json:
    return typed(f"{_BASIC}PerRoute", users={"inline_string": "\n".join(passwords.users)})


def without_credentials(value: Any) -> Any:  # noqa: ANN401 - any JSON, and the same again
    """A copy of a part of the configuration, for people: credentials of clients are made up."""
    if isinstance(value, list):
        return [without_credentials(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {name: without_credentials(item) for name, item in value.items()}
    match found.get("@type"):
        case _PerRoute.API_KEY:
            for number, credential in enumerate(found["credentials"]):
                credential["key"] = f"key-{number}-is-not-shown"
        case _PerRoute.BASIC:
            lines = found["users"]["inline_string"].splitlines()
            names = [line.partition(":")[0] for line in lines]
            found["users"] = {"inline_string": "\n".join(f"{x}:{_NO_HASH}" for x in names)}
    return found


# --- tokens ---


def token_settings(plan: Plan) -> Json:
    """All issuers, and what each policy requires of them.

    All chains have the same settings, apart from listeners: an open connection keeps its chain, and
    takes new issuers.
    """
    policies = {key: plan.security[key].tokens for key in sorted(_used(plan))}
    providers: Json = {}
    requirements: Json = {}
    for key, tokens in policies.items():
        if tokens:
            providers |= {f"{key}/{item.name}": _provider(item) for item in tokens.issuers}
            requirements[key] = _requirement(key, tokens)
    settings = typed(_TOKENS, providers=providers, requirement_map=requirements)
    return {"name": JWT_FILTER, "typed_config": settings}


def _requirement(key: str, tokens: Tokens) -> Json:
    found: list[Json] = [{"provider_name": f"{key}/{item.name}"} for item in tokens.issuers]
    if tokens.is_optional:
        found.append({"allow_missing": {}})
    return found[0] if len(found) == 1 else {"requires_any": {"requirements": found}}


def _provider(issuer: TokenIssuer) -> Json:
    provider: Json = {"forward": False}
    if issuer.issuer:
        provider["issuer"] = issuer.issuer
    if issuer.audiences:
        provider["audiences"] = list(issuer.audiences)
    if isinstance(issuer.keys, RemoteKeys):
        http = {
            "uri": issuer.keys.uri,
            "cluster": _cluster_name(issuer.keys),
            "timeout": KEYS_TIMEOUT,
        }
        provider["remote_jwks"] = {
            "http_uri": http,
            "cache_duration": seconds(issuer.keys.cache_ms),
            "async_fetch": {"fast_listener": True},
        }
    else:
        provider["local_jwks"] = {"inline_string": issuer.keys}
    if issuer.claims:
        provider["claim_to_headers"] = [
            {"header_name": header, "claim_name": claim} for claim, header in issuer.claims
        ]
    return {**provider, **_token_places(issuer)}


def _token_places(issuer: TokenIssuer) -> Json:
    headers: list[Json] = []
    params: list[str] = []
    cookies: list[str] = []
    for source in issuer.sources:
        match source.place:
            case Place.HEADER:
                prefix = {"value_prefix": source.prefix} if source.prefix else {}
                headers.append({"name": source.name, **prefix})
            case Place.QUERY:
                params.append(source.name)
            case Place.COOKIE:
                cookies.append(source.name)
    places = {"from_headers": headers, "from_params": params, "from_cookies": cookies}
    return {name: found for name, found in places.items() if found}


def side_clusters(plan: Plan, target: EnvoyTarget) -> list[Json]:
    """Clusters of the servers that issuers publish their keys on, and the one without hosts."""
    servers = {
        _cluster_name(issuer.keys): issuer.keys
        for key in _used(plan)
        for issuer in _issuers(plan.security[key])
        if isinstance(issuer.keys, RemoteKeys)
    }
    found = [_key_cluster(plan, target, name, keys) for name, keys in sorted(servers.items())]
    if any(plan.security[key].cors for key in _used(plan)):
        found.append(no_model_cluster())
    return found


def no_model_cluster() -> Json:
    """The cluster without hosts of `no_model_routes`."""
    return {"name": NO_MODEL_ROUTE, "type": "STATIC", "connect_timeout": CONNECT_TIMEOUT}


def _used(plan: Plan) -> set[str]:
    """The policies of all listeners."""
    used = {key for port in plan.ports for item in port.listeners for key in _keys(item)}
    return used & set(plan.security)


def _issuers(security: Security) -> tuple[TokenIssuer, ...]:
    return security.tokens.issuers if security.tokens else ()


def _cluster_name(keys: RemoteKeys) -> str:
    return f"aigw.keys/{'https' if keys.is_tls else 'http'}/{keys.host}:{keys.port}"


def _key_cluster(plan: Plan, target: EnvoyTarget, name: str, keys: RemoteKeys) -> Json:
    address = {"address": keys.host, "port_value": keys.port}
    endpoint = {"address": {"socket_address": address}, "hostname": keys.host}
    dns = typed(_DNS, dns_lookup_family="V4_PREFERRED", respect_dns_ttl=True)
    cluster: Json = {
        "name": name,
        "cluster_type": {"name": "envoy.cluster.dns", "typed_config": dns},
        "connect_timeout": CONNECT_TIMEOUT,
        "circuit_breakers": circuit_breakers(),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
        },
    }
    if keys.is_tls:
        cluster["transport_socket"] = upstream_socket(plan, Tls(keys.host), target)
    return cluster


# --- web pages ---


def _cors(cors: Cors) -> Json:
    policy: Json = {
        "allow_origin_string_match": [_origin(text) for text in cors.origins],
        "allow_methods": ", ".join(cors.methods),
        "allow_headers": ", ".join(cors.headers),
        "expose_headers": ", ".join(cors.exposed),
        "allow_credentials": cors.allows_credentials,
    }
    if cors.max_age_s is not None:
        policy["max_age"] = str(cors.max_age_s)
    return typed(f"{_CORS}Policy", **policy)


def _origin(text: str) -> Json:
    if text == "*":
        return {"safe_regex": {"regex": ".*"}}
    if "*" not in text:
        return {"exact": text}
    return {"safe_regex": {"regex": re.escape(text).replace(r"\*", "[^/]+")}}
