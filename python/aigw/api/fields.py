"""Field types shared by the kinds: names, durations, quantities, numbers, keyed lists."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True, slots=True, eq=False)
class CrdSchema:
    """What a CRD says about a type beyond its constraints: formats, patterns of numbers."""

    members: Mapping[str, Any]


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
Text = Annotated[str, Field(min_length=1)]
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
INT64_MAX = 2**63 - 1
UINT32_MAX = 2**32 - 1
_INT32 = CrdSchema({"format": "int32"})
_INT64 = CrdSchema({"format": "int64"})
Integer = Annotated[int, BeforeValidator(_number)]
Int32 = Annotated[Integer, Field(ge=-INT32_MAX - 1, le=INT32_MAX), _INT32]
Int64 = Annotated[Integer, Field(ge=-INT64_MAX - 1, le=INT64_MAX), _INT64]
Count = Annotated[Integer, Field(ge=0, le=INT32_MAX), _INT32]
PositiveCount = Annotated[Integer, Field(ge=1, le=INT32_MAX), _INT32]
Percent = Annotated[Integer, Field(ge=0, le=100), _INT32]
UInt32 = Annotated[Integer, Field(ge=0, le=UINT32_MAX), _INT64]
Port = Annotated[Integer, Field(ge=1, le=65535), _INT32]
StatusCode = Annotated[Integer, Field(ge=100, le=599)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]

_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")


def _date_time(text: str) -> str:
    if not _DATE_TIME.fullmatch(text.upper()):
        message = "must be an RFC 3339 date-time with a time zone"
        raise ValueError(message)
    datetime.fromisoformat(text.upper())
    return text


_SCHEME_OR_PATH = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:|/")
_NOT_IN_URIS = re.compile(r"[\x00-\x1f\x7f]|%(?![0-9a-fA-F]{2})")


def _uri(text: str) -> str:
    if not _SCHEME_OR_PATH.match(text) or _NOT_IN_URIS.search(text.partition("?")[0]):
        message = "must be an absolute URI"
        raise ValueError(message)
    return text


DateTime = Annotated[str, AfterValidator(_date_time), CrdSchema({"format": "date-time"})]
Uri = Annotated[str, AfterValidator(_uri), CrdSchema({"format": "uri"})]

_QUANTITY = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
_BYTES = r"^[1-9]+[0-9]*([EPTGMK]i|[EPTGMk])?$"


@dataclass(frozen=True, slots=True)
class _Matches:
    """Text must match all patterns; numbers are fine."""

    patterns: tuple[str, ...]

    def __call__(self, value: int | str) -> int | str:
        if isinstance(value, str) and not all(re.fullmatch(item, value) for item in self.patterns):
            message = "must be a quantity such as 250m or 1Gi"
            raise ValueError(message)
        return value


def _int_or_string(*patterns: str) -> CrdSchema:
    choice: dict[str, Any] = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    if len(patterns) == 1:
        matching: dict[str, Any] = {"pattern": patterns[0]}
    else:
        matching = {"allOf": [{"pattern": pattern} for pattern in patterns]}
    return CrdSchema({**choice, **matching, "x-kubernetes-int-or-string": True})


Quantity = Annotated[int | str, AfterValidator(_Matches((_QUANTITY,))), _int_or_string(_QUANTITY)]
SizeQuantity = Annotated[
    int | str, AfterValidator(_Matches((_QUANTITY, _BYTES))), _int_or_string(_QUANTITY, _BYTES)
]


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
