"""Which models are on offer."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter

from aigw.api.ai_gateway_route import AIGatewayRoute, AIGatewayRouteRule
from aigw.compile.routes import CompiledRule
from aigw.compile.unseen import MODEL_HEADER
from aigw.plan import MatchType, Model, ModelLists


@dataclass(frozen=True, slots=True)
class Offer:
    """Models that one route declares, each name once, and the host names on which it does so."""

    hostnames: tuple[str, ...]
    models: tuple[Model, ...]


def offer_of(route: AIGatewayRoute, rules: Sequence[CompiledRule], loaded_at: int) -> Offer:
    """Models of a route: one per exact condition on the model header of a usable rule.

    `loaded_at` (Unix seconds) dates models of routes without a creation time.
    """
    models: list[Model] = []
    for compiled, written in zip(rules, route.spec.rules, strict=True):
        if not compiled.rule.groups or written.exclude_from_models_endpoint:
            continue
        created = _created(route, written, loaded_at)
        models.extend(
            Model(name, written.models_owned_by, int(created.timestamp()), _rfc3339(created))
            for name in _declared(compiled)
        )
    return Offer(tuple(route.spec.hostnames), _first_of_each(models))


def lists_of(offers: Sequence[Offer]) -> ModelLists:
    """All lists, without repeated names: the first one wins."""
    everywhere: list[tuple[int, Offer]] = []
    scoped: dict[str, list[tuple[int, Offer]]] = {}
    for placed in enumerate(offers):
        hostnames = placed[1].hostnames
        if not hostnames:
            everywhere.append(placed)
        for hostname in hostnames:
            scoped.setdefault(hostname, []).append(placed)
    unscoped = _unique(everywhere)
    by_host = {
        name: _unique([*everywhere, *found]) if everywhere or len(found) > 1 else found[0][1].models
        for name, found in scoped.items()
    }
    return ModelLists(unscoped, by_host, unscoped)


def _declared(compiled: CompiledRule) -> Iterable[str]:
    for headers in compiled.matches:
        for header in headers:
            if header.name == MODEL_HEADER and header.type == MatchType.EXACT:
                yield header.value


def _unique(offers: list[tuple[int, Offer]]) -> tuple[Model, ...]:
    """Models of offers with their positions, in order."""
    offers.sort(key=itemgetter(0))
    return _first_of_each([model for _, offer in offers for model in offer.models])


def _first_of_each(models: list[Model]) -> tuple[Model, ...]:
    if len({model.name for model in models}) == len(models):
        return tuple(models)
    seen: dict[str, Model] = {}
    for model in models:
        seen.setdefault(model.name, model)
    return tuple(seen.values())


def _created(route: AIGatewayRoute, rule: AIGatewayRouteRule, loaded_at: int) -> datetime:
    for text in (rule.models_created_at, route.metadata.creation_timestamp):
        if text:
            try:
                return datetime.fromisoformat(text).astimezone(UTC)
            except (ValueError, OverflowError):
                continue
    return datetime.fromtimestamp(loaded_at, UTC)


def _rfc3339(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
