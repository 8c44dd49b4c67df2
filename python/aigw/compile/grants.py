"""References across namespaces: allowed where the owner of the target has given a grant."""

from dataclasses import dataclass
from typing import TypeVar

from aigw.api.config_map import ConfigMap
from aigw.api.model import Resource
from aigw.api.reference_grant import ReferenceGrant
from aigw.api.references import SecretObjectReference
from aigw.api.secret import Secret
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId

T = TypeVar("T", bound=Resource)


@dataclass(frozen=True, slots=True)
class Referrer:
    """Who refers: grants are given to a kind in a namespace."""

    group: str
    kind: str
    namespace: str

    @classmethod
    def of(cls, resource: Resource) -> "Referrer":
        """A resource as it is."""
        return cls(resource.GROUP, resource.KIND, resource.namespace)

    @classmethod
    def route(cls, namespace: str) -> "Referrer":
        """A route of ours, which is an HTTPRoute to what it generates."""
        return cls("gateway.networking.k8s.io", "HTTPRoute", namespace)


class Grants:
    """All ReferenceGrants."""

    def __init__(self, index: Index) -> None:
        """Reads them once."""
        self._granted = {
            (
                Referrer(ref.group, ref.kind, ref.namespace),
                to.group,
                to.kind,
                grant.namespace,
                to.name,
            )
            for grant in index.all(ReferenceGrant)
            for ref in grant.spec.from_
            for to in grant.spec.to
        }
        """Names of targets are None where all of a namespace are meant."""

    def allow(self, referrer: Referrer, target: ResourceId) -> bool:
        """Whether the reference stays in its namespace or has a grant."""
        if referrer.namespace == target.namespace:
            return True
        where = (referrer, target.group, target.kind, target.namespace)
        return any((*where, name) in self._granted for name in (None, target.name))


@dataclass(frozen=True, slots=True)
class Reference:
    """A written reference to an object with values, its owner, and the path where it stands."""

    owner: Resource
    ref: SecretObjectReference
    path: str


class Values:
    """Secrets and ConfigMaps by reference; what cannot be had is reported where it is written."""

    def __init__(self, index: Index, report: Report) -> None:
        """Nothing is read yet."""
        self._index = index
        self._report = report
        self._grants = Grants(index)

    def secret(self, reference: Reference) -> Secret | None:
        """A Secret."""
        return self._get(reference, Secret)

    def config_map(self, reference: Reference) -> ConfigMap | None:
        """A ConfigMap."""
        return self._get(reference, ConfigMap)

    def secret_or_config_map(self, reference: Reference) -> Secret | ConfigMap | None:
        """Whichever of the two is written."""
        if (reference.ref.group, reference.ref.kind) == (Secret.GROUP, Secret.KIND):
            return self.secret(reference)
        return self.config_map(reference)

    def _get(self, reference: Reference, model: type[T]) -> T | None:
        owner, ref, path = reference.owner, reference.ref, reference.path
        target = ResourceId(ref.group, ref.kind, ref.namespace or owner.namespace, ref.name)
        if (ref.group, ref.kind) != (model.GROUP, model.KIND):
            message = f"{ref.kind} is not supported here, only {model.KIND}"
            self._report.error(owner.id, Code.UNSUPPORTED, f"{path}.kind", message)
            return None
        if not self._grants.allow(Referrer.of(owner), target):
            message = not_permitted(Referrer.of(owner), target)
            self._report.error(owner.id, Code.NOT_PERMITTED, f"{path}.namespace", message)
            return None
        found = self._index.get(model, target.namespace, target.name)
        if found is None:
            message = f"{target} {'has errors' if self._index.is_written(target) else 'not found'}"
            self._report.error(owner.id, Code.NOT_FOUND, path, message)
        return found


def not_permitted(referrer: Referrer, target: ResourceId) -> str:
    """What to say about a reference without a grant."""
    return (
        f"{target} is in another namespace; a ReferenceGrant there must allow references from "
        f"{referrer.kind} in {referrer.namespace}"
    )
