"""An edit of a large configuration under load: how soon it is live, and who notices."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benches import configs, traffic
from benches.deployment import ask
from benches.loadgen import Load, MeasurementError

if TYPE_CHECKING:
    from pathlib import Path

    from benches.deployment import Deployment
    from benches.scenarios import Bench, Sample

ROUTES = 1000
RATE = 200.0
LONGEST_SECONDS = 60.0
SETTLED_SECONDS = 3.0
_POLL_SECONDS = 0.01


def edit_of_many_routes(bench: Bench, deployment: Deployment) -> Sample:
    """Seconds from the rename of a file into its place to the first 200 that it makes possible.

    The file has 1,000 routes of a model each; one of them gets another model.

    Raises:
        MeasurementError: the variant does not follow its file, or requests fail.
    """
    config = deployment.launch.config
    if config is None:
        message = "has no file that could be edited"
        raise MeasurementError(message)
    base = config.read_text()
    _replace(config, base + _routes("last"))
    _await(deployment, "last")
    time.sleep(SETTLED_SECONDS)  # what the first edit has left behind is gone
    call = traffic.CHAT_1K.call(deployment, bench.directory)
    load = Load(bench.settings.seconds + SETTLED_SECONDS, connections=16, rate=RATE)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(bench.tool.load, call, load)
        time.sleep(1.0)
        began = time.monotonic()
        _replace(config, base + _routes("edited"))
        _await(deployment, "edited")
        live = time.monotonic() - began
        report = running.result()
    return {
        "live_s": live,
        "failed": float(report.failed),
        "p50_ms": report.latency_ms["p50"],
        "p99_ms": report.latency_ms["p99"],
    }


def _routes(last: str) -> str:
    models = [*(f"model-{number}" for number in range(ROUTES - 1)), last]
    routes = [configs.route(f"r{number}", model) for number, model in enumerate(models)]
    return "".join(f"---\n{json.dumps(route, indent=1)}\n" for route in routes)


def _replace(config: Path, text: str) -> None:
    draft = config.with_name("draft.yaml")
    draft.write_text(text)
    draft.replace(config)


def _await(deployment: Deployment, model: str) -> None:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]}).encode()
    url, deadline = deployment.launch.url + traffic.CHAT_PATH, time.monotonic() + LONGEST_SECONDS
    while ask(url, body) != "200":
        if time.monotonic() > deadline:
            message = f"an edit was not live after {LONGEST_SECONDS:.0f} s"
            raise MeasurementError(message)
        time.sleep(_POLL_SECONDS)
