"""CustomResourceDefinitions of our own kinds, made from their models.

    {apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata, spec}

All versions of a kind have one schema and are not converted. Nothing is required at the root: an
object without spec is accepted, and reported in its status.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aigw.api import kinds
from aigw.api.model import ApiModel, Resource
from aigw.api.schema import object_schema
from aigw.api.status import Status

GROUP = "aigateway.envoyproxy.io"
_POLICY = {"gateway.networking.k8s.io/policy": "direct"}


@dataclass(frozen=True, slots=True)
class Names:
    """How a kind is called."""

    plural: str
    short: tuple[str, ...] = ()
    labels: Mapping[str, str] | None = None


NAMES = {
    "AIGatewayRoute": Names("aigatewayroutes"),
    "AIServiceBackend": Names("aiservicebackends"),
    "BackendSecurityPolicy": Names("backendsecuritypolicies", labels=_POLICY),
    "GatewayConfig": Names("gatewayconfigs", ("gwconfig",)),
    "MCPRoute": Names("mcproutes"),
    "QuotaPolicy": Names("quotapolicies", labels=_POLICY),
}
"""Our kinds."""


def crd(kind: str) -> dict[str, Any]:
    """The definition of one of our kinds."""
    names = NAMES[kind]
    metadata: dict[str, Any] = {"name": f"{names.plural}.{GROUP}"}
    if names.labels:
        metadata["labels"] = dict(names.labels)
    written_names: dict[str, Any] = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": names.plural,
        "singular": kind.lower(),
    }
    if names.short:
        written_names["shortNames"] = list(names.short)
    schema = _root(kinds.model_of(GROUP, kind))
    versions = kinds.KINDS[GROUP, kind].versions
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": {
            "group": GROUP,
            "names": written_names,
            "scope": "Namespaced",
            "versions": [_version(name, versions, schema) for name in reversed(versions)],
        },
    }


def _version(name: str, versions: tuple[str, ...], schema: dict[str, Any]) -> dict[str, Any]:
    """A version; the first one is stored, the others are deprecated."""
    newest = versions[0]
    deprecation = {
        "deprecated": True,
        "deprecationWarning": f"{GROUP}/{name} is deprecated; use {GROUP}/{newest} instead",
    }
    return {
        "name": name,
        "served": True,
        "storage": name == newest,
        **(deprecation if name != newest else {}),
        "additionalPrinterColumns": [
            {"name": "Status", "type": "string", "jsonPath": ".status.conditions[-1:].type"},
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }


def _root(model: type[Resource]) -> dict[str, Any]:
    spec = model.model_fields["spec"].annotation
    status = getattr(model, "STATUS", Status)
    return {
        "description": " ".join((model.__doc__ or "").split()),
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _object(spec),
            "status": _object(status),
        },
    }


def _object(model: object) -> dict[str, Any]:
    if not (isinstance(model, type) and issubclass(model, ApiModel)):
        message = f"{model} is no model"
        raise TypeError(message)
    return object_schema(model)
