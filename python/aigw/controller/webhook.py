"""The webhook that API servers ask about new pods of Envoys: HTTPS, `/mutate`, on every replica.

A pod that should have a sidecar and cannot get one now is denied: its ReplicaSet tries again.
"""

import base64
import logging
import ssl
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from aigw.controller.injection import (
    CONTAINER,
    ENVOY,
    HASH,
    Injection,
    gateway_of,
    has_sidecar,
    patch,
)
from aigw.errors import AigwError

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_LARGEST_BODY = 8 << 20
"""An object of 1.5 MiB twice, as etcd takes it, has room."""
_VERSION = "admission.k8s.io/v1"


class NotReadyError(AigwError):
    """It cannot be told yet what a pod should get."""


class Webhook:
    """Answers what pods get; `is_served` says whether a Gateway has routes that are served."""

    def __init__(
        self, is_served: Callable[[str], bool], sidecar: Callable[[str], Injection]
    ) -> None:
        """Both raise NotReadyError for as long as they cannot tell."""
        self._is_served = is_served
        self._sidecar = sidecar

    async def serve(self, host: str, port: int, tls: ssl.SSLContext) -> web.AppRunner:
        """Listens, until `cleanup` of what it returns.

        Raises:
            OSError: the address cannot be had.
        """
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.router.add_post("/mutate", self._mutate)
        application.router.add_get("/ready", self._ready)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError:
            await runner.cleanup()
            raise
        return runner

    async def _ready(self, _: web.Request) -> web.Response:
        try:
            self._is_served("")
        except NotReadyError as error:
            return web.Response(status=503, text=f"{error}\n")
        return web.Response(text="ok\n")

    async def _mutate(self, request: web.Request) -> web.Response:
        asked = _asked(await request.read())
        if asked is None:
            return web.Response(status=400, text=f"the body is no AdmissionReview of {_VERSION}\n")
        uid, pod = asked
        answer = {"uid": uid, **self.answer(pod)}
        body = orjson.dumps({"apiVersion": _VERSION, "kind": "AdmissionReview", "response": answer})
        return web.Response(body=body, content_type="application/json")

    def answer(self, pod: Json) -> Json:
        """The response for a pod, without its uid."""
        gateway = gateway_of(pod)
        try:
            return self._answer(pod, gateway)
        except NotReadyError as error:
            return _denied(f"{CONTAINER} of Gateway {gateway}: {error}")
        except Exception as error:  # a pod without its sidecar would serve errors
            logger.exception("%s: no sidecar for a pod", gateway)
            return _denied(f"{CONTAINER} of Gateway {gateway}: {type(error).__name__}: {error}")

    def _answer(self, pod: Json, gateway: str) -> Json:
        if not gateway or has_sidecar(pod):
            return {"allowed": True}
        annotations = pod.get("metadata", {}).get("annotations") or {}
        # The workload has asked for it: the other replica knows of routes that are new here.
        if not self._is_served(gateway) and not annotations.get(HASH):
            return {"allowed": True}
        operations = patch(pod, self._sidecar(gateway))
        if not operations:
            return {"allowed": True, "warnings": [f"no sidecar: no container is named {ENVOY}"]}
        logger.info("%s: a pod gets its sidecar", gateway)
        text = base64.b64encode(orjson.dumps(operations)).decode()
        return {"allowed": True, "patchType": "JSONPatch", "patch": text}


def _denied(message: str) -> Json:
    return {"allowed": False, "status": {"code": 503, "message": message}}


def _asked(body: bytes) -> tuple[str, Json] | None:
    """Uid and pod of a review."""
    try:
        review = orjson.loads(body)
        uid, pod = str(review["request"]["uid"]), review["request"]["object"]
        is_review = review["apiVersion"] == _VERSION and isinstance(pod, dict)
    except (ValueError, KeyError, TypeError):
        return None
    return (uid, pod) if is_review else None
