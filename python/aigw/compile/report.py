"""Where the compiler puts its findings."""

from collections.abc import Iterable, Mapping

from aigw.errors import Code, Diagnostic, Origin, ResourceId, Severity

Finding = tuple[str, str]
"""Field path and message."""


class Report:
    """Findings in the order in which they were made, each one once."""

    def __init__(self, origins: Mapping[ResourceId, Origin]) -> None:
        """`origins` tells where the named resources stand."""
        self._origins = origins
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

    def findings(self) -> tuple[Diagnostic, ...]:
        """All findings so far."""
        return tuple(self._findings)

    def _add(self, finding: Diagnostic) -> None:
        origin = self._origins.get(finding.resource) if finding.resource else None
        self._findings.setdefault(finding.at(origin))
