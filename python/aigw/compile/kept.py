"""What was made of resources is kept for as long as it would be made again."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Generic, TypeVar

from aigw.api.model import Resource
from aigw.compile.report import Noted, Report
from aigw.errors import Diagnostic, ResourceId

R = TypeVar("R", bound=Resource)
S = TypeVar("S")
O = TypeVar("O")  # noqa: E741 - what is read of others
V = TypeVar("V")

Name = tuple[str, str]
"""Namespace and name."""
Findings = dict[Diagnostic, None]
"""Each one once, in order."""


@dataclass(slots=True)
class Known(Generic[R, S, O, V]):
    """A resource, what it is by itself, and what it becomes by what is read of others."""

    resource: R
    id: ResourceId
    name: Name
    age: tuple[str, str, str]
    standing: Noted[S]
    read: O | None = None
    result: Noted[V] | None = None


class Kept(Generic[R, S, O, V]):
    """Resources of a kind, oldest first, and what is made of each in two steps.

    `stand` sees the resource alone, so its result lasts as long as the object. `become` sees that
    and what is read of others, and is called again when the latter differs.
    """

    def __init__(
        self, report: Report, stand: Callable[[R], S], become: Callable[[R, S, O], V]
    ) -> None:
        """There are no resources yet."""
        self._report = report
        self._stand = stand
        self._become = become
        self._known: dict[int, Known[R, S, O, V]] = {}
        self._order: list[Known[R, S, O, V]] = []
        self.names: dict[Name, None] = {}

    def __iter__(self) -> Iterator[Known[R, S, O, V]]:
        """Oldest first."""
        return iter(self._order)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._order)

    def update(self, resources: Iterable[R]) -> None:
        """Takes over what there is now."""
        known = self._known  # resources are kept, so nothing else can have their ids
        now = {id(resource): resource for resource in resources}
        gone, new = known.keys() - now.keys(), now.keys() - known.keys()
        if not gone and not new:
            return
        for key in gone:
            del self.names[known.pop(key).name]
        for key in new:
            known[key] = self._known_of(now[key])
            self.names[known[key].name] = None
        self._order = [item for item in self._order if id(item.resource) not in gone]
        self._order += (known[key] for key in new)
        self._order.sort(key=attrgetter("age"))  # no work where it is nearly in order

    def _known_of(self, resource: R) -> Known[R, S, O, V]:
        standing = self._report.noting(lambda: self._stand(resource))
        name = (resource.namespace, resource.metadata.name)
        return Known(resource, resource.id, name, resource.age, standing)

    def results(self, read: Iterable[O], findings: Findings) -> list[V]:
        """What they become; `read` is what each reads of others. Adds to `findings`."""
        values: list[V] = []
        for known, others in zip(self._order, read, strict=True):
            result = known.result
            if result is None or known.read != others:
                result = self._result(known, others)
                known.read, known.result = others, result
            if known.standing.findings or result.findings:
                findings |= dict.fromkeys((*known.standing.findings, *result.findings))
            values.append(result.value)
        return values

    def _result(self, known: Known[R, S, O, V], others: O) -> Noted[V]:
        standing = known.standing.value
        return self._report.noting(lambda: self._become(known.resource, standing, others))
