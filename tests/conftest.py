"""Makes the fixtures of `beds` known to every test."""

from __future__ import annotations

from beds.fixtures import (
    _no_child_left,
    envoy_binary,
    free_port,
    loop_thread,
    new_provider,
    provider,
    raw_http,
    run_envoy,
)

__all__ = [
    "_no_child_left",
    "envoy_binary",
    "free_port",
    "loop_thread",
    "new_provider",
    "provider",
    "raw_http",
    "run_envoy",
]
