"""Mounting the core: as a dynamic module, or by ext_proc.

Both ways have a request filter in the connection manager and an attempt filter in front of each
provider. Cluster-level configuration holds only identity: what changes is in the runtime
directory.
"""

import json
from collections.abc import Iterator

from aigw.plan import AuthType, MetadataSource, Plan
from aigw.render.envoy.names import (
    ATTEMPT_FILTER,
    BACKEND_ATTRIBUTE,
    EXTPROC_CLUSTER,
    METADATA,
    POLICY_ATTRIBUTE,
    REQUEST_FILTER,
    TYPE,
    Json,
    typed,
)
from aigw.render.envoy.target import DataPlane, EnvoyTarget

MESSAGE_TIMEOUT = "10s"
_AWS_MEMBERS = ("accessKeyId", "secretAccessKey", "sessionToken")
"""Of an AWS credential in dynamic metadata."""

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


def client_filters(plan: Plan, target: EnvoyTarget, gateway: str) -> list[Json]:
    """`http_filters` of the connection manager."""
    if target.data_plane is DataPlane.MODULE:
        settings = {"runtime": target.runtime_dir, "gateway": gateway}
        request = _module(target, REQUEST_FILTER, "request", settings)
        return [*log_attributes(plan), request, *_members(plan), _ROUTER]
    request = request_ext_proc(plan, {"x-aigw-gateway": gateway})
    return [*log_attributes(plan), request, _ROUTER]


def log_attributes(plan: Plan) -> list[Json]:
    """Headers for access logs, as metadata, whatever becomes of the request.

    Behind authentication: a header that tells who is calling is the verified one.
    """
    rules = [
        {
            "header": header,
            "on_header_present": {
                "metadata_namespace": METADATA,
                "key": attribute,
                "type": "STRING",
            },
            "remove": False,
        }
        for header, attribute in sorted(plan.attributes.logs)
    ]
    if not rules:
        return []
    name = "envoy.extensions.filters.http.header_to_metadata.v3.Config"
    return [
        {
            "name": "envoy.filters.http.header_to_metadata",
            "typed_config": typed(name, request_rules=rules),
        }
    ]


def request_ext_proc(plan: Plan, metadata: dict[str, str]) -> Json:
    """The request filter where the core is a processor; `metadata` may name the Gateway."""
    return _ext_proc(
        plan,
        REQUEST_FILTER,
        {"x-aigw-filter": "request", **metadata},
        processing_mode={
            "request_header_mode": "SEND",
            "request_body_mode": "BUFFERED",
            "response_header_mode": "SKIP",
            "response_body_mode": "NONE",
        },
        request_attributes=[POLICY_ATTRIBUTE],
    )


def attempt_filters(plan: Plan, target: EnvoyTarget, backend_id: str) -> list[Json]:
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
        plan,
        ATTEMPT_FILTER,
        {"x-aigw-filter": "attempt"},
        processing_mode=mode,
        request_attributes=[BACKEND_ATTRIBUTE, POLICY_ATTRIBUTE],
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


def _members(plan: Plan) -> Iterator[Json]:
    """Leaves parts of AWS credentials as filter state: a module cannot read into objects."""
    values = [
        _member(":".join((source.namespace, source.key, member)))
        for source in sorted(_aws_sources(plan), key=repr)
        for member in _AWS_MEMBERS
    ]
    if values:
        name = "envoy.extensions.filters.http.set_filter_state.v3.Config"
        yield {"name": "aigw.metadata", "typed_config": typed(name, on_request_headers=values)}


def _aws_sources(plan: Plan) -> set[MetadataSource]:
    return {
        auth.override.source
        for auth in (backend.auth for backend in plan.backends.values())
        if auth and auth.type is AuthType.AWS_CREDENTIALS and auth.override
        if isinstance(auth.override.source, MetadataSource)
    }


def _member(path: str) -> Json:
    text = {
        "text_format_source": {"inline_string": f"%DYNAMIC_METADATA({path})%"},
        "omit_empty_values": True,
    }
    return {
        "object_key": f"aigw.metadata:{path}",
        "factory_key": "envoy.string",
        "format_string": text,
        "skip_if_empty": True,
    }


def _ext_proc(plan: Plan, name: str, metadata: dict[str, str], **settings: object) -> Json:
    """`metadata` tells the processor which of its parts is meant."""
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
                "receiving_namespaces": {"untyped": [METADATA]},
                "forwarding_namespaces": {"untyped": sorted({METADATA, *plan.metadata_namespaces})},
            },
            **settings,
        ),
    }
