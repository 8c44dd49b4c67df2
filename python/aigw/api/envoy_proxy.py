"""EnvoyProxy: access logs and log levels of the proxy."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from aigw.api.fields import Boolean, Port, Subdomain
from aigw.api.model import ApiModel, Resource, Rule
from aigw.api.mutations import HTTPHeader
from aigw.api.references import BackendObjectReference
from aigw.api.tls_settings import BackendTLSConfig


class HostProvider(ApiModel):
    """Settings of a proxy on this host."""

    envoy_version: str | None = None


class EnvoyProxyProvider(ApiModel):
    """Where the proxy runs."""

    CLUSTER_ONLY = frozenset({"kubernetes"})

    type: Literal["Kubernetes", "Host"]
    host: HostProvider | None = None
    kubernetes: dict[str, Any] | None = None


class Logging(ApiModel):
    """Envoy's log level by component; `default` is the level of all others."""

    level: dict[str, Literal["trace", "debug", "info", "warn", "error"]] = Field(
        default_factory=dict
    )


class FileSink(ApiModel):
    """A file, `/dev/stdout` included."""

    path: Annotated[str, Field(min_length=1)]


class OpenTelemetrySink(ApiModel):
    """An OTLP collector, by gRPC."""

    NOT_YET = frozenset({"backendRef", "backendSettings", "logName"})
    RULES = (
        Rule(
            "EP-4",
            "has(self.host) || (has(self.backendRefs) && size(self.backendRefs) > 0)",
            "host or backendRefs needs to be set",
        ),
    )

    host: Subdomain | None = None
    """A name without TLS; `backendRefs` win where both are set."""
    port: Port = 4317
    """Of `host`."""
    backend_refs: Annotated[list[BackendObjectReference], Field(max_length=1)] = Field(
        default_factory=list
    )
    resources: dict[str, str] = Field(default_factory=dict)
    """Attributes of the resource; an older name of `resourceAttributes`."""
    resource_attributes: dict[str, str] = Field(default_factory=dict)
    headers: Annotated[list[HTTPHeader], Field(max_length=32, repr=False)] = Field(
        default_factory=list
    )
    """Sent with every export."""


class AccessLogSink(ApiModel):
    """Where access log lines go."""

    NOT_YET = frozenset({"als"})
    RULES = (
        Rule(
            "EP-5",
            "self.type != 'OpenTelemetry' || has(self.openTelemetry)",
            "If AccessLogSink type is OpenTelemetry, openTelemetry field needs to be set.",
        ),
        Rule(
            "EP-2",
            "self.type != 'File' || has(self.file)",
            "If AccessLogSink type is File, file field needs to be set.",
        ),
    )

    type: Literal["File", "ALS", "OpenTelemetry"]
    file: FileSink | None = None
    open_telemetry: OpenTelemetrySink | None = None


class AccessLogFormat(ApiModel):
    """Format of a line: one text template or a JSON object of templates."""

    RULES = (
        Rule(
            "EP-3",
            "has(self.text) != has(self.json) && (!has(self.type) || "
            "(self.type == 'Text') == has(self.text))",
            "the field that belongs to type, and only that one, needs to be set",
        ),
    )

    kind: Annotated[Literal["Text", "JSON"] | None, Field(alias="type")] = None
    text: str | None = None
    json_: Annotated[dict[str, str] | None, Field(alias="json")] = None


class AccessLogSetting(ApiModel):
    """One format with its sinks and conditions."""

    NOT_YET = frozenset({"type"})

    sinks: Annotated[list[AccessLogSink], Field(min_length=1, max_length=50)]
    format: AccessLogFormat | None = None
    matches: Annotated[list[str], Field(max_length=10)] = Field(default_factory=list)


class AccessLog(ApiModel):
    """Access logs; without settings our default format goes to the standard output."""

    disable: bool = False
    settings: Annotated[list[AccessLogSetting], Field(min_length=1, max_length=50)] | None = None


class Telemetry(ApiModel):
    """What the proxy reports."""

    NOT_YET = frozenset({"metrics", "tracing"})

    access_log: AccessLog | None = None


class EnvoyProxySpec(ApiModel):
    """Spec of an EnvoyProxy."""

    NOT_YET = frozenset(
        {
            "bootstrap",
            "concurrency",
            "extraArgs",
            "filterOrder",
            "ipFamily",
            "preserveRouteOrder",
        }
    )
    CLUSTER_ONLY = frozenset({"mergeGateways", "routingType", "shutdown"})

    merge_gateways: Boolean | None = None
    """On one machine all Gateways share one Envoy."""
    routing_type: Literal["Endpoint", "Service"] | None = None
    shutdown: dict[str, Any] | None = None
    """`aigw run --drain-seconds` on one machine."""
    provider: EnvoyProxyProvider | None = None
    logging: Logging = Field(default_factory=Logging)
    telemetry: Telemetry = Field(default_factory=Telemetry)
    backend_tls: Annotated[BackendTLSConfig | None, Field(alias="backendTLS")] = None
    """TLS to providers, where a Backend says nothing itself."""


class EnvoyProxy(Resource):
    """Settings of the proxy behind a Gateway."""

    GROUP: ClassVar[str] = "gateway.envoyproxy.io"
    KIND: ClassVar[str] = "EnvoyProxy"

    spec: EnvoyProxySpec
