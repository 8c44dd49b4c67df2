"""Command line arguments of Envoy that follow from a plan."""

from collections.abc import Mapping

_LEVELS = {"trace", "debug", "info", "warn", "error"}
_COMPONENTS = {
    "admin", "client", "connection", "conn_handler", "dns", "dynamic_modules", "ext_proc", "filter",
    "http", "http2", "main", "pool", "router", "runtime", "upstream",
}  # fmt: skip


def log_arguments(levels: Mapping[str, str]) -> list[str]:
    """`-l` and `--component-log-level`; unknown components are left out, Envoy refuses them."""
    default = levels.get("default", "warn")
    arguments = ["-l", default if default in _LEVELS else "warn"]
    components = [
        f"{name}:{level}"
        for name, level in sorted(levels.items())
        if name in _COMPONENTS and level in _LEVELS
    ]
    return [*arguments, "--component-log-level", ",".join(components)] if components else arguments
