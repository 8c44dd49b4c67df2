"""`aigw translate`: what a configuration becomes, for Envoy or in a cluster."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigw.cli.errors import CommandError
from aigw.cli.prefixes import add_prefixes, prefixes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aigw.api.load import Loaded
    from aigw.plan import Plan
    from aigw.render.envoy import EnvoyTarget

_RUNTIME_DIR = "/run/aigw"


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    from aigw.cli.files import add_files  # noqa: PLC0415 - shared by few commands

    parser = commands.add_parser("translate", help="print what files become for Envoy or a cluster")
    add_files(parser)
    parser.add_argument("--to", choices=("envoy", "kubernetes"), default="envoy")
    add_prefixes(parser)
    parser.add_argument("--data-plane", choices=("module", "extproc"), default="module")
    parser.add_argument("--output", choices=("yaml", "json"), default="yaml")
    parser.add_argument("-o", "--output-file", metavar="FILE", help="default: standard output")
    parser.set_defaults(execute=_execute)


def _execute(options: argparse.Namespace) -> int:
    """Exit code 1 where a part of the configuration is not translated, which is named."""
    from aigw.cli import files  # noqa: PLC0415 - `aigw version` needs none of it
    from aigw.console import print_findings  # noqa: PLC0415

    prefixes = prefixes_of(options)
    loaded, result = files.read(options.files, prefixes)
    print_findings(sys.stderr, result.diagnostics)
    if options.to == "kubernetes":
        documents = _objects(loaded, prefixes.path(""))
    elif result.plan is None:
        message = "nothing can be served"
        raise CommandError(message)
    else:
        documents = [_envoy(result.plan, options.data_plane)]
    _write(options.output_file, _text(documents, options.output))
    return 1 if result.errors else 0


def _envoy(plan: "Plan", data_plane: str) -> object:
    from aigw.render.envoy import render_envoy, self_contained  # noqa: PLC0415

    return self_contained(render_envoy(plan, _target(data_plane)))


def _objects(loaded: "Loaded", root_prefix: str) -> list[object]:
    """What the controller adds to the objects in the files."""
    from aigw.api.ai_gateway_route import AIGatewayRoute  # noqa: PLC0415
    from aigw.api.ai_service_backend import AIServiceBackend  # noqa: PLC0415
    from aigw.compile.grants import Grants, Referrer  # noqa: PLC0415
    from aigw.compile.index import Index  # noqa: PLC0415
    from aigw.render.kubernetes import Surroundings, objects_of  # noqa: PLC0415

    index = Index.of(loaded)
    grants = Grants(index)
    around = Surroundings(
        backend=lambda namespace, name: index.get(AIServiceBackend, namespace, name),
        permits=lambda route, target: grants.allow(Referrer.of(route), target),
    )
    return [*objects_of(index.all(AIGatewayRoute), around, root_prefix)]


def _target(data_plane: str) -> "EnvoyTarget":
    """A place like that of a run; the files named in it are made by `aigw run`."""
    from aigw.render.envoy import DataPlane, EnvoyTarget, system_ca_file  # noqa: PLC0415

    return EnvoyTarget(
        data_plane=DataPlane[data_plane.upper()],
        runtime_dir=f"{_RUNTIME_DIR}/core",
        xds_dir=f"{_RUNTIME_DIR}/envoy",
        admin_socket=f"{_RUNTIME_DIR}/admin.sock",
        module_path="libaigw_envoy.so",
        extproc_socket=f"{_RUNTIME_DIR}/extproc.sock",
        ca_file=system_ca_file(os.environ, lambda path: Path(path).is_file()) or "ca.pem",
    )


def _text(documents: "Sequence[object]", output: str) -> str:
    if output == "json":
        shown = documents[0] if len(documents) == 1 else documents
        return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"
    import yaml  # noqa: PLC0415

    # Through JSON: parts that occur twice are written twice, without anchors.
    plain = json.loads(json.dumps(documents))
    return yaml.dump_all(plain, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)


def _write(name: str | None, text: str) -> None:
    if name is None:
        sys.stdout.write(text)
        return
    try:
        Path(name).write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"{name}: {error.strerror}"
        raise CommandError(message) from None
