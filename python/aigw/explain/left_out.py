"""backendRefs of a rule that take no requests, and why."""

from collections.abc import Iterable
from dataclasses import dataclass

from aigw.api.ai_gateway_route import AIGatewayRoute
from aigw.api.load import Loaded
from aigw.errors import Diagnostic
from aigw.explain.explanation import Explanation


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A backend that a rule names and that it does not use."""

    backend: str
    reason: str


def left_out_of(
    found: Explanation, loaded: Loaded, findings: Iterable[Diagnostic]
) -> tuple[LeftOut, ...]:
    """References of the rule that takes the request to backends that do not."""
    path, _, rest = found.rule.partition("/rule/")
    number = rest.partition("/")[0].partition("@")[0]
    route = next(
        (
            item
            for item in loaded.resources
            if isinstance(item, AIGatewayRoute) and item.id.path == path
        ),
        None,
    )
    if route is None or not number.isdecimal():
        return ()
    reasons = {item.field_path: item.message for item in findings if item.resource == route.id}
    used = {backend.name.rpartition("/")[2] for backend in found.backends}
    left_out: list[LeftOut] = []
    for position, ref in enumerate(route.spec.rules[int(number)].backend_refs):
        if str(position) in used:
            continue
        place = f"spec.rules[{number}].backendRefs[{position}]"
        named = (message for where, message in reasons.items() if where.startswith(place))
        reason = "weight 0" if ref.weight == 0 else next(named, "its API has no such endpoint")
        left_out.append(LeftOut(f"{ref.namespace or route.namespace}/{ref.name}", reason))
    return tuple(left_out)
