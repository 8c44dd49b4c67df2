"""Log levels of Envoy that follow from a plan: when it starts, and while it runs."""

import re
from collections.abc import Mapping

_LEVELS = {"trace", "debug", "info", "warn", "error"}
_COMPONENTS = {
    "admin", "client", "connection", "conn_handler", "dns", "dynamic_modules", "ext_proc", "filter",
    "http", "http2", "main", "pool", "router", "runtime", "upstream",
}  # fmt: skip


def log_arguments(levels: Mapping[str, str]) -> list[str]:
    """`-l` and `--component-log-level`; unknown components are left out, Envoy refuses them."""
    arguments = ["-l", _default(levels)]
    components = _components(levels)
    return [*arguments, "--component-log-level", ",".join(components)] if components else arguments


def log_targets(levels: Mapping[str, str]) -> list[str]:
    """What to ask of the admin interface for the same effect while Envoy runs."""
    targets = [f"/logging?level={_default(levels)}"]
    components = _components(levels)
    if components:
        targets.append(f"/logging?paths={','.join(components)}")
    return [re.sub(r"\bwarn\b", "warning", target) for target in targets]


def _default(levels: Mapping[str, str]) -> str:
    default = levels.get("default", "warn")
    return default if default in _LEVELS else "warn"


def _components(levels: Mapping[str, str]) -> list[str]:
    return [
        f"{name}:{level}"
        for name, level in sorted(levels.items())
        if name in _COMPONENTS and level in _LEVELS
    ]
