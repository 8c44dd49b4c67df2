"""Documents, and what they compile to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from aigw.api.load import Source, load
from aigw.api.secret_sources import Environment
from aigw.compile.compiler import Compiled, compile_plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aigw.plan import Plan

Document = dict[str, Any]
AIGW = "aigateway.envoyproxy.io"
EG = "gateway.envoyproxy.io"
GW = "gateway.networking.k8s.io"
VERSIONS = {AIGW: "v1beta1", EG: "v1alpha1", GW: "v1"}
NOWHERE = Environment({}, lambda _: "")
"""No variables, and files without content."""


def document(group: str, kind: str, name: str, **spec: Any) -> Document:  # noqa: ANN401
    """A document of the namespace `default`, in the version of its group."""
    api = f"{group}/{VERSIONS[group]}" if group else "v1"
    found: Document = {"apiVersion": api, "kind": kind, "metadata": {"name": name}}
    return {**found, "spec": spec} if spec else found


def compile_documents(
    documents: Iterable[Document] | str,
    environment: Environment = NOWHERE,
    **options: Any,  # noqa: ANN401
) -> Compiled:
    """What documents, or a text with some, compile to."""
    text = documents if isinstance(documents, str) else yaml.safe_dump_all(documents)
    return compile_plan(load([Source("test.yaml", text)], environment), **options)


def faultless(result: Compiled) -> Plan:
    """The plan of documents in which there is nothing to find."""
    assert [str(item) for item in result.diagnostics] == []
    assert result.plan is not None
    return result.plan
