"""Where the requests of a rule go, and how they are repeated."""

from dataclasses import dataclass, field

from aigw.plan.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Member:
    """A backend inside a group, by name, with its relative weight (at least 1)."""

    backend: str
    weight: int


@dataclass(frozen=True, slots=True)
class BackendGroup:
    """Backends of equal priority."""

    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When and how often an attempt is repeated.

    `triggers` are the words of BackendTrafficPolicy; `status_codes` count when
    `retriable-status-codes` is among them. After `attempts_per_group` attempts the next group
    of the rule is used.
    """

    num_retries: int
    triggers: tuple[str, ...]
    status_codes: tuple[int, ...] = ()
    attempts_per_group: int = 1
    back_off_base_ms: int = 25
    back_off_max_ms: int = 250


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of an exchange; 0 means no limit.

    `request_ms`: everything, streams included. `attempt_ms`: one attempt until its response
    starts. `stream_idle_ms`: silence of the provider.
    """

    request_ms: int = 0
    attempt_ms: int = 0
    stream_idle_ms: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """Where requests of one route rule go: groups in the order in which they are tried.

    `id` is `<ns>/<route>/rule/<i>`, and ends in `@<ns>/<gateway>` where another Gateway has the
    same rule with other settings. No groups means that no backend is usable: such requests
    are answered with 503 and never fall through to another rule.
    """

    id: str
    route: str
    groups: tuple[BackendGroup, ...]
    timeouts: Timeouts
    retry: RetryPolicy | None = None
    traffic: Traffic = field(default_factory=Traffic)
