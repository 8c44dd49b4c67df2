"""An OTLP collector made of the official protobuf types, by gRPC and by HTTP."""

from __future__ import annotations

import gzip
import threading
import time
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal, Protocol

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

METRICS = "opentelemetry.proto.collector.metrics.v1.MetricsService"
LOGS = "opentelemetry.proto.collector.logs.v1.LogsService"
WAIT_SECONDS = 20.0


@dataclass
class Collector:
    """Keeps what it is sent, unless it is `away`."""

    protocol: Literal["grpc", "http/protobuf"]
    port: int = 0
    away: bool = False
    requests: int = 0
    metric_exports: list[metrics.ExportMetricsServiceRequest] = field(default_factory=list)
    log_exports: list[logs.ExportLogsServiceRequest] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead to it."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.protocol,
            "OTEL_METRIC_EXPORT_INTERVAL": "100",
        }

    def take(self, kind: str, body: bytes) -> bool:
        """One export."""
        self.requests += 1
        if self.away:
            return False
        if kind == "logs":
            self.log_exports.append(logs.ExportLogsServiceRequest.FromString(body))
        else:
            self.metric_exports.append(metrics.ExportMetricsServiceRequest.FromString(body))
        return True

    @property
    def log_records(self) -> list[LogRecord]:
        """All log records that came, in order."""
        return [
            record
            for export in self.log_exports
            for resource in export.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def record_ids(self) -> list[str]:
        """Ids of the usage records that came."""
        return [attributes(record)["aigw.record.id"] for record in self.log_records]

    def newest(self) -> dict[str, Metric]:
        """Metrics of the last export, by name."""
        if not self.metric_exports:
            return {}
        scopes = self.metric_exports[-1].resource_metrics[0].scope_metrics
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Polls a condition, for a bounded time."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"not within {WAIT_SECONDS:.0f} s"
            time.sleep(0.01)


class HasAttributes(Protocol):
    """A protobuf message."""

    @property
    def attributes(self) -> Iterable[KeyValue]:
        """Names and values."""


def attributes(message: HasAttributes) -> dict[str, Any]:
    """Attributes of a protobuf message."""
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in message.attributes
    }


@contextmanager
def running(protocol: Literal["grpc", "http/protobuf"], port: int = 0) -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector(protocol)
    serve = _grpc if protocol == "grpc" else _http
    with serve(collector, port):
        yield collector


@contextmanager
def _grpc(collector: Collector, port: int) -> Iterator[None]:
    def method(kind: str) -> grpc.RpcMethodHandler[bytes, bytes]:
        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            if not collector.take(kind, body):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "away")
            return b""

        return grpc.unary_unary_rpc_method_handler(export)

    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(service, {"Export": method(kind)})
            for service, kind in ((METRICS, "metrics"), (LOGS, "logs"))
        )
    )
    collector.port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield
    finally:
        server.stop(0).wait()


@contextmanager
def _http(collector: Collector, port: int) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """One export."""
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            taken = collector.take(self.path.rpartition("/")[2], body)
            self.send_response(200 if taken else 400)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    collector.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
