"""Choosing among many routes: by a table of models instead of one after the other.

A table has one list of routes for each model that some route asks for by its exact name, and one
for all other requests. Each list holds, in the order of the whole, the routes that can match such
a request, and ends with the first one that always does. So the table decides as the whole list
would. A route that asks for no exact model stands in the list of every model before whose own
routes it comes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aigw.plan import HeaderMatch, MatchType, RouteMatch
from aigw.render.envoy.names import MODEL_HEADER, Json, typed

FEW_MODELS = 16
"""So many are compared as fast as they are looked up, and a plain list is easier to read."""
MAX_GROWTH = 16
"""A table that repeats each route more often than this on average is not worth its memory."""
_ROUTE_LIST = "envoy.config.route.v3.RouteList"
_HEADER_INPUT = "envoy.type.matcher.v3.HttpRequestHeaderMatchInput"


@dataclass(frozen=True, slots=True)
class MatchedRoutes:
    """A match and its Envoy routes."""

    match: RouteMatch
    routes: tuple[Json, ...]


def selection(entries: Sequence[MatchedRoutes], rest: Sequence[Json]) -> Json:
    """What chooses a route, as a member of a virtual host: `routes`, or a `matcher`.

    `rest` answers what no entry matches.
    """
    whole = [*_routes(entries), *rest]
    lists = {model: _list_of(model, own, rest) for model, own in _by_model(entries).items()}
    size = sum(map(len, lists.values()))
    if len(lists) <= FEW_MODELS or size > MAX_GROWTH * len(whole):
        return {"routes": whole}
    others = [*_routes(entry for entry in entries if not _models(entry.match)), *rest]
    tree = {
        "input": header_input(MODEL_HEADER),
        "exact_match_map": {"map": {model: route_list(found) for model, found in lists.items()}},
    }
    return {"matcher": {"matcher_tree": tree, "on_no_match": route_list(others)}}


def route_list(routes: Sequence[Json]) -> Json:
    """Routes as the outcome of a matcher."""
    return {"action": {"name": "routes", "typed_config": typed(_ROUTE_LIST, routes=list(routes))}}


def header_matcher(header: HeaderMatch) -> Json:
    """A header condition of a route."""
    name = ":authority" if header.name == "host" else header.name
    if header.type is MatchType.REGULAR_EXPRESSION:
        return {"name": name, "string_match": {"safe_regex": {"regex": header.value}}}
    return {"name": name, "string_match": {"exact": header.value}}


def header_input(name: str) -> Json:
    """The value of a header as the input of a matcher."""
    return {"name": name, "typed_config": typed(_HEADER_INPUT, header_name=name)}


def _by_model(entries: Iterable[MatchedRoutes]) -> dict[str, list[MatchedRoutes]]:
    """The entries that can match a request for each model, in order."""
    found: dict[str, list[MatchedRoutes]] = {}
    generic: list[MatchedRoutes] = []
    for entry in entries:
        match list(_models(entry.match)):
            case []:
                generic.append(entry)
                for own in found.values():
                    own.append(entry)
            case [model]:
                found.setdefault(model, list(generic)).append(entry)
    return found


def _list_of(model: str, entries: Iterable[MatchedRoutes], rest: Sequence[Json]) -> list[Json]:
    routes: list[Json] = []
    for entry in entries:
        routes.extend(entry.routes)
        if _always(entry.match, model):
            return routes
    return [*routes, *rest]


def _always(match: RouteMatch, model: str) -> bool:
    """Whether every request for a model is matched."""
    exact = HeaderMatch(MODEL_HEADER, model)
    return not match.paths and all(header == exact for header in match.headers)


def _models(match: RouteMatch) -> set[str]:
    """The exact models that a match asks for; with more than one it matches nothing."""
    return {
        header.value
        for header in match.headers
        if header.name == MODEL_HEADER and header.type is MatchType.EXACT
    }


def _routes(entries: Iterable[MatchedRoutes]) -> list[Json]:
    return [route for entry in entries for route in entry.routes]
