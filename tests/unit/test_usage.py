"""`aigw usage`: what it reads, and how it says it."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from aigw import _core
from aigw.cli import main
from aigw.observe.usage import SinceError, since
from beds.ledger import LOSS, RECORD, START, frame, record, segment

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 28, 1, 30, tzinfo=UTC)
ALL = ("--since", "2026-01-01")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    found = [
        record(1, attributes={"team": "blue"}),
        record(2, attributes={"team": "red"}, estimated=True),
        record(3, routed_model="unheard-of", price=None, identity="alice"),
        record(4, outcome="crashed", estimated=True, price=None, usage={}),
        record(5, backend="", routed_model="", requested_model="x" * 99, outcome="rejected",
               usage={}, price=None),
    ]  # fmt: skip
    frames = [frame(RECORD, content, number) for number, content in enumerate(found, 1)]
    losses = frame(LOSS, {"at": START * 10**9, "lost": 7, "queue_total": 7})
    segment(tmp_path, *frames, losses)
    return tmp_path


def usage(capsys: pytest.CaptureFixture[str], ledger: Path, *options: str) -> str:
    assert main(["usage", "--ledger", str(ledger), *options]) == 0
    return capsys.readouterr().out


def found(capsys: pytest.CaptureFixture[str], ledger: Path, *options: str) -> dict[str, Any]:
    text = usage(capsys, ledger, *ALL, "--output", "json", *options)
    report: dict[str, Any] = json.loads(text)
    return report


def test_the_table_says_what_was_used_and_what_is_not_certain(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = usage(capsys, ledger, *ALL)
    lines = [line.split() for line in text.splitlines()]
    assert ["model", "requests", "input", "cached", "output", "total", "cost"] in lines
    row = next(line for line in lines if line and line[0] == "gpt-4o")
    assert row[1:8] == ["3", "2,000", "0", "40", "2,040", "$0.0054", "+"]
    row = next(line for line in lines if line and line[0] == "unheard-of")
    assert row[1:] == ["1", "1,000", "0", "20", "1,020", "unknown", "1", "unpriced"]
    assert any(line[:2] == ["(none)", "1"] for line in lines)
    assert any(line[:2] == ["total", "5"] for line in lines)
    assert "2 requests counted in part by estimates, $0.0027 of the cost" in text
    assert "1 requests cut off by a crash" in text
    assert "2 requests used something whose price is not known" in text
    assert "7 requests lost: they are in no sum" in text


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (("model",), {"gpt-4o": 3, "unheard-of": 1, "": 1}),
        (("backend",), {"default/openai": 4, "": 1}),
        (("route",), {"default/route": 5}),
        (("identity",), {"alice": 1, "": 4}),
        (("attribute", "team"), {"blue": 1, "red": 1, "": 3}),
    ],
)
def test_groups(
    by: tuple[str, ...],
    expected: dict[str, int],
    ledger: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = found(capsys, ledger, "--by", *by)
    assert {group["key"]: group["requests"] for group in report["groups"]} == expected
    assert report["total"]["requests"] == 5
    assert report["total"]["usd"] == "0.005400000000"


def test_csv_has_a_row_for_each_group(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = usage(capsys, ledger, *ALL, "--output", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows[0]["key"] == "gpt-4o"
    assert (rows[0]["usd"], rows[0]["crashed"]) == ("0.005400000000", "1")
    assert len(rows) == 3


def test_older_hours_do_not_count(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    later = datetime.fromtimestamp(START + 3600, UTC).isoformat()
    report = json.loads(usage(capsys, ledger, "--since", later, "--output", "json"))
    assert (report["total"]["requests"], report["lost"]) == (0, 0)


def test_records_are_json_lines(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = usage(capsys, ledger, *ALL, "--records").splitlines()
    assert [json.loads(line)["id"][-1] for line in lines] == list("12345")


def test_a_ledger_that_is_not_there_is_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "total" in usage(capsys, tmp_path / "none")


def test_values_of_clients_cannot_write_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = record(1, attributes={"team": "\x1b[2J\u202e\nx"})
    segment(tmp_path, frame(RECORD, content, 1))
    text = usage(capsys, tmp_path, *ALL, "--by", "attribute", "team")
    assert "\\u001b[2J\\u202e\\u000ax" in text
    assert not set(text) & {"\x1b", "\u202e"}


def test_damage_is_said_and_costs_no_more_than_itself(
    ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = next(ledger.glob("*.seg"))
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    report = found(capsys, ledger)
    assert (report["total"]["requests"], report["lost"]) == (4, 7)
    assert report["damaged_bytes"] > 0
    assert "bytes of the ledger cannot be read" in usage(capsys, ledger, *ALL)


def test_a_reader_is_found_again_by_its_name(ledger: Path) -> None:
    reader = _core.LedgerRecords.resume(ledger, "otlp")
    assert len(reader.read(2)) == 2
    reader.keep("otlp")
    again = _core.LedgerRecords.resume(ledger, "otlp")
    assert again.cursor == reader.cursor
    assert len(again.read(10)) == 3
    with pytest.raises(_core.LedgerError):
        _core.LedgerRecords.resume(ledger, "../otlp")
    with pytest.raises(_core.LedgerError):
        _core.LedgerRecords(ledger, b"no cursor")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", "2026-10-29T01:30:00+00:00"),
        ("12h", "2026-11-27T13:30:00+00:00"),
        ("90m", "2026-11-28T00:00:00+00:00"),
        ("2w", "2026-11-14T01:30:00+00:00"),
        ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00+00:00"),
        ("999999d", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_since_is_an_age_or_a_time(text: str, expected: str) -> None:
    assert since(text, NOW).astimezone(UTC).isoformat() == expected


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "yesterday", "2026-13-01"])
def test_any_other_since_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SinceError):
        since(text, NOW)
    assert main(["usage", f"--since={text}"]) == 80
    assert "neither an age" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("colour",), ("attribute",), ("model", "x"), ("attribute",) * 3])
def test_any_other_group_is_refused(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["usage", "--by", *words]) == 80
    assert "--by" in capsys.readouterr().err
