"""Certificates and keys as text."""

import os
import ssl


def certificate_fault(chain: str, key: str) -> str | None:
    """Why a chain and its key cannot be used together, or None. Nothing is written to disk."""
    if "-----BEGIN CERTIFICATE-----" not in chain:
        return "the certificate is not PEM"
    if "PRIVATE KEY-----" not in key:
        return "the private key is not PEM"
    descriptor = os.memfd_create("aigw-certificate")
    try:
        os.write(descriptor, f"{chain.strip()}\n{key.strip()}\n".encode())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # An encrypted key would ask at the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the private key does not belong to the certificate"
        return "the certificate or its private key cannot be read"
    except ValueError:
        return "the private key is encrypted"
    finally:
        os.close(descriptor)
    return None


def authorities_fault(bundle: str) -> str | None:
    """Why a bundle of certificate authorities cannot be used, or None."""
    if "-----BEGIN CERTIFICATE-----" not in bundle:
        return "is not PEM"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=bundle)
    except (ssl.SSLError, ValueError):
        return "cannot be read"
    return None
