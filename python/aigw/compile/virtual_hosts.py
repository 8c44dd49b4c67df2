"""Virtual hosts of a listener: the matches of all routes for each host name, in their order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aigw.compile.hosts import covers, patterns, specificity
from aigw.compile.listeners import Entrance
from aigw.compile.report import Noted, Report
from aigw.compile.security.policies import SecurityPolicies, Verdict
from aigw.plan import RouteMatch, Rule, VirtualHost

if TYPE_CHECKING:
    from aigw.compile.http.matches import PlainHosts, PlainMounted


@dataclass(frozen=True, slots=True)
class Candidate:
    """A match, and its conditions as plain text: those are quick to compare."""

    match: RouteMatch
    conditions: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Mounted:
    """Matches of one route on one host name of a listener, and whether it may be served there."""

    listener: tuple[int, str, str]
    entrance: Entrance
    hostname: str
    candidates: tuple[Candidate, ...]
    security: str
    is_withheld: bool

    def under(self, verdict: Verdict) -> tuple[Candidate, ...]:
        """The matches as they are served under a policy; none where their route has another one.

        A route that is not served still asks for what its host asks for.
        """
        if self.is_withheld:
            return tuple(
                replace(item, match=replace(item.match, security=verdict.key))
                for item in self.candidates
            )
        return () if verdict.guard or self.security != verdict.key else self.candidates


@dataclass(slots=True)
class Served:
    """What stands on each host name of a listener: routes of ours, and plain ones."""

    routes: dict[str, list[Mounted]] = field(default_factory=dict)
    plain: "dict[str, list[PlainMounted]]" = field(default_factory=dict)

    def changes(self, last: "Served") -> set[str]:
        """Host names on which something else stood."""
        return {*_changes(self.routes, last.routes), *_changes(self.plain, last.plain)}


def _changes(now: Mapping[str, Sequence[object]], last: Mapping[str, Sequence[object]]) -> set[str]:
    """Names whose values are not the same objects."""
    changed = {name for name, found in now.items() if last.get(name) != found}
    return changed | (last.keys() - now.keys())


@dataclass(frozen=True, slots=True)
class _Made:
    """A virtual host, and its place."""

    host: Noted[VirtualHost]
    rank: tuple[tuple[int, int], str]


class VirtualHosts:
    """Makes the virtual hosts of a listener; one is kept until its routes change."""

    def __init__(
        self, report: Report, security: SecurityPolicies, entrances: Sequence[Entrance]
    ) -> None:
        """`entrances` share the listener: each has host names of its own."""
        self._report = report
        self._security = security
        self._entrances = entrances
        self._last = Served()
        self._made: dict[str, _Made] = {}

    def of(
        self, served: Served, rules: Mapping[str, Rule], plain: "PlainHosts | None"
    ) -> tuple[VirtualHost, ...]:
        """One per name, most specific first."""
        changed = served.changes(self._last)
        own = {entrance.listener.hostname or "*" for entrance in self._entrances}
        names = {*own, *served.routes, *served.plain}
        for name in self._made.keys() - names:
            del self._made[name]
        new = names - self._made.keys()
        for name in new | self._affected(changed):
            self._made[name] = self._make(name, served, rules, plain)
        if new:
            self._made = dict(sorted(self._made.items(), key=_rank, reverse=True))
        self._last = served
        for made in self._made.values():
            if made.host.findings:
                self._report.repeat(made.host)
        return tuple([made.host.value for made in self._made.values()])

    def _affected(self, changed: set[str]) -> set[str]:
        """Hosts that there are, and that something on one of these names is for."""
        if not any(name.startswith("*") for name in changed):
            return changed & self._made.keys()
        return {name for name in self._made if not changed.isdisjoint(patterns(name))}

    def _make(
        self,
        name: str,
        served: Served,
        rules: Mapping[str, Rule],
        plain: "PlainHosts | None",
    ) -> _Made:
        names = patterns(name)

        def host() -> VirtualHost:
            found = self._host(name, [served.routes.get(item, []) for item in names])
            covering = [item for near in names for item in served.plain.get(near, ())]
            if not covering or plain is None:
                return found
            return plain.added(found, covering, rules)

        return _Made(self._report.noting(host), (specificity(name), name))

    def _host(self, name: str, covering: Sequence[Sequence[Mounted]]) -> VirtualHost:
        """The matches of all routes that cover the name of the host.

        A request that no route of its exact host takes goes to the routes for less specific
        hosts: a more specific host comes first, then more header conditions, then the order of
        routes and rules. All of them have one security policy: that of the routes of the
        entrance, which agree, or else its own. Routes of other entrances with another one are
        not for this host.
        """
        owner = self._owner(name)
        policies = (
            item.security
            for found in covering
            for item in found
            if item.entrance is owner and not item.is_withheld
        )
        policy = next(policies, None)
        verdict = self._security.of_listener(owner) if policy is None else Verdict(policy)
        matches = _first_of_each(
            candidate for found in covering for candidate in _ranked(found, verdict)
        )
        return VirtualHost(name, matches, verdict.key, bool(verdict.guard))

    def _owner(self, hostname: str) -> Entrance:
        """The entrance that requests for a host come through: the most specific one."""
        return max(
            (item for item in self._entrances if covers(item.listener.hostname or "*", hostname)),
            key=lambda item: specificity(item.listener.hostname or "*"),
        )


def _rank(item: tuple[str, _Made]) -> tuple[tuple[int, int], str]:
    return item[1].rank


def _ranked(found: Iterable[Mounted], verdict: Verdict) -> list[Candidate]:
    """Matches for one host name under the policy of a host, those with more conditions first."""
    ranked = [candidate for item in found for candidate in item.under(verdict)]
    ranked.sort(key=_conditions, reverse=True)
    return ranked


def _conditions(candidate: Candidate) -> int:
    return len(candidate.conditions)


def _first_of_each(ranked: Iterable[Candidate]) -> tuple[RouteMatch, ...]:
    """Without matches that an equal one before them hides."""
    found: list[RouteMatch] = []
    whole: set[object] = set()
    some: set[object] = set()
    key: object
    for item in ranked:
        conditions, match = item.conditions, item.match
        if match.paths:
            if conditions in whole:
                continue
            seen, key = some, (conditions, match.paths)
        else:
            seen, key = whole, conditions
        size = len(seen)
        seen.add(key)  # one look, where asking first would be two
        if len(seen) > size:
            found.append(match)
    return tuple(found)
