"""What is exported, by the standard variables of OpenTelemetry. Imports none of its packages."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from aigw.observe.errors import ObserveError

Protocol = Literal["grpc", "http/protobuf"]
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_INTERVAL_MS = 60_000


class Temporality(StrEnum):
    """What the numbers of an export count from."""

    CUMULATIVE = "cumulative"
    """The start of the data plane."""
    DELTA = "delta"
    """The export before."""


@dataclass(frozen=True, slots=True)
class MetricsExport:
    """How metrics are exported; without a protocol, to standard output."""

    protocol: Protocol | None
    interval_seconds: float
    temporality: Temporality


@dataclass(frozen=True, slots=True)
class LogsExport:
    """How usage records are exported."""

    protocol: Protocol


@dataclass(frozen=True, slots=True)
class Exports:
    """All exports; `None` where there is none."""

    metrics: MetricsExport | None = None
    logs: LogsExport | None = None

    def __bool__(self) -> bool:
        """Whether anything is exported."""
        return bool(self.metrics or self.logs)


def exports_of(environment: Mapping[str, str]) -> Exports:
    """The exports that variables ask for.

    Raises:
        ObserveError: a variable has a value that cannot be used.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Exports()
    return Exports(_metrics(environment), _logs(environment))


def _metrics(environment: Mapping[str, str]) -> MetricsExport | None:
    exporter = environment.get("OTEL_METRICS_EXPORTER", "").strip().lower()
    if exporter in ("none", "prometheus"):
        return None
    if exporter == "console":
        return MetricsExport(None, _interval(environment), _temporality(environment))
    if not _has_endpoint(environment, "METRICS"):
        return None
    protocol = _protocol(environment, "METRICS", "http/protobuf")
    return MetricsExport(protocol, _interval(environment), _temporality(environment))


def _logs(environment: Mapping[str, str]) -> LogsExport | None:
    exporter = environment.get("OTEL_LOGS_EXPORTER", "").strip().lower()
    if exporter in ("none", "console") or not _has_endpoint(environment, "LOGS"):
        return None
    # As the access logs that Envoy sends to the same place.
    return LogsExport(_protocol(environment, "LOGS", "grpc"))


def _has_endpoint(environment: Mapping[str, str], signal: str) -> bool:
    names = (f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", _ENDPOINT)
    return any(environment.get(name, "").strip() for name in names)


def _protocol(environment: Mapping[str, str], signal: str, default: Protocol) -> Protocol:
    names = (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    value = next((environment[name].strip() for name in names if environment.get(name)), default)
    if value == "grpc":
        return "grpc"
    if value == "http/protobuf":
        return "http/protobuf"
    message = f'unsupported OTLP protocol "{value}" (supported: grpc, http/protobuf)'
    raise ObserveError(message)


def _interval(environment: Mapping[str, str]) -> float:
    text = environment.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    milliseconds = int(text) if text.isdecimal() else 0
    return (milliseconds or _INTERVAL_MS) / 1000


def _temporality(environment: Mapping[str, str]) -> Temporality:
    value = environment.get(_TEMPORALITY, "")
    found = value.strip().lower() or "cumulative"
    for known in Temporality:
        if found == known:
            return known
    message = f'unsupported {_TEMPORALITY} value: "{value}" (supported values: cumulative, delta)'
    raise ObserveError(message)
