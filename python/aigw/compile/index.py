"""Finding resources by identity, by kind and by what they target."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from aigw.api.load import Loaded
from aigw.api.model import Resource
from aigw.errors import ResourceId

T = TypeVar("T", bound=Resource)

OWN_GROUP = "aigateway.envoyproxy.io"


class Index:
    """Read-only view of what was loaded."""

    def __init__(self, loaded: Loaded) -> None:
        """Indexes once; lookups are by dictionary."""
        self._by_id = {resource.id: resource for resource in loaded.resources}
        self._rejected = loaded.rejected

    def get(self, model: type[T], namespace: str, name: str) -> T | None:
        """One resource of a kind."""
        found = self._by_id.get(ResourceId(model.GROUP, model.KIND, namespace, name))
        return found if isinstance(found, model) else None

    @property
    def kinds(self) -> set[tuple[str, str]]:
        """Group and kind of all resources."""
        return {(identity.group, identity.kind) for identity in self._by_id}

    def is_rejected(self, model: type[Resource], namespace: str, name: str) -> bool:
        """True when such a document exists but has errors of its own."""
        return ResourceId(model.GROUP, model.KIND, namespace, name) in self._rejected

    def has_rejected(self, model: type[Resource]) -> bool:
        """True when there is any document of a kind with errors of its own."""
        return any((i.group, i.kind) == (model.GROUP, model.KIND) for i in self._rejected)

    def all(self, model: type[T]) -> list[T]:
        """All resources of a kind, oldest first, then by namespace and name."""
        found = [resource for resource in self._by_id.values() if isinstance(resource, model)]
        return sorted(found, key=lambda resource: resource.age)

    def is_written(self, identity: ResourceId) -> bool:
        """Whether there is such a document, whatever is wrong with it."""
        return identity in self._by_id or identity in self._rejected

    def rejected_policies(self, kind: tuple[str, str], target: ResourceId) -> list[ResourceId]:
        """Policies of a (group, kind) that cannot be used and say that they target `target`.

        What selects its targets by their labels may mean any of its namespace.
        """
        return sorted(
            identity
            for identity, document in self._rejected.items()
            if (identity.group, identity.kind) == kind
            and identity.namespace == target.namespace
            and (target in set(_targets(document, identity.namespace)) or _selects(document))
        )

    def mentions(self, rejected: ResourceId, field: str) -> bool:
        """Whether the spec of a rejected document has a field."""
        spec = self._rejected[rejected].get("spec")
        return isinstance(spec, dict) and field in spec


def _targets(document: Mapping[str, Any], namespace: str) -> Iterator[ResourceId]:
    """Targets of a policy document that may be malformed everywhere."""
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return
    refs = spec.get("targetRefs")
    for ref in [*(refs if isinstance(refs, list) else []), spec.get("targetRef")]:
        if isinstance(ref, dict):
            group, kind, name = (str(ref.get(key, "")) for key in ("group", "kind", "name"))
            yield ResourceId(group, kind, namespace, name)


def _selects(document: Mapping[str, Any]) -> bool:
    spec = document.get("spec")
    return isinstance(spec, dict) and bool(spec.get("targetSelectors"))
