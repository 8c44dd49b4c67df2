"""The plan: what all routes add to it, and their surroundings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aigw.compile import models
from aigw.compile.merged import Merged
from aigw.compile.metadata import namespaces_of
from aigw.compile.prices import price_lists
from aigw.compile.served import Served
from aigw.compile.surroundings import Surroundings
from aigw.compile.ways import keys_of, ways
from aigw.plan import Auth, Backend, Plan, Rule

if TYPE_CHECKING:
    from aigw.compile.http.matches import PlainHosts
    from aigw.compile.http.routes import PlainServed
    from aigw.compile.models import Offer
    from aigw.plan.http import HttpBackend, HttpRule


class Assembly:
    """Puts plans together, again and again."""

    def __init__(self, around: Surroundings) -> None:
        """There is no plan yet."""
        self._around = around
        self._rules: Merged[Rule] = Merged()
        self._backends: Merged[Backend] = Merged()

    def plan(self, routes: Sequence[Served], plain_routes: "Sequence[PlainServed]") -> Plan:
        """The plan of all routes, in their order."""
        rules = self._rules.of([served.rules for served in routes])
        backends = self._backends.of([served.backends for served in routes])
        return _plan(routes, plain_routes, rules, backends, self._around)


def _plan(
    routes: Sequence[Served],
    plain_routes: "Sequence[PlainServed]",
    rules: Mapping[str, Rule],
    backends: Mapping[str, Backend],
    around: Surroundings,
) -> Plan:
    auths = frozenset[Auth]().union(*(served.auths for served in routes))
    keys = set[str]().union(*(served.ways for served in routes))
    offers: dict[str, list[Offer]] = {name: [] for name in around.gateways}
    headers: dict[str, frozenset[str]] = dict.fromkeys(around.gateways, frozenset())
    for served in routes:
        for gateway, names in served.headers.items():
            headers[gateway] |= names
        for gateway, offer in served.offers:
            offers[gateway].append(offer)
    mounted = (item for served in routes for item in served.mounted)
    http_rules: dict[str, HttpRule] = {}
    http_backends: dict[str, HttpBackend] = {}
    for plain in plain_routes:
        http_rules.update(plain.rules)
        http_backends.update(plain.backends)
    keys.update(keys_of(http_backends.values()), keys_of(around.collectors))
    way = ways(keys, around.egress)
    used = {auth.credential for auth in auths if auth.credential}
    return Plan(
        gateways={
            name: replace(
                gateway,
                models=models.lists_of(offers[name]),
                credential_headers=tuple(sorted(headers[name])),
            )
            for name, gateway in around.gateways.items()
        },
        ports=around.ports.ports(mounted, rules, _plain_hosts(plain_routes, around)),
        rules=rules,
        backends=backends,
        credentials={name: around.credentials.found[name] for name in sorted(used)},
        certificates={**around.entrances.certificates, **way.certificates},
        authorities={**way.authorities, **around.clients.authorities},
        proxies=way.proxies,
        http_rules=http_rules,
        http_backends=http_backends,
        prefixes=around.prefixes,
        metadata_namespaces=namespaces_of(around.all_gateways.values(), auths, around.index),
        security=around.security.found,
        price_lists=price_lists(filter(None, (item.price_list for item in backends.values()))),
    )


def _plain_hosts(
    plain_routes: "Sequence[PlainServed]", around: Surroundings
) -> "PlainHosts | None":
    """None without plain routes: what is for them costs start time."""
    mounted = [item for plain in plain_routes for item in plain.mounted]
    if not mounted:
        return None
    from aigw.compile.http.matches import PlainHosts  # noqa: PLC0415

    has_rejected = around.has_rejected_routes
    return PlainHosts(mounted, around.support.paths, has_rejected, around.report)
