"""An authority that signs certificates for one test run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_VALID = timedelta(days=2)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


class Authority:
    """Its own certificate is `certificate`, as PEM."""

    def __init__(self, name: str = "test authority") -> None:
        """Makes a key and signs itself."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name(name)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        builder = self._builder(self._subject, self._key.public_key())
        self.certificate = _pem(builder.add_extension(basic, True).sign(self._key, hashes.SHA256()))

    def issue(self, host: str) -> tuple[str, str]:
        """A certificate for a host name, and its key, both PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        builder = self._builder(_name(host), key.public_key()).add_extension(names, False)
        signed = builder.sign(self._key, hashes.SHA256())
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return _pem(signed), private.decode()

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _VALID)
            .not_valid_after(now + _VALID)
        )
