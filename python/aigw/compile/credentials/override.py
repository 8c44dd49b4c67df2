"""credentialOverride of BackendSecurityPolicies: where requests bring their own credential."""

import re
from collections.abc import Iterable, Iterator

from aigw.api.backend_security_policy import BackendSecurityPolicy
from aigw.compile.mutations import is_protected
from aigw.compile.report import Finding
from aigw.plan import CredentialOverride, HeaderSource, MetadataSource

_HEADERS = {
    "APIKey": "x-aigw-api-key",
    "AnthropicAPIKey": "x-aigw-anthropic-api-key",
    "AzureAPIKey": "x-aigw-azure-api-key",
    "AzureCredentials": "x-aigw-azure-access-token",
    "GCPCredentials": "x-aigw-gcp-access-token",
    "AWSCredentials": "x-aigw-aws-",
}
"""Default headers; for AWS the start of the names of three."""
_AWS_PARTS = ("access-key-id", "secret-access-key", "session-token")
_AWS_KEY = "x-aigw-aws-credentials"
_OWN_NAMESPACE = "io.envoy.ai_gateway"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# As GatewayConfigs spell namespaces.
_METADATA_NAME = re.compile(r"[A-Za-z0-9._/-]+")
# Credentials for the gateway itself, and what tells how a body is to be read.
_NOT_TAKEN = frozenset(
    {"authorization", "content-type", "proxy-authorization", "x-gateway-destination-endpoint"}
)


def override_of(policy: BackendSecurityPolicy) -> CredentialOverride | None:
    """Where requests bring the credential of a policy; None when they do not."""
    written = policy.spec.credential_override
    if written is None:
        return None
    kind = policy.spec.type
    if headers := written.from_request_headers:
        name = (headers.header or _HEADERS[kind]).lower()
        names = [name + part for part in _AWS_PARTS] if kind == "AWSCredentials" else [name]
        return CredentialOverride(HeaderSource(tuple(names)), headers.fallback_to_configured)
    if metadata := written.from_dynamic_metadata:
        default = _AWS_KEY if kind == "AWSCredentials" else _HEADERS[kind]
        source = MetadataSource(metadata.namespace, metadata.key or default)
        return CredentialOverride(source, metadata.fallback_to_configured)
    return None


def faults_of(policy: BackendSecurityPolicy) -> Iterator[Finding]:
    """What cannot work in the override of a policy."""
    override = override_of(policy)
    if override is None:
        return
    path = "spec.credentialOverride"
    match override.source:
        case HeaderSource(names):
            for name in names:
                yield from _header_faults(name, f"{path}.fromRequestHeaders.header")
        case MetadataSource(namespace, key):
            yield from _metadata_faults(namespace, key, f"{path}.fromDynamicMetadata")
    gcp = policy.spec.gcp_credentials
    if (
        override.falls_back
        and gcp is not None
        and not gcp.credentials_file
        and not gcp.workload_identity_federation_config
    ):
        message = (
            "credentialOverride with fallbackToConfigured=true requires a static credential to be "
            "configured"
        )
        yield path, message


def headers_of(overrides: Iterable[CredentialOverride | None]) -> frozenset[str]:
    """Names of the headers that bring credentials."""
    sources = [override.source for override in overrides if override]
    return frozenset(
        name for source in sources if isinstance(source, HeaderSource) for name in source.names
    )


def _header_faults(name: str, path: str) -> Iterator[Finding]:
    if not _TOKEN.fullmatch(name):
        yield path, f"{name!r} is not the name of a header"
    elif is_protected(name) or name in _NOT_TAKEN:
        yield path, f"the header {name} cannot bring a credential"


def _metadata_faults(namespace: str, key: str, path: str) -> Iterator[Finding]:
    for field, name in (("namespace", namespace), ("key", key)):
        if not _METADATA_NAME.fullmatch(name):
            message = "may only contain letters, digits, '.', '_', '/' and '-'"
            yield f"{path}.{field}", message
    if namespace == _OWN_NAMESPACE:
        message = "is the gateway's own namespace, where clients choose some of the values"
        yield f"{path}.namespace", message
