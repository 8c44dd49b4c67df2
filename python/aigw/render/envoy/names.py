"""Names that Envoy, the core and the renderer agree on."""

TYPE = "type.googleapis.com/"
METADATA = "io.envoy.ai_gateway"
"""Dynamic metadata that the core writes."""
HOST_METADATA = "aigateway.envoy.io"
"""Metadata of endpoints and routes."""
BACKEND_KEY = "per_route_rule_backend_name"
BACKEND_ATTRIBUTE = (
    f"xds.upstream_host_metadata.filter_metadata['{HOST_METADATA}']['{BACKEND_KEY}']"
)
POLICY_KEY = "security_policy"
"""Metadata of routes: a hash of their security policy."""
POLICY_ATTRIBUTE = f"xds.route_metadata.filter_metadata['{HOST_METADATA}']['{POLICY_KEY}']"
MODEL_HEADER = "x-ai-eg-model"
REQUEST_FILTER = "aigw.request"
ATTEMPT_FILTER = "aigw.attempt"
EXTPROC_CLUSTER = "aigw.ext_proc"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

Json = dict[str, object]
"""A JSON object on its way to Envoy or to the core."""


def typed(type_name: str, **fields: object) -> Json:
    """A message as Envoy's `Any`."""
    return {"@type": TYPE + type_name, **fields}


def seconds(milliseconds: int) -> str:
    """A protobuf duration."""
    return f"{milliseconds / 1000:.3f}s"
