"""Field types shared by the kinds: names, durations, quantities, numbers, keyed lists."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"

Label = Annotated[str, Field(min_length=1, max_length=63, pattern=rf"^{_LABEL}$")]
Subdomain = Annotated[str, Field(min_length=1, max_length=253, pattern=rf"^{_SUBDOMAIN}$")]
Hostname = Annotated[str, Field(min_length=1, max_length=253, pattern=rf"^(\*\.)?{_SUBDOMAIN}$")]
Group = Annotated[str, Field(max_length=253, pattern=rf"^$|^{_SUBDOMAIN}$")]
Kind = Annotated[
    str, Field(min_length=1, max_length=63, pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$")
]
Kind0 = Annotated[str, Field(max_length=63, pattern=r"^$|^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$")]
ObjectName = Annotated[str, Field(min_length=1, max_length=253)]
HeaderName = Annotated[
    str,
    Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$"),
]
Duration = Annotated[str, Field(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")]
ByteQuantity = Annotated[str, Field(pattern=r"^[1-9]+[0-9]*([EPTGMK]i|[EPTGMk])?$")]


class EnvText(str):
    """Text that an environment variable put into an unquoted YAML scalar.

    It is text everywhere, except that number and boolean fields read it: `port: ${PORT}`.
    """

    __slots__ = ()


def _number(value: Any) -> Any:  # noqa: ANN401 - any YAML value
    if isinstance(value, EnvText) and re.fullmatch(r"-?(0|[1-9][0-9]{0,18})", value):
        return int(value)
    return value


def _boolean(value: Any) -> Any:  # noqa: ANN401 - any YAML value
    if isinstance(value, EnvText) and value in ("true", "false"):
        return value == "true"
    return value


INT32_MAX = 2**31 - 1
Int32 = Annotated[int, BeforeValidator(_number), Field(ge=-INT32_MAX - 1, le=INT32_MAX)]
Count = Annotated[int, BeforeValidator(_number), Field(ge=0, le=INT32_MAX)]
Port = Annotated[int, BeforeValidator(_number), Field(ge=1, le=65535)]
StatusCode = Annotated[int, BeforeValidator(_number), Field(ge=100, le=599)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]


@dataclass(frozen=True, slots=True)
class UniqueBy:
    """Items of a list are unique: by the named field of objects, or as a whole without one."""

    key: str = ""

    def __get_pydantic_core_schema__(
        self,
        source: Any,  # noqa: ANN401 - the signature that pydantic calls
        handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        """Checks after the list itself is valid."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The list type as CRDs spell it."""
        result = handler(schema)
        result["x-kubernetes-list-type"] = "map" if self.key else "set"
        if self.key:
            result["x-kubernetes-list-map-keys"] = [self.key]
        return result

    def _check(self, items: list[Any]) -> list[Any]:
        seen: set[str] = set()
        for index, item in enumerate(items):
            value = getattr(item, self.key) if self.key else item
            if value in seen:
                raise PydanticCustomError(
                    "duplicate",
                    "item {index} repeats {what} {value}",
                    {"index": index, "what": self.key or "the value", "value": str(value)},
                )
            seen.add(value)
        return items


_UNIT_MS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_UNIT_BYTES = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip


def duration_ms(text: str) -> int:
    """Milliseconds of a valid `Duration`, such as `1m30s`."""
    return sum(
        int(number) * _UNIT_MS[unit] for number, unit in re.findall(r"([0-9]+)(ms|h|m|s)", text)
    )


def quantity_bytes(text: str) -> int:
    """Bytes of a valid `ByteQuantity`, such as `50Mi`."""
    digits = text.rstrip("EPTGMKki")
    return int(digits) * _UNIT_BYTES[text[len(digits) :]]
