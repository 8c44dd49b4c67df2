"""Certificates of a replica, from authorities that all replicas share in one Secret.

The key of what serves never leaves the process; what Gateways' pods prove themselves with goes
into Secrets that they mount.
"""

import asyncio
import base64
import logging
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from aigw.controller.api import Api, ApiError
from aigw.controller.authorities import Authorities, AuthorityError, Pair, Usage
from aigw.controller.kinds import SECRET, WEBHOOK
from aigw.render.config_messages import IDENTITY

logger = logging.getLogger(__name__)

Json = dict[str, Any]

SECRET_NAME = "aigw-certificate-authority"  # noqa: S105 - a name
LEAF = timedelta(days=30)
_LONGEST_PAUSE, _RETRY_SECONDS = 10.0, 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the Secret is, and as what this replica is reached; `leaf`: how long names are good.

    `webhook` names the MutatingWebhookConfiguration that must trust us.
    """

    namespace: str
    names: Sequence[str]
    webhook: str = ""
    leaf: timedelta = LEAF


@dataclass(frozen=True, slots=True)
class _State:
    """One moment's authorities and the certificate of the servers."""

    authorities: Authorities
    trusted: bytes
    server: Pair
    stream: grpc.ServerCertificateConfiguration = field(repr=False)


class Certificates:
    """Keeps all of it in force."""

    def __init__(self, api: Api, place: Place) -> None:
        """Nothing is there before `ready`."""
        self._api = api
        self._place = place
        self._state: _State | None = None
        self._webhook = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._webhook.minimum_version = ssl.TLSVersion.TLSv1_2
        self._told = ""

    async def ready(self) -> None:
        """Waits until there is an authority and a certificate of ours."""
        while self._state is None:
            try:
                await asyncio.to_thread(self.refresh, datetime.now(UTC))
            except ApiError as error:
                logger.warning("no certificate authority yet: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)

    async def run(self) -> None:
        """Renews and spreads, until it is cancelled."""
        pause = min(_LONGEST_PAUSE, self._place.leaf.total_seconds() / 20)
        while True:
            try:
                await asyncio.to_thread(self.refresh, datetime.now(UTC))
                await asyncio.to_thread(self._keep_trusted)
            except ApiError as error:
                logger.warning("certificates: %s", error)
            await asyncio.sleep(pause)

    def refresh(self, now: datetime) -> None:
        """One look at the Secret, and at the times.

        Raises:
            ApiError: it cannot be read or written.
        """
        authorities = self._authorities(now)
        last, trusted = self._state, authorities.trusted(now)
        if last and last.trusted == trusted and authorities.is_good(last.server, now):
            return
        server = last.server if last else None
        if server is None or not authorities.is_good(server, now):
            server = authorities.issue(self._place.names, Usage.SERVER, now)
            _load(self._webhook, server)
        pair = [(server.key, server.chain)]
        stream = grpc.ssl_server_certificate_configuration(pair, root_certificates=trusted)
        self._state = _State(authorities, trusted, server, stream)

    @property
    def trusted(self) -> bytes:
        """Certificates of the authorities, PEM."""
        return self._now().trusted

    @property
    def webhook(self) -> ssl.SSLContext:
        """For a server; what it serves with changes in time."""
        return self._webhook

    def stream(self) -> grpc.ServerCredentials:
        """For a server that wants certificates of its clients; what it serves with changes."""
        return grpc.dynamic_ssl_server_credentials(
            self._now().stream, lambda: self._now().stream, require_client_authentication=True
        )

    def client(self, gateway: str, last: Pair | None, now: datetime) -> Pair:
        """What data planes of a Gateway prove themselves with: the last one where it is good."""
        authorities = self._now().authorities
        if last is not None and authorities.is_good(last, now):
            return last
        return authorities.issue([f"{IDENTITY}{gateway}"], Usage.CLIENT, now)

    def _now(self) -> _State:
        if self._state is None:
            raise RuntimeError
        return self._state

    # --- the Secret ---

    def _authorities(self, now: datetime) -> Authorities:
        """Those of the Secret, which is written where it is not as it should be."""
        while True:
            found = self._api.get(SECRET, self._place.namespace, SECRET_NAME)
            known = self._known(found)
            kept = known.kept(now)
            if found is not None and kept is known and _data(found) == known.data():
                return known
            try:
                self._write(found, kept)
            except ApiError as error:
                if error.status != 409:
                    raise
                continue  # another replica was first
            logger.info("the certificate authority is renewed")
            return kept

    def _known(self, found: Json | None) -> Authorities:
        """A Secret that is gone or damaged is made again of what we know."""
        mine = self._state.authorities if self._state else Authorities((), self._place.leaf)
        if found is None:
            return mine
        try:
            return Authorities.read(_data(found), self._place.leaf)
        except AuthorityError as error:
            logger.error("%s; it is replaced", error)  # noqa: TRY400 - the text says it all
            return mine

    def _write(self, found: Json | None, authorities: Authorities) -> None:
        metadata = {"name": SECRET_NAME, "namespace": self._place.namespace}
        content: Json = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque"}
        data = {
            name: base64.b64encode(value).decode() for name, value in authorities.data().items()
        }
        if found is None:
            content |= {"metadata": metadata, "data": data}
            self._api.create(SECRET, self._place.namespace, content)
        else:
            self._api.replace(SECRET, {**content, "metadata": found["metadata"], "data": data})

    # --- the API server must trust the webhook ---

    def _keep_trusted(self) -> None:
        name = self._place.webhook
        if not name:
            return
        found = self._api.get(WEBHOOK, "", name)
        problem = _problem(name, found)
        if problem != self._told:
            self._told = problem
            if problem:
                logger.error("pods get no sidecar: %s", problem)
        if problem or found is None:
            return
        hook = found["webhooks"][0]
        bundle = base64.b64encode(self.trusted).decode()
        if hook.get("clientConfig", {}).get("caBundle") == bundle:
            return
        content = {
            "apiVersion": WEBHOOK.api_version,
            "kind": WEBHOOK.name,
            "metadata": {"name": name},
            "webhooks": [{"name": hook["name"], "clientConfig": {"caBundle": bundle}}],
        }
        self._api.apply(WEBHOOK, content)
        logger.info("%s trusts the certificate authority", name)


def _problem(name: str, found: Json | None) -> str:
    if found is None:
        return f"there is no MutatingWebhookConfiguration {name}"
    count = len(found.get("webhooks", ()))
    return "" if count == 1 else f"expected 1 webhook in {name}, got {count}"


def _data(secret: Json) -> dict[str, bytes]:
    try:
        return {name: base64.b64decode(value) for name, value in (secret.get("data") or {}).items()}
    except ValueError:
        return {}


def _load(context: ssl.SSLContext, pair: Pair) -> None:
    """The module wants a file: this one is in memory."""
    file = os.memfd_create("certificate")
    try:
        os.write(file, pair.chain + pair.key)
        context.load_cert_chain(f"/proc/self/fd/{file}")
    finally:
        os.close(file)
