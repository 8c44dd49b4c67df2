"""What belongs to one Gateway as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aigw.plan.costs import Billing
from aigw.plan.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Model:
    """A model on offer; `created` in Unix seconds, `created_at` the same instant in RFC 3339."""

    name: str
    owned_by: str
    created: int
    created_at: str


@dataclass(frozen=True, slots=True)
class ModelLists:
    """What the model listing answers.

    `by_host` is empty when no route has host names; otherwise each list includes the unscoped
    models, and `everywhere` equals `unscoped`.
    """

    everywhere: tuple[Model, ...] = ()
    by_host: Mapping[str, tuple[Model, ...]] = field(default_factory=dict)
    unscoped: tuple[Model, ...] = ()


DEFAULT_BODY_LIMIT = 50 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest bodies that are held in memory."""

    request_body_bytes: int = DEFAULT_BODY_LIMIT
    response_body_bytes: int = DEFAULT_BODY_LIMIT


@dataclass(frozen=True, slots=True)
class Gateway:
    """What belongs to one Gateway as a whole.

    `credential_headers` bring credentials for its backends; nobody else gets them.
    """

    models: ModelLists = ModelLists()
    limits: Limits = Limits()
    telemetry: Telemetry = field(default_factory=Telemetry)
    credential_headers: tuple[str, ...] = ()
    billing: Billing = field(default_factory=Billing)
