"""A bar chart of a stored run, as SVG for the documentation.

`benches/plot.py RESULTS.json OUT.svg` draws the CPU per request of each variant and scenario,
Envoy's part and that of the other processes, with the spread of the middle half of the rounds.
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

BAR, GAP, LEFT, WIDTH = 16, 8, 150, 720
SCENARIOS = ("passthrough-1k", "bedrock-16k", "sse-50", "sse-50-bedrock")
ENVOY_COLOUR, OTHER_COLOUR = "#4477aa", "#ee9944"
STYLE = "font-family:sans-serif;font-size:12px;fill:#333"


@dataclass(frozen=True)
class Bar:
    """One variant in one scenario; CPU in µs per request."""

    variant: str
    envoy: float
    total: float
    low: float
    high: float


def bars(rounds_by_variant: dict[str, list[dict[str, float] | None]]) -> list[Bar]:
    """The bars of a scenario, from its stored samples."""
    found: list[Bar] = []
    for variant, rounds in rounds_by_variant.items():
        samples = [sample for sample in rounds if sample]
        totals = sorted(sample["cpu_us.total"] for sample in samples)
        if not totals:
            continue
        quarter = len(totals) // 4
        envoy = statistics.median(sample.get("cpu_us.envoy", 0.0) for sample in samples)
        spread = (totals[quarter], totals[-1 - quarter])
        found.append(Bar(variant, envoy, statistics.median(totals), *spread))
    return found


def draw(results: dict[str, Any]) -> str:
    """The chart of a run's JSON document."""
    body: list[str] = []
    top = 40
    for scenario in SCENARIOS:
        group = bars(results["samples"].get(scenario, {}))
        if group:
            body.append(_text(10, top, f"{scenario}: {results['scenarios'][scenario]}"))
            body.append(_group(group, top + GAP))
            top += len(group) * (BAR + GAP) + 5 * GAP
    legend = f"CPU µs per request; {results['machine']['cores']} cores, {results['commit']}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}">'
    title = _text(10, 18, legend) + _legend()
    return "\n".join([head, title, *body, "</svg>", ""])


def _group(group: list[Bar], top: float) -> str:
    scale = (WIDTH - LEFT - 90) / max(bar.high for bar in group)
    lines: list[str] = []
    for number, bar in enumerate(group):
        y = top + number * (BAR + GAP)
        lines.append(_text(20, y + BAR - 4, bar.variant))
        lines.append(_rect(LEFT, y, bar.envoy * scale, ENVOY_COLOUR))
        rest = max(bar.total - bar.envoy, 0)
        lines.append(_rect(LEFT + bar.envoy * scale, y, rest * scale, OTHER_COLOUR))
        lines.append(_whisker(LEFT + bar.low * scale, LEFT + bar.high * scale, y + BAR / 2))
        label = LEFT + max(bar.high, bar.total) * scale + 6
        lines.append(_text(label, y + BAR - 4, f"{bar.total:.0f}"))
    return "\n".join(lines)


def _legend() -> str:
    first, second = WIDTH - 160, WIDTH - 90
    return (
        f'<rect x="{first}" y="8" width="10" height="10" fill="{ENVOY_COLOUR}"/>'
        + _text(first + 14, 18, "Envoy")
        + f'<rect x="{second}" y="8" width="10" height="10" fill="{OTHER_COLOUR}"/>'
        + _text(second + 14, 18, "other")
    )


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" style="{STYLE}">{escape(text)}</text>'


def _rect(x: float, y: float, width: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>'


def _whisker(low: float, high: float, y: float) -> str:
    return f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#222"/>'


def main(arguments: list[str]) -> int:
    """Draws the run in the file named first into the file named second."""
    if len(arguments) != 2:
        sys.stderr.write("usage: plot.py RESULTS.json OUT.svg\n")
        return 2
    source, target = map(Path, arguments)
    target.write_text(draw(json.loads(source.read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
