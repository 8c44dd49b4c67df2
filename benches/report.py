"""Results as text for a person and as JSON for later."""

from __future__ import annotations

import dataclasses
import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.stats import bootstrap_median, paired_ratios
from benches.targets import TARGETS, Comparison, Judgement, figure, judge
from benches.variants import BASELINE

if TYPE_CHECKING:
    from benches.runner import Run
    from benches.scenarios import Scenario
    from benches.stats import Estimate

ROOT = Path(__file__).resolve().parent.parent


def machine() -> dict[str, Any]:
    """The machine, as far as the figures depend on it."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown")


def commit() -> str:
    """The checkout's commit, with "-dirty" when files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    described = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return described.stdout.strip() or "unknown"


def document(run: Run, command: str) -> dict[str, Any]:
    """Everything about a run, ready for JSON."""
    return {
        "command": command,
        "commit": commit(),
        "machine": machine(),
        "rounds": run.rounds,
        "settings": dataclasses.asdict(run.bench.settings),
        "scenarios": {name: scenario.about for name, scenario in run.described.items()},
        "samples": run.samples,
        "targets": [_judged(judge(target, run.samples)) for target in TARGETS],
        "notes": run.notes,
    }


def _judged(judgement: Judgement) -> dict[str, Any]:
    target, estimate = judgement.target, judgement.estimate
    return {
        "name": target.name,
        "scenario": target.scenario,
        "variant": target.variant,
        "figure": target.figure,
        "against": None if target.comparison is Comparison.OWN else target.other,
        "comparison": target.comparison.name.lower(),
        "bound": f"{target.bound.value} {target.limit:g}",
        "estimate": dataclasses.asdict(estimate) if estimate else None,
        "verdict": judgement.verdict.value,
    }


def text(run: Run) -> str:
    """Tables of all scenarios and of the targets."""
    parts = [_scenario_table(run, scenario) for scenario in run.described.values()]
    parts.append(_target_table(run))
    if run.notes:
        parts.append("Notes\n" + "\n".join(f"- {note}" for note in run.notes))
    return "\n\n".join(parts) + "\n"


def _scenario_table(run: Run, scenario: Scenario) -> str:
    measured = run.samples[scenario.name]
    rows = [["variant", "rounds", *scenario.figures, f"{scenario.figures[0]} / {BASELINE}"]]
    for variant, rounds in measured.items():
        columns = [_median(figure(rounds, name)) for name in scenario.figures]
        own = figure(rounds, scenario.figures[0])
        base = figure(measured.get(BASELINE, []), scenario.figures[0])
        ratios = [] if variant == BASELINE else paired_ratios(own, base)
        count = sum(sample is not None for sample in rounds)
        ratio = interval(bootstrap_median(ratios)) if ratios else "-"
        rows.append([variant, str(count), *columns, ratio])
    return f"{scenario.name}: {scenario.about}\n{align(rows)}"


def _target_table(run: Run) -> str:
    rows = [["target", "limit", "measured [95 %]", "outcome"]]
    for target in TARGETS:
        judgement = judge(target, run.samples)
        limit = f"{target.bound.value} {target.comparison.value}{target.limit:g}"
        shown = interval(judgement.estimate) if judgement.estimate else "-"
        rows.append([target.name, limit, shown, judgement.verdict.value])
    return f"Targets\n{align(rows)}"


def _median(values: list[float | None]) -> str:
    present = [value for value in values if value is not None]
    return f"{bootstrap_median(present).value:.4g}" if present else "-"


def interval(estimate: Estimate) -> str:
    """An estimate as `median [low, high]`."""
    return f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def align(rows: list[list[str]]) -> str:
    """Rows in columns: the first flush left, the others flush right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(lines)
