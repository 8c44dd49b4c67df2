"""Load balancing among the endpoints of a backend."""

from typing import TYPE_CHECKING

from aigw.compile.traffic.fields import HEADER_NAME, Fields
from aigw.compile.unseen import is_unseen
from aigw.plan.traffic import Balance, Balancer, HashCookie

if TYPE_CHECKING:
    from aigw.api.load_balancer import ConsistentHash, Cookie, LoadBalancer

_PATH = "loadBalancer"
_HASH = f"{_PATH}.consistentHash"
_SERVED = frozenset(Balance)


def balancer(written: "LoadBalancer", fields: Fields) -> Balancer | None:
    """The load balancer, or None where it cannot be served."""
    if written.endpoint_override:
        why = "clients must not choose where their requests go, so it is not supported"
        fields.refuse(f"{_PATH}.endpointOverride", why)
    if written.zone_aware:
        fields.refuse(f"{_PATH}.zoneAware", "zones are not known here, so it is not supported")
    if written.type not in _SERVED:
        fields.refuse(f"{_PATH}.type", f"the type {written.type} is not supported yet")
        return None
    kind = Balance(written.type)
    if kind is Balance.CONSISTENT_HASH:
        return _hashing(written.consistent_hash, fields) if written.consistent_hash else None
    window = written.slow_start.window if written.slow_start else None
    return Balancer(kind, fields.time(window, f"{_PATH}.slowStart.window"))


def _hashing(written: "ConsistentHash", fields: Fields) -> Balancer | None:
    size = written.table_size
    if not _is_prime(size):
        fields.invalid(f"{_HASH}.tableSize", "must be a prime number")
        return None
    named = [*([written.header] if written.header else []), *(written.headers or [])]
    headers = [item.name for item in named]
    queries = tuple(item.name for item in written.query_params or [])
    if bad := [name for name in headers if not HEADER_NAME.fullmatch(name)]:
        fields.invalid(_HASH, f"{bad[0]!r} is not the name of a header")
        return None
    for name in headers:
        if is_unseen(name.lower()):
            fields.no_effect(_HASH, f"the header {name} is taken off before; nothing is hashed")
    if "" in queries:
        fields.invalid(f"{_HASH}.queryParams", "a parameter has no name")
        return None
    cookie = _cookie(written.cookie, fields) if written.cookie else None
    if written.cookie and cookie is None:
        return None
    return Balancer(
        Balance.CONSISTENT_HASH,
        table_size=size,
        hash_headers=tuple(name.lower() for name in headers),
        hash_queries=queries,
        hash_cookie=cookie,
        hash_source_address=written.type == "SourceIP",
    )


def _cookie(written: "Cookie", fields: Fields) -> HashCookie | None:
    texts = [written.name, *(written.attributes or {}), *(written.attributes or {}).values()]
    if not HEADER_NAME.fullmatch(written.name) or any(
        not text.isprintable() or ";" in text for text in texts
    ):
        fields.invalid(f"{_HASH}.cookie", "has a name or an attribute that no cookie can have")
        return None
    attributes = tuple(sorted((written.attributes or {}).items()))
    return HashCookie(written.name, fields.limit(written.ttl), attributes)


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
