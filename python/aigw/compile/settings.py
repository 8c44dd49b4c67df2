"""Limits of a Gateway, from its ClientTrafficPolicy."""

from aigw.api.client_traffic_policy import ClientTrafficPolicy
from aigw.api.fields import quantity_bytes
from aigw.api.gateway import Gateway
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.errors import Code
from aigw.plan import Limits

MAX_BODY_LIMIT = 2**31 - 1


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
