"""Our own certificate authorities and what they sign. Pure: times come in.

A new authority is trusted for a while before it signs, so that everybody who verifies knows it by
then, and the one before it is trusted until it ends. Which one does what follows from the times in
the certificates: all replicas agree without talking.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aigw.errors import AigwError

CERTIFICATES, KEYS = "ca.crt", "ca.key"
"""Of the Secret: all authorities, the newest one last, and their keys in the same order."""

_BACKDATED = timedelta(minutes=5)
"""Clocks differ."""
_AUTHORITY_LEAVES = 24
_SETTLES_AFTER = 0.05
_RENEWED_AFTER = 2 / 3


class AuthorityError(AigwError):
    """What should be certificates and keys is not."""


class Usage(Enum):
    """What a certificate proves."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, both PEM."""

    chain: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @staticmethod
    def new(lifetime: timedelta, now: datetime) -> "Authority":
        """Signs itself. Names differ, so that a chain leads to the right one."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"aigw {secrets.token_hex(8)}")
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            _builder(name, name, key, now, now + lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        return Authority(certificate, key)

    def issue(self, names: Sequence[str], usage: Usage, until: datetime, now: datetime) -> Pair:
        """A certificate for host names or URIs."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer_key = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key.value)
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
        until = min(until, self.certificate.not_valid_after_utc)
        certificate = (
            _builder(_name("aigw"), self.certificate.subject, key, now, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(alternatives, critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage.value]), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return Pair(certificate.public_bytes(Encoding.PEM), _key_text(key))


@dataclass(frozen=True, slots=True)
class Authorities:
    """All of them, the newest one last; `leaf` is how long what they sign is good for."""

    all: tuple[Authority, ...]
    leaf: timedelta

    @staticmethod
    def read(data: Mapping[str, bytes], leaf: timedelta) -> "Authorities":
        """Those of a Secret.

        Raises:
            AuthorityError: it holds something else.
        """
        try:
            certificates = x509.load_pem_x509_certificates(data[CERTIFICATES])
            keys = [
                load_pem_private_key(text.encode(), None)
                for text in _split(data[KEYS].decode("ascii"))
            ]
        except (KeyError, ValueError, TypeError) as error:
            message = f"the Secret of the certificate authority is damaged: {error}"
            raise AuthorityError(message) from None
        if len(certificates) != len(keys):
            message = "the Secret of the certificate authority is damaged: keys are missing"
            raise AuthorityError(message)
        found = []
        for certificate, key in zip(certificates, keys, strict=True):
            if not isinstance(key, ec.EllipticCurvePrivateKey) or (
                certificate.public_key() != key.public_key()
            ):
                message = "the Secret of the certificate authority is damaged: keys do not fit"
                raise AuthorityError(message)
            found.append(Authority(certificate, key))
        return Authorities(tuple(found), leaf)

    def data(self) -> dict[str, bytes]:
        """The content of their Secret."""
        certificates = (one.certificate.public_bytes(Encoding.PEM) for one in self.all)
        keys = (_key_text(one.key) for one in self.all)
        return {CERTIFICATES: b"".join(certificates), KEYS: b"".join(keys)}

    def kept(self, now: datetime) -> "Authorities":
        """With a new one ahead of the end of the newest, without those that have ended.

        These very authorities where nothing is to be done.
        """
        live = tuple(one for one in self.all if one.certificate.not_valid_after_utc > now)
        if not live or is_due(live[-1].certificate, now):
            live = (*live, Authority.new(self.leaf * _AUTHORITY_LEAVES, now))
        return self if live == self.all else Authorities(live, self.leaf)

    def trusted(self, now: datetime) -> bytes:
        """The certificates that others trust, PEM."""
        live = (one.certificate for one in self.all if one.certificate.not_valid_after_utc > now)
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in live)

    def signing(self, now: datetime) -> Authority:
        """The newest one that has been trusted long enough, else the oldest one."""
        settled = [
            one
            for one in self.all
            if one.certificate.not_valid_after_utc > now
            and _made(one.certificate) + _lifetime(one.certificate) * _SETTLES_AFTER <= now
        ]
        return settled[-1] if settled else self.all[0]

    def issue(self, names: Sequence[str], usage: Usage, now: datetime) -> Pair:
        """A certificate for host names or URIs."""
        return self.signing(now).issue(names, usage, now + self.leaf, now)

    def is_good(self, pair: Pair, now: datetime) -> bool:
        """Whether a certificate is of the one that signs now, and not due."""
        try:
            certificate = x509.load_pem_x509_certificate(pair.chain)
            key = load_pem_private_key(pair.key, None)
        except (ValueError, TypeError):
            return False
        signer = self.signing(now).certificate
        try:
            certificate.verify_directly_issued_by(signer)
        except Exception:
            return False
        return certificate.public_key() == key.public_key() and not is_due(certificate, now)


def is_due(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether it is time for the next one."""
    return now >= _made(certificate) + _lifetime(certificate) * _RENEWED_AFTER


def _made(certificate: x509.Certificate) -> datetime:
    return certificate.not_valid_before_utc + _BACKDATED


def _lifetime(certificate: x509.Certificate) -> timedelta:
    return certificate.not_valid_after_utc - _made(certificate)


def _builder(
    name: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(until)
        .add_extension(identifier, critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    is_uri = "://" in name
    return x509.UniformResourceIdentifier(name) if is_uri else x509.DNSName(name)


def _key_text(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _split(text: str) -> list[str]:
    end = "-----END PRIVATE KEY-----\n"
    return [part + end for part in text.split(end) if part.strip()]
