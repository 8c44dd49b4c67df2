"""Certificate authorities that live as long as a test."""

from __future__ import annotations

import datetime
import ssl
import tempfile
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, both PEM."""

    chain: str
    key: str

    @property
    def data(self) -> dict[str, str]:
        """What its Secret holds."""
        return {"tls.crt": self.chain, "tls.key": self.key}


class Authority:
    """A certificate authority with a key of its own."""

    def __init__(self, name: str = "authority") -> None:
        """Signs itself."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        builder = self._builder(name, self._key).add_extension(constraint, critical=True)
        builder = builder.add_extension(self._identifier, critical=False)
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def pem(self) -> str:
        """The certificate that others trust."""
        return self._certificate.public_bytes(Encoding.PEM).decode()

    def issue(self, *names: str) -> Pair:
        """A certificate for host names, addresses and URIs."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier)
        builder = self._builder(names[0], key).add_extension(alternatives, critical=False)
        builder = builder.add_extension(issuer, critical=False)
        chain = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Pair(chain.decode(), text.decode())

    def server(self, *names: str, clients: Authority | None = None) -> ssl.SSLContext:
        """A server's side; with `clients` it demands a certificate of theirs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair = self.issue(*names)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pair.pem"
            path.write_text(pair.chain + pair.key)
            context.load_cert_chain(path)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients.pem)
        return context

    def _builder(self, name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    if "://" in name:
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
