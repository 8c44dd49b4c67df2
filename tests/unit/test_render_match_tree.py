"""Many models: the table decides as the list of matches does."""

import re
from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aigw.plan import HeaderMatch, MatchType, RouteMatch
from aigw.render.envoy import match_tree
from aigw.render.envoy.match_tree import MatchedRoutes, header_matcher, selection

MODEL = "x-ai-eg-model"
PATHS = ("/a", "/b")
VALUES = ("m", "n", "mn", "o")
REST = {"name": "rest", "match": {"prefix": "/", "headers": []}}
Json = dict[str, Any]
Request = dict[str, str]

headers = st.one_of(
    st.builds(HeaderMatch, st.just(MODEL), st.sampled_from(VALUES)),
    st.builds(HeaderMatch, st.sampled_from((MODEL, "x-team")), st.sampled_from(VALUES)),
    st.builds(
        HeaderMatch,
        st.sampled_from((MODEL, "x-team")),
        st.sampled_from(("m.*", ".*", "[no]")),
        st.just(MatchType.REGULAR_EXPRESSION),
    ),
)
conditions = st.lists(headers, max_size=3).map(tuple)
paths = st.one_of(st.just(()), st.lists(st.sampled_from(PATHS), min_size=1, unique=True).map(tuple))
matches = st.lists(st.tuples(conditions, paths), max_size=12).map(
    lambda found: [
        RouteMatch(headers, str(number), paths) for number, (headers, paths) in enumerate(found)
    ]
)
requests = st.fixed_dictionaries(
    {":path": st.sampled_from((*PATHS, "/c"))},
    optional={MODEL: st.sampled_from((*VALUES, "z")), "x-team": st.sampled_from((*VALUES, "z"))},
)


def rendered(match: RouteMatch) -> MatchedRoutes:
    """A match with its routes, named by the rule."""
    places: list[Json] = [{"path": path} for path in match.paths]
    written = [header_matcher(header) for header in match.headers]
    return MatchedRoutes(
        match,
        tuple(
            {"name": match.rule, "match": {**place, "headers": written}}
            for place in places or [{"prefix": "/"}]
        ),
    )


def holds(header: HeaderMatch, request: Request) -> bool:
    """Whether a header condition holds."""
    value = request.get(header.name)
    if value is None or header.type is MatchType.EXACT:
        return value == header.value
    return re.fullmatch(header.value, value) is not None


def in_turn(found: Iterable[RouteMatch], request: Request) -> str:
    """What is chosen when each match is tried after the other."""
    for match in found:
        if match.paths and request[":path"] not in match.paths:
            continue
        if all(holds(header, request) for header in match.headers):
            return match.rule
    return "rest"


def first_route(routes: list[Json], request: Request) -> str:
    """What Envoy chooses from a list of routes."""
    for route in routes:
        written = route["match"]
        if written.get("path", request[":path"]) != request[":path"]:
            continue
        if all(meets(header, request) for header in written["headers"]):
            return str(route["name"])
    raise AssertionError("no route")


def meets(header: Json, request: Request) -> bool:
    """Whether Envoy's matcher of a header holds."""
    value, wanted = request.get(header["name"]), header["string_match"]
    if value is None or "exact" in wanted:
        return bool(value == wanted.get("exact", object()))
    return re.fullmatch(wanted["safe_regex"]["regex"], value) is not None


def chosen(host: Json, request: Request) -> str:
    """What Envoy chooses in a virtual host."""
    if "routes" in host:
        return first_route(host["routes"], request)
    tree, found = host["matcher"]["matcher_tree"], host["matcher"]["on_no_match"]
    name = tree["input"]["typed_config"]["header_name"]
    if name in request:
        found = tree["exact_match_map"]["map"].get(request[name], found)
    return first_route(found["action"]["typed_config"]["routes"], request)


@given(matches, st.lists(requests, min_size=1, max_size=8))
def test_a_table_decides_as_its_matches_in_turn(
    found: list[RouteMatch], wanted: list[Request]
) -> None:
    host = as_table(found)
    for request in wanted:
        assert chosen(host, request) == in_turn(found, request)


def as_table(found: list[RouteMatch]) -> Json:
    """The host with a table, however few models there are."""
    few, match_tree.FEW_MODELS = match_tree.FEW_MODELS, 0
    try:
        return selection([rendered(match) for match in found], [REST])
    finally:
        match_tree.FEW_MODELS = few


def exact(model: str, *more: HeaderMatch) -> RouteMatch:
    """A match for a model."""
    return RouteMatch((HeaderMatch(MODEL, model), *more), model)


def test_a_model_is_looked_up_and_a_request_for_it_compared_with_its_own_routes_only() -> None:
    expression = HeaderMatch(MODEL, "m1.*", MatchType.REGULAR_EXPRESSION)
    models = [exact(f"m{number}") for number in range(1000)]
    found = [*models, RouteMatch((expression,), "some"), RouteMatch((), "all")]
    host = selection([rendered(match) for match in found], [REST])
    assert "routes" not in host
    lists = host["matcher"]["matcher_tree"]["exact_match_map"]["map"]  # type: ignore[index]
    assert {len(item["action"]["typed_config"]["routes"]) for item in lists.values()} == {1}
    others = host["matcher"]["on_no_match"]["action"]["typed_config"]["routes"]  # type: ignore[index]
    assert [route["name"] for route in others] == ["some", "all", "rest"]


def test_few_models_are_a_plain_list() -> None:
    found = [exact(f"m{number}") for number in range(match_tree.FEW_MODELS)]
    assert list(selection([rendered(match) for match in found], [REST])) == ["routes"]


def test_what_would_repeat_too_much_stays_a_list() -> None:
    before = [
        RouteMatch((HeaderMatch("x-team", f"t{number}"),), f"t{number}") for number in range(100)
    ]
    found = [*before, *(exact(f"m{number}") for number in range(100))]
    assert list(selection([rendered(match) for match in found], [REST])) == ["routes"]
