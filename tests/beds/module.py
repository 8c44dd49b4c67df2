"""A gateway for one test: Envoy with our module, one cluster per backend, fake providers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beds.envoy import EnvoyOptions, RunningEnvoy, run_envoy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
GATEWAY = "default/gw"
BODY_LIMIT = 50 << 20
TYPE = "type.googleapis.com/envoy.extensions"
UPSTREAM_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
PRIORITY_GROUP = "router.cluster_specifiers.priority_group"
RETRY_ON = "connect-failure,refused-stream,retriable-status-codes,reset"
LOGGED = (
    "original_model",
    "backend_name",
    "model_name_override",
    "response_model",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "attempts",
)


def build_module(*arguments: str) -> Path:
    """The module as cargo builds it; what is up to date is not built again."""
    command = ["cargo", "build", "--quiet", "--package", "aigw-envoy", *arguments]
    subprocess.run(command, cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    if "--target-dir" in arguments:
        target = Path(arguments[arguments.index("--target-dir") + 1])
    return target / "debug" / "libaigw_envoy.so"


@dataclass(frozen=True)
class Backend:
    """A backend on a port of the loopback interface; `entry` overrides its filter config."""

    name: str
    port: int
    entry: Mapping[str, Any] = field(default_factory=dict)
    id_in: str = "filter"
    """Where the attempt filter finds the backend id: `filter`, `host` or `cluster`."""

    @property
    def id(self) -> str:
        """The id in `config.json`."""
        return f"{self.name}@00000000"

    def config(self) -> Json:
        """The entry in `config.json`."""
        return {
            "name": f"default/{self.name}/route/chat/rule/0/ref/0",
            "backend": f"default/{self.name}",
            "route": "default/chat",
            "schema": {"name": "OpenAI", "prefix": "v1"},
            "host": f"{self.name}.example",
            **self.entry,
        }


@dataclass(frozen=True)
class Gateway:
    """What a test wants to run; backends are priority groups in their order."""

    module: Path
    backends: tuple[Backend, ...]
    credentials: Mapping[str, Any] = field(default_factory=dict)
    credential_wait_ms: int = 2000
    per_try_timeout: str = "5s"
    with_module: bool = True
    options: EnvoyOptions = field(default_factory=EnvoyOptions)


@dataclass(frozen=True)
class RunningGateway:
    """A gateway that serves."""

    envoy: RunningEnvoy
    port: int
    runtime: Path

    def write_credentials(self, credentials: Mapping[str, Any]) -> None:
        """Replace the credentials file by rename."""
        write_json(self.runtime / "credentials.json", _credentials(credentials))

    def access_log(self, count: int = 1) -> list[Json]:
        """Wait for this many access-log lines and return all."""
        path = self.envoy.folder / "access.log"

        def lines() -> list[str]:
            return path.read_text().splitlines() if path.exists() else []

        self.envoy.wait_until(lambda: len(lines()) >= count)
        return [json.loads(line) for line in lines()]


def write_json(path: Path, document: object) -> None:
    """Write a file of the runtime directory in one step."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(document))
    draft.chmod(0o600)
    draft.rename(path)


@contextlib.contextmanager
def run_gateway(gateway: Gateway) -> Iterator[RunningGateway]:
    """Run a gateway."""
    with tempfile.TemporaryDirectory(prefix="aigw-runtime-") as folder:
        runtime = Path(folder)
        write_json(runtime / "config.json", _filter_config(gateway))
        write_json(runtime / "credentials.json", _credentials(gateway.credentials))
        with run_envoy(bootstrap(gateway, runtime), gateway.options) as envoy:
            yield RunningGateway(envoy, envoy.port(), runtime)


def _credentials(credentials: Mapping[str, Any]) -> Json:
    return {"version": 1, "credentials": dict(credentials)}


def _filter_config(gateway: Gateway) -> Json:
    model = {"name": "m", "owned_by": "o", "created": 1, "created_at": "1970-01-01T00:00:01Z"}
    limits = {"request_body_bytes": BODY_LIMIT, "response_body_bytes": BODY_LIMIT}
    return {
        "version": 1,
        "generation": "g1",
        "credential_wait_ms": gateway.credential_wait_ms,
        "gateways": {GATEWAY: {"models": [model], "limits": limits}},
        "backends": {backend.id: backend.config() for backend in gateway.backends},
    }


