"""Writes a plan to where Envoy and the core read it."""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

import aigw
from aigw import files
from aigw.plan import Issued, Plan
from aigw.render import envoy as rendering
from aigw.render.envoy import DataPlane, EnvoyConfig
from aigw.render.envoy.discovery import as_text, written
from aigw.standalone.errors import RunError
from aigw.standalone.layout import Layout
from aigw.standalone.options import RunOptions

logger = logging.getLogger(__name__)

BOOTSTRAP = "bootstrap.json"
_READABLE = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


@dataclass(frozen=True, slots=True)
class Publication:
    """A plan as the core and Envoy read it."""

    plan: Plan
    config: dict[str, object]
    envoy: EnvoyConfig


def prepared(plan: Plan, layout: Layout, options: RunOptions) -> Publication:
    """Everything that is written for a plan.

    Raises:
        AigwError: the core refuses the filter config, its module is missing, or the target lacks
            what the plan needs.
    """
    config = rendering.render_filter_config(plan, rendering.Ledger(str(layout.ledger)))
    check(config)
    return Publication(plan, config, rendering.render_envoy(plan, _target(layout, options)))


def check(config: Mapping[str, object]) -> None:
    """Asks the core.

    Raises:
        AigwError: it refuses the filter config.
    """
    from aigw import _core  # noqa: PLC0415 - after the plan is known to be good

    _core.check_config(as_text(config))


def publish(publication: Publication, layout: Layout) -> None:
    """Filter config and credentials for the core, then bootstrap and xDS files for Envoy.

    The core's files come first: what Envoy names must be known there.
    """
    write_config(publication.config, layout)
    write_secrets(publication.envoy, layout)
    for path, found in publication.envoy.files.items():
        files.replace(layout.envoy / path, written(found)[0])
    write_bootstrap(publication.envoy, layout)


def keep_copies(publication: Publication, layout: Layout) -> None:
    """What is in force, for people, also when the run has ended: nothing secret is in it."""
    copies = {
        "extproc-config.yaml": publication.config,
        "envoy-config.yaml": rendering.self_contained(publication.envoy),
    }
    try:
        for name, document in copies.items():
            # JSON is YAML, and a hundred times as fast.
            files.replace(layout.records / name, orjson.dumps(document, option=_READABLE))
    except OSError as error:
        logger.warning("no copy of the configuration in %s: %s", layout.records, error.strerror)


def write_config(config: Mapping[str, object], layout: Layout) -> None:
    """The filter config for the core."""
    files.replace(layout.core / "config.json", as_text(config))


def write_secrets(config: EnvoyConfig, layout: Layout) -> None:
    """Certificates, keys and the like for Envoy; their names follow from their content."""
    for path, text in config.secrets.items():
        if not (layout.envoy / path).exists():
            files.replace(layout.envoy / path, text.encode())


def write_bootstrap(config: EnvoyConfig, layout: Layout) -> None:
    """What Envoy reads when it starts."""
    text = json.dumps(config.bootstrap, separators=(",", ":"), ensure_ascii=False)
    files.replace(layout.envoy / BOOTSTRAP, text.encode())


class CredentialsFile:
    """The credentials for the core: those of plans in force, and what was had in exchange."""

    def __init__(self, layout: Layout) -> None:
        """Nothing is written yet."""
        self._path = layout.core / "credentials.json"
        self._plan: Plan | None = None
        self._newest: frozenset[str] = frozenset()
        self._issued: Mapping[str, Issued] = {}

    def show(self, *plans: Plan) -> None:
        """Writes the credentials of plans; of the same name that of the last."""
        credentials = {name: value for plan in plans for name, value in plan.credentials.items()}
        self._plan = replace(plans[-1], credentials=credentials)
        self._newest = frozenset(plans[-1].credentials)
        self._write()

    def issue(self, issued: Mapping[str, Issued]) -> None:
        """Writes what credentials were exchanged for: all that the newest plan has."""
        self._issued = {
            **{name: value for name, value in self._issued.items() if name not in self._newest},
            **issued,
        }
        self._write()

    def _write(self) -> None:
        if self._plan is not None:
            content = as_text(rendering.render_credentials(self._plan, self._issued))
            files.replace(self._path, content)


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
