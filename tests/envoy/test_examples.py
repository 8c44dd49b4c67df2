"""Every example runs as it is, with made-up keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from beds.gateway import run_gateway

if TYPE_CHECKING:
    from beds.ports import FreePorts

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/*.yaml"))
PORT = re.compile(r"\bport: 1975\b")
VARIABLE = re.compile(r"\$\{(\w+)")
CANARY = "canary-of-a-variable"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_runs(path: Path, free_port: FreePorts, host: tuple[str, ...]) -> None:
    text = path.read_text()
    names = VARIABLE.findall(text)
    extra = {name: f"{CANARY}-{number}" for number, name in enumerate(names)}
    text, count = PORT.subn(f"port: {free_port()}", text)
    assert count == 1
    with run_gateway(*host, config=text, extra=extra) as gateway:
        assert httpx.get(f"{gateway.url}/v1/models").status_code in {200, 401}
        assert "error" not in gateway.errors.lower()
        assert "warning" not in gateway.errors.lower()
        assert CANARY not in gateway.errors + gateway.output
