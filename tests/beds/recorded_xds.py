"""What Envoy Gateway asked its extension server about `tests/unit/xds/documents.yaml`."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from aigw.extension import Bundle
from aigw.extension.messages import Message, message, parsed

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = Path(__file__).parent.parent / "unit" / "xds"
FILE = FOLDER / "recorded.json"
NAMESPACE = "recorded"
CLUSTER = "envoy.config.cluster.v3.Cluster"
LISTENER = "envoy.config.listener.v3.Listener"
ROUTES = "envoy.config.route.v3.RouteConfiguration"
ASSIGNMENT = "envoy.config.endpoint.v3.ClusterLoadAssignment"
TYPES = {"clusters": CLUSTER, "listeners": LISTENER, "routes": ROUTES, "endpoints": ASSIGNMENT}

Recorded = dict[str, list[bytes]]


def documents() -> list[dict[str, Any]]:
    """The documents, in their namespace."""
    found = list(yaml.safe_load_all((FOLDER / "documents.yaml").read_text()))
    for item in found:
        item["metadata"]["namespace"] = NAMESPACE
    return found


def collected(asked: Iterable[tuple[str, bytes]], namespace: str = NAMESPACE) -> Recorded:
    """The last translation and load assignments of a namespace, without secrets."""
    package = "envoygateway.extension"
    found: Recorded = {}
    assignments: dict[str, bytes] = {}
    for name, data in asked:
        if name == "_translation":
            whole = parsed(f"{package}.PostTranslateModifyRequest", data)
            names = [parsed(LISTENER, item).name for item in whole.listeners]
            if any(name.startswith(f"{namespace}/") for name in names):
                kinds = ("clusters", "listeners", "routes")
                found = {kind: list(getattr(whole, kind)) for kind in kinds}
        elif name == "_endpoints":
            one = parsed(f"{package}.PostEndpointsModifyRequest", data).load_assignment
            of = parsed(ASSIGNMENT, one).cluster_name
            if of.startswith(f"httproute/{namespace}/"):
                assignments[of] = one
    found["endpoints"] = [assignments[name] for name in sorted(assignments)]
    return found


def as_json(found: Message) -> dict[str, Any]:
    """What is known of a message; of an `Any` of an unknown type only the type.

    Bytes of such types differ from one time to the next: maps have no order.
    """
    if found.DESCRIPTOR.full_name == "google.protobuf.Any":
        return _any_as_json(found)
    return {field.name: _value(field, value) for field, value in found.ListFields()}


def _any_as_json(packing: Message) -> dict[str, Any]:
    name = packing.type_url.rpartition("/")[2]
    try:
        message(name)
    except KeyError:
        return {"@type": name}
    return {"@type": name, **as_json(parsed(name, packing.value))}


def _value(field: Any, value: Any) -> Any:  # noqa: ANN401 - of protobuf
    if field.message_type is None:
        return list(value) if field.is_repeated else value
    if field.message_type.GetOptions().map_entry:
        return {key: as_json(value[key]) for key in sorted(value)}
    return [as_json(item) for item in value] if field.is_repeated else as_json(value)


def known(recorded: Recorded) -> dict[str, list[str]]:
    """What the extension can read of it, as sorted texts."""
    return {
        kind: sorted(
            json.dumps(as_json(parsed(TYPES[kind], data)), sort_keys=True) for data in all_
        )
        for kind, all_ in recorded.items()
    }


def write(recorded: Recorded) -> None:
    """Writes the file."""
    text = {
        kind: [base64.b64encode(data).decode() for data in all_] for kind, all_ in recorded.items()
    }
    FILE.write_text(json.dumps(text, indent=1) + "\n")


def read() -> Recorded:
    """Reads the file."""
    found = json.loads(FILE.read_text())
    return {kind: [base64.b64decode(data) for data in all_] for kind, all_ in found.items()}


def bundle(recorded: Recorded) -> Bundle:
    """The translation."""
    return Bundle(*(tuple(recorded[kind]) for kind in ("clusters", "listeners", "routes")))


def by_name(kind: str, all_: Iterable[bytes]) -> dict[str, Message]:
    """Messages by their names."""
    found = [parsed(TYPES[kind], data) for data in all_]
    return {item.cluster_name if kind == "endpoints" else item.name: item for item in found}
