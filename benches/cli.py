"""Command line of `benches/run`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
import time
from pathlib import Path

from benches import plot, report, variants
from benches.loadgen import MeasurementError, Pacing, Tool
from benches.runner import Run, say
from benches.scenarios import SCENARIOS, Bench, Scenario, Settings
from benches.variants import BASELINE, Programs, Variant, VariantError

RESULTS = Path(__file__).resolve().parent / "results"
DEFAULT_VARIANTS = (
    variants.ENVOY,
    variants.MODULE,
    variants.EXTPROC_NATIVE,
    variants.EXTPROC_GRPCIO,
)


def parser() -> argparse.ArgumentParser:
    """Options of the command."""
    made = argparse.ArgumentParser(prog="benches/run", description="What the gateway costs.")
    add = made.add_argument
    names = ",".join(scenario.name for scenario in SCENARIOS)
    add("--rounds", type=int, default=15, help="rounds of each scenario (default 15)")
    add("--seconds", type=float, default=3.0, help="length of one measurement (default 3)")
    add("--connections", type=int, default=32, help="of the closed loop (default 32)")
    add("--idle-streams", type=int, default=400, help="open streams (default 400)")
    add("--variants", default=",".join(DEFAULT_VARIANTS), help="also envoy-again: the noise")
    add("--scenarios", default=names, help=f"some of {names}")
    add("--envoy", help="Envoy's program")
    add("--aigw", help="command of aigw, such as 'python -m aigw'")
    add("--spawn", action="append", default=[], metavar="NAME=COMMAND",
        help="another gateway that reads our resources from {config}")  # fmt: skip
    add("--external", action="append", default=[], metavar="NAME=URL[,PID...]",
        help="a running gateway on loopback that routes to --provider-port")  # fmt: skip
    add("--provider-port", type=int, default=0, help="port of the stand-in provider")
    add("--output", type=Path, help="results file (default benches/results/TIME.json)")
    add("--plot", type=Path, help="also draw the run into this SVG file")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Measures as told; returns 0, or 2 when nothing could be measured."""
    options = parser().parse_args(arguments)
    try:
        chosen = choose_scenarios(options.scenarios)
        compared = choose_variants(options)
        tool = Tool.build()
    except (VariantError, MeasurementError) as error:
        say(f"benches/run: {error}")
        return 2
    with tempfile.TemporaryDirectory(prefix="aigw-bench-") as directory:
        settings = Settings(options.seconds, options.connections, options.idle_streams)
        bench = Bench(tool, Path(directory), settings, Pacing())
        port = options.provider_port or variants.free_port()
        run = Run(bench, compared, options.rounds, port)
        run.execute(chosen)
    sys.stdout.write(report.text(run))
    _store(run, options, arguments)
    return 0 if run.described else 2


def choose_scenarios(names: str) -> list[Scenario]:
    """The scenarios named, in their own order.

    Raises:
        VariantError: A name is unknown.
    """
    known = {scenario.name for scenario in SCENARIOS}
    wanted = set(names.split(","))
    if unknown := sorted(wanted - known):
        message = f"unknown scenario {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        raise VariantError(message)
    return [scenario for scenario in SCENARIOS if scenario.name in wanted]


def choose_variants(options: argparse.Namespace) -> list[Variant]:
    """The variants named, the baseline always first among them.

    Raises:
        VariantError: A name is unknown or an option is malformed.
    """
    known = variants.builtin(Programs.find(options.envoy, options.aigw))
    names = [name for name in options.variants.split(",") if name != BASELINE]
    if unknown := sorted(set(names) - set(known)):
        message = f"unknown variant {', '.join(unknown)}; there are {', '.join(known)}"
        raise VariantError(message)
    chosen = [known[name] for name in (BASELINE, *names)]
    chosen += [_spawned(text) for text in options.spawn]
    chosen += [_external(text) for text in options.external]
    return chosen


def _spawned(text: str) -> Variant:
    name, command = _pair("--spawn", text)
    words = shlex.split(command)
    return variants.from_command(name, words, ("envoy", Path(words[0]).name))


def _external(text: str) -> Variant:
    name, value = _pair("--external", text)
    url, *pids = value.split(",")
    try:
        return variants.external(name, url, tuple(int(pid) for pid in pids))
    except ValueError as error:
        message = f"--external {text}: {error}"
        raise VariantError(message) from error


def _pair(option: str, text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        message = f"{option} {text}: expected NAME=VALUE"
        raise VariantError(message)
    return name, value


def _store(run: Run, options: argparse.Namespace, arguments: list[str] | None) -> None:
    command = shlex.join(["benches/run", *(sys.argv[1:] if arguments is None else arguments)])
    document = report.document(run, command)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    output = options.output or RESULTS / f"{stamp}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(document, indent=1) + "\n")
    say(f"results: {output}")
    if options.plot:
        options.plot.write_text(plot.draw(document))
