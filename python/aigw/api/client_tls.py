"""TLS of clients: versions, ciphers, and which certificates they need."""

from typing import Annotated, Literal

from pydantic import Field

from aigw.api.fields import Boolean
from aigw.api.model import ApiModel, Rule
from aigw.api.references import SecretObjectReference
from aigw.api.string_match import StringMatch

TLSVersion = Literal["Auto", "1.0", "1.1", "1.2", "1.3"]
_ORDER = "{'Auto': 0, '1.0': 1, '1.1': 2, '1.2': 3, '1.3': 4}"
_ORDER_TO = "{'1.0': 1, '1.1': 2, '1.2': 3, '1.3': 4, 'Auto': 5}"


class SubjectAltNames(ApiModel):
    """Names in a certificate, one of which must match."""

    NOT_YET = frozenset({"otherNames"})

    dns_names: list[StringMatch] | None = None
    email_addresses: list[StringMatch] | None = None
    ip_addresses: list[StringMatch] | None = None
    uris: list[StringMatch] | None = None


class ClientValidation(ApiModel):
    """The certificates that clients must have."""

    NOT_YET = frozenset({"crl"})

    ca_certificate_refs: Annotated[
        list[SecretObjectReference] | None,
        Field(alias="caCertificateRefs", max_length=8),
    ] = None
    certificate_hashes: list[str] | None = None
    """SHA-256 of certificates, in hex."""
    optional: Boolean = False
    """Clients without a certificate are served as well."""
    spki_hashes: Annotated[list[str] | None, Field(alias="spkiHashes")] = None
    """SHA-256 of public keys, in base64."""
    subject_alt_names: SubjectAltNames | None = None


class ClientTLS(ApiModel):
    """TLS of HTTPS listeners."""

    NOT_YET = frozenset({"fingerprints", "session"})
    RULES = (
        Rule(
            "EG-49",
            "!(has(self.minVersion) && self.minVersion == '1.3' && has(self.ciphers))",
            "setting ciphers has no effect if the minimum possible TLS version is 1.3",
        ),
        Rule(
            "EG-50",
            f"!has(self.maxVersion) || (has(self.minVersion) ? {_ORDER}[self.minVersion] : 3) <= "
            f"{_ORDER_TO}[self.maxVersion]",
            "minVersion must be smaller or equal to maxVersion",
        ),
    )

    alpn_protocols: Annotated[
        list[Literal["http/1.0", "http/1.1", "h2"]] | None, Field(alias="alpnProtocols")
    ] = None
    ciphers: list[str] | None = None
    client_validation: ClientValidation | None = None
    ecdh_curves: Annotated[list[str] | None, Field(alias="ecdhCurves")] = None
    max_version: TLSVersion | None = None
    min_version: TLSVersion | None = None
    signature_algorithms: list[str] | None = None
