"""What a ClientTrafficPolicy does with headers, and where it finds the address of a client."""

import re
from ipaddress import ip_network
from typing import TYPE_CHECKING

from aigw.compile.expressions import is_regular_expression, unknown_operator
from aigw.compile.traffic.fields import HEADER_NAME, Fields
from aigw.errors import Code
from aigw.plan.traffic import ClientAddress, HeaderEdits, TextMatch, TextMatchType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aigw.api.client_headers import HTTPHeader, HTTPHeaderFilter, XForwardedClientCert
    from aigw.api.client_traffic_policy import ClientIPDetection
    from aigw.api.string_match import StringMatch

_PATH = "headers.earlyRequestHeaders"
_NEEDED = ("connection", "content-length", "host", "transfer-encoding")
_INTERNAL = ("x-ai-eg-", "x-envoy-")
_INTERNAL_NAMES = ("x-gateway-destination-endpoint",)
_PSEUDO = (":authority", ":method", ":path", ":scheme")


def text_matches(
    written: "Sequence[StringMatch] | None", path: str, fields: Fields
) -> tuple[TextMatch, ...]:
    """Conditions on texts, without broken expressions."""
    found: list[TextMatch] = []
    for index, item in enumerate(written or ()):
        if item.type == "RegularExpression" and not is_regular_expression(item.value):
            fields.invalid(f"{path}[{index}].value", "is not a valid RE2 expression")
        else:
            found.append(TextMatch(TextMatchType(item.type), item.value))
    return tuple(found)


def edits_of(written: "HTTPHeaderFilter | None", fields: Fields) -> HeaderEdits:
    """Changes of headers; those of our own headers and of the framing are refused."""
    if written is None:
        return HeaderEdits()
    return HeaderEdits(
        set=_values(written.set, "set", fields),
        add=_values(written.add, "add", fields),
        add_if_absent=_values(written.add_if_absent, "addIfAbsent", fields),
        remove=_removed(written.remove, fields),
        remove_on_match=_removed_on_match(written.remove_on_match, fields),
    )


def _values(
    written: "list[HTTPHeader] | None", name: str, fields: Fields
) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for index, header in enumerate(written or []):
        path = f"{_PATH}.{name}[{index}]"
        if is_internal(header.name) or header.name.lower() in _NEEDED:
            _protected(f"{path}.name", header.name, fields)
        elif not header.value.isprintable():
            fields.invalid(f"{path}.value", "has characters that no header can have")
        elif bad := unknown_operator(header.value):
            fields.invalid(f"{path}.value", f"unknown operator at {bad!r}")
        else:
            found.append((header.name.lower(), header.value))
    return tuple(found)


def is_internal(name: str) -> bool:
    """Whether a header is one that only the gateway may set."""
    lower = name.lower()
    return lower.startswith(_INTERNAL) or lower in _INTERNAL_NAMES


def _protected(path: str, name: str, fields: Fields) -> None:
    message = f"the header {name} belongs to the gateway; it is left out"
    fields.report.error(fields.policy, Code.PROTECTED_HEADER, f"spec.{path}", message)


def _removed(written: list[str] | None, fields: Fields) -> tuple[str, ...]:
    found: list[str] = []
    for index, name in enumerate(written or []):
        path = f"{_PATH}.remove[{index}]"
        if not HEADER_NAME.fullmatch(name):
            fields.invalid(path, f"{name!r} is not the name of a header")
        elif name.lower() in _NEEDED:
            _protected(path, name, fields)
        else:
            found.append(name.lower())
    return tuple(found)


def _removed_on_match(written: "list[StringMatch] | None", fields: Fields) -> tuple[TextMatch, ...]:
    """Conditions on names, which are lower case here, expressions aside."""
    path = f"{_PATH}.removeOnMatch"
    found: list[TextMatch] = []
    for index, match in enumerate(text_matches(written, path, fields)):
        is_text = match.type is not TextMatchType.REGULAR_EXPRESSION
        lower = TextMatch(match.type, match.value.lower()) if is_text else match
        if hit := [name for name in (*_PSEUDO, *_NEEDED) if _matches(lower, name)]:
            _protected(f"{path}[{index}]", hit[0], fields)
        else:
            found.append(lower)
    return tuple(found)


def _matches(match: TextMatch, text: str) -> bool:
    match match.type:
        case TextMatchType.EXACT:
            return text == match.value
        case TextMatchType.PREFIX:
            return text.startswith(match.value)
        case TextMatchType.SUFFIX:
            return text.endswith(match.value)
        case TextMatchType.REGULAR_EXPRESSION:
            try:
                return re.fullmatch(match.value, text) is not None
            except re.error:
                return True


def certificate_of(written: "XForwardedClientCert | None") -> tuple[str, tuple[str, ...]]:
    """What becomes of `x-forwarded-client-cert`."""
    if written is None:
        return "Sanitize", ()
    return written.mode or "Sanitize", tuple(written.cert_details_to_add or ())


def address_of(written: "ClientIPDetection | None", fields: Fields) -> ClientAddress:
    """Where the address of a client is found."""
    path = "clientIPDetection"
    if written and written.custom_header:
        header = written.custom_header
        if is_internal(header.name):
            _protected(f"{path}.customHeader.name", header.name, fields)
            return ClientAddress()
        return ClientAddress(header=header.name.lower(), reject_without=bool(header.fail_closed))
    forwarded = written.x_forwarded_for if written else None
    if forwarded is None:
        return ClientAddress()
    if forwarded.disable_x_forwarded_for_append is False:
        place = f"{path}.xForwardedFor.disableXForwardedForAppend"
        fields.no_effect(place, "has no effect; providers get no x-forwarded-for")
    ranges = _ranges(forwarded.trusted_cidrs or [], fields)
    return ClientAddress(trusted_hops=forwarded.num_trusted_hops or 0, trusted_ranges=ranges)


def _ranges(written: list[str], fields: Fields) -> tuple[str, ...]:
    found: list[str] = []
    for index, text in enumerate(written):
        try:
            found.append(str(ip_network(text, strict=False)))
        except ValueError:
            path = f"clientIPDetection.xForwardedFor.trustedCIDRs[{index}]"
            fields.invalid(path, f"{text!r} is not a range of addresses")
    return tuple(found)
