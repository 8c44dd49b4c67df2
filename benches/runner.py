"""Runs the scenarios: starts the variants, interleaves the rounds, keeps going past failures."""

from __future__ import annotations

import random
import statistics
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from benches import scenarios, traffic
from benches.deployment import Deployment, deployed
from benches.loadgen import MeasurementError, Pacing
from benches.scenarios import Bench, Fleet, Scenario
from benches.stats import SEED
from benches.variants import BASELINE, MODULE, Site, Variant, VariantError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.scenarios import Sample
    from benches.targets import Samples

WARM_UP_SECONDS = 1.0
FAILURES_IN_A_ROW = 3
# A variant measured closer to its capacity would show its queue, not its own time.
HEADROOM = 1.5


@dataclass
class Run:
    """One run of the harness.

    Attributes:
        bench: Tool, directory and sizes.
        variants: What is compared.
        rounds: Rounds of a scenario, unless it has its own bound.
        provider_port: Port of the stand-in provider.
        samples: Scenario, variant, round: the figures, or None where a round failed.
        notes: What failed or was left out, for the reader of the results.
    """

    bench: Bench
    variants: list[Variant]
    rounds: int
    provider_port: int
    samples: Samples = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    described: dict[str, Scenario] = field(default_factory=dict)

    def execute(self, chosen: list[Scenario]) -> None:
        """Measures the scenarios, those on running variants first; an interrupt ends it early."""
        try:
            self._measure_all(chosen)
        except KeyboardInterrupt:
            self._note("interrupted: later rounds are missing")

    def _measure_all(self, chosen: list[Scenario]) -> None:
        running = [scenario for scenario in chosen if scenario.fleet is Fleet.RUNNING]
        if running:
            with ExitStack() as stack:
                fleet = self._start_all(stack)
                for scenario in running:
                    self._measure_running(scenario, fleet)
        for scenario in chosen:
            if scenario.fleet is Fleet.FRESH:
                self._measure_fresh(scenario)

    def _start_all(self, stack: ExitStack) -> list[Deployment]:
        fleet: list[Deployment] = []
        with self._provider(Pacing()):
            for variant in list(self.variants):
                site = self._site(f"{variant.name}-running")
                ready = deployed(variant, site, traffic.CHAT_1K.body())
                try:
                    deployment = stack.enter_context(ready)
                except VariantError as error:
                    self._note(f"{variant.name} left out: {error}")
                    self.variants.remove(variant)
                else:
                    fleet.append(deployment)
        return fleet

    def _measure_running(self, scenario: Scenario, fleet: list[Deployment]) -> None:
        with self._provider(scenario.pacing) as bench:
            if scenario.name == "half-load":
                scenario, fleet = self._at_half_load(bench, fleet)
            self._warm_up(bench, scenario, fleet)
            # The tables keep the order of the variants, not that of the first round.
            self.samples[scenario.name] = {item.variant.name: [] for item in fleet}
            order = random.Random(SEED)  # noqa: S311 - no secret, only an order
            for number in range(min(self.rounds, scenario.max_rounds)):
                for deployment in order.sample(fleet, len(fleet)):
                    if self._is_hopeless(scenario, deployment.variant):
                        continue
                    sample = self._sample(bench, scenario, deployment)
                    self._keep(scenario, deployment.variant, number, sample)

    def _warm_up(self, bench: Bench, scenario: Scenario, fleet: list[Deployment]) -> None:
        """One short measurement each, not kept: connections, caches and pools fill."""
        short = replace(bench, settings=replace(bench.settings, seconds=WARM_UP_SECONDS))
        for deployment in fleet:
            self._sample(short, scenario, deployment)

    def _at_half_load(
        self, bench: Bench, fleet: list[Deployment]
    ) -> tuple[Scenario, list[Deployment]]:
        """The scenario with its rate, and the variants that can be measured at it."""
        able: list[Deployment] = []
        leading = [item for item in fleet if item.variant.name in (MODULE, BASELINE)]
        try:
            rate = min(scenarios.half_load_rate(bench, item) for item in leading)
        except (MeasurementError, ValueError) as error:
            self._note(f"half-load: no rate found: {error}")
            return scenarios.half_load(0.0), able
        for deployment in fleet:
            capacity = self._capacity(bench, deployment)
            if capacity >= HEADROOM * rate:
                able.append(deployment)
            else:
                limit = f"{capacity:.0f} requests/s at most"
                self._note(f"half-load: {deployment.variant.name} left out, {limit}")
        return scenarios.half_load(rate), able

    def _capacity(self, bench: Bench, deployment: Deployment) -> float:
        """Requests per second in the closed loop, as measured before or else now."""
        measured = self.samples.get("closed-loop-1k", {}).get(deployment.variant.name, [])
        rates = [sample["req_per_s"] for sample in measured if sample]
        if rates:
            return statistics.median(rates)
        try:
            return scenarios.closed_loop(bench, deployment)["req_per_s"]
        except MeasurementError as error:
            self._note(f"half-load: {deployment.variant.name}: {error}")
            return 0.0

    def _measure_fresh(self, scenario: Scenario) -> None:
        with self._provider(scenario.pacing) as bench:
            # The idle streams' provider answers unary requests too, so readiness is the same.
            for number in range(min(self.rounds, scenario.max_rounds)):
                for variant in self.variants:
                    if scenario.follows_file and not variant.follows_file:
                        continue
                    if variant.startable and not self._is_hopeless(scenario, variant):
                        self._measure_instance(bench, scenario, variant, number)

    def _measure_instance(
        self, bench: Bench, scenario: Scenario, variant: Variant, number: int
    ) -> None:
        sample = None
        site = self._site(f"{variant.name}-{scenario.name}-{number}")
        try:
            with deployed(variant, site, traffic.CHAT_1K.body()) as deployment:
                sample = self._sample(bench, scenario, deployment)
        except VariantError as error:
            self._note(f"{scenario.name}: {variant.name}: {error}")
        self._keep(scenario, variant, number, sample)

    def _sample(self, bench: Bench, scenario: Scenario, deployment: Deployment) -> Sample | None:
        try:
            return scenario.measure(bench, deployment)
        except MeasurementError as error:
            self._note(f"{scenario.name}: {deployment.variant.name}: {error}")
            return None

    def _keep(
        self, scenario: Scenario, variant: Variant, number: int, sample: Sample | None
    ) -> None:
        self.described[scenario.name] = scenario
        rounds = self.samples.setdefault(scenario.name, {}).setdefault(variant.name, [])
        rounds.append(sample)
        shown = ", ".join(
            f"{name} {sample[name]:.4g}" for name in scenario.figures if sample and name in sample
        )
        say(f"{scenario.name} round {number + 1} {variant.name}: {shown or 'failed'}")

    def _is_hopeless(self, scenario: Scenario, variant: Variant) -> bool:
        rounds = self.samples.get(scenario.name, {}).get(variant.name, [])
        last = rounds[-FAILURES_IN_A_ROW:]
        return len(last) == FAILURES_IN_A_ROW and not any(last)

    @contextmanager
    def _provider(self, pacing: Pacing) -> Iterator[Bench]:
        bench = self.bench
        with bench.tool.responder(self.provider_port, pacing):
            yield Bench(bench.tool, bench.directory, bench.settings, pacing)

    def _site(self, name: str) -> Site:
        return Site(self.bench.directory / name.replace(":", "-"), self.provider_port)

    def _note(self, text: str) -> None:
        self.notes.append(text)
        say(text)


def say(text: str) -> None:
    """Writes a line of progress to standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
