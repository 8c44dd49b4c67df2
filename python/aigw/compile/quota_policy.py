"""Faults of QuotaPolicies that the API server lets through."""

from collections.abc import Iterator

from aigw.api.quota_policy import QuotaPolicy
from aigw.compile.expressions import expression_faults
from aigw.compile.report import Finding


def faults_of(policy: QuotaPolicy) -> Iterator[Finding]:
    """Cost expressions that are none."""
    spec = policy.spec
    if spec.service_quota:
        path = "spec.serviceQuota.costExpression"
        yield from expression_faults(spec.service_quota.cost_expression, path)
    for position, model in enumerate(spec.per_model_quotas or []):
        path = f"spec.perModelQuotas[{position}].quota.costExpression"
        yield from expression_faults(model.quota.cost_expression, path)
