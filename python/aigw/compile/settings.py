"""Settings of the proxy as a whole: EnvoyProxy and ClientTrafficPolicy."""

from aigw.api.client_traffic_policy import ClientTrafficPolicy
from aigw.api.envoy_proxy import AccessLogSetting, EnvoyProxy
from aigw.api.fields import quantity_bytes
from aigw.api.gateway import Gateway
from aigw.compile.expressions import is_log_condition, unknown_operator
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.errors import Code
from aigw.plan import AccessLog, Limits, Telemetry

MAX_BODY_LIMIT = 2**31 - 1


def telemetry_of(gateway: Gateway, index: Index, report: Report) -> Telemetry:
    """Access logs and log levels from the EnvoyProxy of a Gateway."""
    infrastructure = gateway.spec.infrastructure
    ref = infrastructure.parameters_ref if infrastructure else None
    if ref is None:
        return Telemetry()
    path = "spec.infrastructure.parametersRef"
    if (ref.group, ref.kind) != (EnvoyProxy.GROUP, EnvoyProxy.KIND):
        report.error(gateway.id, Code.UNSUPPORTED, path, "must refer to an EnvoyProxy")
        return Telemetry()
    proxy = index.get(EnvoyProxy, gateway.namespace, ref.name)
    if proxy is None:
        if not index.is_rejected(EnvoyProxy, gateway.namespace, ref.name):
            message = f"EnvoyProxy {gateway.namespace}/{ref.name} not found"
            report.error(gateway.id, Code.NOT_FOUND, path, message)
        return Telemetry()
    provider = proxy.spec.provider
    if provider and provider.type == "Kubernetes":
        message = "Kubernetes settings have no effect here"
        report.warning(proxy.id, Code.NO_EFFECT, "spec.provider.type", message)
    return Telemetry(_access_logs(proxy, report), dict(proxy.spec.logging.level))


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
