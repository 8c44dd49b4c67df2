"""Which request headers become attributes, by variables of the environment.

Each signal has a mapping of its own over a common one; logs know one header unless told otherwise.
"""

from collections.abc import Mapping

from aigw.plan import Attributes
from aigw.standalone.errors import RunError

BASE = "OTEL_AIGW_REQUEST_HEADER_ATTRIBUTES"
METRICS = "OTEL_AIGW_METRICS_REQUEST_HEADER_ATTRIBUTES"
LOGS = "OTEL_AIGW_LOG_REQUEST_HEADER_ATTRIBUTES"
DEFAULT_LOGS = "agent-session-id:session.id"


def attributes(environment: Mapping[str, str]) -> Attributes:
    """The mappings in force.

    Raises:
        RunError: a variable cannot be used.
    """
    base = _parsed(environment.get(BASE, ""), "request header attributes")
    metrics = _parsed(environment.get(METRICS, ""), "metrics request header attributes")
    logs = _parsed(environment.get(LOGS, DEFAULT_LOGS), "log request header attributes")
    return Attributes(tuple({**base, **metrics}.items()), tuple({**base, **logs}.items()))


def _parsed(text: str, what: str) -> dict[str, str]:
    """`header:attribute,header2:attribute2`; later headers win. Names of headers are lower case."""
    found: dict[str, str] = {}
    for position, pair in enumerate(text.split(",") if text else (), start=1):
        header, attribute = _pair(pair.strip(), position, what)
        found[header.lower()] = attribute
    return found


def _pair(pair: str, position: int, what: str) -> tuple[str, str]:
    header, colon, attribute = (part.strip() for part in pair.partition(":"))
    if not pair:
        fault = f"empty header-attribute pair at position {position}"
    elif not colon:
        fault = (
            f'invalid header-attribute pair at position {position}: "{pair}" '
            "(expected format: header:attribute)"
        )
    elif not header or not attribute:
        fault = f'empty header or attribute at position {position}: "{pair}"'
    else:
        return header, attribute
    message = f"invalid {what}: {fault}"
    raise RunError(message)
