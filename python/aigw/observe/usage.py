"""Usage of a ledger: what was asked for, and how it is printed."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from aigw import _core
from aigw.errors import AigwError

PICO = Decimal(10) ** 12
_AGE = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_READ_AT_ONCE = 1000
_UNKNOWN = "(none)"
_COUNTS = (
    "requests", "input_tokens", "cached_input_tokens", "cache_creation_input_tokens",
    "output_tokens", "reasoning_tokens", "total_tokens",
)  # fmt: skip
_ENDS = ("completed", "rejected", "failed", "aborted", "crashed", "estimated", "unpriced")
CSV_COLUMNS = ("key", *_COUNTS, "usd", "estimated_usd", *_ENDS)


class SinceError(AigwError):
    """A time that is none."""


@dataclass(frozen=True, slots=True)
class Question:
    """What makes a group, and from when on; `by` is as the core reads it."""

    by: str | dict[str, str]
    since: datetime

    @property
    def title(self) -> str:
        """What the groups are."""
        return self.by if isinstance(self.by, str) else self.by["attribute"]


def since(text: str, now: datetime) -> datetime:
    """Reads `30d`, `12h`, `90m`, `2w`, a date, or a date and time (local unless it says where).

    Raises:
        SinceError: it is none of them, or before all counting of time.
    """
    try:
        if found := _AGE.fullmatch(text):
            age = timedelta(**{_UNITS[found[2]]: int(found[1])})
            return now - min(age, now - _EPOCH)
        moment = datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        message = f"{text!r} is neither an age such as 30d or 12h nor a date such as 2026-01-31"
        raise SinceError(message) from None
    return max(moment, _EPOCH)


_EPOCH = datetime.fromtimestamp(0, UTC)


def ask(directory: str, question: Question) -> dict[str, Any]:
    """The answer of a ledger; amounts of money in US dollars, as decimal text.

    Raises:
        LedgerError: it cannot be read.
    """
    query = {"by": question.by, "since": _nanoseconds(question.since)}
    report: dict[str, Any] = orjson.loads(_core.ledger_report(directory, orjson.dumps(query)))
    for group in (report["total"], *report["groups"]):
        group["usd"] = _dollars(group.pop("pico_usd"))
        group["estimated_usd"] = _dollars(group.pop("estimated_pico_usd"))
    del report["total"]["key"]
    moment = datetime.fromtimestamp(report["since"] / 1e9, UTC)
    report["since"] = moment.isoformat().replace("+00:00", "Z")
    report["by"] = question.by
    return report


def records(reader: _core.LedgerRecords, start: datetime) -> Iterator[bytes]:
    """Single records that there are by now, as JSON.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    first = _nanoseconds(start)
    while found := reader.read(_READ_AT_ONCE):
        for record in found:
            if orjson.loads(record)["started_at"] >= first:
                yield record


def as_json(report: dict[str, Any]) -> str:
    """For programs."""
    return orjson.dumps(report, option=orjson.OPT_INDENT_2).decode()


def as_csv(report: dict[str, Any]) -> str:
    """For tables elsewhere: a row for each group."""
    out = io.StringIO()
    rows = csv.DictWriter(out, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    rows.writeheader()
    rows.writerows(report["groups"])
    return out.getvalue().rstrip("\n")


def as_table(report: dict[str, Any], question: Question) -> str:
    """For people: groups, their sum, and what is not certain about them."""
    titles = (question.title, "requests", "input", "cached", "output", "total", "cost", "")
    rows = [_row(_shown(group["key"]), group) for group in report["groups"]]
    if len(rows) != 1:
        rows.append(_row("total", report["total"]))
    lines = [f"Usage since {report['since']}", "", *_aligned([titles, *rows])]
    return "\n".join([*lines, *_remarks(report)])


def _row(name: str, group: dict[str, Any]) -> tuple[str, ...]:
    names = ("requests", "input_tokens", "cached_input_tokens", "output_tokens", "total_tokens")
    counts = (f"{group[name]:,}" for name in names)
    return (name, *counts, _cost(group), _notes(group))


def _cost(group: dict[str, Any]) -> str:
    amount = Decimal(group["usd"])
    if group["unpriced"]:
        return f"{_rounded(amount)} + unknown" if amount else "unknown"
    return _rounded(amount)


def _rounded(amount: Decimal) -> str:
    if 0 < amount < Decimal("0.0001"):
        return "< $0.0001"
    return f"${amount:,.4f}"


def _notes(group: dict[str, Any]) -> str:
    names = ("rejected", "failed", "aborted", "crashed", "estimated", "unpriced")
    return ", ".join(f"{group[name]:,} {name}" for name in names if group[name])


def _remarks(report: dict[str, Any]) -> Iterable[str]:
    total = report["total"]
    texts = (
        (total["estimated"], "counted in part by estimates, {usd} of the cost"),
        (total["crashed"], "cut off by a crash: what is known of them is counted"),
        (total["unpriced"], "used something whose price is not known"),
        (report["lost"], "lost: they are in no sum"),
    )
    remarks = [
        f"{count:,} requests {text.format(usd=_rounded(Decimal(total['estimated_usd'])))}"
        for count, text in texts
        if count
    ]
    if report["unexported"]:
        remarks.append(f"{report['unexported']:,} single records removed before their export")
    if report["damaged_bytes"]:
        remarks.append(f"{report['damaged_bytes']:,} bytes of the ledger cannot be read")
    return ("", *remarks) if remarks else ()


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The first and the last column to the left, the numbers between them to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *numbers, notes in rows:
        middle = (text.rjust(width) for text, width in zip(numbers, widths[1:-1], strict=True))
        yield "  ".join((name.ljust(widths[0]), *middle, notes)).rstrip()


def _shown(key: str) -> str:
    """Clients may choose values: what a terminal would obey is written out."""
    text = key.encode(errors="replace").decode()
    shown = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return shown or _UNKNOWN


def _dollars(pico: str) -> str:
    return f"{Decimal(pico) / PICO:.12f}"


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9
