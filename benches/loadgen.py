"""The `aigw-bench` binary: built once, run as stand-in provider and as load generator."""

from __future__ import annotations

import json
import os
import select
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.stats import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 10.0
# More than this share of failed requests makes a round worthless.
TOLERATED_ERRORS = 0.01


class MeasurementError(Exception):
    """A round gave no figure; the text says why."""


@dataclass(frozen=True)
class Call:
    """One request, repeated by the load generator.

    Attributes:
        url: `http://HOST:PORT/PATH` on loopback.
        body_file: File with the request's body.
    """

    url: str
    body_file: Path


@dataclass(frozen=True)
class Load:
    """How to send: open loop with `rate` (requests per second), closed loop without."""

    seconds: float
    connections: int = 32
    rate: float | None = None


@dataclass(frozen=True)
class Pacing:
    """How the provider streams: `chunks` text events, one each `interval_us` microseconds."""

    chunks: int = 50
    interval_us: int = 10_000

    @property
    def seconds(self) -> float:
        """How long one stream takes."""
        return self.chunks * self.interval_us / 1e6


@dataclass(frozen=True)
class LoadReport:
    """What a load run saw; durations in milliseconds.

    Attributes:
        requests: Requests with a 2xx answer.
        failed: All others.
        rate: Those per second.
        latency_ms: Percentiles (p50, p75, p90, p99, p999, max, mean) of the whole exchange.
        first_byte_ms: The same until the body's first byte.
        events: Events of all streams.
        latencies: Histogram of the exchanges.
    """

    requests: int
    failed: int
    rate: float
    latency_ms: dict[str, float]
    first_byte_ms: dict[str, float]
    events: int
    latencies: Histogram = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> LoadReport:
        """Reads a report and refuses one with too many failures.

        Raises:
            MeasurementError: The report is malformed, empty or has too many failures.
        """
        try:
            report: dict[str, Any] = json.loads(text)
            failed = sum(report["errors"].values()) + report["streams"]["truncated"]
            parsed = cls(
                requests=report["requests"],
                failed=failed,
                rate=report["rate"],
                latency_ms={key: us / 1e3 for key, us in report["latency_us"].items()},
                first_byte_ms={key: us / 1e3 for key, us in report["first_byte_us"].items()},
                events=report["events"],
                latencies=Histogram.parse(report["latency_histogram_us"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"malformed load report: {error!r}"
            raise MeasurementError(message) from error
        if parsed.requests == 0 or failed > TOLERATED_ERRORS * parsed.requests:
            message = (
                f"{failed} of {parsed.requests + failed} requests failed: {report['errors']}"
                f", truncated streams: {report['streams']['truncated']}"
            )
            raise MeasurementError(message)
        return parsed


@dataclass(frozen=True)
class Tool:
    """The binary."""

    binary: Path

    @classmethod
    def build(cls) -> Tool:
        """Builds the binary from this checkout.

        Raises:
            MeasurementError: The build failed.
        """
        command = ["cargo", "build", "--release", "--quiet", "-p", "aigw-bench"]
        built = subprocess.run(command, cwd=ROOT, check=False)
        if built.returncode:
            message = f"{' '.join(command)} failed"
            raise MeasurementError(message)
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        return cls(target / "release" / "aigw-bench")

    @contextmanager
    def responder(self, port: int, pacing: Pacing) -> Iterator[int]:
        """Runs the stand-in provider on `port` (0: a free one) and yields its port."""
        command = [str(self.binary), "respond", "--port", str(port)]
        command += ["--chunks", str(pacing.chunks), "--interval-us", str(pacing.interval_us)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield int(_first_line(process, START_SECONDS)["listening"])
            finally:
                process.kill()

    def load(self, call: Call, load: Load) -> LoadReport:
        """Sends the load and returns what was seen.

        Raises:
            MeasurementError: The run failed or had too many failed requests.
        """
        command = [str(self.binary), "load", *_call_options(call)]
        command += ["--connections", str(load.connections), "--duration", str(load.seconds)]
        if load.rate is not None:
            command += ["--rate", str(load.rate)]
        limit = load.seconds + 60
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=limit, check=True
            )
        except subprocess.CalledProcessError as error:
            message = error.stderr.strip()
            raise MeasurementError(message) from error
        except subprocess.TimeoutExpired as error:
            message = f"the load did not end within {limit:.0f} s"
            raise MeasurementError(message) from error
        return LoadReport.parse(done.stdout)

    @contextmanager
    def idle_streams(self, call: Call, count: int) -> Iterator[int]:
        """Holds `count` streams open; yields how many really are."""
        command = [str(self.binary), "streams", *_call_options(call), "--connections", str(count)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                line = _first_line(process, START_SECONDS + 30)
                if line["open"] < count:
                    message = f"only {line['open']} of {count} streams opened: {line['errors']}"
                    raise MeasurementError(message)
                yield int(line["open"])
            finally:
                process.kill()


def _call_options(call: Call) -> list[str]:
    return ["--url", call.url, "--body-file", str(call.body_file)]


def _first_line(process: subprocess.Popen[str], limit: float) -> dict[str, Any]:
    """The first line that `process` prints, as JSON."""
    out = process.stdout
    line = out.readline() if out and select.select([out], [], [], limit)[0] else ""
    if not line:
        message = f"{Path(str(process.args[0])).name}: no answer within {limit:.0f} s"  # type: ignore[index]
        raise MeasurementError(message)
    answer: dict[str, Any] = json.loads(line)
    return answer
