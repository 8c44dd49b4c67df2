"""Filters of HTTPRoute rules, and HTTPRouteFilters, to what is done with a request.

A rule with a filter that cannot be applied is not served without it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from aigw.api.config_map import ConfigMap
from aigw.api.http_filters import (
    HTTPHeader,
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestMirrorFilter,
    HTTPRequestRedirectFilter,
    HTTPRouteRuleFilter,
    HTTPURLRewriteFilter,
)
from aigw.api.http_route_filter import HTTPDirectResponse, HTTPRouteFilter, HTTPURLRewrite
from aigw.api.references import LocalObjectReference
from aigw.compile.expressions import is_regular_expression
from aigw.compile.http.backends import Attached, HttpBackends
from aigw.compile.index import Index
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId
from aigw.plan.http import (
    DirectResponse,
    HeaderChanges,
    HostRewrite,
    HostSource,
    Mirror,
    PathChange,
    PathRewrite,
    Redirect,
)

BODY_KEY = "response.body"
_MAX_BODY = 1024 * 1024
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PATH = re.compile(r"[!-~]*")
_SUBSTITUTION = re.compile(r"(?:[^\\]|\\\\|\\[0-9])*")
_GROUP = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<open>\((?!\?)|\(\?P?<)|.", re.DOTALL)
# Envoy decides about these, and what begins like ours is taken off.
_PROTECTED = frozenset({"connection", "content-length", "host", "transfer-encoding"})
_PROTECTED_PREFIXES = ("x-ai-eg-", "x-envoy-")


@dataclass(slots=True)
class Steps:
    """What the filters of a rule come to."""

    request_headers: HeaderChanges = field(default_factory=HeaderChanges)
    response_headers: HeaderChanges = field(default_factory=HeaderChanges)
    redirect: Redirect | None = None
    direct: DirectResponse | None = None
    host: HostRewrite = field(default_factory=HostRewrite)
    path: PathRewrite | None = None
    mirrors: list[Mirror] = field(default_factory=list)


class HttpFilters:
    """Reads the filters of rules."""

    def __init__(self, index: Index, report: Report, backends: HttpBackends) -> None:
        """Nothing is read yet."""
        self._index = index
        self._report = report
        self._backends = backends

    def read(self, at: Attached, filters: Sequence[HTTPRouteRuleFilter], path: str) -> Steps | None:
        """The steps of a rule, or None after a report when one of them cannot be taken."""
        reader = _Reader(self._index, self._report, self._backends, at)
        for position, written in enumerate(filters):
            reader.take(written, f"{path}.filters[{position}]")
        return reader.steps if reader.is_complete else None


class _Reader:
    """Takes the filters of one rule."""

    def __init__(self, index: Index, report: Report, backends: HttpBackends, at: Attached) -> None:
        self._index = index
        self._report = report
        self._backends = backends
        self._at = at
        self._route = at.route
        self.steps = Steps()
        self.is_complete = True

    def take(self, written: HTTPRouteRuleFilter, path: str) -> None:
        if written.request_header_modifier:
            changes = written.request_header_modifier
            place = f"{path}.requestHeaderModifier"
            self.steps.request_headers = self._headers(changes, place)
        elif written.response_header_modifier:
            changes = written.response_header_modifier
            place = f"{path}.responseHeaderModifier"
            self.steps.response_headers = self._headers(changes, place)
        elif written.request_redirect:
            self._redirect(written.request_redirect, f"{path}.requestRedirect")
        elif written.url_rewrite:
            self._rewrite(written.url_rewrite, f"{path}.urlRewrite")
        elif written.request_mirror:
            self._mirror(written.request_mirror, f"{path}.requestMirror")
        elif written.extension_ref:
            self._extension(written.extension_ref, f"{path}.extensionRef")
        else:
            message = f"{written.type} is not supported yet"
            self._fail(Code.UNSUPPORTED, f"{path}.type", message)

    def _fail(self, code: Code, path: str, message: str, owner: ResourceId | None = None) -> None:
        self.is_complete = False
        self._report.error(owner or self._route.id, code, path, message)

    def _headers(self, written: HTTPHeaderFilter, path: str) -> HeaderChanges:
        for position, name in enumerate(written.remove):
            self._check_name(name, f"{path}.remove[{position}]")
        return HeaderChanges(
            self._pairs(written.set, f"{path}.set"),
            self._pairs(written.add, f"{path}.add"),
            tuple(name.lower() for name in written.remove),
        )

    def _pairs(self, written: Sequence[HTTPHeader], path: str) -> tuple[tuple[str, str], ...]:
        for position, header in enumerate(written):
            self._check_name(header.name, f"{path}[{position}].name")
            if _CONTROL.search(header.value):
                message = "must be a single line without control characters"
                self._fail(Code.INVALID_FIELD, f"{path}[{position}].value", message)
        return tuple((header.name.lower(), header.value) for header in written)

    def _check_name(self, name: str, path: str) -> None:
        lower = name.lower()
        if not _HEADER.fullmatch(name):
            self._fail(Code.INVALID_FIELD, path, "is not the name of a header")
        elif lower in _PROTECTED or lower.startswith(_PROTECTED_PREFIXES):
            message = f"the header {name} is owned by the gateway and cannot be changed"
            self._fail(Code.PROTECTED_HEADER, path, message)

    def _redirect(self, written: HTTPRequestRedirectFilter, path: str) -> None:
        self.steps.redirect = Redirect(
            written.status_code,
            written.scheme or "",
            written.hostname or "",
            written.port or 0,
            self._path(written.path, f"{path}.path"),
        )

    def _rewrite(self, written: HTTPURLRewriteFilter, path: str) -> None:
        if written.hostname:
            self.steps.host = HostRewrite(HostSource.LITERAL, written.hostname)
        self.steps.path = self._path(written.path, f"{path}.path")

    def _path(self, written: HTTPPathModifier | None, path: str) -> PathRewrite | None:
        if written is None:
            return None
        change, value = PathChange(written.type), written.replace_full_path or ""
        member = "replaceFullPath"
        if change is PathChange.PREFIX:
            value, member = written.replace_prefix_match or "", "replacePrefixMatch"
        is_absolute = value.startswith("/") or (change is PathChange.PREFIX and not value)
        if not (is_absolute and _PATH.fullmatch(value)):
            message = "must begin with a slash and have no spaces or control characters"
            self._fail(Code.INVALID_FIELD, f"{path}.{member}", message)
        return PathRewrite(change, value)

    def _mirror(self, written: HTTPRequestMirrorFilter, path: str) -> None:
        backend = self._backends.resolve(self._at, written.backend_ref, f"{path}.backendRef")
        if backend is None:
            # A copy is not worth the request.
            return
        numerator, denominator = 1, 1
        if written.percent is not None:
            numerator, denominator = written.percent, 100
        elif written.fraction:
            numerator, denominator = written.fraction.numerator, written.fraction.denominator
        self.steps.mirrors.append(Mirror(backend.name, numerator, denominator))

    def _extension(self, ref: LocalObjectReference, path: str) -> None:
        if (ref.group, ref.kind) != (HTTPRouteFilter.GROUP, HTTPRouteFilter.KIND):
            message = f"{ref.kind} of {ref.group} is not supported here, only HTTPRouteFilter"
            self._fail(Code.UNSUPPORTED, f"{path}.kind", message)
            return
        found = self._index.get(HTTPRouteFilter, self._route.namespace, ref.name)
        if found is None:
            target = ResourceId(ref.group, ref.kind, self._route.namespace, ref.name)
            is_there = self._index.is_written(target)
            message = f"{target} {'has errors' if is_there else 'not found'}"
            self._fail(Code.NOT_FOUND, path, message)
            return
        if found.spec.url_rewrite:
            self._extended_rewrite(found, found.spec.url_rewrite)
        if found.spec.direct_response:
            self._direct(found, found.spec.direct_response)

    def _extended_rewrite(self, owner: HTTPRouteFilter, written: HTTPURLRewrite) -> None:
        if written.hostname and written.hostname.type == "Backend":
            self.steps.host = HostRewrite(HostSource.BACKEND)
        elif written.hostname and written.hostname.header:
            self.steps.host = HostRewrite(HostSource.HEADER, written.hostname.header.lower())
        if written.path is None or written.path.replace_regex_match is None:
            return
        change = written.path.replace_regex_match
        path = "spec.urlRewrite.path.replaceRegexMatch"
        if not is_regular_expression(change.pattern):
            message = "is not a valid RE2 expression"
            self._fail(Code.INVALID_FIELD, f"{path}.pattern", message, owner.id)
        elif not _fits(change.substitution, change.pattern):
            message = r"may have \0 to \9 for groups of the pattern, and \\ for a backslash"
            self._fail(Code.INVALID_FIELD, f"{path}.substitution", message, owner.id)
        self.steps.path = PathRewrite(PathChange.EXPRESSION, change.substitution, change.pattern)

    def _direct(self, owner: HTTPRouteFilter, written: HTTPDirectResponse) -> None:
        path = "spec.directResponse"
        body = self._body(owner, written, f"{path}.body")
        content_type = written.content_type or ""
        if _CONTROL.search(content_type):
            message = "must be a single line without control characters"
            self._fail(Code.INVALID_FIELD, f"{path}.contentType", message, owner.id)
        if len(body.encode()) > _MAX_BODY:
            message = f"has more than {_MAX_BODY} bytes"
            self._fail(Code.INVALID_FIELD, f"{path}.body", message, owner.id)
        self.steps.direct = DirectResponse(written.status_code, body, content_type)
        changes = self.steps.response_headers
        own = written.header
        self.steps.response_headers = HeaderChanges(
            (*changes.set, *self._pairs(own.set, f"{path}.header.set")),
            (*changes.add, *self._pairs(own.add, f"{path}.header.add")),
            changes.remove,
        )

    def _body(self, owner: HTTPRouteFilter, written: HTTPDirectResponse, path: str) -> str:
        if written.body is None or written.body.value_ref is None:
            return (written.body.inline or "") if written.body else ""
        ref = written.body.value_ref
        found = self._index.get(ConfigMap, owner.namespace, ref.name)
        texts = found.values if found else {}
        if BODY_KEY in texts:
            return texts[BODY_KEY]
        if not texts:
            target = ResourceId("", "ConfigMap", owner.namespace, ref.name)
            message = f"{target} {'has no text' if found else 'not found'}"
            self._fail(Code.NOT_FOUND, f"{path}.valueRef", message, owner.id)
        return texts[min(texts)] if texts else ""


def _fits(substitution: str, pattern: str) -> bool:
    """Whether a substitution names only groups that the pattern has."""
    if not _SUBSTITUTION.fullmatch(substitution):
        return False
    groups = sum(1 for part in _GROUP.finditer(pattern) if part["open"])
    named = re.findall(r"\\([0-9])", substitution.replace("\\\\", ""))
    return all(int(number) <= groups for number in named)
