"""GatewayConfigs: what the API server lets through and cannot work, and what is not served yet."""

from collections.abc import Iterator

from aigw.api.costs import LLMRequestCost
from aigw.api.gateway_config import GatewayConfig
from aigw.compile.expressions import expression_faults
from aigw.compile.proxies import proxy_at
from aigw.compile.report import Finding

COSTS = "spec.globalLLMRequestCosts"
"""Read and checked, and not served yet; the rest of the object is."""


def faults_of(config: GatewayConfig) -> Iterator[Finding]:
    """An address or costs that cannot work."""
    proxy = config.spec.forward_proxy
    if proxy and proxy_at(proxy.address) is None:
        yield "spec.forwardProxy.address", "must be host:port, with brackets around IPv6"
    for position, cost in enumerate(config.spec.global_llm_request_costs or []):
        yield from _cost_faults(cost, f"{COSTS}[{position}]")


def unserved_of(config: GatewayConfig) -> Iterator[str]:
    """Paths of fields that are set and have no effect."""
    spec = config.spec
    if spec.global_llm_request_costs:
        yield COSTS


def _cost_faults(cost: LLMRequestCost, path: str) -> Iterator[Finding]:
    if not cost.metadata_key:
        yield f"{path}.metadataKey", "must not be empty"
    if cost.type == "CEL" and not cost.cel:
        yield f"{path}.cel", "is required for the type CEL"
    elif cost.type == "CEL":
        yield from expression_faults(cost.cel, f"{path}.cel")
