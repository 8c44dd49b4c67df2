"""What a data plane must do to protect a route.

Texts that must not be shown are kept out of `repr`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum


class Place(StrEnum):
    """Where a credential stands in a request."""

    HEADER = "header"
    QUERY = "query"
    COOKIE = "cookie"


@dataclass(frozen=True, slots=True)
class Source:
    """A place of a credential; `prefix` stands before it in a header."""

    place: Place
    name: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """Clients with keys: (client id, key) pairs, each key once. `forward` is empty or a header."""

    clients: tuple[tuple[str, str], ...] = field(repr=False)
    sources: tuple[Source, ...]
    forward: str = ""


@dataclass(frozen=True, slots=True)
class Passwords:
    """Users of basic authentication: lines `user:{SHA}hash`."""

    users: tuple[str, ...] = field(repr=False)
    forward: str = ""


@dataclass(frozen=True, slots=True)
class RemoteKeys:
    """Keys of an issuer, fetched from a server."""

    uri: str
    host: str
    port: int
    is_tls: bool
    cache_ms: int


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """Tokens of one issuer. `keys` is a JSON Web Key Set with public keys only, or a server.

    `claims` are (claim, header) pairs.
    """

    name: str
    keys: str | RemoteKeys
    issuer: str = ""
    audiences: tuple[str, ...] = ()
    claims: tuple[tuple[str, str], ...] = ()
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Tokens:
    """Clients with tokens of one of the issuers; with `is_optional` also without one."""

    issuers: tuple[TokenIssuer, ...]
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Cors:
    """Web pages that may call: origins, in which `*` stands for any text."""

    origins: tuple[str, ...]
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age_s: int | None = None
    allows_credentials: bool = False


@dataclass(frozen=True, slots=True)
class Security:
    """What a request must bring, all of it."""

    api_keys: ApiKeys | None = None
    passwords: Passwords | None = None
    tokens: Tokens | None = None
    cors: Cors | None = None

    @property
    def sources(self) -> Iterator[Source]:
        """Places of credentials: what stands there is for the gateway and goes no further."""
        if self.api_keys:
            yield from self.api_keys.sources
        if self.passwords:
            yield Source(Place.HEADER, "authorization")
        for issuer in self.tokens.issuers if self.tokens else ():
            yield from issuer.sources

    @property
    def identity(self) -> Iterator[str]:
        """Headers that tell who was authenticated; clients must not set them."""
        for forwarding in (self.api_keys, self.passwords):
            if forwarding and forwarding.forward:
                yield forwarding.forward
        for issuer in self.tokens.issuers if self.tokens else ():
            yield from (header for _, header in issuer.claims)
