"""How clients reach a listener: connections, paths, headers, TLS.

Our own headers are taken off before anything that a policy says about headers.
"""

from aigw.plan.traffic import (
    ClientAddress,
    ClientTls,
    ClientTraffic,
    ClientValidation,
    HeaderEdits,
    Keepalive,
    PortTraffic,
    ProxyProtocol,
    TextMatch,
    TextMatchType,
)
from aigw.render.envoy.backend_traffic import http2_options
from aigw.render.envoy.names import Json, seconds, typed

STREAM_IDLE_TIMEOUT = "600s"
"""As long as the usual client libraries wait."""
REQUEST_TIMEOUT = "300s"
_EARLY = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
_DETECTION = "envoy.extensions.http.original_ip_detection"
_UNDERSCORES = {"Allow": "ALLOW", "RejectRequest": "REJECT_REQUEST", "DropHeader": "DROP_HEADER"}
_SLASHES = {
    "KeepUnchanged": "KEEP_UNCHANGED",
    "RejectRequest": "REJECT_REQUEST",
    "UnescapeAndForward": "UNESCAPE_AND_FORWARD",
    "UnescapeAndRedirect": "UNESCAPE_AND_REDIRECT",
}
_CERTIFICATE = {
    "Sanitize": "SANITIZE",
    "ForwardOnly": "FORWARD_ONLY",
    "AppendForward": "APPEND_FORWARD",
    "SanitizeSet": "SANITIZE_SET",
    "AlwaysForwardOnly": "ALWAYS_FORWARD_ONLY",
}
# Numbers of Linux.
_SOL_SOCKET, _SO_SNDBUF, _SO_RCVBUF, _SO_KEEPALIVE = 1, 7, 8, 9
_IPPROTO_TCP, _TCP_KEEPIDLE, _TCP_KEEPINTVL, _TCP_KEEPCNT = 6, 4, 5, 6


def manager_settings(traffic: ClientTraffic) -> Json:
    """Members of the connection manager."""
    idle = traffic.stream_idle_ms
    request = traffic.request_ms
    found: Json = {
        **_address(traffic.address),
        "merge_slashes": traffic.merge_slashes,
        "stream_idle_timeout": STREAM_IDLE_TIMEOUT if idle is None else seconds(idle),
        "request_timeout": REQUEST_TIMEOUT if request is None else seconds(request),
    }
    if options := _connection(traffic):
        found["common_http_protocol_options"] = options
    if traffic.ignored_upgrades:
        upgrades = [text_matcher(match) for match in traffic.ignored_upgrades]
        found["http_protocol_options"] = {"ignore_http_11_upgrade": upgrades}
    if options := http2_options(traffic.http2):
        found["http2_protocol_options"] = options
    if traffic.max_connection_ms:
        found["http1_safe_max_connection_duration"] = not traffic.abrupt_end
    if traffic.escaped_slashes:
        found["path_with_escaped_slashes_action"] = _SLASHES[traffic.escaped_slashes]
    if traffic.client_certificate != "Sanitize":
        found["forward_client_cert_details"] = _CERTIFICATE[traffic.client_certificate]
        details = {name.lower(): True for name in traffic.certificate_details}
        found["set_current_client_cert_details"] = details
    return found


def early_mutations(edits: HeaderEdits) -> list[Json]:
    """Extensions behind the one that takes our own headers off."""
    actions = (
        ("OVERWRITE_IF_EXISTS_OR_ADD", edits.set),
        ("APPEND_IF_EXISTS_OR_ADD", edits.add),
        ("ADD_IF_ABSENT", edits.add_if_absent),
    )
    mutations: list[Json] = [
        {"append": {"header": {"key": name, "value": value}, "append_action": action}}
        for action, headers in actions
        for name, value in headers
    ]
    mutations += [{"remove": name} for name in edits.remove]
    mutations += [
        {"remove_on_match": {"key_matcher": text_matcher(match)}} for match in edits.remove_on_match
    ]
    return [early_mutation(mutations)] if mutations else []


def early_mutation(mutations: list[Json]) -> Json:
    """Header mutations before the first route match."""
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": typed(_EARLY, mutations=mutations),
    }


def health_filters(traffic: ClientTraffic) -> list[Json]:
    """An HTTP filter that answers the path for health checks, where there is one."""
    if not traffic.health_path:
        return []
    path = {"name": ":path", "string_match": {"exact": traffic.health_path}}
    name = "envoy.extensions.filters.http.health_check.v3.HealthCheck"
    config = typed(name, pass_through_mode=False, headers=[path])
    return [{"name": "envoy.filters.http.health_check", "typed_config": config}]


def network_filters(traffic: ClientTraffic, name: str) -> list[Json]:
    """Filters in front of the connection manager."""
    if traffic.connections is None:
        return []
    delay = {"delay": seconds(traffic.close_delay_ms)} if traffic.close_delay_ms else {}
    config = typed(
        "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
        stat_prefix=name.replace("/", "_"),
        max_connections=traffic.connections,
        **delay,
    )
    return [{"name": "envoy.filters.network.connection_limit", "typed_config": config}]


