"""The API server: the only module that knows the Kubernetes client. Blocking; called in threads."""

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3
from kubernetes import client, config

from aigw.controller.kinds import Kind
from aigw.errors import AigwError

Json = dict[str, Any]

FIELD_MANAGER = "aigw-controller"
_TIMEOUT = urllib3.Timeout(connect=5, read=30)
_WRITE_TIMEOUT = urllib3.Timeout(total=4)
"""Shorter than what is left of a Lease when a write may begin at the latest."""
_PAGE = 500
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_JSON = "application/json"
_METADATA = f"{_JSON};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


class ApiError(AigwError):
    """The API server refused something, or cannot be reached (`status` 0)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def is_permanent(self) -> bool:
        """Whether the same request will be refused again until some object changes."""
        return self.status in (400, 403, 405, 413, 422)


@dataclass(frozen=True, slots=True)
class Page:
    """Objects of one kind, and the version of the list that they are of."""

    items: tuple[Json, ...]
    version: str


class Api:
    """Requests to one API server."""

    def __init__(self, kubeconfig: Path | None = None) -> None:
        """Takes the file, else the service account of the pod, else the user's own file.

        Raises:
            ApiError: none of them can be used.
        """
        settings = client.Configuration()
        try:
            if kubeconfig is not None:
                config.load_kube_config(  # type: ignore[no-untyped-call]
                    str(kubeconfig), client_configuration=settings
                )
            else:
                config.load_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        except (config.ConfigException, OSError) as error:
            raise ApiError(0, "NoConfiguration", f"no access to a cluster: {error}") from None
        self._settings = settings
        self._host = settings.host.rstrip("/")
        self._pool = client.ApiClient(settings).rest_client.pool_manager

    def connection(self) -> Json:
        """Where and as whom, in the words of kopf's `ConnectionInfo`."""
        scheme, _, token = self._credential().partition(" ")
        found = {
            "server": self._host,
            "ca_path": self._settings.ssl_ca_cert,
            "insecure": not self._settings.verify_ssl,
            "certificate_path": self._settings.cert_file,
            "private_key_path": self._settings.key_file,
            "scheme": scheme if token else None,
            "token": token or None,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _credential(self) -> str:
        """The value of the `authorization` header, asked for anew: tokens are rotated."""
        found = self._settings.auth_settings().get("BearerToken")
        return str(found["value"] or "") if found else ""

    def version(self) -> tuple[int, int]:
        """Major and minor version of the API server; of a minor `33+` the number."""
        found = self._ask("GET", "/version")
        numbers = (re.match(r"\d*", str(found.get(name, ""))) for name in ("major", "minor"))
        major, minor = (int(number[0] or 0) if number else 0 for number in numbers)
        return major, minor

    def list(self, kind: Kind, namespace: str = "", labels: str = "") -> Page:
        """All objects of a kind, page by page.

        Raises:
            ApiError: see there.
        """
        return self._list(kind, namespace, labels, _JSON)

    def list_metadata(self, kind: Kind, namespace: str = "", labels: str = "") -> Page:
        """As `list`, without anything but the metadata."""
        return self._list(kind, namespace, labels, _METADATA)

    def _list(self, kind: Kind, namespace: str, labels: str, accept: str) -> Page:
        items: list[Json] = []
        query = {"limit": str(_PAGE)} | ({"labelSelector": labels} if labels else {})
        while True:
            found = self._ask("GET", kind.path(namespace), query, headers={"accept": accept})
            named = {"apiVersion": kind.api_version, "kind": kind.name}
            items += ({**item, **named} for item in found.get("items") or ())
            metadata = found["metadata"]
            if not metadata.get("continue"):
                return Page(tuple(items), metadata.get("resourceVersion", ""))
            query["continue"] = metadata["continue"]

    def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """An object, or None."""
        try:
            return self._ask("GET", kind.path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def create(self, kind: Kind, namespace: str, content: Json) -> Json:
        """Creates an object; 409 when it is there."""
        return self._ask("POST", kind.path(namespace), body=content)

    def replace(self, kind: Kind, content: Json) -> Json:
        """Replaces an object of the same `resourceVersion`; 409 when it has another."""
        metadata = content["metadata"]
        path = kind.path(metadata.get("namespace", ""), metadata["name"])
        return self._ask("PUT", path, body=content)

    def apply(self, kind: Kind, content: Json) -> Json:
        """Server-side apply: fields that are left out are taken back."""
        metadata = content["metadata"]
        path = kind.path(metadata.get("namespace", ""), metadata["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return self._ask("PATCH", path, query, content, {"content-type": _APPLY})

    def merge(self, kind: Kind, namespace: str, name: str, patch: Json, part: str = "") -> Json:
        """Merge patch of an object or of its `part`; with `resourceVersion` in it, of just that."""
        return self._ask(
            "PATCH", kind.path(namespace, name, part), {}, patch, {"content-type": _MERGE}
        )

    def delete(self, kind: Kind, namespace: str, name: str, uid: str = "") -> None:
        """Deletes an object, if it is there and has this `uid`."""
        body = {"preconditions": {"uid": uid}} if uid else None
        try:
            self._ask("DELETE", kind.path(namespace, name), body=body)
        except ApiError as error:
            if error.status != 404:
                raise

    def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        url = f"{self._host}{quote(path)}"
        if query:
            url = f"{url}?{urlencode(query)}"
        headers = {"accept": _JSON, "content-type": _JSON, **(headers or {})}
        if credential := self._credential():
            headers["authorization"] = credential
        encoded = None
        if body is not None:
            encoded = orjson.dumps(body)
        timeout = _TIMEOUT if method == "GET" else _WRITE_TIMEOUT
        try:
            reply = self._pool.request(
                method, url, body=encoded, headers=headers, timeout=timeout, retries=False
            )
        except (urllib3.exceptions.HTTPError, ssl.SSLError, OSError) as error:
            raise ApiError(0, "Unreachable", f"{method} {path}: {_shown(error)}") from None
        return _answer(method, path, reply.status, reply.data)


def _answer(method: str, path: str, status: int, data: bytes) -> Json:
    try:
        answer = orjson.loads(data)
    except json.JSONDecodeError:
        answer = None
    if 200 <= status < 300 and isinstance(answer, dict):
        return answer
    found = answer if isinstance(answer, dict) else {}
    reason = str(found.get("reason", ""))
    message = str(found.get("message") or f"{method} {path}: status {status}")
    raise ApiError(status, reason, message)


def _shown(error: Exception) -> str:
    return str(error) or type(error).__name__
