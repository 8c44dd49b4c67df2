"""Secret: values for credentials."""

import base64
import binascii
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from aigw.api.fields import Boolean
from aigw.api.model import Resource


def _base64(values: dict[str, str]) -> dict[str, str]:
    for key, value in values.items():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            message = f"the value of {key} is not base64"
            raise ValueError(message) from None
    return values


class Secret(Resource):
    """Secret values; `stringData` wins over `data`. Values are never printed."""

    GROUP: ClassVar[str] = ""
    KIND: ClassVar[str] = "Secret"

    type: str = "Opaque"
    immutable: Boolean = False
    data: Annotated[dict[str, str], AfterValidator(_base64), Field(repr=False)] = Field(
        default_factory=dict, repr=False
    )
    string_data: dict[str, str] = Field(default_factory=dict, repr=False)

    @property
    def values(self) -> dict[str, str]:
        """All values as text; bytes that are not UTF-8 are replaced."""
        decoded = {
            key: base64.b64decode(value).decode("utf-8", "replace")
            for key, value in self.data.items()
        }
        return {**decoded, **self.string_data}
