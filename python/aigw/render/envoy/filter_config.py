"""The core's filter config (`config.json`): gateways with their models, backends by id.

The types of this document belong to the core; this is the only place that writes it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import cast

from aigw.plan import (
    Auth,
    Backend,
    Billing,
    Cost,
    CredentialOverride,
    Gateway,
    HeaderSource,
    Model,
    Plan,
)
from aigw.render.envoy.names import Json

VERSION = 1
CREDENTIAL_WAIT_MS = 2000


@dataclass(frozen=True, slots=True)
class Ledger:
    """Where usage records are kept, and the bound on their files."""

    directory: str
    max_bytes: int = 1 << 30


def render_filter_config(plan: Plan, ledger: Ledger | None = None) -> Json:
    """The whole document; `generation` is a hash of everything else in it."""
    forced = _forces_usage(plan)
    entries = {name: _entry(backend, forced=forced) for name, backend in plan.backends.items()}
    document: Json = {
        "version": VERSION,
        "credential_wait_ms": CREDENTIAL_WAIT_MS,
        "attributes": {
            "metrics": [list(pair) for pair in plan.attributes.metrics],
            "logs": [list(pair) for pair in plan.attributes.logs],
        },
        "gateways": {name: _gateway(plan, gateway) for name, gateway in plan.gateways.items()},
        "backends": {_id(name, entry): entry for name, entry in entries.items()},
    }
    if plan.price_lists.lists:
        document["prices"] = asdict(plan.price_lists)
    if ledger:
        document["ledger"] = asdict(ledger)
    return {**document, "generation": content_hash(document)[:32]}


def joined_filter_config(old: Json, new: Json) -> Json:
    """For the time between two configurations: what either has; of the same name that of `new`."""
    if old["generation"] == new["generation"]:
        return new
    parts = {name: {**_part(old, name), **_part(new, name)} for name in ("gateways", "backends")}
    generation = content_hash([old["generation"], new["generation"]])[:32]
    joined = {**new, **parts, "generation": generation}
    if prices := {**_part(old, "prices"), **_part(new, "prices")}:
        lists = {**_part(_part(old, "prices"), "lists"), **_part(_part(new, "prices"), "lists")}
        joined["prices"] = {**prices, "lists": lists}
    return joined


def _part(document: Json, name: str) -> Json:
    return cast("Json", document.get(name, {}))


def backend_ids(plan: Plan) -> Mapping[str, str]:
    """Ids of all backends by name: the name, `@`, and 8 hex digits of the entry's hash."""
    forced = _forces_usage(plan)
    return {
        name: _id(name, _entry(backend, forced=forced)) for name, backend in plan.backends.items()
    }


def _forces_usage(plan: Plan) -> bool:
    """Whether all backends are asked for usage: a Gateway has costs, whatever the route."""
    return any(gateway.billing.costs for gateway in plan.gateways.values())


def content_hash(value: object) -> str:
    """SHA-256 of the canonical JSON of a value, in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _id(name: str, entry: Json) -> str:
    return f"{name}@{content_hash(entry)[:8]}"


def _gateway(plan: Plan, gateway: Gateway) -> Json:
    lists = gateway.models
    entry: Json = {
        "limits": {
            "request_body_bytes": gateway.limits.request_body_bytes,
            "response_body_bytes": gateway.limits.response_body_bytes,
        },
        "endpoint_prefixes": asdict(plan.prefixes),
        "credential_headers": list(gateway.credential_headers),
        "identity": {
            key: list(dict.fromkeys(security.identity))
            for key, security in plan.security.items()
            if any(security.identity)
        },
        "models": _models(lists.everywhere),
        "models_by_host": {host: _models(models) for host, models in lists.by_host.items()},
        "unscoped_models": _models(lists.unscoped),
    }
    if gateway.billing.costs or gateway.billing.prices:
        entry["billing"] = _billing(gateway.billing)
    return entry


def _billing(billing: Billing) -> Json:
    entries: list[Json] = []
    for price in billing.prices:
        names = {"backend": price.backend, "model": price.model}
        entries.append({**{key: name for key, name in names.items() if name}, **price.rates})
    prices = {"source": billing.source, "entries": entries}
    return {"costs": _costs(billing.costs), "prices": prices}


def _costs(costs: Iterable[Cost]) -> list[Json]:
    return [_cost(cost) for cost in costs]


def _cost(cost: Cost) -> Json:
    entry: Json = {"metadata_key": cost.metadata_key, "type": cost.type.value}
    if cost.cel:
        entry["cel"] = cost.cel
    return entry


def _models(models: Iterable[Model]) -> list[Json]:
    return [
        {
            "name": model.name,
            "owned_by": model.owned_by,
            "created": model.created,
            "created_at": model.created_at,
        }
        for model in models
    ]


def _entry(backend: Backend, *, forced: bool) -> Json:
    schema = backend.schema
    api: Json = {"name": schema.name, "prefix": schema.prefix, "version": schema.version}
    if schema.chat_only:
        api["chat_only"] = True
    entry: Json = {
        "name": backend.name,
        "backend": backend.backend,
        "route": backend.route,
        "schema": api,
        "host": backend.host,
    }
    if backend.model_name_override:
        entry["model_name_override"] = backend.model_name_override
    if backend.auth:
        entry["auth"] = _auth(backend.auth)
    entry.update(_mutations(backend))
    if backend.costs:
        entry["costs"] = _costs(backend.costs)
    if backend.costs or forced:
        entry["force_usage"] = True
    if backend.price_list:
        entry["price_list"] = backend.price_list
    return entry


def _auth(auth: Auth) -> Json:
    where = {"credential": auth.credential, "region": auth.region, "project": auth.project}
    found: Json = {
        "type": auth.type.value,
        **{name: value for name, value in where.items() if value},
    }
    if auth.override:
        found["override"] = _override(auth.override)
    return found


def _override(override: CredentialOverride) -> Json:
    source = override.source
    place = "headers" if isinstance(source, HeaderSource) else "metadata"
    value = list(source.names) if isinstance(source, HeaderSource) else asdict(source)
    without = "configured" if override.falls_back else "refused"
    return {"source": {place: value}, "without": without}


def _mutations(backend: Backend) -> Json:
    result: Json = {}
    headers, body = backend.header_mutation, backend.body_mutation
    if headers.set or headers.remove:
        result["header_mutation"] = {
            "set": [{"name": name, "value": value} for name, value in headers.set],
            "remove": list(headers.remove),
        }
    if body.set or body.remove:
        result["body_mutation"] = {
            "set": [{"path": path, "value": value} for path, value in body.set],
            "remove": list(body.remove),
        }
    return result
