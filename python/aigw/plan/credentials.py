"""How a backend authenticates, and with what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class AuthType(StrEnum):
    """Credential kinds, named as `BackendSecurityPolicy.spec.type`."""

    API_KEY = "APIKey"
    ANTHROPIC_API_KEY = "AnthropicAPIKey"
    AZURE_API_KEY = "AzureAPIKey"
    AWS_CREDENTIALS = "AWSCredentials"
    AZURE_CREDENTIALS = "AzureCredentials"
    GCP_CREDENTIALS = "GCPCredentials"


@dataclass(frozen=True, slots=True)
class HeaderSource:
    """One header; for AWS those of access key id, secret access key and session token."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetadataSource:
    """Dynamic metadata of the proxy; for AWS an object."""

    namespace: str
    key: str


@dataclass(frozen=True, slots=True)
class CredentialOverride:
    """Where requests bring a credential, and whether those without one get the configured one."""

    source: HeaderSource | MetadataSource
    falls_back: bool = True


@dataclass(frozen=True, slots=True)
class Auth:
    """How a backend authenticates; `credential` is a key of `Plan.credentials`.

    It is empty where every request must bring its own. `region` is of AWS or GCP, `project` of GCP.
    """

    type: AuthType
    credential: str
    region: str = ""
    project: str = ""
    override: CredentialOverride | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key sent in a header; which one follows from `type`."""

    type: AuthType
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """AWS keys; temporary ones have a session token and an end in Unix seconds."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class OidcClient:
    """A client that an OIDC issuer gives tokens for other services.

    Without `token_endpoint` it is the one that the issuer names.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ("openid",)
    token_endpoint: str = ""
    grant_type: str = "client_credentials"
    audience: str = ""


@dataclass(frozen=True, slots=True)
class AwsRole:
    """An AWS role that is assumed with the token of an OIDC client."""

    role_arn: str
    session_name: str
    region: str
    oidc: OidcClient


@dataclass(frozen=True, slots=True)
class AwsDefaultChain:
    """The AWS credentials that are found around the process, asked for in `region`."""

    region: str


@dataclass(frozen=True, slots=True)
class AzureApplication:
    """An application of Entra ID; it proves itself by a client secret or by an OIDC token."""

    tenant_id: str
    client_id: str
    proof: str | OidcClient = field(repr=False)


@dataclass(frozen=True, slots=True)
class GcpServiceAccount:
    """A service account that gets access tokens: the members of its key file."""

    info: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class GcpFederation:
    """A workload identity pool's provider; `service_account` is whom to act as, if anybody."""

    audience: str
    oidc: OidcClient
    service_account: str = ""


@dataclass(frozen=True, slots=True)
class GcpDefaultCredentials:
    """The Application Default Credentials that are found around the process."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token that a credential was exchanged for; `expires_at` in Unix seconds."""

    access_token: str = field(repr=False)
    expires_at: int


Exchangeable = (
    AwsRole
    | AwsDefaultChain
    | AzureApplication
    | GcpServiceAccount
    | GcpFederation
    | GcpDefaultCredentials
)
"""Credentials that are no use to a provider before they are exchanged."""

Issued = Token | AwsKeys
"""What a credential is exchanged for."""

Credential = ApiKey | AwsKeys | Exchangeable
