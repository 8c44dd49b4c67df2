"""BackendTrafficPolicy: retries of a Gateway or of one route."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from aigw.api.fields import Count, Duration, StatusCode
from aigw.api.model import ApiModel, Resource
from aigw.api.references import SectionTargetReference, TargetRefs

Trigger = Literal[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
]


class BackOff(ApiModel):
    """Waiting time between attempts."""

    base_interval: Duration | None = None
    max_interval: Duration | None = None


class PerRetry(ApiModel):
    """Limits of one attempt."""

    timeout: Duration | None = None
    back_off: BackOff | None = None


class RetryOn(ApiModel):
    """What is repeated."""

    triggers: list[Trigger] | None = None
    http_status_codes: list[StatusCode] | None = None


class Retry(ApiModel):
    """How often and when an attempt is repeated."""

    num_retries: Count = 2
    num_attempts_per_priority: Annotated[Count, Field(ge=1)] | None = None
    per_retry: PerRetry | None = None
    retry_on: RetryOn | None = None


class BackendTrafficPolicySpec(ApiModel):
    """Spec of a BackendTrafficPolicy."""

    NOT_YET = frozenset(
        {
            "admissionControl",
            "circuitBreaker",
            "compression",
            "compressor",
            "connection",
            "dns",
            "faultInjection",
            "healthCheck",
            "http2",
            "httpUpgrade",
            "loadBalancer",
            "mergeType",
            "proxyProtocol",
            "rateLimit",
            "requestBuffer",
            "responseOverride",
            "routingType",
            "targetSelectors",
            "tcpKeepalive",
            "telemetry",
            "timeout",
            "useClientProtocol",
        }
    )

    target_ref: SectionTargetReference | None = None
    target_refs: TargetRefs | None = None
    retry: Retry | None = None

    @property
    def targets(self) -> list[SectionTargetReference]:
        """All targets, whichever field names them."""
        return [*([self.target_ref] if self.target_ref else []), *(self.target_refs or [])]


class BackendTrafficPolicy(Resource):
    """Settings of the provider side of a Gateway or route."""

    GROUP: ClassVar[str] = "gateway.envoyproxy.io"
    KIND: ClassVar[str] = "BackendTrafficPolicy"

    spec: BackendTrafficPolicySpec
