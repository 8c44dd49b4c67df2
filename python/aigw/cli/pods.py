"""Arguments of `aigw controller` about the pods of Gateways."""

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING

from aigw.cli.errors import CommandError

if TYPE_CHECKING:
    from aigw.controller.pods import PodOptions

_IMAGE = "docker.io/envoyproxy/ai-gateway-extproc:latest"


def add_pods(parser: argparse.ArgumentParser) -> None:
    """Adds them."""
    pods = parser.add_argument_group("pods of Gateways")
    pods.add_argument(
        "--envoy-gateway-namespace", default="envoy-gateway-system", help="where Envoys are"
    )
    pods.add_argument("--service", default="ai-gateway-controller", help="of this controller")
    pods.add_argument("--webhook-port", default="0.0.0.0:9443", help="the API server's questions")
    pods.add_argument(
        "--certificate-days", type=float, default=30, help="how long certificates are good"
    )
    pods.add_argument("--extproc-image", default=_IMAGE, help="sidecar of Envoys")
    pods.add_argument(
        "--extproc-image-pull-policy",
        choices=("Always", "Never", "IfNotPresent"),
        default="IfNotPresent",
    )
    pods.add_argument("--extproc-image-pull-secrets", default="", metavar="A;B")
    pods.add_argument("--extproc-extra-env-vars", default="", metavar="K=V;K2=V2")
    pods.add_argument(
        "--extproc-log-level", choices=("debug", "info", "warn", "error"), default="info"
    )


def pods_of(options: argparse.Namespace, watched: tuple[str, ...]) -> "PodOptions":
    """What they say.

    Raises:
        CommandError: the variables of the environment cannot be read.
    """
    from aigw.controller.data_planes import Scope  # noqa: PLC0415
    from aigw.controller.injection import Settings  # noqa: PLC0415
    from aigw.controller.pods import PodOptions  # noqa: PLC0415

    port = options.stream_port.rpartition(":")[2]
    sidecar = Settings(
        image=options.extproc_image,
        controller=f"{options.service}.{options.namespace}.svc:{port}",
        pull_policy=options.extproc_image_pull_policy,
        pull_secrets=tuple(_parts(options.extproc_image_pull_secrets)),
        env=variables(options.extproc_extra_env_vars),
        log_level=options.extproc_log_level,
    )
    return PodOptions(
        namespace=options.namespace,
        service=options.service,
        webhook=options.webhook_port,
        stream=options.stream_port,
        scope=Scope(options.envoy_gateway_namespace, watched),
        sidecar=sidecar,
        leaf=timedelta(days=options.certificate_days),
    )


def variables(text: str) -> tuple[tuple[str, str], ...]:
    """`K=v;K2=v2` as pairs; a value may hold `=` and `,`.

    Raises:
        CommandError: a part is no pair.
    """
    found = []
    for position, part in enumerate(text.split(";"), start=1):
        part = part.strip()
        if not part:
            continue
        name, equals, value = part.partition("=")
        where = f'at position {position}: "{part}"'
        if not equals:
            problem = f"invalid env var pair {where} (expected format: KEY=value)"
        elif not name.strip():
            problem = f"empty env var name {where}"
        else:
            found.append((name.strip(), value))
            continue
        message = f"invalid extProc extra env vars: {problem}"
        raise CommandError(message)
    return tuple(found)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]
