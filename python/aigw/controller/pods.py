"""What surrounds the pods of Gateways in one replica: certificates, webhook, stream, rollouts."""

import asyncio
import contextlib
import dataclasses
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import grpc
import grpc.aio
from aiohttp import web

from aigw.controller.api import Api, ApiError
from aigw.controller.certificates import LEAF, Certificates, Place
from aigw.controller.data_planes import DataPlanes, Scope
from aigw.controller.injection import Settings
from aigw.controller.secret_sets import SecretSets
from aigw.controller.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

_NATIVE_SINCE = (1, 33)
_RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class PodOptions:
    """How this replica is reached, and what pods get.

    `service` is the name of the controller's Service in `namespace`. Addresses are `host:port`.
    """

    namespace: str
    service: str
    webhook: str
    stream: str
    scope: Scope
    sidecar: Settings
    leaf: timedelta = LEAF

    @property
    def names(self) -> tuple[str, ...]:
        """Host names of the Service."""
        full = f"{self.service}.{self.namespace}.svc"
        return (self.service, full.removesuffix(".svc"), full, f"{full}.cluster.local")


class Stream(Protocol):
    """The server that data planes follow."""

    async def serve(
        self, address: str, credentials: grpc.ServerCredentials | None = None
    ) -> grpc.aio.Server:
        """Listens."""


class Pods:
    """Begins with `serve` and ends with `stop`."""

    def __init__(self, api: Api, options: PodOptions) -> None:
        """Nothing is asked yet."""
        self._api = api
        self._options = options
        hook = f"envoy-ai-gateway-gateway-pod-mutator.{options.namespace}"
        place = Place(options.namespace, options.names, hook, options.leaf)
        self._certificates = Certificates(api, place)
        sets = SecretSets(api, self._certificates)
        self.data_planes = DataPlanes(api, options.sidecar, options.scope, sets)
        self._stop: list[Callable[[], Awaitable[None]]] = []

    async def serve(self, stream: Stream, grace_seconds: float) -> None:
        """Serves the stream and the webhook, when the API server has been asked what is needed.

        Raises:
            RuntimeError: an address cannot be had.
        """
        try:
            await self._serve(stream, grace_seconds)
        except BaseException:
            await self.stop()
            raise

    async def _serve(self, stream: Stream, grace_seconds: float) -> None:
        await self._certificates.ready()
        await self._learn()
        address = self._options.stream
        # A socket of this machine needs no certificates.
        credentials = None if address.startswith("unix:") else self._certificates.stream()
        server = await stream.serve(address, credentials)

        async def stop_stream() -> None:
            # When kopf ends, it cancels tasks that are not its own: those of gRPC too.
            with contextlib.suppress(asyncio.CancelledError):
                await server.stop(grace_seconds)

        self._stop.append(stop_stream)
        runner = await self._serve_webhook()
        self._stop.append(runner.cleanup)
        renewing = asyncio.create_task(self._certificates.run())

        async def stop_renewing() -> None:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing

        self._stop.append(stop_renewing)

    async def stop(self) -> None:
        """Ends what has begun."""
        while self._stop:
            await self._stop.pop()()

    async def _serve_webhook(self) -> web.AppRunner:
        host, _, port = self._options.webhook.rpartition(":")
        webhook = Webhook(self.data_planes.is_served, self.data_planes.sidecar)
        try:
            return await webhook.serve(host.strip("[]"), int(port), self._certificates.webhook)
        except OSError as error:
            message = f"cannot listen on {self._options.webhook} for the webhook: {error.strerror}"
            raise RuntimeError(message) from None

    async def _learn(self) -> None:
        """Whether the API server has native sidecars."""
        while True:
            try:
                version = await asyncio.to_thread(self._api.version)
            except ApiError as error:
                logger.warning("the version of the API server: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            is_native = version >= _NATIVE_SINCE
            self.data_planes.use(dataclasses.replace(self._options.sidecar, is_native=is_native))
            return
