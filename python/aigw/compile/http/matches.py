"""Matches of plain routes on host names: which of them is tried first, and which never."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from aigw.compile.hosts import specificity
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId
from aigw.plan import Rule, VirtualHost
from aigw.plan.http import HttpMatch, PathMatch, PathType

_RANK = {PathType.EXACT: 2, PathType.REGULAR_EXPRESSION: 1, PathType.PREFIX: 0}
_EVERY_PATH = PathMatch(PathType.PREFIX, "")


@dataclass(frozen=True, slots=True, eq=False)
class PlainMounted:
    """Matches of one route on one host name of a listener, each with its field path."""

    listener: tuple[int, str, str]
    hostname: str
    route: ResourceId
    matches: Mapping[HttpMatch, str]


@dataclass(frozen=True, slots=True)
class PlainHosts:
    """All plain routes in their order, and the paths that are not for them."""

    mounted: Sequence[PlainMounted]
    api_paths: Sequence[str]
    has_rejected: bool
    """Nobody knows which hosts a route with errors is for: prompts must not go astray."""
    report: Report

    def added(
        self, host: VirtualHost, covering: Sequence[PlainMounted], rules: Mapping[str, Rule]
    ) -> VirtualHost:
        """A host with plain routes, and a word about those that never get a request."""
        matches = in_order((item.hostname, match) for item in covering for match in item.matches)
        if host.matches:
            places = {
                match: (item.route, path)
                for item in reversed(covering)
                for match, path in item.matches.items()
            }
            ai_route = rules[host.matches[0].rule].route
            for match in matches:
                self._report_shadowed(match, *places[match], ai_route)
        api_paths = tuple(self.api_paths) if host.matches or self.has_rejected else ()
        return replace(host, http=matches, api_paths=api_paths)

    def _report_shadowed(
        self, match: HttpMatch, route: ResourceId, path: str, ai_route: str
    ) -> None:
        """Names a match for paths of the API where a route of ours has the same host.

        A match for every path is the usual companion of one, and means the others.
        """
        taken = [api_path for api_path in self.api_paths if _takes(match.path, api_path)]
        if not taken or match.path == _EVERY_PATH:
            return
        more = f" and {len(taken) - 1} more paths" if len(taken) > 1 else ""
        message = (
            f"does not get requests for {taken[0]}{more} of the API, which go to "
            f"AIGatewayRoute {ai_route}"
        )
        self.report.warning(route, Code.NO_EFFECT, f"{path}.path", message)


def in_order(entries: Iterable[tuple[str, HttpMatch]]) -> tuple[HttpMatch, ...]:
    """Matches in the order in which they are tried: more specific ones first.

    That is: host name, kind of path condition and its length, method, number of header and of
    query conditions, and then the order of routes, by age, and their rules.
    """
    ranked = sorted(
        entries, key=lambda entry: (specificity(entry[0]), _rank(entry[1])), reverse=True
    )
    return tuple(dict.fromkeys(match for _, match in ranked))


def _rank(match: HttpMatch) -> tuple[int, int, bool, int, int]:
    path = match.path
    length = len(path.value)
    return (_RANK[path.type], length, bool(match.method), len(match.headers), len(match.query))


def _takes(match: PathMatch, path: str) -> bool:
    """Whether a match is for a path; of expressions that is not known."""
    if match.type is PathType.EXACT:
        return path == match.value
    return match.type is PathType.PREFIX and f"{path}/".startswith(f"{match.value}/")
