"""Where the compiler puts its findings."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from aigw.errors import Code, Diagnostic, ResourceId, Severity

T = TypeVar("T")

Finding = tuple[str, str]
"""Field path and message."""


@dataclass(frozen=True, slots=True)
class Noted(Generic[T]):
    """A result, and what was found while it was made."""

    value: T
    findings: tuple[Diagnostic, ...]


class Report:
    """Findings in the order in which they were made, each one once."""

    def __init__(self) -> None:
        """Nothing is found yet."""
        self._findings: dict[Diagnostic, None] = {}

    def error(self, resource: ResourceId | None, code: Code, path: str, message: str) -> None:
        """Something is not served because of this."""
        self._add(Diagnostic(code, Severity.ERROR, message, resource, path))

    def warning(self, resource: ResourceId | None, code: Code, path: str, message: str) -> None:
        """Something is probably not what the user meant."""
        self._add(Diagnostic(code, Severity.WARNING, message, resource, path))

    def faults(self, resource: ResourceId, findings: Iterable[Finding]) -> None:
        """Fields of a resource that cannot work."""
        for path, message in findings:
            self.error(resource, Code.INVALID_FIELD, path, message)

    def noting(self, make: Callable[[], T]) -> Noted[T]:
        """What `make` returns and finds; the findings are kept apart, see `repeat`."""
        outer, self._findings = self._findings, {}
        try:
            value = make()
            return Noted(value, tuple(self._findings))
        finally:
            self._findings = outer

    def repeat(self, noted: Noted[T]) -> T:
        """Takes over what was found, where it is not known yet."""
        if noted.findings:
            self._findings.update(dict.fromkeys(noted.findings))
        return noted.value

    def findings(self) -> tuple[Diagnostic, ...]:
        """All findings so far."""
        return tuple(self._findings)

    def _add(self, finding: Diagnostic) -> None:
        self._findings.setdefault(finding)


class Once(Generic[T]):
    """Results that several routes share: each is made once, and found fault with at each use.

    So what is found for a route does not depend on which routes came before it.
    """

    def __init__(self, report: Report) -> None:
        """Nothing is made yet."""
        self._report = report
        self._made: dict[Hashable, Noted[T]] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result for `key`."""
        noted = self._made.get(key)
        if noted is None:
            self._made[key] = noted = self._report.noting(make)
        return self._report.repeat(noted)
