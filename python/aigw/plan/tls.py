"""TLS to providers."""

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate chain and its key, both PEM."""

    chain: str
    key: str = field(repr=False)


class Verification(StrEnum):
    """How a provider's certificate is checked."""

    SYSTEM = "system"
    OWN = "own"
    NONE = "none"


class SanType(StrEnum):
    """Kinds of names in a certificate."""

    DNS = "DNS"
    URI = "URI"


@dataclass(frozen=True, slots=True)
class SubjectAltName:
    """A name that a provider's certificate may have."""

    type: SanType
    value: str


@dataclass(frozen=True, slots=True)
class TlsParameters:
    """Versions (`1.0` to `1.3`) and algorithms by Envoy's names; empty: Envoy's default."""

    min_version: str = ""
    max_version: str = ""
    ciphers: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    signature_algorithms: tuple[str, ...] = ()
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS to a backend: SNI and certificate name, and who is trusted.

    Without a server name, each endpoint is asked for its own host name.
    `authorities` is a key of `Plan.authorities` where the verification is `OWN`;
    `client_certificate` is a key of `Plan.certificates`, or empty. With `subject_alt_names`
    the certificate must have one of these, whatever the server name.
    """

    server_name: str
    verification: Verification = Verification.SYSTEM
    authorities: str = ""
    client_certificate: str = ""
    subject_alt_names: tuple[SubjectAltName, ...] = ()
    parameters: TlsParameters = TlsParameters()
