"""Headers of clients' requests: what is added, removed, trusted."""

from typing import Annotated, Literal

from pydantic import Field

from aigw.api.fields import Boolean, HeaderName, UniqueBy
from aigw.api.model import ApiModel, Rule
from aigw.api.string_match import StringMatch


class HTTPHeader(ApiModel):
    """A header and its value, which may hold Envoy's command operators."""

    name: HeaderName
    value: Annotated[str, Field(min_length=1, max_length=4096)]


_Headers = Annotated[list[HTTPHeader], Field(max_length=64), UniqueBy("name")]


class HTTPHeaderFilter(ApiModel):
    """Changes of headers."""

    add: _Headers | None = None
    add_if_absent: _Headers | None = None
    remove: Annotated[list[str], Field(max_length=64), UniqueBy()] | None = None
    remove_on_match: list[StringMatch] | None = None
    set: _Headers | None = None


class XForwardedClientCert(ApiModel):
    """What providers learn about the certificate of a client."""

    RULES = (
        Rule(
            "EG-51",
            "!has(self.certDetailsToAdd) || size(self.certDetailsToAdd) == 0 || "
            "(has(self.mode) && self.mode in ['AppendForward', 'SanitizeSet'])",
            "certDetailsToAdd can only be set when mode is AppendForward or SanitizeSet",
        ),
    )

    cert_details_to_add: (
        Annotated[
            list[Literal["Subject", "Cert", "Chain", "DNS", "URI"]],
            Field(max_length=5),
        ]
        | None
    ) = None
    mode: (
        Literal["Sanitize", "ForwardOnly", "AppendForward", "SanitizeSet", "AlwaysForwardOnly"]
        | None
    ) = None


class ClientHeaders(ApiModel):
    """Headers of requests."""

    NOT_YET = frozenset({"disableRateLimitHeaders", "enableEnvoyHeaders", "lateResponseHeaders"})
    RULES = (
        Rule(
            "EG-52",
            "!(has(self.preserveXRequestID) && has(self.requestID))",
            "preserveXRequestID and requestID cannot both be set.",
        ),
    )

    early_request_headers: HTTPHeaderFilter | None = None
    preserve_x_request_id: Annotated[Boolean | None, Field(alias="preserveXRequestID")] = None
    request_id: Annotated[
        Literal["PreserveOrGenerate", "Preserve", "Generate", "Disable"] | None,
        Field(alias="requestID"),
    ] = None
    with_underscores_action: Literal["Allow", "RejectRequest", "DropHeader"] | None = None
    x_forwarded_client_cert: XForwardedClientCert | None = None
