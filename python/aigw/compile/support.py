"""Which backends of a rule can serve which endpoint."""

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from aigw.plan import Backend, BackendGroup, EndpointPrefixes


class Support:
    """Which schemas can serve the endpoint at each path."""

    def __init__(self, prefixes: EndpointPrefixes) -> None:
        """The core is asked when a rule is compiled."""
        self._prefixes = prefixes

    @functools.cached_property
    def _schemas_by_path(self) -> Mapping[str, frozenset[str]]:
        from aigw import _core  # noqa: PLC0415 - loaded only where something is compiled

        matrix = json.loads(_core.support_matrix(json.dumps(asdict(self._prefixes)).encode()))
        return {row["path"]: frozenset(row["schemas"]) for row in matrix["endpoints"]}

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of all endpoints."""
        return tuple(self._schemas_by_path)

    def narrowed(
        self, groups: tuple[BackendGroup, ...], backends: Iterable[Backend]
    ) -> Mapping[tuple[BackendGroup, ...], tuple[str, ...]]:
        """Groups without the backends that cannot serve an endpoint, and the paths of these.

        Endpoints that every backend serves are not mentioned, and neither are those that none
        does: there the first attempt tells the client.
        """
        schemas = {backend.name: backend.schema.name for backend in backends}
        found: dict[tuple[BackendGroup, ...], list[str]] = {}
        for path, able in self._schemas_by_path.items():
            fewer = tuple(_only(group, schemas, able) for group in groups)
            fewer = tuple(group for group in fewer if group.members)
            if fewer and fewer != groups:
                found.setdefault(fewer, []).append(path)
        return {fewer: tuple(paths) for fewer, paths in found.items()}


def _only(group: BackendGroup, schemas: Mapping[str, str], able: frozenset[str]) -> BackendGroup:
    return BackendGroup(
        tuple(member for member in group.members if schemas[member.backend] in able)
    )