def bootstrap(gateway: Gateway, runtime: Path) -> Json:
    """Envoy's configuration."""
    manager = {
        "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "client",
        "http_protocol_options": {"enable_trailers": True},
        "access_log": [_access_log()],
        "route_config": {"virtual_hosts": [_virtual_host(gateway)]},
        "http_filters": [
            *_request_filters(gateway, runtime),
            _filter("router", "router.v3.Router"),
        ],
    }
    listener = {
        "name": "client",
        "address": _address(0),
        "per_connection_buffer_limit_bytes": BODY_LIMIT,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    clusters = [_cluster(gateway, backend, runtime) for backend in gateway.backends]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


def _filter(name: str, kind: str, **config: object) -> Json:
    return {"name": name, "typed_config": {"@type": f"{TYPE}.filters.http.{kind}", **config}}


def _module_filter(module: Path, name: str, config: Json) -> Json:
    return _filter(
        f"aigw.{name}",
        "dynamic_modules.v3.DynamicModuleFilter",
        dynamic_module_config={
            "module": {"local": {"filename": str(module)}},
            "do_not_close": True,
        },
        filter_name=name,
        filter_config={
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": json.dumps(config),
        },
    )


def _request_filters(gateway: Gateway, runtime: Path) -> list[Json]:
    config = {"runtime": str(runtime), "gateway": GATEWAY}
    return [_module_filter(gateway.module, "request", config)] if gateway.with_module else []


def _access_log() -> Json:
    metadata = {key: f"%DYNAMIC_METADATA(io.envoy.ai_gateway:{key})%" for key in LOGGED}
    fields = {"status": "%RESPONSE_CODE%", "details": "%RESPONSE_CODE_DETAILS%", **metadata}
    return {
        "name": "file",
        "typed_config": {
            "@type": f"{TYPE}.access_loggers.file.v3.FileAccessLog",
            "path": "access.log",
            "log_format": {"json_format": fields},
        },
    }


def _virtual_host(gateway: Gateway) -> Json:
    groups = [
        {"name": b.name, "clusters": [{"cluster_name": b.name, "weight": 1}]}
        for b in gateway.backends
    ]
    specifier = {
        "@type": f"{TYPE}.{PRIORITY_GROUP}.v3.PriorityGroupClusterSpecifier",
        "priority_groups": groups,
    }
    policy = {
        "retry_on": RETRY_ON,
        "retriable_status_codes": [429, 500, 502, 503, 504, 529],
        "num_retries": len(groups) - 1,
        "per_try_timeout": gateway.per_try_timeout,
        "refresh_cluster_on_retry": True,
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.05s"},
    }
    route = {
        "timeout": "0s",
        "inline_cluster_specifier_plugin": {
            "extension": {"name": "groups", "typed_config": specifier}
        },
        "retry_policy": policy if groups[1:] else None,
    }
    model = {"name": "x-ai-eg-model", "string_match": {"exact": "m"}}
    headers = [model] if gateway.with_module else []
    return {
        "name": "all",
        "domains": ["*"],
        "request_body_buffer_limit": BODY_LIMIT,
        "routes": [
            {"match": {"prefix": "/", "headers": headers}, "route": _present(route)},
            {"match": {"prefix": "/"}, "direct_response": {"status": 404}},
        ],
    }


def _present(fields: Json) -> Json:
    return {key: value for key, value in fields.items() if value is not None}


def _cluster(gateway: Gateway, backend: Backend, runtime: Path) -> Json:
    metadata = {
        "filter_metadata": {"aigateway.envoy.io": {"per_route_rule_backend_name": backend.id}}
    }
    config = {"runtime": str(runtime), "backend": backend.id}
    if backend.id_in != "filter":
        del config["backend"]
    attempt = [_module_filter(gateway.module, "attempt", config)] if gateway.with_module else []
    options = {
        "@type": f"type.googleapis.com/{UPSTREAM_OPTIONS}",
        "explicit_http_config": {"http_protocol_options": {"enable_trailers": True}},
        "http_filters": [*attempt, _filter("codec", "upstream_codec.v3.UpstreamCodec")],
    }
    host = {
        "endpoint": {"address": _address(backend.port)},
        "metadata": metadata if backend.id_in == "host" else None,
    }
    cluster = {
        "name": backend.name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "metadata": metadata if backend.id_in == "cluster" else None,
        "circuit_breakers": {"thresholds": [{"max_retries": 1000, "max_requests": 10000}]},
        "typed_extension_protocol_options": {UPSTREAM_OPTIONS: options},
        "load_assignment": {
            "cluster_name": backend.name,
            "endpoints": [{"lb_endpoints": [_present(host)]}],
        },
    }
    return _present(cluster)


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
