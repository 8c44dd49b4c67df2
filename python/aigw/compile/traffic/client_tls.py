"""TLS of clients as ClientTrafficPolicies want it.

Where the certificates of clients cannot be checked as the policy says, there is no result at all:
a listener without its authentication is not served.
"""

import re
from typing import TYPE_CHECKING

from aigw.api.client_traffic_policy import ClientTrafficPolicy
from aigw.compile.grants import Reference, Values
from aigw.compile.index import Index
from aigw.compile.pem import authorities_fault
from aigw.compile.report import Report
from aigw.compile.tls_algorithms import CIPHERS, CURVES, SIGNATURES
from aigw.compile.traffic.client_headers import text_matches
from aigw.compile.traffic.fields import Fields
from aigw.errors import Code
from aigw.plan.traffic import ClientTls, ClientValidation, NameType, TextMatch

if TYPE_CHECKING:
    from aigw.api.client_tls import ClientValidation as WrittenValidation
    from aigw.api.client_tls import SubjectAltNames

_PATH = "tls.clientValidation"
_HEX_HASH = re.compile(r"[0-9a-fA-F]{64}|([0-9a-fA-F]{2}:){31}[0-9a-fA-F]{2}")
_BASE64_HASH = re.compile(r"[A-Za-z0-9+/]{43}=")
_NAMES = {
    "dns_names": ("dnsNames", NameType.DNS),
    "email_addresses": ("emailAddresses", NameType.EMAIL),
    "ip_addresses": ("ipAddresses", NameType.IP_ADDRESS),
    "uris": ("uris", NameType.URI),
}


class ClientTlsReader:
    """Reads policies, and keeps the authorities that they name."""

    def __init__(self, index: Index, report: Report) -> None:
        """Nothing is read yet."""
        self._report = report
        self._values = Values(index, report)
        self.authorities: dict[str, str] = {}

    def read(self, policy: ClientTrafficPolicy) -> ClientTls | None:
        """TLS of a listener, or None when its clients cannot be validated."""
        written = policy.spec.tls
        if written is None:
            return ClientTls()
        fields = Fields(policy.id, self._report)
        validation: ClientValidation | None = None
        if written.client_validation:
            validation = self._validation(policy, written.client_validation)
            if validation is None:
                return None
        protocols = written.alpn_protocols
        return ClientTls(
            min_version=_version(written.min_version),
            max_version=_version(written.max_version),
            ciphers=_known(written.ciphers, "ciphers", CIPHERS, fields),
            curves=_known(written.ecdh_curves, "ecdhCurves", CURVES, fields),
            signature_algorithms=_known(
                written.signature_algorithms, "signatureAlgorithms", SIGNATURES, fields
            ),
            protocols=None if protocols is None else tuple(protocols),
            validation=validation,
        )

    def _validation(
        self, policy: ClientTrafficPolicy, written: "WrittenValidation"
    ) -> ClientValidation | None:
        fields = Fields(policy.id, self._report)
        certificates = _hashes(written.certificate_hashes, "certificateHashes", fields)
        keys = _hashes(written.spki_hashes, "spkiHashes", fields)
        names = _names(written.subject_alt_names, fields)
        refs = written.ca_certificate_refs or []
        bundles = [
            self._bundle(Reference(policy, ref, f"spec.{_PATH}.caCertificateRefs[{index}]"))
            for index, ref in enumerate(refs)
        ]
        if certificates is None or keys is None or names is None or None in bundles:
            return None
        if not refs and (names or not (certificates or keys)):
            fields.invalid(f"{_PATH}.caCertificateRefs", "is required")
            return None
        key = ""
        if refs:
            key = f"client/{policy.id.path}"
            self.authorities[key] = "\n".join(filter(None, bundles))
        return ClientValidation(key, written.optional, certificates, keys, names)

    def _bundle(self, reference: Reference) -> str | None:
        """The authorities in a ConfigMap or a Secret."""
        is_secret = reference.ref.kind == "Secret"
        found = self._values.secret(reference) if is_secret else self._values.config_map(reference)
        if found is None:
            return None
        bundle = found.values.get("ca.crt", "")
        if fault := authorities_fault(bundle):
            message = f"{found.id}: the key ca.crt {fault}"
            identity, path = reference.owner.id, reference.path
            self._report.error(identity, Code.INVALID_CREDENTIAL, path, message)
            return None
        return bundle


def _version(written: str | None) -> str | None:
    return None if written == "Auto" else written


def _known(
    written: list[str] | None, name: str, known: frozenset[str], fields: Fields
) -> tuple[str, ...]:
    """A list of names that Envoy knows; with one that it does not, none of them."""
    for index, entry in enumerate(written or []):
        # Ciphers of equal preference stand in brackets.
        if bad := [item for item in entry.strip("[]").split("|") if item not in known]:
            fields.invalid(f"tls.{name}[{index}]", f"{bad[0]!r} is not known")
            return ()
    return tuple(written or ())


def _hashes(written: list[str] | None, name: str, fields: Fields) -> tuple[str, ...] | None:
    pattern = _BASE64_HASH if name == "spkiHashes" else _HEX_HASH
    for index, text in enumerate(written or []):
        if not pattern.fullmatch(text):
            fields.invalid(f"{_PATH}.{name}[{index}]", "is not a SHA-256")
            return None
    return tuple(written or ())


def _names(
    written: "SubjectAltNames | None", fields: Fields
) -> tuple[tuple[NameType, TextMatch], ...] | None:
    found: list[tuple[NameType, TextMatch]] = []
    for field, (alias, kind) in _NAMES.items():
        listed = getattr(written, field) if written else None
        matches = text_matches(listed, f"{_PATH}.subjectAltNames.{alias}", fields)
        if len(matches) != len(listed or []):
            return None
        found.extend((kind, match) for match in matches)
    return tuple(found)
