"""The objects of the cluster as the watch has seen them, parsed once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aigw.api.load import Loaded
from aigw.api.model import Resource
from aigw.api.parse import Parsed, Unknown, identify, parse
from aigw.controller.foreign import as_compiled, without
from aigw.controller.kinds import OWN_GROUP
from aigw.errors import Diagnostic, ResourceId

Document = Mapping[str, Any]

_METADATA = ("name", "namespace", "labels", "annotations", "creationTimestamp")


@dataclass(frozen=True, slots=True)
class Held:
    """One object: what it says, and what the cluster says about it.

    `uid`, `generation` and `version` (of the whole object) are the API server's; `resource` is
    None where it cannot be used.
    """

    id: ResourceId
    content: Document = field(repr=False)
    uid: str
    generation: int
    version: str = field(compare=False)
    is_deleting: bool
    finalizers: tuple[str, ...]
    status: Document = field(repr=False)
    resource: Resource | None
    findings: tuple[Diagnostic, ...]


class Objects:
    """The cache. Resources stay the same objects for as long as their content does."""

    def __init__(self) -> None:
        """Empty."""
        self._held: dict[ResourceId, Held] = {}

    def copy(self) -> "Objects":
        """All of it as it is now."""
        copied = Objects()
        copied._held = dict(self._held)
        return copied

    def __contains__(self, identity: ResourceId) -> bool:
        return identity in self._held

    def get(self, identity: ResourceId) -> Held | None:
        """An object by its identity."""
        return self._held.get(identity)

    def all(self) -> Iterable[Held]:
        """All objects."""
        return self._held.values()

    def put(self, document: Document) -> bool:
        """Takes an object over; True when something may follow from that."""
        identity = identify(document)
        if identity is None:
            return False
        last = self._held.get(identity)
        held = _held(identity, document, last)
        self._held[identity] = held
        return last != held

    def remove(self, identity: ResourceId) -> bool:
        """Forgets an object; True when it was known."""
        return self._held.pop(identity, None) is not None

    def ids(self, group: str, kind: str) -> list[ResourceId]:
        """Identities of all objects of a kind."""
        return [item for item in self._held if (item.group, item.kind) == (group, kind)]

    def of_group(self, group: str) -> Iterable[Held]:
        """All objects of a group."""
        return (held for held in self._held.values() if held.id.group == group)

    def loaded(self) -> Loaded:
        """What the compiler gets to see: all objects but those that are being deleted."""
        present = [held for held in self._held.values() if not held.is_deleting]
        return Loaded(
            resources=tuple(held.resource for held in present if held.resource is not None),
            rejected={held.id: held.content for held in present if held.resource is None},
            diagnostics=tuple(finding for held in present for finding in held.findings),
        )


def _held(identity: ResourceId, document: Document, last: Held | None) -> Held:
    is_own = identity.group == OWN_GROUP
    content, metadata = _content(document), document.get("metadata", {})
    if not is_own:
        content = as_compiled(content)
    if last is not None and last.content == content:
        parsed = Parsed(last.resource, identity, last.findings)
        content = last.content
    else:
        parsed = parse(content) if is_own else _parsed_foreign(content)
    return Held(
        id=identity,
        content=content,
        uid=str(metadata.get("uid", "")),
        generation=int(metadata.get("generation", 0)),
        version=str(metadata.get("resourceVersion", "")),
        is_deleting="deletionTimestamp" in metadata,
        finalizers=tuple(metadata.get("finalizers", ())),
        status=document.get("status", {}) if is_own else {},
        resource=parsed.resource,
        findings=parsed.diagnostics,
    )


def _parsed_foreign(content: Document) -> Parsed:
    parsed = parse(content, Unknown.DROPPED)
    if parsed.resource is None and content.get("kind") == "SecurityPolicy":
        # Envoy Gateway judges it: what we cannot read of it is not read.
        readable = without(content, (finding.field_path for finding in parsed.diagnostics))
        parsed = parse(readable, Unknown.DROPPED)
    return parsed


def _content(document: Document) -> Document:
    """The part that its author wrote."""
    left_out = ("metadata", "status")
    content = {name: value for name, value in document.items() if name not in left_out}
    metadata = document.get("metadata", {})
    content["metadata"] = {name: metadata[name] for name in _METADATA if name in metadata}
    return content
