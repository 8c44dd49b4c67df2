"""Access logs at an OTLP collector."""

from __future__ import annotations

import threading
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import httpx

from beds.gateway import RunningGateway, run_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.ports import FreePorts

PATH = b"/v1/chat/completions"
CANARY = "canary-collector-key"
METHOD = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


@dataclass
class Collector:
    """Keeps the bytes and the metadata of every export."""

    port: int = 0
    exports: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)

    def export(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        """Takes one export."""
        metadata = {str(item[0]): str(item[1]) for item in context.invocation_metadata()}
        self.exports.append((request, metadata))
        if PATH in request:  # usage is exported to the same place
            self.arrived.set()
        return b""


@contextmanager
def running() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()
    handler = grpc.unary_unary_rpc_method_handler(collector.export)
    service, method = METHOD.strip("/").split("/")
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {method: handler}),)
    )
    collector.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector
    finally:
        server.stop(0).wait()


def _configuration(gateway: RunningGateway) -> str:
    transport = httpx.HTTPTransport(uds=str(gateway.runtime / "admin.sock"))
    with httpx.Client(transport=transport) as client:
        return client.get("http://admin/config_dump?include_eds=on").text


def test_records_have_the_usage_and_the_key_is_nowhere_else(
    free_port: FreePorts, host: tuple[str, ...]
) -> None:
    with running() as collector:
        extra = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={CANARY}",
            "OTEL_SERVICE_NAME": "edge-7",
        }
        with run_gateway("--port", str(free_port()), *host, extra=extra) as gateway:
            body = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}
            httpx.post(f"{gateway.url}/v1/chat/completions", json=body).raise_for_status()
            assert collector.arrived.wait(30)
            shown = gateway.errors + gateway.output + _configuration(gateway)
    record, metadata = next(item for item in collector.exports if PATH in item[0])
    for part in (b"edge-7", b"input_tokens", b"demo"):
        assert part in record
    assert metadata["x-key"] == CANARY
    assert CANARY not in shown