def listener_settings(traffic: PortTraffic) -> Json:
    """Members of a listener, without its filters."""
    found: Json = {}
    if traffic.accepts_per_event:
        found["max_connections_to_accept_per_socket_event"] = traffic.accepts_per_event
    options: list[Json] = []
    if size := traffic.socket_buffer_bytes:
        options += [_option(_SOL_SOCKET, name, size) for name in (_SO_SNDBUF, _SO_RCVBUF)]
    if traffic.keepalive:
        options += _keepalive(traffic.keepalive)
    if options:
        found["socket_options"] = options
    return found


def listener_filters(traffic: PortTraffic) -> list[Json]:
    """What reads the beginning of a connection before TLS."""
    if traffic.proxy_protocol is ProxyProtocol.NONE:
        return []
    config = typed(
        "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
        allow_requests_without_proxy_protocol=traffic.proxy_protocol is ProxyProtocol.OPTIONAL,
    )
    return [{"name": "envoy.filters.listener.proxy_protocol", "typed_config": config}]


def tls_parameters(tls: ClientTls) -> Json:
    """`tls_params` and `alpn_protocols` of a TLS context, where the user says something."""
    names: dict[str, object] = {
        "tls_minimum_protocol_version": _version(tls.min_version),
        "tls_maximum_protocol_version": _version(tls.max_version),
        "cipher_suites": list(tls.ciphers),
        "ecdh_curves": list(tls.curves),
        "signature_algorithms": list(tls.signature_algorithms),
    }
    parameters = {name: value for name, value in names.items() if value}
    found: Json = {"tls_params": parameters} if parameters else {}
    if tls.protocols is not None:
        found["alpn_protocols"] = list(tls.protocols)
    return found


def validation_context(validation: ClientValidation, ca_file: str) -> Json:
    """Which certificates of clients are good."""
    found: Json = {"trusted_ca": {"filename": ca_file}} if ca_file else {}
    if validation.certificate_hashes:
        found["verify_certificate_hash"] = list(validation.certificate_hashes)
    if validation.key_hashes:
        found["verify_certificate_spki"] = list(validation.key_hashes)
    if validation.names:
        found["match_typed_subject_alt_names"] = [
            {"san_type": kind.value, "matcher": text_matcher(match)}
            for kind, match in validation.names
        ]
    return found


def text_matcher(match: TextMatch) -> Json:
    """A `StringMatcher`."""
    match match.type:
        case TextMatchType.EXACT:
            return {"exact": match.value}
        case TextMatchType.PREFIX:
            return {"prefix": match.value}
        case TextMatchType.SUFFIX:
            return {"suffix": match.value}
        case TextMatchType.REGULAR_EXPRESSION:
            return {"safe_regex": {"regex": match.value}}


def _address(address: ClientAddress) -> Json:
    """Where the address of the client is found: in the connection, or where a proxy says so.

    Either way no client counts as internal, and none sets headers of ours.
    """
    if address.header:
        config = typed(
            f"{_DETECTION}.custom_header.v3.CustomHeaderConfig",
            header_name=address.header,
            allow_extension_to_set_address_as_trusted=False,
            **({"reject_with_status": {"code": "Forbidden"}} if address.reject_without else {}),
        )
        return _detection("custom_header", config)
    if address.trusted_ranges:
        ranges = [_range(text) for text in address.trusted_ranges]
        config = typed(
            f"{_DETECTION}.xff.v3.XffConfig",
            xff_trusted_cidrs={"cidrs": ranges},
            skip_xff_append=True,
        )
        return _detection("xff", config)
    found: Json = {"use_remote_address": True}
    if address.trusted_hops:
        found["xff_num_trusted_hops"] = address.trusted_hops
    return found


def _detection(name: str, config: Json) -> Json:
    extension = {"name": f"envoy.http.original_ip_detection.{name}", "typed_config": config}
    return {"use_remote_address": False, "original_ip_detection_extensions": [extension]}


def _range(text: str) -> Json:
    address, _, length = text.partition("/")
    return {"address_prefix": address, "prefix_len": int(length)}


def _connection(traffic: ClientTraffic) -> Json:
    found: Json = {}
    times = {
        "idle_timeout": traffic.idle_ms,
        "max_connection_duration": traffic.max_connection_ms,
        "max_stream_duration": traffic.max_stream_ms,
    }
    found |= {name: seconds(value) for name, value in times.items() if value is not None}
    if traffic.requests_per_connection:
        found["max_requests_per_connection"] = traffic.requests_per_connection
    if traffic.underscores != "Allow":
        found["headers_with_underscores_action"] = _UNDERSCORES[traffic.underscores]
    return found


def _keepalive(keepalive: Keepalive) -> list[Json]:
    times = ((_TCP_KEEPIDLE, keepalive.idle_ms), (_TCP_KEEPINTVL, keepalive.interval_ms))
    options = [_option(_SOL_SOCKET, _SO_KEEPALIVE, 1)]
    if keepalive.probes:
        options.append(_option(_IPPROTO_TCP, _TCP_KEEPCNT, keepalive.probes))
    options += [
        _option(_IPPROTO_TCP, name, max(1, -(-value // 1000))) for name, value in times if value
    ]
    return options


def _option(level: int, name: int, value: int) -> Json:
    return {"level": level, "name": name, "int_value": value, "state": "STATE_PREBIND"}


def _version(written: str | None) -> str:
    return f"TLSv{written.replace('.', '_')}" if written else ""
