"""What tests do with objects: plain dicts in and out, over the API server's own protocol."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import yaml

from kube.bed.process import BedError, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kube.bed.api_server import ApiServer

Json = dict[str, Any]
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
# Kinds that others refer to.
_FIRST = ("Namespace", "CustomResourceDefinition", "GatewayClass", "ServiceAccount", "EnvoyProxy")


class Refused(BedError):  # noqa: N818 - the word for it
    """The API server refuses a request."""

    def __init__(self, reply: httpx.Response) -> None:
        """Read its Status object."""
        self.code = reply.status_code
        try:
            status = reply.json()
        except ValueError:
            status = {"message": reply.text}
        self.reason: str = status.get("reason", "")
        self.message: str = status.get("message", "")
        self.causes: list[Json] = (status.get("details") or {}).get("causes") or []
        super().__init__(f"{self.code} {self.reason}: {self.message}")


@dataclass(frozen=True, slots=True)
class Resource:
    """Where the objects of a kind are."""

    group: str
    version: str
    plural: str
    is_namespaced: bool

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """The path of one object, or of all of them."""
        root = f"/apis/{self.group}" if self.group else "/api"
        scope = f"/namespaces/{namespace}" if self.is_namespaced and namespace else ""
        return f"{root}/{self.version}{scope}/{self.plural}{f'/{name}' if name else ''}"


Resources = list[Resource]


class Cluster:
    """An administrator's view of an API server."""

    def __init__(self, server: ApiServer) -> None:
        """Connect to it."""
        self.server = server
        self._client = server.client()
        self._resources: dict[str, list[Resource]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def create(self, document: Json, **params: str) -> Json:
        """Create an object."""
        return self._send("POST", self._path(document, is_named=False), document, params)

    def dry_run(self, document: Json) -> Json:
        """What would be stored, defaults included; unknown fields are refused."""
        return self.create(document, dryRun="All", fieldValidation="Strict")

    def apply(self, document: Json, manager: str = "test") -> Json:
        """Create or change an object, as `kubectl apply --server-side --force-conflicts`."""
        params = {"fieldManager": manager, "force": "true"}
        kind = "application/apply-patch+yaml"
        return self._send("PATCH", self._path(document), document, params, kind)

    def load(self, source: str | Path, namespace: str | None = None) -> list[Json]:
        """Apply all documents of a YAML text or file."""
        text = source if isinstance(source, str) else source.read_text()
        found = [document for document in yaml.safe_load_all(text) if document]
        for document in found:
            if namespace is not None and self.resource(document).is_namespaced:
                document["metadata"].setdefault("namespace", namespace)
        found.sort(key=lambda item: item["kind"] not in _FIRST)
        return [self.apply(document) for document in found]

    def replace(self, document: Json) -> Json:
        """Replace an object."""
        return self._send("PUT", self._path(document), document)

    def patch(self, document: Json, patch: Json, part: str = "") -> Json:
        """Merge a patch into an object or one of its parts (`status`, `scale`)."""
        path = self._path(document) + (f"/{part}" if part else "")
        return self._send("PATCH", path, patch, media_type="application/merge-patch+json")

    def patch_status(self, document: Json, status: Json) -> Json:
        """Merge into the status of an object."""
        return self.patch(document, {"status": status}, "status")

    def post(self, document: Json, part: str, body: Json) -> Json:
        """Create a part of an object: `binding`, `token`."""
        return self._send("POST", f"{self._path(document)}/{part}", body)

    def delete(self, document: Json, **params: str) -> None:
        """Delete an object if it is there."""
        try:
            self._send("DELETE", self._path(document), None, params)
        except Refused as error:
            if error.code != httpx.codes.NOT_FOUND:
                raise

    def get(self, kind: str, name: str, namespace: str | None = None) -> Json | None:
        """An object, or nothing. A kind is `Gateway`, or `Gateway.group` where several are."""
        try:
            return self._send("GET", self.find(kind).path(namespace, name))
        except Refused as error:
            if error.code != httpx.codes.NOT_FOUND:
                raise
        return None

    def list(
        self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Json]:
        """All objects of a kind."""
        selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        params = {"labelSelector": selector} if selector else {}
        reply = self._send("GET", self.find(kind).path(namespace), params=params)
        head = {"apiVersion": reply["apiVersion"], "kind": reply["kind"].removesuffix("List")}
        return [{**head, **item} for item in reply["items"]]

    def wait(self, condition: Callable[[], Any], what: str, timeout: float = 20.0) -> Any:  # noqa: ANN401
        """The first true value of a condition.

        Raises:
            BedError: there was none in time.
        """
        return wait(condition, what, timeout)

    def wait_for_condition(
        self, document: Json, name: str, value: str = "True", timeout: float = 20.0
    ) -> Json:
        """Waits until an object's controller says so about its newest generation."""
        metadata = document["metadata"]
        kind = f"{document['kind']}.{document['apiVersion'].rpartition('/')[0]}".rstrip(".")

        def said() -> Json | None:
            now = self.get(kind, metadata["name"], metadata.get("namespace"))
            return now if now and conditions(now).get(name) == value else None

        what = f"{name}={value} on {document['kind']} {metadata['name']}"
        return wait(said, what, timeout)

    def new_namespace(self, name: str | None = None) -> str:
        """Creates a namespace with the account that pods need."""
        name = name or f"test-{uuid4().hex[:8]}"
        head = {"apiVersion": "v1", "kind": "Namespace"}
        self.apply({**head, "metadata": {"name": name}})
        self.account(name, "default")
        return name

    def account(self, namespace: str, name: str) -> Json:
        """A ServiceAccount."""
        metadata = {"namespace": namespace, "name": name}
        return self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})

    def kubeconfig_of(self, namespace: str, account: str) -> Path:
        """A kubeconfig with the rights of a ServiceAccount, no more."""
        spec = {"audiences": [], "expirationSeconds": 3600}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        reply = self.post(self.account(namespace, account), "token", request)
        name = f"kubeconfig-{namespace}-{account}"
        return self.server.write_kubeconfig(name, reply["status"]["token"])

    def secret(self, namespace: str, name: str) -> dict[str, bytes]:
        """The decoded data of a Secret."""
        found = self.get("Secret", name, namespace) or {}
        return {key: base64.b64decode(value) for key, value in found.get("data", {}).items()}

    def find(self, kind: str, version: str | None = None) -> Resource:
        """Where objects of a kind are.

        Raises:
            BedError: there is no such kind, or there are several.
        """
        name, _, group = kind.partition(".")
        if not (found := self._matching(name, group if "." in kind else None, version)):
            self._discover()
            found = self._matching(name, group if "." in kind else None, version)
        if len({item.group for item in found}) != 1:
            message = f"{kind}: {found or 'no such kind'}"
            raise BedError(message)
        return found[0]

    def resource(self, document: Json) -> Resource:
        """Where an object belongs."""
        group, _, version = document["apiVersion"].rpartition("/")
        return self.find(f"{document['kind']}.{group}", version)

    def _matching(self, kind: str, group: str | None, version: str | None) -> Resources:
        return [
            item
            for item in self._resources.get(kind, [])
            if group in {None, item.group} and version in {None, item.version}
        ]

    def _discover(self) -> None:
        self._resources = {}
        for root in ("/api", "/apis"):
            reply = self._client.get(root, headers={"accept": _DISCOVERY})
            for group in reply.json()["items"]:
                for version in group["versions"]:
                    self._learn(group["metadata"].get("name", ""), version)

    def _learn(self, group: str, version: Json) -> None:
        for item in version.get("resources", []):
            scoped = item["scope"] == "Namespaced"
            found = Resource(group, version["version"], item["resource"], scoped)
            self._resources.setdefault(item["responseKind"]["kind"], []).append(found)

    def _path(self, document: Json, *, is_named: bool = True) -> str:
        metadata = document["metadata"]
        resource = self.resource(document)
        return resource.path(metadata.get("namespace"), metadata["name"] if is_named else None)

    def _send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        params: Mapping[str, str] | None = None,
        media_type: str = "application/json",
    ) -> Json:
        head = {"content-type": media_type}
        reply = self._client.request(method, path, json=body, params=params, headers=head)
        if not reply.is_success:
            raise Refused(reply)
        found: Json = reply.json()
        return found


def conditions(document: Json) -> dict[str, str]:
    """The conditions of an object, of a route those that its first parent's controller set."""
    status = document.get("status") or {}
    places = [status, *(status.get("parents") or [])]
    found: list[Json] = next(
        (place["conditions"] for place in places if place.get("conditions")), []
    )
    generation = document["metadata"].get("generation")
    return {
        item["type"]: item["status"]
        for item in found
        if item.get("observedGeneration", generation) == generation
    }
