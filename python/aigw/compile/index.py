"""Finding resources by identity, by kind and by what they target."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar, cast

from aigw.api.load import Loaded
from aigw.api.model import Resource
from aigw.errors import ResourceId

T = TypeVar("T", bound=Resource)

OWN_GROUP = "aigateway.envoyproxy.io"


class Index:
    """Read-only view of what was loaded, or of a part of it."""

    def __init__(
        self,
        resources: Mapping[ResourceId, Resource],
        rejected: Mapping[ResourceId, Mapping[str, Any]],
    ) -> None:
        """`rejected` are documents that cannot be used."""
        self._by_id = resources
        self._rejected = rejected

    @classmethod
    def of(cls, loaded: Loaded) -> "Index":
        """All of it."""
        return cls({resource.id: resource for resource in loaded.resources}, loaded.rejected)

    def get(self, model: type[T], namespace: str, name: str) -> T | None:
        """One resource of a kind."""
        found = self._by_id.get(ResourceId(model.GROUP, model.KIND, namespace, name))
        return found if isinstance(found, model) else None

    @cached_property
    def kinds(self) -> set[tuple[str, str]]:
        """Group and kind of all resources."""
        return {(identity.group, identity.kind) for identity in self._by_id}

    @cached_property
    def _by_model(self) -> Mapping[type[Resource], list[Resource]]:
        found: dict[type[Resource], list[Resource]] = {}
        for resource in self._by_id.values():
            found.setdefault(type(resource), []).append(resource)
        return {model: sorted(items, key=lambda item: item.age) for model, items in found.items()}

    @cached_property
    def _rejected_by_kind(self) -> Mapping[tuple[str, str], list[ResourceId]]:
        found: dict[tuple[str, str], list[ResourceId]] = {}
        for identity in sorted(self._rejected):
            found.setdefault((identity.group, identity.kind), []).append(identity)
        return found

    def is_rejected(self, model: type[Resource], namespace: str, name: str) -> bool:
        """True when such a document exists but has errors of its own."""
        return ResourceId(model.GROUP, model.KIND, namespace, name) in self._rejected

    def has_rejected(self, model: type[Resource]) -> bool:
        """True when there is any document of a kind with errors of its own."""
        return (model.GROUP, model.KIND) in self._rejected_by_kind

    def all(self, model: type[T]) -> list[T]:
        """All resources of a kind, oldest first, then by namespace and name."""
        return cast("list[T]", [*self._by_model.get(model, ())])

    def is_written(self, identity: ResourceId) -> bool:
        """Whether there is such a document, whatever is wrong with it."""
        return identity in self._by_id or identity in self._rejected

    def rejected_policies(self, kind: tuple[str, str], target: ResourceId) -> list[ResourceId]:
        """Policies of a (group, kind) that cannot be used and say that they target `target`.

        What selects its targets by their labels may mean any of its namespace.
        """
        return [
            identity
            for identity in self._rejected_by_kind.get(kind, ())
            if identity.namespace == target.namespace
            and (target in self._targets_of(identity) or _selects(self._rejected[identity]))
        ]

    def _targets_of(self, rejected: ResourceId) -> set[ResourceId]:
        return set(_targets(self._rejected[rejected], rejected.namespace))

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
