"""When and how often a request is repeated. Shapes of Envoy Gateway's Retry."""

from typing import Annotated, Literal

from pydantic import Field

from aigw.api.fields import Count, Duration, StatusCode
from aigw.api.model import ApiModel

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
