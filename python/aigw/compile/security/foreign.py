"""SecurityPolicies that Envoy Gateway enforces: what the data plane must know of them all the same.

That is where credentials stand and which headers tell who is calling. Whether a policy can be
enforced is not judged here, so it never keeps a route from being served; nobody's key or password
is read.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator

from aigw.api.client_auth import ExtractFrom
from aigw.api.security_policy import JWTProvider, SecurityPolicy
from aigw.compile.security.clients import cors_of, is_taken, token_sources
from aigw.compile.unseen import UNSEEN
from aigw.plan.security import (
    ApiKeys,
    Passwords,
    Place,
    Security,
    Source,
    TokenIssuer,
    Tokens,
)

WRITTEN = "aigateway.envoyproxy.io/written"
"""Annotation with a hash of all that is written in a policy, fields not known here included."""
_HASH_BYTES = 8


class ForeignReader:
    """Reads policies; `found` holds what they say, by a hash of all that is written."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self.found: dict[str, Security] = {}

    def read(self, policy: SecurityPolicy) -> str:
        """The hash of a policy."""
        key = _hash(policy)
        self.found[key] = _security(policy)
        return key


def _hash(policy: SecurityPolicy) -> str:
    """References are to the namespace of the policy."""
    text = json.dumps([policy.namespace, policy.metadata.annotations.get(WRITTEN, "")])
    return hashlib.sha256(text.encode()).digest()[:_HASH_BYTES].hex()


def _security(policy: SecurityPolicy) -> Security:
    spec = policy.spec
    keys, users = spec.api_key_auth, spec.basic_auth
    return Security(
        ApiKeys((), tuple(_sources(keys.extract_from)), _identity(keys.forward_client_id_header))
        if keys
        else None,
        Passwords((), _identity(users.forward_username_header)) if users else None,
        Tokens(tuple(map(_issuer, spec.jwt.providers)), spec.jwt.optional is True)
        if spec.jwt
        else None,
        cors_of(spec.cors) if spec.cors else None,
    )


def _issuer(provider: JWTProvider) -> TokenIssuer:
    claims = ((item.claim, _identity(item.header)) for item in provider.claim_to_headers or [])
    return TokenIssuer(
        provider.name,
        "",
        provider.issuer or "",
        tuple(provider.audiences or ()),
        tuple((claim, header) for claim, header in claims if header),
        tuple(_removable(token_sources(provider))),
    )


def _sources(places: Iterable[ExtractFrom]) -> Iterator[Source]:
    for place in places:
        yield from _removable(Source(Place.HEADER, name.lower()) for name in place.headers or [])
        yield from (Source(Place.QUERY, name) for name in place.params or [] if name)
        yield from (Source(Place.COOKIE, name) for name in place.cookies or [] if name)


def _removable(sources: Iterable[Source]) -> Iterator[Source]:
    """Without headers that requests cannot do without."""
    for source in sources:
        if source.place is not Place.HEADER or not is_taken(source.name):
            yield source


def _identity(name: str | None) -> str:
    """A header that tells who is calling, or nothing."""
    lower = (name or "").lower()
    return "" if lower in UNSEEN or is_taken(lower) else lower
