"""Where systems keep their trusted certificate authorities."""

from collections.abc import Callable, Mapping

_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def system_ca_file(variables: Mapping[str, str], is_file: Callable[[str], bool]) -> str:
    """The bundle of `SSL_CERT_FILE`, else the first usual one; empty when there is none."""
    chosen = variables.get("SSL_CERT_FILE", "")
    candidates = (chosen, *_FILES) if chosen else _FILES
    return next((path for path in candidates if is_file(path)), "")
