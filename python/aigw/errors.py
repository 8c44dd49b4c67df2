"""What can go wrong, in a form that the command line and status conditions can show.

User input never raises: it becomes a [`Diagnostic`][aigw.errors.Diagnostic]. Exceptions are for
callers that break a contract and for failures of the surroundings; all derive from
[`AigwError`][aigw.errors.AigwError].
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class AigwError(Exception):
    """Base of all exceptions raised by aigw."""


class RenderError(AigwError):
    """A plan cannot be rendered for the given target."""


class Severity(StrEnum):
    """How bad a finding is. An error means that some part of the configuration is not served."""

    ERROR = "error"
    WARNING = "warning"


class Code(StrEnum):
    """Machine-readable kind of a finding."""

    INVALID_YAML = "invalid-yaml"
    UNKNOWN_KIND = "unknown-kind"
    UNKNOWN_FIELD = "unknown-field"
    IGNORED_FIELD = "ignored-field"
    UNSUPPORTED = "unsupported"
    INVALID_FIELD = "invalid-field"
    RULE = "rule"
    DUPLICATE = "duplicate"
    UNSET_VARIABLE = "unset-variable"
    SECRET_SOURCE = "secret-source"  # noqa: S105 - a code, not a secret
    NOT_FOUND = "not-found"
    NOT_PERMITTED = "not-permitted"
    CONFLICT = "conflict"
    PROTECTED_HEADER = "protected-header"
    INVALID_MUTATION = "invalid-mutation"
    INVALID_CREDENTIAL = "invalid-credential"
    MISSING_LIBRARY = "missing-library"
    LEFT_OUT = "left-out"
    NO_EFFECT = "no-effect"


@dataclass(frozen=True, slots=True, order=True)
class ResourceId:
    """Identity of a resource: API group (empty for core), kind, namespace, name."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """`Kind namespace/name`, without the slash for cluster-scoped kinds."""
        return f"{self.kind} {self.path}"

    @property
    def path(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a document was read: file name as the user gave it, 1-based document and line.

    Line 0 is unknown.
    """

    file: str
    document: int
    line: int

    def __str__(self) -> str:
        """`file:line (document n)`; without a line where it is not known."""
        line = f":{self.line}" if self.line else ""
        return f"{self.file}{line} (document {self.document})"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding about the user's configuration. The message never contains secrets."""

    code: Code
    severity: Severity
    message: str
    resource: ResourceId | None = None
    field_path: str = ""
    origin: Origin | None = None

    def at(self, origin: Origin | None) -> "Diagnostic":
        """The same finding with the place of its document, unless it already has one."""
        return self if self.origin or origin is None else replace(self, origin=origin)

    def __str__(self) -> str:
        """`error: file:line (document n): Kind ns/name: field: message`, empty parts left out."""
        parts = (self.origin, self.resource, self.field_path, self.message)
        return ": ".join([self.severity.value, *(str(part) for part in parts if part)])
