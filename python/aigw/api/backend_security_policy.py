"""BackendSecurityPolicy: the credential of backends.

One schema serves v1alpha1 and v1beta1. Credential types without static keys are modelled only
as far as their names, so that they are refused by name and not as unknown fields.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.references import LocalPolicyTargetReference, SecretObjectReference

CREDENTIAL_FIELDS = {
    "APIKey": "apiKey",
    "AWSCredentials": "awsCredentials",
    "AzureAPIKey": "azureAPIKey",
    "AzureCredentials": "azureCredentials",
    "GCPCredentials": "gcpCredentials",
    "AnthropicAPIKey": "anthropicAPIKey",
}
_TARGETS = {
    ("aigateway.envoyproxy.io", "AIServiceBackend"),
    ("inference.networking.k8s.io", "InferencePool"),
}


class KeyInSecret(ApiModel):
    """An API key: Secret key `apiKey`."""

    secret_ref: SecretObjectReference


class AWSCredentialsFile(ApiModel):
    """A credentials file in INI form: Secret key `credentials`."""

    secret_ref: SecretObjectReference
    profile: str = "default"


class AWSCredentials(ApiModel):
    """Static AWS keys and the region that they sign for."""

    NOT_YET = frozenset({"oidcExchangeToken"})

    region: Annotated[str, Field(min_length=1)]
    credentials_file: AWSCredentialsFile | None = None


class GCPCredentialsFile(ApiModel):
    """A service-account key: Secret key `service_account.json`."""

    secret_ref: SecretObjectReference


class GCPCredentials(ApiModel):
    """A service account, and the project and region of its requests."""

    NOT_YET = frozenset({"workloadIdentityFederationConfig"})

    project_name: Annotated[str, Field(min_length=1)]
    region: Annotated[str, Field(min_length=1)]
    credentials_file: GCPCredentialsFile | None = None


def _own_field_only(type_name: str) -> Rule:
    own = CREDENTIAL_FIELDS[type_name]
    others = [field for field in CREDENTIAL_FIELDS.values() if field != own]
    cel = " && ".join([f"has(self.{own})", *(f"!has(self.{other})" for other in others)])
    number = ("APIKey", "AWSCredentials", "AzureAPIKey", "AzureCredentials", "GCPCredentials")
    order = (*number, "AnthropicAPIKey").index(type_name) + 1
    return Rule(
        f"BSP-{order}",
        f"self.type == '{type_name}' ? ({cel}) : true",
        f"When type is {type_name}, only {own} field should be set",
        lambda spec: spec.type != type_name or spec.credential_fields == {own},
    )


class BackendSecurityPolicySpec(ApiModel):
    """Spec of a BackendSecurityPolicy."""

    NOT_YET = frozenset({"azureCredentials", "credentialOverride"})
    RULES = (
        *(_own_field_only(name) for name in CREDENTIAL_FIELDS),
        Rule(
            "BSP-7",
            "self.all(t, (t.group == 'aigateway.envoyproxy.io' && t.kind == 'AIServiceBackend') "
            "|| (t.group == 'inference.networking.k8s.io' && t.kind == 'InferencePool'))",
            "targetRefs must reference AIServiceBackend or InferencePool resources",
            lambda refs: all((ref.group, ref.kind) in _TARGETS for ref in refs),
            field="targetRefs",
        ),
    )

    target_refs: Annotated[list[LocalPolicyTargetReference], Field(max_length=16)] = Field(
        default_factory=list
    )
    type: Literal[
        "APIKey",
        "AWSCredentials",
        "AzureAPIKey",
        "AzureCredentials",
        "GCPCredentials",
        "AnthropicAPIKey",
    ]
    api_key: KeyInSecret | None = None
    anthropic_api_key: Annotated[KeyInSecret | None, Field(alias="anthropicAPIKey")] = None
    azure_api_key: Annotated[KeyInSecret | None, Field(alias="azureAPIKey")] = None
    aws_credentials: AWSCredentials | None = None
    gcp_credentials: GCPCredentials | None = None

    @property
    def credential_fields(self) -> set[str]:
        """Aliases of the credential members that are set."""
        return {
            info.alias or name
            for name, info in type(self).model_fields.items()
            if info.alias in CREDENTIAL_FIELDS.values() and getattr(self, name) is not None
        }


class BackendSecurityPolicy(Resource):
    """Authenticates the AIServiceBackends that it targets."""

    GROUP: ClassVar[str] = "aigateway.envoyproxy.io"
    KIND: ClassVar[str] = "BackendSecurityPolicy"

    spec: BackendSecurityPolicySpec
