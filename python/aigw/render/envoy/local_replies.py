"""Replies that Envoy makes itself, in the shape that client libraries read.

    {"type":"error","error":{"type":"...","code":"...","message":"..."}}

Cohere's paths get the message at the top level too.
"""

import json
from dataclasses import dataclass
from enum import Enum, auto

from aigw.compile.hosts import covers, specificity
from aigw.plan import EndpointPrefixes, ModelLists
from aigw.render.envoy.names import METADATA, Json, typed

MAX_LISTED_BYTES = 2000
NO_MODEL_MESSAGE = "invalid request body: the request names no model"
NO_MODEL_ROUTE = "aigw.no_model"
"""Name of a route, and of its cluster without hosts, for requests without a model."""

# Replies of the core (details start with "aigw"), of our own direct responses and of providers
# have the right shape already.
_MADE_BY_ENVOY = (
    '!(response.code_details.startsWith("aigw") || response.code_details == "direct_response" '
    '|| response.code_details == "via_upstream")'
)


class Shape(Enum):
    """Whose libraries read an error."""

    COMMON = auto()
    COHERE = auto()


def shapes(prefixes: EndpointPrefixes) -> tuple[tuple[str, Shape], ...]:
    """Path prefixes and the shape of errors behind them, the most specific first."""
    return ((f"{prefixes.path(prefixes.cohere, 'v2')}/", Shape.COHERE), ("/", Shape.COMMON))


@dataclass(frozen=True, slots=True)
class LocalReply:
    """A reply of Envoy: status, a prefix of its response code details, and what clients see."""

    status: int
    type: str
    message: str
    details: str = ""


def table() -> list[LocalReply]:
    """The core's table. First match wins; rows with details precede the general ones."""
    from aigw import _core  # noqa: PLC0415 - loaded only where something is rendered

    return [LocalReply(**row) for row in json.loads(_core.error_table())["envoy"]]


def error_body(status: int, type_name: str, message: str, shape: Shape = Shape.COMMON) -> str:
    """The JSON body of an error, as the core writes it."""
    body: Json = {
        "type": "error",
        "error": {"type": type_name, "code": str(status), "message": message},
    }
    if shape is Shape.COHERE:
        body["message"] = message
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def local_reply_config(prefixes: EndpointPrefixes) -> Json:
    """`local_reply_config` of the connection manager."""
    kinds = shapes(prefixes)
    nameless = [_nameless(prefix, shape) for prefix, shape in kinds]
    rows = [_mapper(row, prefix, shape) for row in table() for prefix, shape in kinds]
    return {"mappers": [*nameless, *rows]}


def _nameless(prefix: str, shape: Shape) -> Json:
    """The answer of `NO_MODEL_ROUTE`, as that of a direct response."""
    row = LocalReply(503, "BadRequest", NO_MODEL_MESSAGE)
    mapper = _mapper(row, prefix, shape, f'xds.route_name == "{NO_MODEL_ROUTE}"', status=400)
    return {**mapper, "status_code": 400}


def _mapper(row: LocalReply, prefix: str, shape: Shape, *more: str, status: int = 0) -> Json:
    conditions = [_MADE_BY_ENVOY, *more]
    if row.details:
        conditions.append(f'response.code_details.startsWith("{row.details}")')
    if shape is Shape.COHERE:
        conditions.append(_is_below(prefix))
    comparison = {
        "op": "EQ",
        "value": {"default_value": row.status, "runtime_key": "aigw.local_reply_status"},
    }
    body = error_body(status or row.status, row.type, row.message, shape)
    return {
        "filter": {
            "and_filter": {
                "filters": [
                    {"status_code_filter": {"comparison": comparison}},
                    cel_filter(" && ".join(conditions)),
                ]
            }
        },
        "body_format_override": {
            "text_format_source": {"inline_string": body.replace("%", "%%")},
            "content_type": "application/json",
        },
    }


def _is_below(prefix: str) -> str:
    """The client's path; an attempt rewrites it."""
    original = f"metadata.filter_metadata['{METADATA}']['original_path']"
    return f'(request.path.startsWith("{prefix}") || {original}.startsWith("{prefix}"))'


def cel_filter(expression: str) -> Json:
    """A condition on a request or reply, as an access log filter."""
    name = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": typed(name, expression=expression),
        }
    }


def models_on_offer(lists: ModelLists, hostname: str) -> list[str]:
    """Names of the models for a host name: by the most specific list that covers it.

    A listener may narrow the host names of a route.
    """
    covering = [name for name in lists.by_host if covers(name, hostname)]
    best = max(covering, key=specificity, default="")
    return [model.name for model in lists.by_host.get(best, lists.unscoped)]


def unknown_model_message(models: list[str]) -> str:
    """What a client reads whose model no rule matches; the list is bounded."""
    if not models:
        return "no route matches the model of this request, and no models are on offer by name"
    listed: list[str] = []
    size = 0
    for name in models:
        size += len(json.dumps(name)) + 2
        if size > MAX_LISTED_BYTES:
            break
        listed.append(name)
    more = len(models) - len(listed)
    rest = f" and {more} more" if more else ""
    return f"no route matches the model of this request; models on offer: {', '.join(listed)}{rest}"
