"""The admin port of a run, and its exports."""

import asyncio
import contextlib
import ipaddress
import os
import time
from collections.abc import AsyncIterator, Iterable

from aigw import _core, files
from aigw.credentials import Refresher
from aigw.observe import (
    CREDENTIAL_AGE,
    CREDENTIAL_EXCHANGES,
    READER,
    Observed,
    Sample,
    observing,
)
from aigw.standalone.health import BUDGET_SECONDS, HealthError, ask
from aigw.standalone.layout import Layout
from aigw.standalone.options import RunOptions


@contextlib.asynccontextmanager
async def observed(options: RunOptions, layout: Layout, refresher: Refresher) -> AsyncIterator[str]:
    """Serves metrics and exports until the end of the block; gives the address for a browser.

    Raises:
        ObserveError: the port cannot be had, or an export is asked for that cannot be.
    """

    async def health() -> str:
        try:
            await asyncio.wait_for(ask(layout), BUDGET_SECONDS)
        except HealthError as error:
            return str(error)
        except TimeoutError:
            return f"no answer within {BUDGET_SECONDS:.0f} s"
        return ""

    what = Observed(
        runtime_dir=layout.core,
        address=options.listen_address,
        port=options.admin_port,
        health=health,
        collectors=(lambda: _credentials(refresher),),
        usage=lambda: _core.LedgerRecords.resume(str(layout.ledger), READER),
    )
    async with observing(what, os.environ) as address:
        address = _reachable(address)
        files.replace(layout.metrics_address, address.encode())
        yield address


def _reachable(address: str) -> str:
    host, _, port = address.rpartition(":")
    found = ipaddress.ip_address(host.strip("[]"))
    if not found.is_unspecified:
        return address
    return f"127.0.0.1:{port}" if found.version == 4 else f"[::1]:{port}"


def _credentials(refresher: Refresher) -> Iterable[Sample]:
    now = time.time()
    for name, tries in refresher.tries.items():
        for result, count in (("issued", tries.issued), ("failed", tries.failed)):
            labels = {"aigw.credential": name, "aigw.result": result}
            yield Sample(CREDENTIAL_EXCHANGES, count, labels)
        if tries.issued_at is not None:
            age = max(0.0, now - tries.issued_at)
            yield Sample(CREDENTIAL_AGE, age, {"aigw.credential": name})
