"""Mounting the core: as a dynamic module, or by ext_proc.

Both ways have a request filter in the connection manager and an attempt filter in front of each
provider. Cluster-level configuration holds only identity: what changes is in the runtime
directory.
"""

import json

from aigw.render.envoy.names import (
    ATTEMPT_FILTER,
    BACKEND_ATTRIBUTE,
    EXTPROC_CLUSTER,
    METADATA,
    REQUEST_FILTER,
    TYPE,
    Json,
    typed,
)
from aigw.render.envoy.target import DataPlane, EnvoyTarget

MESSAGE_TIMEOUT = "10s"

_ROUTER: Json = {
    "name": "envoy.filters.http.router",
    "typed_config": typed(
        "envoy.extensions.filters.http.router.v3.Router", suppress_envoy_headers=True
    ),
}
_CODEC: Json = {
    "name": "envoy.filters.http.upstream_codec",
    "typed_config": typed("envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"),
}
# The ext_proc reply to the request headers replaces the body, and Envoy drops content-length
# then; the length travels as metadata. Absent metadata leaves the header alone.
_CONTENT_LENGTH: Json = {
    "name": "aigw.content_length",
    "typed_config": typed(
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        mutations={
            "request_mutations": [
                {
                    "append": {
                        "header": {
                            "key": "content-length",
                            "value": f"%DYNAMIC_METADATA({METADATA}:content_length)%",
                        },
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    }
                }
            ]
        },
    ),
}


def client_filters(target: EnvoyTarget, gateway: str) -> list[Json]:
    """`http_filters` of the connection manager."""
    if target.data_plane is DataPlane.MODULE:
        settings = {"runtime": target.runtime_dir, "gateway": gateway}
        return [_module(target, REQUEST_FILTER, "request", settings), _ROUTER]
    mode = {
        "request_header_mode": "SEND",
        "request_body_mode": "BUFFERED",
        "response_header_mode": "SKIP",
        "response_body_mode": "NONE",
    }
    metadata = {"x-aigw-filter": "request", "x-aigw-gateway": gateway}
    return [_ext_proc(REQUEST_FILTER, metadata, processing_mode=mode), _ROUTER]


def attempt_filters(target: EnvoyTarget, backend_id: str) -> list[Json]:
    """Upstream `http_filters` of a cluster; `backend_id` is empty where endpoints tell it."""
    if target.data_plane is DataPlane.MODULE:
        settings = {"runtime": target.runtime_dir, "backend": backend_id}
        return [_module(target, ATTEMPT_FILTER, "attempt", settings), _CODEC]
    mode = {
        "request_header_mode": "SEND",
        "request_body_mode": "NONE",
        "response_header_mode": "SEND",
        "response_body_mode": "NONE",
    }
    ext_proc = _ext_proc(
        ATTEMPT_FILTER,
        {"x-aigw-filter": "attempt"},
        processing_mode=mode,
        request_attributes=[BACKEND_ATTRIBUTE],
        allow_content_length_header=True,
    )
    return [ext_proc, _CONTENT_LENGTH, _CODEC]


def _module(target: EnvoyTarget, name: str, filter_name: str, settings: dict[str, str]) -> Json:
    return {
        "name": name,
        "typed_config": typed(
            "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            dynamic_module_config={
                "module": {"local": {"filename": target.module_path}},
                "do_not_close": True,
            },
            filter_name=filter_name,
            filter_config={
                "@type": f"{TYPE}google.protobuf.StringValue",
                "value": json.dumps(settings),
            },
        ),
    }


def _ext_proc(name: str, metadata: dict[str, str], **settings: object) -> Json:
    """`metadata` tells the processor which of its parts is meant."""
    namespaces = {"untyped": [METADATA]}
    return {
        "name": name,
        "typed_config": typed(
            "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
            grpc_service={
                "envoy_grpc": {"cluster_name": EXTPROC_CLUSTER},
                "initial_metadata": [
                    {"key": key, "value": value} for key, value in metadata.items()
                ],
            },
            allow_mode_override=True,
            message_timeout=MESSAGE_TIMEOUT,
            metadata_options={
                "receiving_namespaces": namespaces,
                "forwarding_namespaces": namespaces,
            },
            **settings,
        ),
    }
