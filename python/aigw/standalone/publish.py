"""Writes a plan to where Envoy and the core read it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import aigw
from aigw.plan import Issued, Plan
from aigw.render import envoy as rendering
from aigw.render.envoy import DataPlane
from aigw.standalone import layout as files
from aigw.standalone.errors import RunError
from aigw.standalone.layout import Layout
from aigw.standalone.options import RunOptions

BOOTSTRAP = "bootstrap.json"


def publish(plan: Plan, layout: Layout, options: RunOptions) -> None:
    """Filter config and credentials for the core, then bootstrap and xDS files for Envoy.

    The core's files come first: what Envoy names must be known there.

    Raises:
        RunError: the core refuses the filter config, or its module is missing.
    """
    from aigw import _core  # noqa: PLC0415 - after the plan is known to be good

    config = _json(rendering.render_filter_config(plan))
    _core.check_config(config)
    files.write(layout.core / "config.json", config)
    publish_credentials(plan, layout, {})
    rendered = rendering.render_envoy(plan, _target(layout, options))
    for path, text in rendered.secrets.items():
        files.write(layout.envoy / path, text.encode())
    for path, content in rendered.files.items():
        files.write(layout.envoy / path, _json(content))
    files.write(layout.envoy / BOOTSTRAP, _json(rendered.bootstrap))


def publish_credentials(plan: Plan, layout: Layout, issued: Mapping[str, Issued]) -> None:
    """The credentials for the core, with what was had in exchange so far."""
    content = _json(rendering.render_credentials(plan, issued))
    files.write(layout.core / "credentials.json", content)


def _target(layout: Layout, options: RunOptions) -> rendering.EnvoyTarget:
    return rendering.EnvoyTarget(
        data_plane=options.data_plane,
        runtime_dir=str(layout.core),
        xds_dir=str(layout.envoy),
        admin_socket=str(layout.admin_socket),
        module_path=_module(options),
        extproc_socket=str(layout.ext_proc_socket),
        listen_address=options.listen_address,
        ca_file=rendering.system_ca_file(os.environ, lambda path: Path(path).is_file()),
    )


def _module(options: RunOptions) -> str:
    if options.data_plane is not DataPlane.MODULE:
        return ""
    try:
        return str(aigw.envoy_module())
    except FileNotFoundError as error:
        raise RunError(str(error)) from None


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
