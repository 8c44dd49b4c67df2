"""AIServiceBackend: an upstream and the API schema that it speaks."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.mutations import HTTPBodyMutation, HTTPHeaderMutation
from aigw.api.references import BackendObjectReference

SchemaName = Literal[
    "OpenAI",
    "Cohere",
    "AWSBedrock",
    "AzureOpenAI",
    "GCPVertexAI",
    "GCPAnthropic",
    "Anthropic",
    "AWSAnthropic",
]


class VersionedAPISchema(ApiModel):
    """API of the provider; what `version` and `prefix` mean depends on `name`."""

    name: SchemaName
    prefix: str | None = None
    """Path before the endpoints of OpenAI and Anthropic; absent: `v1`."""
    version: str | None = None
    """API version of AzureOpenAI, Anthropic version of clouds, path of Cohere."""


class AIServiceBackendSpec(ApiModel):
    """Spec of an AIServiceBackend."""

    IGNORED = frozenset({"timeouts", "backendSecurityPolicyRef"})
    RULES = (
        Rule(
            "ASB-1",
            "has(self.kind) && self.kind == 'Backend' && "
            "has(self.group) && self.group == 'gateway.envoyproxy.io'",
            "BackendRef must be a Backend resource of Envoy Gateway. "
            "See https://github.com/envoyproxy/ai-gateway/issues/902 for more details.",
            field="backendRef",
        ),
    )

    api_schema: Annotated[VersionedAPISchema, Field(alias="schema")]
    backend_ref: BackendObjectReference
    header_mutation: HTTPHeaderMutation | None = None
    body_mutation: HTTPBodyMutation | None = None


class AIServiceBackend(Resource):
    """One provider endpoint with its schema and mutations."""

    GROUP: ClassVar[str] = "aigateway.envoyproxy.io"
    KIND: ClassVar[str] = "AIServiceBackend"

    spec: AIServiceBackendSpec
