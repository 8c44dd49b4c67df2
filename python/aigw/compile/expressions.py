"""Expressions that users write: regular expressions, log formats, conditions of logs, CEL.

Envoy rejects a whole listener or route table for one bad expression, so each one is checked
here and refused alone. The checks never accept what Envoy refuses; they may refuse rare syntax.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache

from pydantic_core import SchemaError, SchemaValidator, core_schema

_MAX_REPEAT = 1000
# Accepted by the engine that checks, unknown to RE2; Envoy has it match bytes.
_NOT_RE2 = re.compile(
    r"\\[uU<>]|\\x\{0*[1-9a-fA-F][0-9a-fA-F]{2}|\\[pP]\{(?!\^?(?:[LNPSZC][a-mo-z]?|M[a-z]?)\})"
    r"|\\b\{|\(\?[a-zA-Z-]*[xuR]|&&|--|~~|\[\[?\^?\[(?!:)"
)
_PART = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(?P<least>\d+)(?:,(?P<most>\d*))?\}|.", re.DOTALL
)
_OPERATOR = re.compile(r"%(?:%|([A-Z_][A-Z0-9_]*)(\([^()%]*\))?(:[0-9]+)?%)")
_CONDITION = re.compile(
    r"""\s*request\.headers\[(['"])[a-zA-Z0-9_-]+\1\]\s*(==|!=)\s*(['"])[^'"\\]*\3\s*"""
)
_WITH_ARGUMENT = frozenset(
    {
        "DYNAMIC_METADATA",
        "FILTER_STATE",
        "METADATA",
        "REQ",
        "RESP",
        "TRAILER",
        "UPSTREAM_FILTER_STATE",
    }
)
_WITHOUT_ARGUMENT = frozenset(
    {
        "BYTES_RECEIVED",
        "BYTES_SENT",
        "CONNECTION_ID",
        "CONNECTION_TERMINATION_DETAILS",
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_HEADER_BYTES_RECEIVED",
        "DOWNSTREAM_HEADER_BYTES_SENT",
        "DOWNSTREAM_LOCAL_ADDRESS",
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_LOCAL_PORT",
        "DOWNSTREAM_REMOTE_ADDRESS",
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_REMOTE_PORT",
        "DOWNSTREAM_WIRE_BYTES_RECEIVED",
        "DOWNSTREAM_WIRE_BYTES_SENT",
        "DURATION",
        "HOSTNAME",
        "PROTOCOL",
        "REQUESTED_SERVER_NAME",
        "REQUEST_DURATION",
        "REQUEST_TX_DURATION",
        "RESPONSE_CODE",
        "RESPONSE_CODE_DETAILS",
        "RESPONSE_DURATION",
        "RESPONSE_FLAGS",
        "RESPONSE_FLAGS_LONG",
        "RESPONSE_TX_DURATION",
        "ROUNDTRIP_DURATION",
        "ROUTE_NAME",
        "START_TIME",
        "STREAM_ID",
        "TRACE_ID",
        "UPSTREAM_CLUSTER",
        "UPSTREAM_CLUSTER_RAW",
        "UPSTREAM_CONNECTION_ID",
        "UPSTREAM_HEADER_BYTES_RECEIVED",
        "UPSTREAM_HEADER_BYTES_SENT",
        "UPSTREAM_HOST",
        "UPSTREAM_HOST_NAME",
        "UPSTREAM_LOCAL_ADDRESS",
        "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        "UPSTREAM_LOCAL_PORT",
        "UPSTREAM_PROTOCOL",
        "UPSTREAM_REMOTE_ADDRESS",
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        "UPSTREAM_REMOTE_PORT",
        "UPSTREAM_REQUEST_ATTEMPT_COUNT",
        "UPSTREAM_TRANSPORT_FAILURE_REASON",
        "UPSTREAM_WIRE_BYTES_RECEIVED",
        "UPSTREAM_WIRE_BYTES_SENT",
        "VIRTUAL_CLUSTER_NAME",
    }
)


@lru_cache(maxsize=4096)
def is_regular_expression(text: str) -> bool:
    """Whether RE2 accepts `text`."""
    if _NOT_RE2.search(text) or _is_stacked(text) or _deepest_repeat(text) > _MAX_REPEAT:
        return False
    try:
        SchemaValidator(core_schema.str_schema(pattern=text))
    except SchemaError:
        return False
    return True


def _is_stacked(text: str) -> bool:
    """Whether a repetition is repeated, as in `a**`; a `?` behind one makes it lazy."""
    length = 0
    for part in _PART.finditer(text):
        is_repeat = part.group() in ("*", "+", "?") or part.lastgroup is not None
        if not is_repeat:
            length = 0
        elif length and (length > 1 or part.group() != "?"):
            return True
        else:
            length += 1
    return False


def _deepest_repeat(text: str) -> int:
    """The most copies of one part: RE2 multiplies repetitions that lie in each other."""
    outer: list[int] = []
    deepest = inside = last = 1
    for part in _PART.finditer(text):
        if part.group() == "(":
            outer.append(inside)
            inside = last = 1
        elif part.group() == ")":
            last, inside = inside, outer.pop() if outer else 1
        elif part.group().startswith("{") and part.lastgroup:
            last *= max(int(number) for number in part.groups() if number)
        else:
            last = 1
        inside = max(inside, last)
        deepest = max(deepest, last)
    return deepest


def unknown_operator(template: str) -> str | None:
    """The first part of a log format that is not a known command, or None."""
    position = 0
    while (percent := template.find("%", position)) >= 0:
        match = _OPERATOR.match(template, percent)
        if match is None or not _is_known(match):
            return template[percent : percent + 40]
        position = match.end()
    return None


def _is_known(match: re.Match[str]) -> bool:
    name, argument, length = match.groups()
    if name is None:
        return True
    if name in _WITH_ARGUMENT:
        return argument is not None and len(argument) > 2
    if name == "START_TIME":
        return length is None
    return name in _WITHOUT_ARGUMENT and argument is None and length is None


def is_log_condition(text: str) -> bool:
    """Whether a CEL condition has the one supported form: a header compared with a text."""
    return _CONDITION.fullmatch(text) is not None


def cel_error(text: str) -> str | None:
    """Why `text` is no CEL expression, or None. Names in it are not looked up."""
    from aigw import _core  # noqa: PLC0415 - loaded only where there is something to check

    request = {"object": None, "checks": [[text, []]]}
    (verdict,) = json.loads(_core.evaluate_cel(json.dumps(request).encode()))
    is_fault = verdict.get("error") in ("syntax", "limit")
    return str(verdict["message"]) if is_fault else None


def expression_faults(text: str | None, path: str) -> Iterator[tuple[str, str]]:
    """Says that an expression is none; an empty one is absent."""
    if text and text.strip() and (error := cel_error(text)):
        yield path, f"is not a CEL expression: {error}"
