"""What is measured in a round, for each scenario.

Every measurement returns a sample: figures by name, such as `cpu_us.envoy` (CPU of the processes
called envoy, in µs per request) or `p50_ms`. Names with a dot end in a process name or "total".
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from benches import reload, traffic
from benches.loadgen import Load, LoadReport, Pacing
from benches.processes import TOTAL, harness_cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benches.deployment import Deployment
    from benches.loadgen import Tool
    from benches.traffic import Traffic

Sample: TypeAlias = dict[str, float]

MIB_IN_KIB = 1024
FIRST_RATE, LAST_RATE, RATE_STEP = 500.0, 50_000.0, 1.4
CALIBRATION_SECONDS = 1.0
HALF = 0.5
TEN_MILLISECONDS = Pacing(chunks=50, interval_us=10_000)
STREAM_FOREVER = Pacing(chunks=2, interval_us=600_000_000)


class Fleet(Enum):
    """Which instances a scenario measures."""

    RUNNING = "running"  # all variants run side by side, rounds are interleaved
    FRESH = "fresh"  # each sample starts its own instance


@dataclass(frozen=True)
class Settings:
    """Sizes of a run.

    Attributes:
        seconds: Length of one load measurement.
        connections: Connections of the closed loop.
        idle_streams: Streams held open for the memory per stream.
    """

    seconds: float = 3.0
    connections: int = 32
    idle_streams: int = 400


@dataclass(frozen=True)
class Bench:
    """What a measurement works with."""

    tool: Tool
    directory: Path
    settings: Settings
    pacing: Pacing


@dataclass(frozen=True)
class Scenario:
    """One thing that is measured.

    Attributes:
        name: Name in options, tables and results.
        about: One line for the table.
        measure: Takes a sample of one deployment.
        figures: The sample's figures that the table shows.
        fleet: Which instances are measured.
        pacing: How the provider streams.
        max_rounds: Bound on rounds, for samples that take long.
        follows_file: Only for variants that follow edits of their file.
    """

    name: str
    about: str
    measure: Callable[[Bench, Deployment], Sample]
    figures: tuple[str, ...]
    fleet: Fleet = Fleet.RUNNING
    pacing: Pacing = TEN_MILLISECONDS
    max_rounds: int = 1000
    follows_file: bool = False


def measure_load(bench: Bench, deployment: Deployment, kind: Traffic, load: Load) -> Sample:
    """Sends `load` and adds the CPU that each process used for it."""
    call = kind.call(deployment, bench.directory)
    before = deployment.cpu_seconds()
    report = bench.tool.load(call, load)
    after = deployment.cpu_seconds()
    sample = {
        f"cpu_us.{name}": (seconds - before.get(name, 0.0)) / report.requests * 1e6
        for name, seconds in after.items()
    }
    return sample | _figures(report)


def _figures(report: LoadReport) -> Sample:
    shown = ("p50", "p90", "p99")
    sample = {f"{name}_ms": report.latency_ms[name] for name in shown}
    sample |= {f"first_byte_{name}_ms": report.first_byte_ms[name] for name in shown}
    sample["req_per_s"] = report.rate
    sample["events_per_request"] = report.events / report.requests
    return sample


def at_rate(kind: Traffic, rate: float) -> Callable[[Bench, Deployment], Sample]:
    """A measurement in the open loop, at `rate` requests per second."""

    def measure(bench: Bench, deployment: Deployment) -> Sample:
        load = Load(bench.settings.seconds, connections=32, rate=rate)
        return measure_load(bench, deployment, kind, load)

    return measure


def half_load_rate(bench: Bench, deployment: Deployment) -> float:
    """Requests per second that keep half of the machine busy: gateway, provider and load.

    Not half of the closed loop's rate: with all connections busy each wake-up serves several
    requests, so the same machine has no such rate to give when requests arrive one by one.
    """
    rate = FIRST_RATE
    while True:
        call = traffic.CHAT_1K.call(deployment, bench.directory)
        used, begin = harness_cpu_seconds(), time.monotonic()
        bench.tool.load(call, Load(CALIBRATION_SECONDS, bench.settings.connections, rate))
        available = (time.monotonic() - begin) * (os.cpu_count() or 1)
        share = (harness_cpu_seconds() - used) / available
        if share >= HALF or rate > LAST_RATE:
            return rate * min(HALF / share, 1.0)
        rate *= RATE_STEP


def closed_loop(bench: Bench, deployment: Deployment) -> Sample:
    """Requests per second when every connection always has one in flight."""
    load = Load(bench.settings.seconds, bench.settings.connections)
    return measure_load(bench, deployment, traffic.CHAT_1K, load)


def paced_streams(kind: Traffic) -> Callable[[Bench, Deployment], Sample]:
    """A measurement of paced streams, with the CPU divided by a stream's text events.

    The request's own cost is part of it, so the figure per chunk is an upper bound.
    """

    def measure(bench: Bench, deployment: Deployment) -> Sample:
        load = Load(bench.settings.seconds, connections=256, rate=STREAMS_PER_SECOND)
        sample = measure_load(bench, deployment, kind, load)
        per_chunk = {
            name.replace("cpu_us.", "cpu_us_per_chunk."): value / bench.pacing.chunks
            for name, value in sample.items()
            if name.startswith("cpu_us.")
        }
        return sample | per_chunk

    return measure


def cold_start(_: Bench, deployment: Deployment) -> Sample:
    """Seconds from the start of the first process to the first 200."""
    return {"cold_start_s": deployment.cold_start}


def idle_memory(_: Bench, deployment: Deployment) -> Sample:
    """Memory of the processes after start, in MiB."""
    sample: Sample = {}
    for name, memory in deployment.settled_memory().items():
        sample[f"rss_mib.{name}"] = memory.rss / MIB_IN_KIB
        sample[f"pss_mib.{name}"] = memory.pss / MIB_IN_KIB
    return sample


def idle_streams_memory(bench: Bench, deployment: Deployment) -> Sample:
    """What each open, idle stream adds to the memory of the processes, in KiB.

    A few streams are opened and closed before, so that what the first one needs is not charged.
    Not as many as are measured: their memory stays with the process and would serve again.
    """
    call = traffic.STREAM_1K.call(deployment, bench.directory)
    count = bench.settings.idle_streams
    with bench.tool.idle_streams(call, max(count // 20, 1)):
        pass
    before = deployment.settled_memory()
    with bench.tool.idle_streams(call, count):
        after = deployment.settled_memory()
    return {
        f"kib_per_stream.{name}": (memory.rss - before[name].rss) / count
        for name, memory in after.items()
        if name in before
    }


STREAMS_PER_SECOND = 30.0
PASSTHROUGH_RATE = 500.0
BEDROCK_RATE = 250.0
CPU = ("cpu_us.envoy", f"cpu_us.{TOTAL}")
LATENCY = ("p50_ms", "p90_ms", "p99_ms")

SCENARIOS = (
    Scenario(
        "passthrough-1k",
        f"1 KiB chat, OpenAI to OpenAI, {PASSTHROUGH_RATE:.0f} requests/s",
        at_rate(traffic.CHAT_1K, PASSTHROUGH_RATE),
        (*CPU, *LATENCY),
    ),
    Scenario(
        "closed-loop-1k",
        "1 KiB chat, OpenAI to OpenAI, as fast as it goes",
        closed_loop,
        ("req_per_s", *CPU, "p50_ms", "p99_ms"),
    ),
    Scenario(
        "bedrock-16k",
        f"16 KiB chat to Bedrock and 16 KiB back, {BEDROCK_RATE:.0f} requests/s",
        at_rate(traffic.BEDROCK_16K, BEDROCK_RATE),
        (*CPU, *LATENCY),
    ),
    Scenario(
        "sse-50",
        "streams of 50 chunks, one each 10 ms, OpenAI to OpenAI",
        paced_streams(traffic.STREAM_1K),
        (f"cpu_us_per_chunk.{TOTAL}", f"cpu_us.{TOTAL}", "first_byte_p50_ms", "p99_ms"),
    ),
    Scenario(
        "sse-50-bedrock",
        "the same from Bedrock's event stream",
        paced_streams(traffic.BEDROCK_STREAM_1K),
        (f"cpu_us_per_chunk.{TOTAL}", f"cpu_us.{TOTAL}", "first_byte_p50_ms", "p99_ms"),
    ),
    Scenario(
        "half-load",
        "1 KiB chat, half of the machine busy",
        at_rate(traffic.CHAT_1K, PASSTHROUGH_RATE),  # the run replaces the rate
        (*LATENCY, "cpu_us.envoy", "req_per_s"),
    ),
    Scenario(
        "cold-start",
        "first process to first 200",
        cold_start,
        ("cold_start_s",),
        Fleet.FRESH,
        max_rounds=7,
    ),
    Scenario(
        "idle-memory",
        "memory after the start",
        idle_memory,
        ("rss_mib.envoy", f"rss_mib.{TOTAL}", f"pss_mib.{TOTAL}"),
        Fleet.FRESH,
        max_rounds=3,
    ),
    Scenario(
        "idle-streams-memory",
        "what an open, idle stream adds",
        idle_streams_memory,
        ("kib_per_stream.envoy", f"kib_per_stream.{TOTAL}"),
        Fleet.FRESH,
        STREAM_FOREVER,
        max_rounds=3,
    ),
    Scenario(
        "reload-1000",
        f"an edit of one of {reload.ROUTES} routes, {reload.RATE:.0f} requests/s: until it is live",
        reload.edit_of_many_routes,
        ("live_s", "failed", "p50_ms", "p99_ms"),
        Fleet.FRESH,
        Pacing(),
        max_rounds=5,
        follows_file=True,
    ),
)


def half_load(rate: float) -> Scenario:
    """The half-load scenario at a rate that is known only during the run."""
    scenario = next(scenario for scenario in SCENARIOS if scenario.name == "half-load")
    about = f"{scenario.about}, {rate:.0f} requests/s"
    return replace(scenario, about=about, measure=at_rate(traffic.CHAT_1K, rate))
