"""Access logs and log levels."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aigw.plan.endpoint import Endpoint
from aigw.plan.tls import Tls


@dataclass(frozen=True, slots=True)
class Collector:
    """An OTLP collector, asked by gRPC; `name` tells it from others.

    `headers` go with every export, `resource` are the attributes of the resource.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    tls: Tls | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    resource: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AccessLog:
    """One access log, to a file or to a collector.

    At most one of `json` and `text` is set; both None: our default. Formats use Envoy's command
    operators, as in EnvoyProxy. `matches` are CEL conditions, all of which must hold.
    """

    path: str = ""
    collector: Collector | None = None
    json: Mapping[str, object] | None = None
    text: str | None = None
    matches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Access logs (None: not configured, use the host's default) and Envoy log levels."""

    access_logs: tuple[AccessLog, ...] | None = None
    log_levels: Mapping[str, str] = field(default_factory=dict)
