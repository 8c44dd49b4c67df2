"""Certificates and keys as text."""

import contextlib
import os
import ssl
from collections.abc import Iterator

_BEGIN = "-----BEGIN CERTIFICATE-----"
# How the public keys that Envoy takes are announced in a certificate: RSA, the curves P-256,
# P-384 and P-521, Ed25519; each with the tag of the key that follows.
_KEYS = tuple(
    map(
        bytes.fromhex,
        (
            "300d06092a864886f70d010101050003",
            "301306072a8648ce3d020106082a8648ce3d03010703",
            "301006072a8648ce3d020106052b8104002203",
            "301006072a8648ce3d020106052b8104002303",
            "300506032b657003",
        ),
    )
)
_CIPHERS = "DEFAULT@SECLEVEL=2"
"""RSA keys of 2048 bits at least, as Envoy wants them."""


def certificate_fault(chain: str, key: str) -> str | None:
    """Why a chain and its key cannot be used together, or None. Nothing is written to disk."""
    if _BEGIN not in chain or chain.startswith("\ufeff"):
        return "the certificate is not PEM"
    if "PRIVATE KEY-----" not in key or key.startswith("\ufeff"):
        return "the private key is not PEM"
    if "ENCRYPTED" in key:
        return "the private key is encrypted"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(_CIPHERS)
    try:
        with _file(chain) as certificate_file, _file(key) as key_file:
            # What is encrypted all the same would ask at the terminal.
            context.load_cert_chain(certificate_file, key_file, password="")
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            return "the private key does not belong to the first certificate"
        return "the certificate or its private key cannot be read"
    except ValueError:
        return "the private key is encrypted"
    if not any(kind in _first(chain) for kind in _KEYS):
        return "only keys of RSA, P-256, P-384, P-521 and Ed25519 are supported"
    return None


@contextlib.contextmanager
def _file(text: str) -> Iterator[str]:
    """The name of a file with a text that is in memory only."""
    descriptor = os.memfd_create("aigw-certificate")
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _first(chain: str) -> bytes:
    """The first certificate of a chain, without its armour."""
    end = "-----END CERTIFICATE-----"
    text = chain.partition(_BEGIN)[2].partition(end)[0]
    return ssl.PEM_cert_to_DER_cert(f"{_BEGIN}{text}{end}")


def authorities_fault(bundle: str) -> str | None:
    """Why a bundle of certificate authorities cannot be used, or None."""
    if _BEGIN not in bundle or bundle.startswith("\ufeff"):
        return "is not PEM"
    # Between certificates there may be comments in any language.
    text = bundle.encode("ascii", "ignore").decode()
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        return "cannot be read"
    return None
