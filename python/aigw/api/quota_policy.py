"""QuotaPolicy: token budgets of backends, by model and by client."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from aigw.api.fields import UINT32_MAX, Boolean, Integer, Text
from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.rate_limit import RateLimitSelectCondition
from aigw.api.references import LocalPolicyTargetReference


class QuotaValue(ApiModel):
    """So many tokens in a window; 0 is not enforced."""

    limit: Annotated[Integer, Field(ge=0, le=UINT32_MAX)]
    duration: Literal["1s", "1m", "1h", "1d"]


class QuotaRule(ApiModel):
    """A bucket for some of the traffic."""

    client_selectors: Annotated[list[RateLimitSelectCondition], Field(max_length=8)] | None = None
    """Conditions that must all hold; absent: all traffic."""
    quota: QuotaValue
    shadow_mode: Boolean | None = None
    """Counts, and never rejects."""


class QuotaDefinition(ApiModel):
    """Buckets of a model."""

    bucket_rules: list[QuotaRule] | None = None
    cost_expression: str | None = None
    """CEL over the counts of a response; absent: `total_tokens`."""
    default_bucket: QuotaValue | None = None
    """For all traffic of the model."""
    mode: Literal["Shared"] = "Shared"


class PerModelQuota(ApiModel):
    """Quota of a model."""

    model_name: Text
    """A `modelNameOverride` of a reference to a target."""
    quota: QuotaDefinition


class ServiceQuota(ApiModel):
    """Quota of a backend as a whole."""

    cost_expression: str | None = None
    quota: QuotaValue


class QuotaPolicySpec(ApiModel):
    """Spec of a QuotaPolicy."""

    RULES = (
        Rule(
            "QP-1",
            "self.all(t, t.group == 'aigateway.envoyproxy.io' && t.kind == 'AIServiceBackend')",
            "targetRefs must reference AIServiceBackend resources",
            field="targetRefs",
        ),
    )

    per_model_quotas: Annotated[list[PerModelQuota], Field(max_length=128)] | None = None
    service_quota: ServiceQuota | None = None
    target_refs: Annotated[list[LocalPolicyTargetReference], Field(max_length=16)] | None = None
    """AIServiceBackends in the namespace of the policy."""


class QuotaPolicy(Resource):
    """Token budgets of AIServiceBackends."""

    GROUP: ClassVar[str] = "aigateway.envoyproxy.io"
    KIND: ClassVar[str] = "QuotaPolicy"

    spec: QuotaPolicySpec
