"""ConfigMap: certificate authorities, and texts of filters."""

from typing import ClassVar

from pydantic import Field

from aigw.api.fields import Boolean
from aigw.api.model import Resource


class ConfigMap(Resource):
    """Texts by key; values that are not text have no use here."""

    GROUP: ClassVar[str] = ""
    KIND: ClassVar[str] = "ConfigMap"

    immutable: Boolean = False
    data: dict[str, str] = Field(default_factory=dict)
    binary_data: dict[str, str] = Field(default_factory=dict)

    @property
    def values(self) -> dict[str, str]:
        """All texts."""
        return dict(self.data)
