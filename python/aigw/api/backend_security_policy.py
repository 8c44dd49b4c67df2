"""BackendSecurityPolicy: the credential of backends. One schema serves v1alpha1 and v1beta1."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from aigw.api.fields import Boolean, Text
from aigw.api.model import ApiModel, Counted, Later, Resource, Rule
from aigw.api.references import LocalPolicyTargetReference, SecretObjectReference

if TYPE_CHECKING:
    from aigw.api.oidc import OIDC
else:
    OIDC = Annotated[Any, Later("aigw.api.oidc", "OIDC")]

CREDENTIAL_FIELDS = {
    "APIKey": "apiKey",
    "AWSCredentials": "awsCredentials",
    "AzureAPIKey": "azureAPIKey",
    "AzureCredentials": "azureCredentials",
    "GCPCredentials": "gcpCredentials",
    "AnthropicAPIKey": "anthropicAPIKey",
}


class KeyInSecret(ApiModel):
    """An API key."""

    secret_ref: SecretObjectReference
    """Secret key `apiKey`."""


class OIDCExchangeToken(ApiModel):
    """A token of an OIDC client, to be exchanged for a credential of the provider."""

    aud: str | None = None
    """Audience that the token is asked for."""
    grant_type: str | None = None
    """`client_credentials` by default."""
    oidc: OIDC


class AWSOIDCExchangeToken(OIDCExchangeToken):
    """A token of an OIDC client, with which a role is assumed."""

    aws_role_arn: Text


class AWSCredentialsFile(ApiModel):
    """Static keys in a credentials file."""

    secret_ref: SecretObjectReference
    """Secret key `credentials`, in INI form."""
    profile: str = "default"


class AWSCredentials(ApiModel):
    """Signs requests. Without file and exchange, with what the process finds around it."""

    region: Text
    """Region that requests are signed for."""
    credentials_file: AWSCredentialsFile | None = None
    """Wins over `oidcExchangeToken`."""
    oidc_exchange_token: AWSOIDCExchangeToken | None = None


class AzureCredentials(ApiModel):
    """Tokens of an Entra ID application."""

    RULES = (
        Rule(
            "BSP-8",
            "has(self.clientSecretRef) != has(self.oidcExchangeToken)",
            "Exactly one of clientSecretRef or oidcExchangeToken must be specified",
        ),
    )

    client_id: Annotated[Text, Field(alias="clientID")]
    tenant_id: Annotated[Text, Field(alias="tenantID")]
    client_secret_ref: SecretObjectReference | None = None
    """Secret key `client-secret`."""
    oidc_exchange_token: OIDCExchangeToken | None = None


class GCPCredentialsFile(ApiModel):
    """A service-account key."""

    secret_ref: SecretObjectReference
    """Secret key `service_account.json`."""


class ServiceAccountImpersonation(ApiModel):
    """The service account to act as."""

    service_account_name: Text
    """The part before `@`."""


class WorkloadIdentityFederation(ApiModel):
    """A token of an OIDC client, exchanged at the security token service."""

    project_id: Annotated[Text, Field(alias="projectID")]
    workload_identity_pool_name: Text
    workload_identity_provider_name: Text
    oidc_exchange_token: OIDCExchangeToken
    service_account_impersonation: ServiceAccountImpersonation | None = None


class GCPCredentials(ApiModel):
    """A service account, and the project and region of its requests.

    Without file and federation, what the process finds around it.
    """

    RULES = (
        Rule(
            "BSP-9",
            "!(has(self.credentialsFile) && has(self.workloadIdentityFederationConfig))",
            "At most one of credentialsFile or workloadIdentityFederationConfig may be specified",
        ),
    )

    project_name: Text
    region: Text
    credentials_file: GCPCredentialsFile | None = None
    workload_identity_federation_config: WorkloadIdentityFederation | None = None


class CredentialFromMetadata(ApiModel):
    """Dynamic metadata of Envoy."""

    fallback_to_configured: Boolean = True
    """Without a value: the configured credential, or 401."""
    key: str | None = None
    namespace: Text


class CredentialFromHeaders(ApiModel):
    """Headers of the request. They are trusted, so something before must set them."""

    fallback_to_configured: Boolean = True
    """Without a value: the configured credential, or 401."""
    header: str | None = None


class CredentialOverride(Counted):
    """Takes the credential from the request."""

    SCHEMA: ClassVar = {"minProperties": 1, "maxProperties": 1}

    from_dynamic_metadata: CredentialFromMetadata | None = None
    from_request_headers: CredentialFromHeaders | None = None


def _own_field_only(type_name: str) -> Rule:
    own = CREDENTIAL_FIELDS[type_name]
    others = [field for field in CREDENTIAL_FIELDS.values() if field != own]
    cel = " && ".join([f"has(self.{own})", *(f"!has(self.{other})" for other in others)])
    return Rule(
        f"BSP-{[*CREDENTIAL_FIELDS].index(type_name) + 1}",
        f"self.type == '{type_name}' ? ({cel}) : true",
        f"When type is {type_name}, only {own} field should be set",
    )


class BackendSecurityPolicySpec(Counted):
    """Spec of a BackendSecurityPolicy."""

    SCHEMA: ClassVar = {"maxProperties": 4}
    RULES = (
        *(_own_field_only(name) for name in CREDENTIAL_FIELDS),
        Rule(
            "BSP-7",
            "self.all(t, (t.group == 'aigateway.envoyproxy.io' && t.kind == 'AIServiceBackend') "
            "|| (t.group == 'inference.networking.k8s.io' && t.kind == 'InferencePool'))",
            "targetRefs must reference AIServiceBackend or InferencePool resources",
            field="targetRefs",
        ),
    )

    target_refs: Annotated[list[LocalPolicyTargetReference], Field(max_length=16)] = Field(
        default_factory=list
    )
    """What uses the credential, in the namespace of the policy."""
    type: Literal[
        "APIKey",
        "AWSCredentials",
        "AzureAPIKey",
        "AzureCredentials",
        "GCPCredentials",
        "AnthropicAPIKey",
    ]
    """Which of the credential fields is set."""
    api_key: KeyInSecret | None = None
    """Sent as `Authorization: Bearer`."""
    anthropic_api_key: Annotated[KeyInSecret | None, Field(alias="anthropicAPIKey")] = None
    """Sent as `x-api-key`."""
    azure_api_key: Annotated[KeyInSecret | None, Field(alias="azureAPIKey")] = None
    """Sent as `api-key`."""
    aws_credentials: AWSCredentials | None = None
    azure_credentials: AzureCredentials | None = None
    gcp_credentials: GCPCredentials | None = None
    credential_override: CredentialOverride | None = None


class BackendSecurityPolicy(Resource):
    """Authenticates the AIServiceBackends that it targets."""

    GROUP: ClassVar[str] = "aigateway.envoyproxy.io"
    KIND: ClassVar[str] = "BackendSecurityPolicy"

    spec: BackendSecurityPolicySpec
