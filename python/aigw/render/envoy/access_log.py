"""Access logs: the user's formats, or ours."""

import json
import re
from collections.abc import Iterable

from aigw.plan import AccessLog, Collector, Gateway
from aigw.render.envoy.collectors import collector_cluster_name
from aigw.render.envoy.local_replies import cel_filter
from aigw.render.envoy.names import EXTPROC_CLUSTER, METADATA, Json, typed
from aigw.render.envoy.target import DataPlane, EnvoyTarget


def _metadata(key: str) -> str:
    return f"%DYNAMIC_METADATA({METADATA}:{key})%"


# An attempt rewrites `:path`; before any attempt it is the client's.
_PATH = json.dumps(
    {
        "operators": [
            {"command": "DYNAMIC_METADATA", "param": f"{METADATA}:original_path"},
            {"command": "PATH", "param": "NQ:PATH"},
        ]
    }
)

DEFAULT_FORMAT: Json = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": f"%COALESCE({_PATH})%",
    "model": _metadata("original_model"),
    "response_model": _metadata("response_model"),
    "backend": _metadata("backend_name"),
    "route": _metadata("route_name"),
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "status": "%RESPONSE_CODE%",
    "input_tokens": _metadata("input_tokens"),
    "cached_input_tokens": _metadata("cached_input_tokens"),
    "cache_creation_input_tokens": _metadata("cache_creation_input_tokens"),
    "output_tokens": _metadata("output_tokens"),
    "reasoning_tokens": _metadata("reasoning_tokens"),
    "total_tokens": _metadata("total_tokens"),
    "usage_estimated": _metadata("usage_estimated"),
    "duration_ms": "%DURATION%",
    "time_to_first_token_ms": _metadata("token_latency_ttft"),
    "request_id": _metadata("request_id"),
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
}
"""Our format: what happened, what it used, how long it took."""

# Internal headers are gone before a request goes to a provider, and `:path` is the provider's
# by then; their values live on in metadata.
_REWRITES = {
    "x-ai-eg-model": "original_model",
    "x-ai-eg-original-path": "original_path",
    "x-envoy-original-path": "original_path",
}
_HEADER_OPERATOR = re.compile(r"%REQ\(([^)?]+)(?:\?[^)]*)?\)(:[0-9]+)?%", re.IGNORECASE)
_HEADER_IN_CEL = re.compile(r"request\.headers\[(['\"])([^'\"]+)\1\]")

_EXPORT_TIMEOUT = "10s"
_FLUSH_INTERVAL = "0.050s"
"""How long the core waits for the end of a request."""
_STREAMS = {"/dev/stdout": "StdoutAccessLog", "/dev/stderr": "StderrAccessLog"}


def access_logs(gateway: Gateway, target: EnvoyTarget) -> list[Json]:
    """`access_log` of the connection manager."""
    logs = gateway.telemetry.access_logs
    if logs is None:
        logs = (AccessLog(target.default_access_log),) if target.default_access_log else ()
    return [*to_the_core(target), *(_access_log(log) for log in logs)]


def to_the_core(target: EnvoyTarget) -> list[Json]:
    """How requests ended for their clients, for the ext_proc server; the module sees it itself.

    Entries without an id are of requests that the server has not seen.
    """
    if target.data_plane is DataPlane.MODULE:
        return []
    sink = typed(
        "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
        common_config={
            "log_name": "aigw",
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": EXTPROC_CLUSTER}},
            "buffer_flush_interval": _FLUSH_INTERVAL,
        },
    )
    is_ours = {
        "matcher": {
            "filter": METADATA,
            "path": [{"key": "request_id"}],
            "value": {"present_match": True},
        },
        "match_if_key_not_found": False,
    }
    name = "envoy.access_loggers.http_grpc"
    return [{"name": name, "filter": {"metadata_filter": is_ours}, "typed_config": sink}]


def _access_log(log: AccessLog) -> Json:
    name, sink = _otlp(log, log.collector) if log.collector else _file(log)
    rendered: Json = {"name": f"envoy.access_loggers.{name}", "typed_config": sink}
    conditions = [rewrite_condition(match) for match in log.matches]
    if conditions:
        rendered["filter"] = cel_filter(" && ".join(f"({item})" for item in conditions))
    return rendered


def _file(log: AccessLog) -> tuple[str, Json]:
    log_format = {"log_format": _format(log)}
    if log.path in _STREAMS:
        name = f"envoy.extensions.access_loggers.stream.v3.{_STREAMS[log.path]}"
        return "file", typed(name, **log_format)
    name = "envoy.extensions.access_loggers.file.v3.FileAccessLog"
    return "file", typed(name, path=log.path, **log_format)


def _format(log: AccessLog) -> Json:
    if log.text is not None:
        text = rewrite_operators(log.text)
        line = text if text.endswith("\n") else text + "\n"
        return {"text_format_source": {"inline_string": line}}
    return {"json_format": _members(log)}


def _members(log: AccessLog) -> Json:
    if log.json is None:
        return DEFAULT_FORMAT
    return {
        key: rewrite_operators(value) if isinstance(value, str) else value
        for key, value in log.json.items()
    }


def _otlp(log: AccessLog, collector: Collector) -> tuple[str, Json]:
    """A text is the body of a record, members of JSON are its attributes."""
    content: Json = {}
    if log.text is not None:
        content["body"] = {"string_value": rewrite_operators(log.text)}
    else:
        content["attributes"] = _values(_members(log).items())
    service = {
        "envoy_grpc": {
            "cluster_name": collector_cluster_name(collector),
            "authority": collector.endpoints[0].hostname,
        },
        "timeout": _EXPORT_TIMEOUT,
    }
    config = typed(
        "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
        grpc_service=service,
        resource_attributes=_values(collector.resource),
        **content,
    )
    return "open_telemetry", config


def _values(pairs: Iterable[tuple[str, object]]) -> Json:
    return {"values": [{"key": key, "value": {"string_value": str(value)}} for key, value in pairs]}


def rewrite_operators(template: str) -> str:
    """A format with operators on internal headers replaced by operators on metadata."""

    def replace(match: re.Match[str]) -> str:
        key = _REWRITES.get(match.group(1).lower())
        if key is None:
            return match.group()
        return f"%DYNAMIC_METADATA({METADATA}:{key}){match.group(2) or ''}%"

    return _HEADER_OPERATOR.sub(replace, template)


def rewrite_condition(expression: str) -> str:
    """A CEL condition with internal headers replaced by metadata."""

    def replace(match: re.Match[str]) -> str:
        key = _REWRITES.get(match.group(2).lower())
        if key is None:
            return match.group()
        return f"metadata.filter_metadata['{METADATA}']['{key}']"

    return _HEADER_IN_CEL.sub(replace, expression)
