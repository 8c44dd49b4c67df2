"""Exports by the standard variables."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aigw.observe import ObserveError
from aigw.observe.settings import Exports, LogsExport, MetricsExport, Temporality, exports_of

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


def test_nothing_is_exported_unless_asked_for() -> None:
    assert not exports_of({})
    assert not exports_of({"OTEL_METRICS_EXPORTER": "otlp"})
    assert not exports_of({**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"})
    none = {"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    assert not exports_of({**ENDPOINT, **none})


def test_an_endpoint_is_enough() -> None:
    cumulative = MetricsExport("http/protobuf", 60, Temporality.CUMULATIVE)
    assert exports_of(ENDPOINT) == Exports(cumulative, LogsExport("grpc"))
    only = exports_of({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c"})
    assert only == Exports(cumulative, None)


def test_the_variable_of_a_signal_wins() -> None:
    found = exports_of(
        {
            **ENDPOINT,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/protobuf",
            "OTEL_METRIC_EXPORT_INTERVAL": "1500",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "Delta",
        }
    )
    assert found == Exports(
        MetricsExport("grpc", 1.5, Temporality.DELTA), LogsExport("http/protobuf")
    )


def test_prometheus_alone_exports_nothing_and_console_needs_no_endpoint() -> None:
    assert exports_of({**ENDPOINT, "OTEL_METRICS_EXPORTER": "prometheus"}).metrics is None
    console = exports_of({"OTEL_METRICS_EXPORTER": "console"}).metrics
    assert console == MetricsExport(None, 60, Temporality.CUMULATIVE)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            'unsupported OTLP protocol "http/json" (supported: grpc, http/protobuf)',
        ),
        (
            {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "both"},
            "unsupported OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE value: "
            '"both" (supported values: cumulative, delta)',
        ),
    ],
)
def test_values_that_cannot_be_used_are_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(ObserveError) as found:
        exports_of({**ENDPOINT, **variables})
    assert str(found.value) == message


def test_a_run_that_exports_nothing_loads_no_exporter() -> None:
    code = (
        "import sys, aigw.standalone.run, aigw.extproc.server, aigw.observe;"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'grpc', "
        "'requests', 'prometheus_client'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert found.stdout.decode().strip() == "[]"
