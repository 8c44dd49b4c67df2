"""The gRPC server of the hooks.

Until there is a plan it is not healthy and answers UNAVAILABLE. Envoy Gateway asks again a few
times, then not before something changes; it waits for a server that does not listen yet. So it is
best started with a plan. Anything else that goes wrong is an error as well: Envoy then keeps what
it has.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NoReturn, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from aigw.errors import AigwError
from aigw.extension.messages import Message, encoded, message, parsed
from aigw.extension.rewrite import Bundle, Rewritten, name_endpoints, rewrite
from aigw.extension.served import Served
from aigw.extension.settings import Settings
from aigw.plan import Plan

logger = logging.getLogger(__name__)

SERVICE = "envoygateway.extension.EnvoyGatewayExtension"
HEALTH = "grpc.health.v1.Health"
MAX_MESSAGE_BYTES = 64 << 20
_PACKAGE = "envoygateway.extension"
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"
_THREADS = 8
_POLL_SECONDS = 0.02
_WATCH_SECONDS = 0.2
_MANY = 100_000

Context: TypeAlias = grpc.ServicerContext
Hook: TypeAlias = Callable[[bytes, Served], tuple[bytes, frozenset[str]]]
PlanSource: TypeAlias = Callable[[], Plan | None]
"""The plan of all Gateways as it is now; None: not known yet."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where and how to serve.

    `certificate` gives a certificate and its key in PEM, asked for at each handshake; without it
    there is no TLS. `agreement_seconds`: how long a hook waits for a plan, and for one that
    agrees with what Envoy Gateway has.
    """

    address: str = "0.0.0.0:1063"
    max_message_bytes: int = MAX_MESSAGE_BYTES
    certificate: Callable[[], tuple[bytes, bytes]] | None = field(default=None, repr=False)
    agreement_seconds: float = 1.0


class ExtensionServer:
    """Serves the hooks with the plan of `source`."""

    def __init__(
        self, source: PlanSource, settings: Settings, options: ServerOptions = ServerOptions()
    ) -> None:
        """Does not listen yet."""
        self._source = source
        self._settings = settings
        self._options = options
        self._served: Served | None = None
        self._lock = Lock()
        self._given_up: frozenset[str] = frozenset()
        self._is_stopping = False
        self._server: grpc.Server | None = None
        self.port = 0

    def start(self) -> None:
        """Listens.

        Raises:
            RuntimeError: The address cannot be had.
        """
        limit = self._options.max_message_bytes
        server = grpc.server(
            ThreadPoolExecutor(_THREADS, thread_name_prefix="extension"),
            options=(
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", limit),
            ),
        )
        hooks: dict[str, Hook] = {
            "PostRouteModify": _same("PostRouteModify", "route"),
            "PostClusterModify": _same("PostClusterModify", "cluster"),
            "PostEndpointsModify": _endpoints,
            "PostTranslateModify": self._translation,
        }
        methods = {name: _unary(self._answering(hook)) for name, hook in hooks.items()}
        health = {
            "Check": _unary(self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, None, None),
        }
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(SERVICE, methods),
                grpc.method_handlers_generic_handler(HEALTH, health),
            )
        )
        self.port = self._open(server)
        server.start()
        self._server = server

    def _open(self, server: grpc.Server) -> int:
        address, certificate = self._options.address, self._options.certificate
        if certificate is None:
            return server.add_insecure_port(address)

        def configuration() -> grpc.ServerCertificateConfiguration:
            chain, key = certificate()
            return grpc.ssl_server_certificate_configuration([(key, chain)])

        credentials = grpc.dynamic_ssl_server_credentials(configuration(), configuration)
        return server.add_secure_port(address, credentials)

    def stop(self, grace_seconds: float) -> None:
        """Takes no new calls, waits for those that run, ends those that are left."""
        self._is_stopping = True
        if self._server is not None:
            self._server.stop(grace_seconds).wait()

    # --- health ---

    def _health(self) -> bytes:
        is_ready = not self._is_stopping and self._current() is not None
        return _SERVING if is_ready else _NOT_SERVING

    def _check(self, request: bytes, context: Context) -> bytes:
        del request, context
        return self._health()

    def _watch(self, request: bytes, context: Context) -> Any:  # noqa: ANN401 - an iterator
        del request
        last = b""
        while context.is_active() and not self._is_stopping:
            now = self._health()
            if now != last:
                last = now
                yield now
            time.sleep(_WATCH_SECONDS)

    # --- hooks ---

    def _current(self) -> Served | None:
        """Look-ups over the plan as it is now; they are made once for each plan."""
        plan = self._source()
        if plan is None:
            return None
        with self._lock:
            if self._served is None or self._served.plan is not plan:
                self._served = Served(plan)
            return self._served

    def _answering(self, hook: Hook) -> Callable[[bytes, Context], bytes]:
        def answer(request: bytes, context: Context) -> bytes:
            try:
                return self._agreed(hook, request, context)
            except DecodeError as error:
                _abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"malformed request: {error}")
            except AigwError as error:
                _abort(context, grpc.StatusCode.INTERNAL, str(error))

        return answer

    def _agreed(self, hook: Hook, request: bytes, context: Context) -> bytes:
        """The answer of a hook, by the first plan that agrees with the request, or by the last.

        Both follow the same objects, and either may be a moment behind the other.
        """
        until = time.monotonic() + self._options.agreement_seconds
        served = self._current()
        while served is None and not self._is_stopping and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            served = self._current()
        if served is None or self._is_stopping:
            _abort(context, grpc.StatusCode.UNAVAILABLE, "the configuration is not known yet")
        answer, unknown = hook(request, served)
        while unknown - self._given_up and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            newer = self._current()
            if newer is not None and newer is not served:
                served = newer
                answer, unknown = hook(request, served)
        if unknown - self._given_up:
            self._given_up = (self._given_up | unknown) if len(self._given_up) < _MANY else unknown
            listed = ", ".join(sorted(unknown)[:10])
            logger.warning("not in the plan, or otherwise, and not served: %s", listed)
        return answer

    def _translation(self, request: bytes, served: Served) -> tuple[bytes, frozenset[str]]:
        asked = parsed(f"{_PACKAGE}.PostTranslateModifyRequest", request)
        bundle = Bundle(
            tuple(asked.clusters), tuple(asked.listeners), tuple(asked.routes), tuple(asked.secrets)
        )
        found: Rewritten = rewrite(bundle, served, self._settings)
        answer: Message = message(f"{_PACKAGE}.PostTranslateModifyResponse")(
            clusters=found.bundle.clusters,
            listeners=found.bundle.listeners,
            routes=found.bundle.routes,
            secrets=found.bundle.secrets,
        )
        return encoded(answer), found.unknown


def _endpoints(request: bytes, served: Served) -> tuple[bytes, frozenset[str]]:
    asked = parsed(f"{_PACKAGE}.PostEndpointsModifyRequest", request)
    found = name_endpoints(asked.load_assignment, served)
    answer = message(f"{_PACKAGE}.PostEndpointsModifyResponse")()
    (answer.load_assignment,) = found.bundle.clusters
    return encoded(answer), found.unknown


def _same(method: str, field_name: str) -> Hook:
    """A hook that changes nothing: these are called for kinds of backends that are not served."""

    def answer(request: bytes, served: Served) -> tuple[bytes, frozenset[str]]:
        del served
        asked = parsed(f"{_PACKAGE}.{method}Request", request)
        found = message(f"{_PACKAGE}.{method}Response")()
        if value := getattr(asked, field_name):
            setattr(found, field_name, value)
        return encoded(found), frozenset()

    return answer


def _unary(behaviour: Callable[[bytes, Context], bytes]) -> Any:  # noqa: ANN401 - grpc's own
    return grpc.unary_unary_rpc_method_handler(behaviour, None, None)


def _abort(context: Context, status: grpc.StatusCode, details: str) -> NoReturn:
    context.abort(status, details)
    raise AssertionError  # abort raises
