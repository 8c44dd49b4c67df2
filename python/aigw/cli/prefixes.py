"""Options that say where clients find the endpoints."""

import argparse
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aigw.plan import EndpointPrefixes

_APIS = ("openai", "cohere", "anthropic")
# Segments of a path as clients send them: nothing that would be encoded or end the path.
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+;=@/-]*")


def add_prefixes(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument("--root-prefix", type=root_prefix, default="/", help="path of all APIs")
    parser.add_argument(
        "--endpoint-prefixes",
        type=endpoint_prefixes,
        default="",
        metavar="API:PATH,...",
        help="paths behind it (openai:/,cohere:/cohere,anthropic:/anthropic)",
    )


def prefixes_of(options: argparse.Namespace) -> "EndpointPrefixes":
    """What the options say."""
    from aigw.plan import EndpointPrefixes  # noqa: PLC0415 - `aigw version` needs none of it

    return EndpointPrefixes(root=options.root_prefix, **options.endpoint_prefixes)


def root_prefix(text: str) -> str:
    """The prefix of all endpoints.

    Raises:
        ArgumentTypeError: it is no path.
    """
    if not _PATH.fullmatch(text):
        message = f"{text!r} is not a path"
        raise argparse.ArgumentTypeError(message)
    return text


def endpoint_prefixes(text: str) -> Mapping[str, str]:
    """Prefixes by API: `openai:<path>,cohere:<path>,anthropic:<path>`, any of them, or none.

    Raises:
        ArgumentTypeError: a pair is empty, not a pair, or of another API.
    """
    if not text.strip():
        return {}
    parts = enumerate(text.split(","), start=1)
    return dict(_pair(part.strip(), position) for position, part in parts)


def _pair(part: str, position: int) -> tuple[str, str]:
    key, colon, value = part.partition(":")
    key, value = key.strip(), value.strip()
    if not part:
        message = f"empty endpointPrefixes pair at position {position}"
    elif not colon:
        message = (
            f'invalid endpointPrefixes pair at position {position}: "{part}" '
            "(expected format: key:value)"
        )
    elif key not in _APIS:
        message = (
            f'unknown endpointPrefixes key "{key}" at position {position} '
            f"(allowed: {', '.join(_APIS)})"
        )
    else:
        return key, root_prefix(value)
    raise argparse.ArgumentTypeError(message)
