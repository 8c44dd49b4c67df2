"""Connection managers in front of AI routes.

Only those whose routes are AI routes are changed; one that has been changed stays as it is.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from aigw.extension.filters import CORE_FILTER, request_filter, usage_logs
from aigw.extension.messages import Message, from_json, packed, unpacked
from aigw.extension.policies import PROTECTING, spent_filter, stranger_filter
from aigw.extension.settings import Settings
from aigw.plan import Plan
from aigw.render.envoy.filters import log_attributes
from aigw.render.envoy.listeners import EXTPROC_BUFFER, strip_internal_headers
from aigw.render.envoy.local_replies import local_reply_config
from aigw.render.envoy.security import SPENT_FILTER

_MANAGER = "envoy.filters.network.http_connection_manager"
_PACKAGE = "envoy.extensions.filters.network.http_connection_manager.v3"
_MANAGER_TYPE = f"{_PACKAGE}.HttpConnectionManager"
_ACCESS_LOG = "envoy.config.accesslog.v3.AccessLog"
_EXTENSION = "envoy.config.core.v3.TypedExtensionConfig"
_RULES = "envoy.extensions.filters.http.header_to_metadata.v3.Config"
_BUFFER = "envoy.filters.http.buffer"
_BEHIND = tuple(
    f"envoy.filters.http.{name}"
    for name in (
        "compressor",
        "credential_injector",
        "dynamic_modules",
        "ext_proc",
        "local_ratelimit",
        "lua",
        "ratelimit",
        "rbac",
        "router",
        "wasm",
    )
)
"""Beginnings of names of filters that are to see the model: they come after the core."""
_SPECIAL = ("envoy-gateway-proxy-stats-", "envoy-gateway-proxy-ready-")


@dataclass
class Listeners:
    """Rewrites listeners of one bundle. `configs` are route configurations with AI routes."""

    plan: Plan
    settings: Settings
    configs: Collection[str]

    def __post_init__(self) -> None:
        """Makes what all connection managers get."""
        filter_type = f"{_PACKAGE}.HttpFilter"
        self._core = from_json(filter_type, request_filter(self.plan))
        self._stranger = from_json(filter_type, stranger_filter())
        self._spent = from_json(filter_type, spent_filter())
        self._logs = [from_json(filter_type, item) for item in log_attributes(self.plan)]
        self._usage = [from_json(_ACCESS_LOG, item) for item in usage_logs(self.settings)]
        self._early = from_json(_EXTENSION, strip_internal_headers())
        replies = local_reply_config(self.plan.prefixes)
        self._replies = from_json(f"{_PACKAGE}.LocalReplyConfig", replies)

    def rewrite(self, listener: Message) -> bool:
        """Changes a listener in place, and says whether it did."""
        if not self.configs or listener.name.startswith(_SPECIAL):
            return False
        found = [self._chain(chain) for chain in _chains(listener)]
        if not any(found):
            return False
        # Below it, a client that reads late can bring Envoy down; the core has the limit of bodies.
        limit = listener.per_connection_buffer_limit_bytes
        limit.value = max(limit.value, EXTPROC_BUFFER)
        return True

    def _chain(self, chain: Message) -> bool:
        for item in chain.filters:
            if item.name == _MANAGER:
                manager = unpacked(_MANAGER_TYPE, item.typed_config)
                if manager is not None and manager.rds.route_config_name in self.configs:
                    self._manager(manager)
                    item.typed_config.CopyFrom(packed(manager))
                    return True
        return False

    def _manager(self, manager: Message) -> None:
        filters = [*manager.http_filters]
        if not any(item.name == CORE_FILTER for item in filters):
            at = _position([item.name for item in filters])
            filters[at:at] = [self._spent, self._core]
            filters.insert(_first_protecting([item.name for item in filters]), self._stranger)
        for rules in self._logs:
            _put_rules(filters, rules)
        del manager.http_filters[:]
        manager.http_filters.extend(filters)
        if self._early not in manager.early_header_mutation_extensions:
            others = [*manager.early_header_mutation_extensions]
            del manager.early_header_mutation_extensions[:]
            manager.early_header_mutation_extensions.extend([self._early, *others])
        if self._replies.mappers[0] not in manager.local_reply_config.mappers:
            manager.local_reply_config.mappers.extend(self._replies.mappers)
        manager.scheme_header_transformation.match_upstream = True
        for log in self._usage:
            if log not in manager.access_log:
                manager.access_log.append(log)


def _put_rules(filters: list[Message], rules: Message) -> None:
    """Into a filter of this kind that is there already; what it says about a header stays."""
    for item in filters:
        if item.name == rules.name:
            _add_rules(item, rules)
            return
    names = [item.name for item in filters]
    filters.insert(names.index(CORE_FILTER), rules)


def _add_rules(into: Message, other: Message) -> None:
    written, more = unpacked(_RULES, into.typed_config), unpacked(_RULES, other.typed_config)
    if written is None or more is None:
        return
    known = {rule.header.lower() for rule in written.request_rules}
    missing = [rule for rule in more.request_rules if rule.header not in known]
    if missing:
        written.request_rules.extend(missing)
        into.typed_config.CopyFrom(packed(written))


def _chains(listener: Message) -> Iterator[Message]:
    yield from listener.filter_chains
    if listener.HasField("default_filter_chain"):
        yield listener.default_filter_chain


def _position(names: list[str]) -> int:
    """Behind authentication and a limit of bodies, in front of what needs the model."""
    at = next((index for index, name in enumerate(names) if name.startswith(_BEHIND)), len(names))
    buffers = [index for index, name in enumerate(names) if name.startswith(_BUFFER)]
    return max(at, buffers[-1] + 1) if buffers else at


def _first_protecting(names: list[str]) -> int:
    """In front of the first filter that authenticates, or of the core."""
    return next(
        index
        for index, name in enumerate(names)
        if name.startswith(PROTECTING) or name in (CORE_FILTER, SPENT_FILTER)
    )
