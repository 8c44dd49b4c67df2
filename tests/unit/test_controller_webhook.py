"""The webhook as a server: what it takes, what it refuses, and with which certificate."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest

from aigw.controller.certificates import Certificates, Place
from aigw.controller.injection import Settings, injection
from aigw.controller.webhook import NotReadyError, Webhook
from unit.test_controller_injection import pod
from unit.test_controller_secret_sets import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aigw.controller.api import Api

Json = dict[str, Any]
SETTINGS = Settings(image="registry.example/aigw:1", controller="controller:1065")


class Served:
    """A webhook, the certificates of its replica, and how it is reached."""

    def __init__(self) -> None:
        place = Place("aigw", ["localhost"])
        self.certificates = Certificates(cast("Api", Store()), place)
        self.certificates.refresh(datetime.now(UTC))
        self.is_ready = True
        self.url = ""

    def is_served(self, _: str) -> bool:
        """As the controller."""
        if not self.is_ready:
            message = "not seen yet"
            raise NotReadyError(message)
        return True

    async def ask(self, path: str, body: bytes | None = None) -> httpx.Response:
        """As an API server or a kubelet."""
        trusted = ssl.create_default_context(cadata=self.certificates.trusted.decode())
        async with httpx.AsyncClient(verify=trusted) as client:
            method = "GET" if body is None else "POST"
            return await client.request(method, f"{self.url}{path}", content=body)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    bed = Served()
    webhook = Webhook(bed.is_served, lambda name: injection(name, SETTINGS, None))
    runner = await webhook.serve("127.0.0.1", 0, bed.certificates.webhook)
    bed.url = f"https://localhost:{runner.addresses[0][1]}"
    yield bed
    await runner.cleanup()


def review(**request: object) -> bytes:
    head = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
    body: bytes = httpx.Request("POST", "http://x", json={**head, "request": request}).content
    return body


async def test_a_review_is_answered_under_its_uid(served: Served) -> None:
    reply = (await served.ask("/mutate", review(uid="12", object=pod()))).json()
    assert reply["response"]["uid"] == "12"
    assert reply["response"]["allowed"]
    assert reply["response"]["patchType"] == "JSONPatch"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", review(uid="1"), review(uid="1", object=[])])
async def test_what_is_no_review_is_refused(served: Served, body: bytes) -> None:
    assert (await served.ask("/mutate", body)).status_code == 400


async def test_a_body_has_a_limit(served: Served) -> None:
    assert (await served.ask("/mutate", b" " * (9 << 20))).status_code == 413


async def test_it_is_ready_when_it_can_answer(served: Served) -> None:
    assert (await served.ask("/ready")).status_code == 200
    served.is_ready = False
    assert (await served.ask("/ready")).status_code == 503
    reply = (await served.ask("/mutate", review(uid="12", object=pod()))).json()
    assert not reply["response"]["allowed"]


async def test_a_renewed_certificate_serves_without_a_restart(served: Served) -> None:
    before = await certificate(served)
    served.certificates.refresh(datetime.now(UTC) + timedelta(days=25))
    assert await certificate(served) != before


async def certificate(served: Served) -> str:
    address = ("127.0.0.1", httpx.URL(served.url).port or 0)
    return await asyncio.to_thread(ssl.get_server_certificate, address)
