"""`python -m aigw.providers --port N`: the demo provider in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from aigw.providers.server import FakeProvider


async def serve(port: int) -> None:
    """Serve until SIGINT or SIGTERM; the first line of standard output is the base URL."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with FakeProvider(port, keep=0) as provider:
        sys.stdout.write(f"{provider.url}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m aigw.providers", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
