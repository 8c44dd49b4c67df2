"""Findings for people at a terminal, and for machines."""

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import TextIO

from aigw.errors import Diagnostic, Severity

_COLOURS = {Severity.ERROR: "\x1b[31m", Severity.WARNING: "\x1b[33m"}
_RESET = "\x1b[0m"
_OTHER_LINES = 6
"""Of a screen: what is said before and after the findings."""

Json = dict[str, object]


def has_colour(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a stream shows colours: a terminal, and nobody said otherwise (`NO_COLOR`)."""
    is_plain = environment.get("NO_COLOR") or environment.get("TERM") == "dumb"
    return stream.isatty() and not is_plain


def screen_of(stream: TextIO) -> int | None:
    """How many findings fit on one screen; None where there is no screen."""
    if not stream.isatty():
        return None
    return max(shutil.get_terminal_size().lines - _OTHER_LINES, _OTHER_LINES)


def print_findings(
    stream: TextIO, findings: Sequence[Diagnostic], limit: int | None = None
) -> None:
    """Writes findings, one per line, errors first; beyond `limit` only how many there are."""
    ordered = sorted(findings, key=lambda item: item.severity is not Severity.ERROR)
    shown = ordered[:limit]
    lines = [_line(item, has_colour(stream)) for item in shown]
    if len(shown) < len(ordered):
        lines.append(f"… and {len(ordered) - len(shown)} more: `aigw validate` lists them all")
    stream.write("".join(f"{line}\n" for line in lines))
    stream.flush()


def as_json(finding: Diagnostic) -> Json:
    """A finding as an object; parts that it lacks are null."""
    resource, origin = finding.resource, finding.origin
    return {
        "severity": finding.severity.value,
        "code": finding.code.value,
        "message": finding.message,
        "fieldPath": finding.field_path or None,
        "resource": resource
        and {
            "group": resource.group,
            "kind": resource.kind,
            "namespace": resource.namespace or None,
            "name": resource.name,
        },
        "origin": origin
        and {"file": origin.file, "document": origin.document, "line": origin.line},
    }


def _line(finding: Diagnostic, coloured: bool) -> str:
    text = "".join(map(_shown, str(finding)))
    if not coloured:
        return text
    word = finding.severity.value
    return f"{_COLOURS[finding.severity]}{word}{_RESET}{text.removeprefix(word)}"


def _shown(character: str) -> str:
    """A character of a name or value, which stays on its line and in its colour."""
    return character if character.isprintable() else ascii(character)[1:-1]
