"""GatewayConfigs: what the API server lets through and cannot work."""

from collections.abc import Iterator

from aigw.api.gateway_config import GatewayConfig
from aigw.compile.costs import cost_faults
from aigw.compile.proxies import proxy_at
from aigw.compile.report import Finding


def faults_of(config: GatewayConfig) -> Iterator[Finding]:
    """An address, costs or prices that cannot work."""
    proxy = config.spec.forward_proxy
    if proxy and proxy_at(proxy.address) is None:
        yield "spec.forwardProxy.address", "must be host:port, with brackets around IPv6"
    for position, cost in enumerate(config.spec.global_llm_request_costs or []):
        yield from cost_faults(cost, f"spec.globalLLMRequestCosts[{position}]")
    seen: set[tuple[str | None, str | None]] = set()
    for position, price in enumerate(config.spec.prices or []):
        key = (price.backend, price.model)
        if key in seen:
            yield f"spec.prices[{position}]", "has the backend and model of an earlier price"
        seen.add(key)


def effects_of(config: GatewayConfig) -> Iterator[str]:
    """Paths of fields that do something for a Gateway which names the GatewayConfig."""
    spec = config.spec
    if spec.forward_proxy:
        yield "spec.forwardProxy"
    if spec.global_llm_request_costs:
        yield "spec.globalLLMRequestCosts"
    if spec.prices:
        yield "spec.prices"
