"""YAML files to resources: substitution, duplicates, Secret sources.

Pure, given an `Environment`: the caller reads the files.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from aigw.api.model import Resource
from aigw.api.parse import Parsed, parse
from aigw.api.secret import Secret
from aigw.api.secret_sources import Environment, fill_in
from aigw.api.substitution import Substitution
from aigw.api.yaml_source import YamlError, YamlSyntaxError, documents, pieces
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
    return Loader().load(sources, environment)


class Loader:
    """Reads again and again: a document of the same text is the same object as the last time.

    The result equals that of a new loader.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._pieces: dict[str, _Piece] = {}
        self._secrets: dict[int, tuple[Secret, Secret]] = {}

    def load(self, sources: Iterable[Source], environment: Environment) -> Loaded:
        """As `load`."""
        reader = _Reader(environment, self._pieces, self._secrets)
        for source in sources:
            reader.read(source)
        self._pieces, self._secrets = reader.pieces, reader.secrets
        return reader.loaded()


@dataclass(frozen=True, slots=True)
class _Read:
    """One document, wherever it stands: `line` is counted in its piece."""

    line: int
    error: YamlError | None = None
    value: Any = field(default=None, repr=False)
    parsed: Parsed | None = None
    unset: tuple[tuple[str, str], ...] = ()
    stand_in: str = field(default="", repr=False)

    def findings(self) -> Iterator[Diagnostic]:
        """What is wrong with it."""
        if self.error is not None:
            yield Diagnostic(Code.INVALID_YAML, Severity.ERROR, str(self.error))
        if self.parsed is None:
            return
        for path, name in self.unset:
            stand_in = self.stand_in and _is_secret(path)
            message = f"the variable {name} is not set"
            message += "" if stand_in else ", an empty text is used"
            identity = self.parsed.id
            yield Diagnostic(Code.UNSET_VARIABLE, Severity.WARNING, message, identity, path)
        yield from self.parsed.diagnostics


@dataclass(frozen=True, slots=True)
class _Piece:
    """The documents of a piece of text, for as long as the variables in it are the same."""

    documents: tuple[_Read, ...]
    variables: Mapping[str, str | None] = field(repr=False)
    stand_in: str = field(repr=False)

    def holds(self, environment: Environment) -> bool:
        """Whether reading it again would give the same."""
        if not self.variables:
            return True
        if self.stand_in != environment.unset_secret:
            return False
        now = environment.variables
        return all(now.get(name) == value for name, value in self.variables.items())


class _Variables(Mapping[str, str]):
    """Variables, and which of them were asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.asked: dict[str, str | None] = {}

    def __getitem__(self, name: str) -> str:
        self.asked[name] = self._variables.get(name)
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def _read_piece(text: str, environment: Environment) -> _Piece:
    variables = _Variables(environment.variables)
    unset: dict[tuple[str, str], None] = {}

    stand_in = environment.unset_secret

    def replace(text: str, path: str) -> str:
        instead = stand_in if _is_secret(path) else ""
        on_unset = partial(_note, unset, path)
        return Substitution(variables, on_unset, instead).apply(text)

    found: list[_Read] = []
    for document in documents(text, replace):
        if isinstance(document, YamlError):
            found.append(_Read(document.line, document))
        elif document.value is None:
            found.append(_Read(document.line))
        else:
            parsed, value = parse(document.value), document.value
            found.append(_Read(document.line, None, value, parsed, tuple(unset), stand_in))
        unset.clear()
    return _Piece(tuple(found), variables.asked, stand_in)


def _note(unset: dict[tuple[str, str], None], path: str, name: str) -> None:
    unset[path, name] = None


def _is_secret(path: str) -> bool:
    return path.startswith("stringData.")


class _Reader:
    """Collects resources over files, and what is worth keeping for the next time."""

    def __init__(
        self,
        environment: Environment,
        known: Mapping[str, _Piece],
        known_secrets: Mapping[int, tuple[Secret, Secret]],
    ) -> None:
        self.pieces: dict[str, _Piece] = {}
        self.secrets: dict[int, tuple[Secret, Secret]] = {}
        self._environment = environment
        self._known = known
        self._known_secrets = known_secrets
        self._resources: dict[ResourceId, Resource] = {}
        self._rejected: dict[ResourceId, Mapping[str, Any]] = {}
        self._origins: dict[ResourceId, Origin] = {}
        self._diagnostics: list[Diagnostic] = []

    def read(self, source: Source) -> None:
        number = 0
        for text, before in pieces(source.text):
            for document in self._piece(text).documents:
                number += 1
                # A line of 0 is an unknown one.
                line = before + document.line if document.line else 0
                self._take(document, Origin(source.name, number, line))
                if isinstance(document.error, YamlSyntaxError):
                    return

    def loaded(self) -> Loaded:
        return Loaded(
            tuple(self._resources.values()),
            self._rejected,
            self._origins,
            tuple(self._diagnostics),
        )

    def _piece(self, text: str) -> _Piece:
        piece = self.pieces.get(text) or self._known.get(text)
        if piece is None or not piece.holds(self._environment):
            piece = _read_piece(text, self._environment)
        self.pieces[text] = piece
        return piece

    def _take(self, document: _Read, origin: Origin) -> None:
        for diagnostic in document.findings():
            self._report(diagnostic, origin)
        parsed = document.parsed
        if parsed is None or parsed.id is None or self._is_duplicate(parsed.id, origin):
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
        # The written Secret is kept with the filled one, so nothing else can have its id.
        _, last = self._known_secrets.get(id(resource), (None, None))
        if last is not None and last == secret:
            secret = last
        self.secrets[id(resource)] = (resource, secret)
        return secret

    def _report(self, diagnostic: Diagnostic, origin: Origin) -> None:
        self._diagnostics.append(diagnostic.at(origin))
