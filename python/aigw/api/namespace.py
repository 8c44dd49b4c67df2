"""Namespace: its labels decide which routes a listener takes."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from aigw.api.model import Resource


class Namespace(Resource):
    """A namespace; all but its labels belongs to a cluster."""

    GROUP: ClassVar[str] = ""
    KIND: ClassVar[str] = "Namespace"

    spec: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """Namespaces are cluster-scoped."""
        return ""
