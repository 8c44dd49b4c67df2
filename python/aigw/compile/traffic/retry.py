"""Timeouts and retry policies of rules."""

from aigw.api.ai_gateway_route import AIGatewayRouteRule
from aigw.api.fields import duration_ms
from aigw.api.retry import Retry
from aigw.compile.traffic.backend import BackendSettings
from aigw.plan import RetryPolicy, Timeouts

DEFAULT_REQUEST_MS = 60_000
_STATUS_CODES = (429, 500, 502, 503, 504, 529)
_TRIGGERS = ("connect-failure", "refused-stream", "retriable-status-codes")


def timeouts_of(rule: AIGatewayRouteRule, settings: BackendSettings) -> Timeouts:
    """Limits of a rule: 60 s in all when it says nothing, never less than one attempt may take.

    What a rule says itself counts; the duration of streams in a policy can only shorten it.
    """
    written = rule.timeouts
    attempt = written.backend_request if written and written.backend_request else None
    request = written.request if written and written.request else None
    attempt_ms = duration_ms(attempt) if attempt else 0
    request_ms = duration_ms(request) if request else max(DEFAULT_REQUEST_MS, attempt_ms)
    retry = settings.retry
    per_retry = retry.per_retry.timeout if retry and retry.per_retry else None
    idle = rule.stream_idle_timeout
    return Timeouts(
        request_ms=min(filter(None, [request_ms, settings.stream_ms]), default=0),
        attempt_ms=duration_ms(per_retry) if per_retry else attempt_ms,
        stream_idle_ms=duration_ms(idle) if idle else settings.stream_idle_ms or 0,
    )


def retry_policy(retry: Retry | None, groups: int, timeouts: Timeouts) -> RetryPolicy | None:
    """The retry policy of a rule with `groups` groups of backends.

    Without settings a rule with one group is not retried, and one with several moves on once
    per group. A connection that breaks after the request was sent is not retried by default,
    because the provider may bill both attempts; but a rule that limits the time of an attempt
    asks for the next backend when the limit is reached, and Envoy cannot tell the two apart.
    """
    if retry is None:
        if groups < 2:
            return None
        limited = timeouts.attempt_ms or timeouts.stream_idle_ms
        default = (*_TRIGGERS, "reset") if limited else _TRIGGERS
        return RetryPolicy(groups - 1, default, _STATUS_CODES)
    retry_on = retry.retry_on
    codes = tuple(retry_on.http_status_codes or ()) if retry_on else ()
    triggers: tuple[str, ...] = tuple(retry_on.triggers or ()) if retry_on else ()
    if not triggers:
        triggers = ("retriable-status-codes",) if codes else _TRIGGERS
    base_ms, max_ms = _back_off(retry)
    return RetryPolicy(
        num_retries=retry.num_retries,
        triggers=triggers,
        status_codes=codes or (_STATUS_CODES if "retriable-status-codes" in triggers else ()),
        attempts_per_group=retry.num_attempts_per_priority or 1,
        back_off_base_ms=base_ms,
        back_off_max_ms=max_ms,
    )


def _back_off(retry: Retry) -> tuple[int, int]:
    """Base and maximal interval; Envoy wants at least 1 ms, and no maximum below the base."""
    written = retry.per_retry.back_off if retry.per_retry else None
    base = duration_ms(written.base_interval) if written and written.base_interval else 25
    base = max(base, 1)
    limit = duration_ms(written.max_interval) if written and written.max_interval else base * 10
    return base, max(limit, base)
