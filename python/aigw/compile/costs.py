"""Costs and prices of resources to those of the plan."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from aigw.api.costs import LLMRequestCost
from aigw.api.gateway import Gateway
from aigw.compile.index import OWN_GROUP, Index
from aigw.compile.proxies import CONFIG_ANNOTATION
from aigw.compile.report import Finding
from aigw.plan import Billing, Cost, CostType, OwnPrice

_RESERVED = frozenset(
    {
        "ai_service_backend_name",
        "attempts",
        "backend_name",
        "content_length",
        "model_name_override",
        "original_model",
        "original_path",
        "quota_cost",
        "request_id",
        "response_model",
        "route_name",
        "token_latency_itl",
        "token_latency_ttft",
        "usage_estimated",
    }
)
"""Keys that the gateway writes itself."""
_RATES = {
    "input_per_million": "input",
    "cached_input_per_million": "cached_input",
    "cache_creation_input_per_million": "cache_creation_input",
    "output_per_million": "output",
    "reasoning_per_million": "reasoning",
    "per_request": "request",
}
_PICO_PER_TOKEN = 10**6
_PICO = 10**12


def cost_faults(cost: LLMRequestCost, path: str) -> Iterator[Finding]:
    """Says why a cost cannot work."""
    if not cost.metadata_key:
        yield f"{path}.metadataKey", "must not be empty"
    elif cost.metadata_key in _RESERVED:
        yield f"{path}.metadataKey", f"the key {cost.metadata_key} is written by the gateway itself"
    if cost.type != "CEL":
        return
    if not (cost.cel or "").strip():
        yield f"{path}.cel", "is required for the type CEL"
    else:
        from aigw import _core  # noqa: PLC0415 - loaded only where there is something to check

        if fault := _core.cost_fault(cost.cel or ""):
            yield f"{path}.cel", f"cannot be used as a cost: {fault}"


def costs_of(written: Iterable[LLMRequestCost]) -> tuple[Cost, ...]:
    """Costs that work; the last one of a key wins."""
    costs: dict[str, Cost] = {}
    for cost in written:
        if next(cost_faults(cost, ""), None) is None:
            text = cost.cel if cost.type == "CEL" else ""
            costs[cost.metadata_key] = Cost(cost.metadata_key, CostType(cost.type), text or "")
    return tuple(costs.values())


def billing_of(gateway: Gateway, index: Index) -> Billing:
    """What the GatewayConfig of a Gateway says; faults are reported with the GatewayConfig."""
    name = gateway.metadata.annotations.get(CONFIG_ANNOTATION)
    if not name or (OWN_GROUP, "GatewayConfig") not in index.kinds:
        return Billing()
    from aigw.api.gateway_config import GatewayConfig, ModelPrice  # noqa: PLC0415 - few have one

    config = index.get(GatewayConfig, gateway.namespace, name)
    if config is None:
        return Billing()

    def own(price: ModelPrice) -> OwnPrice:
        backend = price.backend or ""
        if backend and "/" not in backend:
            backend = f"{config.namespace}/{backend}"
        return OwnPrice(backend, price.model or "", _rates(price))

    spec = config.spec
    return Billing(
        costs_of(spec.global_llm_request_costs or ()),
        tuple(own(price) for price in spec.prices or ()),
        f"GatewayConfig {config.namespace}/{config.metadata.name}" if spec.prices else "",
    )


def _rates(price: object) -> dict[str, int]:
    written = {name: getattr(price, field) for field, name in _RATES.items()}
    return {
        name: int(Decimal(text) * (_PICO if name == "request" else _PICO_PER_TOKEN))
        for name, text in written.items()
        if text is not None
    }
