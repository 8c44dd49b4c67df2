"""What a pod finds in its volumes and in its environment."""

from __future__ import annotations

import base64
import re
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from pathlib import Path

    from kube.bed.cluster import Cluster

Json = dict[str, Any]
NODE = "bed"
_PART = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


class NotYet(Exception):  # noqa: N818 - no error: the kubelet waits
    """Something that the pod needs is not there."""


@dataclass(slots=True)
class PodFiles:
    """The volumes of a pod, each a folder."""

    cluster: Cluster
    pod: Json
    folder: Path
    address: str
    # Volumes that are written once.
    _done: set[str] = field(default_factory=set)

    @property
    def namespace(self) -> str:
        """Where its Secrets are."""
        found: str = self.pod["metadata"]["namespace"]
        return found

    def volume(self, name: str) -> Path:
        """The folder of a volume."""
        return self.folder / "volumes" / name

    def sync(self) -> None:
        """Write the volumes as they should be now.

        Raises:
            NotYet: a Secret or ConfigMap that is not optional does not exist.
        """
        for volume in self.pod["spec"].get("volumes", []):
            folder = self.volume(volume["name"])
            folder.mkdir(parents=True, exist_ok=True)
            if volume["name"] in self._done or "emptyDir" in volume:
                continue
            publish(folder, self._content(volume))
            sources = volume.get("projected", {}).get("sources", [])
            if any("serviceAccountToken" in source for source in sources):
                # It lives longer than any test.
                self._done.add(volume["name"])

    def _content(self, volume: Json) -> dict[str, bytes]:
        if "projected" in volume:
            content = {}
            for source in volume["projected"]["sources"]:
                content.update(self._source(source))
            return content
        return self._source(volume)

    def _source(self, source: Json) -> dict[str, bytes]:
        if "secret" in source:
            part = source["secret"]
            name = part.get("secretName") or part["name"]
            return chosen(self._data("Secret", name, part.get("optional")), part.get("items"))
        if "configMap" in source:
            part = source["configMap"]
            data = self._data("ConfigMap", part["name"], part.get("optional"))
            return chosen(data, part.get("items"))
        if "downwardAPI" in source:
            items = source["downwardAPI"].get("items", [])
            return {i["path"]: self.own(i["fieldRef"]["fieldPath"]).encode() for i in items}
        if "serviceAccountToken" in source:
            return {source["serviceAccountToken"]["path"]: self._token().encode()}
        message = f"volume of an unknown kind: {source}"
        raise ValueError(message)

    def _data(self, kind: str, name: str, optional: object) -> dict[str, bytes]:
        found = self.cluster.get(kind, name, self.namespace)
        if found is None and not optional:
            message = f"{kind} {name}"
            raise NotYet(message)
        data = (found or {}).get("data") or {}
        decode = base64.b64decode if kind == "Secret" else str.encode
        return {key: decode(value) for key, value in data.items()}

    def _token(self) -> str:
        metadata = self.pod["metadata"]
        bound = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        spec = {"audiences": [], "expirationSeconds": 3600, "boundObjectRef": bound}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        name = self.pod["spec"].get("serviceAccountName", "default")
        account = {"namespace": self.namespace, "name": name}
        document = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}
        token: str = self.cluster.post(document, "token", request)["status"]["token"]
        return token

    def environment(self, container: Json) -> dict[str, str]:
        """The variables of a container.

        Raises:
            NotYet: a Secret or ConfigMap that is not optional does not exist.
        """
        found: dict[str, str] = {}
        for item in container.get("env", []):
            value = self._variable(item)
            if value is not None:
                found[item["name"]] = substituted(value, found)
        return found

    def _variable(self, item: Json) -> str | None:
        source = item.get("valueFrom")
        if source is None:
            return str(item.get("value", ""))
        if "fieldRef" in source:
            return self.own(source["fieldRef"]["fieldPath"])
        for member, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
            if member in source:
                part = source[member]
                value = self._data(kind, part["name"], part.get("optional")).get(part["key"])
                return None if value is None else value.decode()
        return ""

    def own(self, path: str) -> str:
        """A field of the pod, as the downward API has it."""
        metadata = self.pod["metadata"]
        if match := _PART.match(path):
            return str(metadata.get(match[1], {}).get(match[2], ""))
        fields: dict[str, str] = {
            "metadata.name": metadata["name"],
            "metadata.namespace": metadata["namespace"],
            "metadata.uid": metadata["uid"],
            "spec.nodeName": NODE,
            "spec.serviceAccountName": self.pod["spec"].get("serviceAccountName", ""),
            "status.podIP": self.address,
            "status.podIPs": self.address,
            "status.hostIP": self.address,
        }
        return fields[path]


def substituted(text: str, variables: dict[str, str]) -> str:
    """`text` with `$(NAME)` replaced where there is such a variable."""
    return re.sub(r"\$\(([\w.-]+)\)", lambda match: variables.get(match[1], match[0]), text)


def chosen(data: dict[str, bytes], items: list[Json] | None) -> dict[str, bytes]:
    """The items of a volume, under their paths."""
    if items is None:
        return data
    return {item["path"]: data[item["key"]] for item in items if item["key"] in data}


def publish(folder: Path, content: dict[str, bytes]) -> None:
    """Shows all of the content at once, the way kubelets do: through one symbolic link."""
    current = folder / "..data"
    old = current.readlink() if current.is_symlink() else None
    if old is not None and content == _read(folder / old):
        return
    fresh = folder / f"..{uuid4().hex}"
    fresh.mkdir()
    for path, value in content.items():
        (fresh / path).parent.mkdir(parents=True, exist_ok=True)
        (fresh / path).write_bytes(value)
    link = folder / "..new"
    link.symlink_to(fresh.name)
    link.rename(current)
    _link_names(folder, {path.partition("/")[0] for path in content})
    if old is not None:
        shutil.rmtree(folder / old)


def _link_names(folder: Path, wanted: set[str]) -> None:
    there = {path.name for path in folder.iterdir() if not path.name.startswith("..")}
    for name in there - wanted:
        (folder / name).unlink()
    for name in wanted - there:
        (folder / name).symlink_to(f"..data/{name}")


def _read(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
