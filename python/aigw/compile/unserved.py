"""Kinds that are read and not served yet: all of them is checked, then they are refused by name.

Their models and checks are imported when the configuration has such a kind, because most have not.
"""

from aigw.api.gateway import Gateway
from aigw.compile.index import OWN_GROUP, Index
from aigw.compile.proxies import CONFIG_ANNOTATION
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId

VALIDATED_ONLY = ("MCPRoute", "QuotaPolicy")
"""Kinds of our own that are checked in full and then refused."""


def report_unserved(index: Index, report: Report) -> None:
    """Names what the configuration asks for and does not get."""
    kinds = index.kinds
    if (OWN_GROUP, "MCPRoute") in kinds:
        _report_mcp_routes(index, report)
    if (OWN_GROUP, "QuotaPolicy") in kinds:
        _report_quota_policies(index, report)
    if (OWN_GROUP, "GatewayConfig") in kinds:
        _report_gateway_configs(index, report)
    for gateway in index.all(Gateway):
        _report_missing_config(gateway, index, report)


def _report_mcp_routes(index: Index, report: Report) -> None:
    from aigw.api.mcp_route import MCPRoute  # noqa: PLC0415
    from aigw.compile.mcp_route import faults_of  # noqa: PLC0415

    for route in index.all(MCPRoute):
        report.faults(route.id, faults_of(route))
        _report_kind(route.id, report)


def _report_quota_policies(index: Index, report: Report) -> None:
    from aigw.api.quota_policy import QuotaPolicy  # noqa: PLC0415
    from aigw.compile.quota_policy import faults_of  # noqa: PLC0415

    for policy in index.all(QuotaPolicy):
        report.faults(policy.id, faults_of(policy))
        _report_kind(policy.id, report)


def _report_gateway_configs(index: Index, report: Report) -> None:
    from aigw.api.gateway_config import GatewayConfig  # noqa: PLC0415
    from aigw.compile import gateway_config  # noqa: PLC0415

    named = {
        (gateway.namespace, gateway.metadata.annotations.get(CONFIG_ANNOTATION))
        for gateway in index.all(Gateway)
    }
    for config in index.all(GatewayConfig):
        if (config.namespace, config.metadata.name) not in named:
            for path in gateway_config.effects_of(config):
                message = "no Gateway names this GatewayConfig"
                report.warning(config.id, Code.NO_EFFECT, path, message)
        report.faults(config.id, gateway_config.faults_of(config))


def _report_kind(identity: ResourceId, report: Report) -> None:
    message = f"{identity.kind} of {identity.group} is not supported yet"
    report.error(identity, Code.UNSUPPORTED, "kind", message)


def _report_missing_config(gateway: Gateway, index: Index, report: Report) -> None:
    name = gateway.metadata.annotations.get(CONFIG_ANNOTATION)
    config = ResourceId(OWN_GROUP, "GatewayConfig", gateway.namespace, name or "")
    if name and not index.is_written(config):
        message = f"{config} not found, defaults are used"
        path = f'metadata.annotations["{CONFIG_ANNOTATION}"]'
        report.warning(gateway.id, Code.NOT_FOUND, path, message)
