"""Where the configuration of a run comes from: a file, provider keys, or the demo."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from aigw.api.load import Source
from aigw.standalone import autoconfig, otel
from aigw.standalone.errors import RunError
from aigw.standalone.options import RunOptions

if TYPE_CHECKING:
    from aigw.providers import FakeProvider


@dataclass(frozen=True, slots=True)
class Found:
    """The configuration, what to tell the user about it, and the provider that it needs."""

    source: Source
    summary: str
    demo: "FakeProvider | None" = None
    generated: bool = True


async def find(options: RunOptions, environment: Mapping[str, str]) -> Found:
    """The first that there is: path, `<config-home>/config.yaml`, keys, demo.

    Raises:
        RunError: the file cannot be read, or a base URL cannot be used.
    """
    path = options.path or _default_file(options)
    if path is not None:
        if options.port is not None:
            message = "--port is for generated configurations; the file names its own ports"
            raise RunError(message)
        text = Source(str(path), _read(path))
        return Found(text, f"configuration: {path}", generated=False)
    port = options.port or autoconfig.DEFAULT_PORT
    providers = autoconfig.providers_of(environment)
    if providers:
        names = " and ".join(provider.name for provider in reversed(providers))
        text = _generated(providers, port, otel.access_logs(environment))
        return Found(text, f"providers: {names}, from your environment")
    return await _demo(port, otel.access_logs(environment))


def read_file(path: str) -> str:
    """A file named in a configuration; `~` is the user's home.

    Raises:
        OSError: it cannot be read.
    """
    return Path(os.path.expanduser(path)).read_text(encoding="utf-8")  # noqa: PTH111 - no error


async def _demo(port: int, telemetry: list[autoconfig.Resource]) -> Found:
    from aigw.providers import FakeProvider  # noqa: PLC0415 - only the demo needs it

    provider = FakeProvider(keep=0)
    await provider.start()
    source = _generated(autoconfig.demo_providers(provider.url), port, telemetry)
    summary = (
        "no configuration and no provider key: the built-in demo provider answers, offline "
        "(set OPENAI_API_KEY or ANTHROPIC_API_KEY, or name a YAML file, for the real thing)"
    )
    return Found(source, summary, provider)


def _generated(
    providers: tuple[autoconfig.Provider, ...], port: int, telemetry: list[autoconfig.Resource]
) -> Source:
    documents = autoconfig.resources(providers, port, telemetry)
    return Source("generated", yaml.dump_all(documents, Dumper=yaml.CSafeDumper))


def _default_file(options: RunOptions) -> Path | None:
    path = options.config_home / "config.yaml"
    return path if path.is_file() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        message = f"error reading config: {path} is not UTF-8 text (byte {error.start})"
        raise RunError(message) from None
    except OSError as error:
        message = f"error reading config: {path}: {os.strerror(error.errno or 0)}"
        raise RunError(message) from None
