"""What the core says about the files of its runtime directory."""

import asyncio
import json
import time

from aigw.standalone.errors import RefusedError
from aigw.standalone.layout import Layout

TIMEOUT = 5.0
_POLL = 0.02


async def await_generation(layout: Layout, generation: str) -> None:
    """Waits until the data plane has a filter config in force.

    Raises:
        RefusedError: it has not in time; with its reason, where it gives one.
    """
    deadline = time.monotonic() + TIMEOUT
    while True:
        status = _read(layout)
        if status.get("generation") == generation:
            return
        if time.monotonic() > deadline:
            reason = status.get("error") or "is it running?"
            message = f"the core has not taken the configuration within {TIMEOUT:.0f} s: {reason}"
            raise RefusedError(message)
        await asyncio.sleep(_POLL)


def _read(layout: Layout) -> dict[str, object]:
    try:
        found = json.loads((layout.core / "status.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
