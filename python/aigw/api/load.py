"""YAML files to resources: substitution, duplicates, Secret sources.

Pure, given an `Environment`: the caller reads the files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from aigw.api.model import Resource
from aigw.api.parse import parse
from aigw.api.secret import Secret
from aigw.api.secret_sources import Environment, fill_in
from aigw.api.substitution import Substitution
from aigw.api.yaml_source import Document, YamlError, documents
from aigw.errors import Code, Diagnostic, Origin, ResourceId, Severity


@dataclass(frozen=True, slots=True)
class Source:
    """A file: its name for messages, and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read.

    `rejected` holds the documents of known identity that cannot be used: what depends on them
    must not be served as if they did not exist. `origins` says where each resource stands.
    """

    resources: tuple[Resource, ...] = ()
    rejected: Mapping[ResourceId, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    origins: Mapping[ResourceId, Origin] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()


def load(sources: Iterable[Source], environment: Environment) -> Loaded:
    """Reads all documents of all sources. Never raises for their content."""
    reader = _Reader(environment)
    for source in sources:
        reader.read(source)
    return reader.loaded()


class _Reader:
    """Collects resources over files."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._resources: dict[ResourceId, Resource] = {}
        self._rejected: dict[ResourceId, Mapping[str, Any]] = {}
        self._origins: dict[ResourceId, Origin] = {}
        self._diagnostics: list[Diagnostic] = []
        self._unset: dict[tuple[str, str], None] = {}

    def read(self, source: Source) -> None:
        for number, document in enumerate(documents(source.text, self._replace), start=1):
            origin = Origin(source.name, number, document.line)
            if isinstance(document, YamlError):
                self._report(Diagnostic(Code.INVALID_YAML, Severity.ERROR, str(document)), origin)
            elif document.value is not None:
                self._take(document, origin)
            self._unset.clear()

    def loaded(self) -> Loaded:
        return Loaded(
            tuple(self._resources.values()),
            self._rejected,
            self._origins,
            tuple(self._diagnostics),
        )

    def _replace(self, text: str, path: str) -> str:
        is_secret = path.startswith("stringData.")
        substitution = Substitution(
            self._environment.variables,
            lambda name: self._unset.setdefault((path, name)),
            self._environment.unset_secret if is_secret else "",
        )
        return substitution.apply(text)

    def _take(self, document: Document, origin: Origin) -> None:
        parsed = parse(document.value)
        for path, name in self._unset:
            stand_in = self._environment.unset_secret and path.startswith("stringData.")
            message = f"the variable {name} is not set"
            message += "" if stand_in else ", an empty text is used"
            self._report(
                Diagnostic(Code.UNSET_VARIABLE, Severity.WARNING, message, parsed.id, path), origin
            )
        for diagnostic in parsed.diagnostics:
            self._report(diagnostic, origin)
        if parsed.id is None or self._is_duplicate(parsed.id, origin):
            return
        self._origins[parsed.id] = origin
        if parsed.resource is None:
            self._rejected[parsed.id] = cast("Mapping[str, Any]", document.value)
        else:
            self._resources[parsed.id] = self._filled(parsed.resource, origin)

    def _is_duplicate(self, identity: ResourceId, origin: Origin) -> bool:
        first = self._origins.get(identity)
        if first is None:
            return False
        message = f"is already defined at {first}; this one is left out"
        self._report(Diagnostic(Code.DUPLICATE, Severity.ERROR, message, identity), origin)
        return True

    def _filled(self, resource: Resource, origin: Origin) -> Resource:
        if not isinstance(resource, Secret):
            return resource
        secret, findings = fill_in(resource, self._environment)
        for diagnostic in findings:
            self._report(diagnostic, origin)
        return secret

    def _report(self, diagnostic: Diagnostic, origin: Origin) -> None:
        self._diagnostics.append(diagnostic.at(origin))
