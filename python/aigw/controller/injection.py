"""The sidecar of Envoy's pods: what it is, and the patch that puts it into a pod. Pure.

The container depends on settings and on the Gateway's GatewayConfig alone, never on what the pod
mounts at the moment: the webhook and the rollout, which compares hashes, cannot disagree.

    /etc/ai-gateway-extproc-uds           the socket, shared with Envoy
    /etc/filter-config-bundle             the Secret set, as `aigw.extproc.mounted` reads it
    /etc/ai-gateway-extproc-certificates  what the sidecar proves itself with
    /run/ai-gateway-extproc               what the core reads; it holds credentials, so in memory
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from aigw.api.container import KubernetesContainerSpec
from aigw.controller.bundle import PARTS, SIDES, base_name, client_name, part_name

Json = dict[str, Any]

CONTAINER = "ai-gateway-extproc"
ENVOY = "envoy"
HASH = "aigateway.envoyproxy.io/extproc-config-hash"
"""Annotation: which sidecar a pod has, and of a workload's template, which it is to have."""
OWNER_NAME = "gateway.envoyproxy.io/owning-gateway-name"
OWNER_NAMESPACE = "gateway.envoyproxy.io/owning-gateway-namespace"

_ADMIN_PORT = 1064
_SOCKETS, _BUNDLE = "ai-gateway-extproc-uds", "ai-gateway-extproc-bundle"
_CERTIFICATES, _RUNTIME = "ai-gateway-extproc-certificates", "ai-gateway-extproc-runtime"
_MOUNTS = {
    _SOCKETS: "/etc/ai-gateway-extproc-uds",
    _BUNDLE: "/etc/filter-config-bundle",
    _CERTIFICATES: "/etc/ai-gateway-extproc-certificates",
    _RUNTIME: "/run/ai-gateway-extproc",
}
SOCKET = f"{_MOUNTS[_SOCKETS]}/run.sock"
_VERBOSITY = {"debug": ("--verbose", "--debug"), "info": ("--verbose",), "warn": (), "error": ()}
_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "privileged": False,
    "runAsGroup": 65532,
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What all sidecars have in common. `controller` is the `host:port` of the stream.

    `is_native`: the API server has containers that start before the others and end after them.
    """

    image: str
    controller: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    log_level: str = "info"
    is_native: bool = True


@dataclass(frozen=True, slots=True)
class Injection:
    """What is added to the pods of one Gateway (`<ns>/<name>`)."""

    container: Json
    volumes: tuple[Json, ...]
    pull_secrets: tuple[str, ...]
    is_native: bool

    @property
    def hash(self) -> str:
        """Of all of it."""
        parts = [self.container, self.volumes, self.pull_secrets, self.is_native]
        return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def injection(
    gateway: str, settings: Settings, config: KubernetesContainerSpec | None
) -> Injection:
    """The sidecar of a Gateway (`<ns>/<name>`)."""
    config = config or KubernetesContainerSpec()
    resources = _plain(config.resources) if config.resources else {}
    security = _plain(config.security_context) if config.security_context else _SECURITY
    container = {
        "name": CONTAINER,
        "image": _image(settings.image, config),
        "imagePullPolicy": settings.pull_policy,
        "command": ["python", "-m", "aigw.extproc"],
        "args": _arguments(gateway, settings),
        "ports": [{"name": "aigw-admin", "containerPort": _ADMIN_PORT, "protocol": "TCP"}],
        "env": _environment(settings.env, config),
        "volumeMounts": [*_own_mounts(), *map(_plain, config.volume_mounts or ())],
        "securityContext": security,
        "resources": resources,
        # Envoy starts when there is a configuration, from wherever it comes.
        "startupProbe": {**_probe(), "periodSeconds": 1, "failureThreshold": 600},
        "readinessProbe": {**_probe(), "periodSeconds": 10, "failureThreshold": 1},
    }
    if settings.is_native:
        container["restartPolicy"] = "Always"
    return Injection(container, _volumes(gateway), settings.pull_secrets, settings.is_native)


def has_sidecar(pod: Json) -> bool:
    """Whether the container is there, in whichever place."""
    spec = pod.get("spec", {})
    containers = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    return any(item.get("name") == CONTAINER for item in containers)


def gateway_of(document: Json) -> str:
    """The Gateway (`<ns>/<name>`) that a pod or a workload is of, or nothing."""
    labels = document.get("metadata", {}).get("labels") or {}
    namespace, name = labels.get(OWNER_NAMESPACE), labels.get(OWNER_NAME)
    return f"{namespace}/{name}" if namespace and name else ""


def patch(pod: Json, added: Injection) -> list[Json]:
    """JSON patch (RFC 6902) of a pod; empty where the sidecar is there, or no Envoy is."""
    spec = pod.get("spec", {})
    containers = spec.get("containers") or []
    places = [number for number, item in enumerate(containers) if item.get("name") == ENVOY]
    if has_sidecar(pod) or not places:
        return []
    socket = {"name": _SOCKETS, "mountPath": _MOUNTS[_SOCKETS]}
    envoy = f"containers/{places[0]}/volumeMounts"
    sidecars = "initContainers" if added.is_native else "containers"
    secrets = [{"name": name} for name in added.pull_secrets]
    return [
        *_stamped(pod.get("metadata", {}), added.hash),
        *_appended(spec, "volumes", added.volumes),
        *_appended(spec, "imagePullSecrets", _missing(spec.get("imagePullSecrets"), secrets)),
        *_appended(containers[places[0]], "volumeMounts", [socket], at=envoy),
        *_appended(spec, sidecars, [added.container]),
    ]


def _stamped(metadata: Mapping[str, Any], value: str) -> list[Json]:
    if not metadata.get("annotations"):
        return [{"op": "add", "path": "/metadata/annotations", "value": {HASH: value}}]
    name = HASH.replace("~", "~0").replace("/", "~1")
    return [{"op": "add", "path": f"/metadata/annotations/{name}", "value": value}]


def _missing(there: Sequence[Json] | None, wanted: Sequence[Json]) -> list[Json]:
    return [item for item in wanted if item not in (there or ())]


def _appended(
    holder: Mapping[str, Any], name: str, items: Sequence[Json], at: str = ""
) -> list[Json]:
    path = f"/spec/{at or name}"
    if not items:
        return []
    if not holder.get(name):
        return [{"op": "add", "path": path, "value": list(items)}]
    return [{"op": "add", "path": f"{path}/-", "value": item} for item in items]


def _arguments(gateway: str, settings: Settings) -> list[str]:
    arguments = {
        "--gateway": gateway,
        "--controller": settings.controller,
        "--certificates": _MOUNTS[_CERTIFICATES],
        "--mounted": _MOUNTS[_BUNDLE],
        "--runtime": f"{_MOUNTS[_RUNTIME]}/config",
        "--socket": SOCKET,
        "--admin-port": str(_ADMIN_PORT),
        "--admin-address": "0.0.0.0",  # noqa: S104 - kubelets and Prometheus ask it
    }
    return [*(word for pair in arguments.items() for word in pair), *_VERBOSITY[settings.log_level]]


def _environment(common: Sequence[tuple[str, str]], config: KubernetesContainerSpec) -> list[Json]:
    found: dict[str, Json] = {name: {"name": name, "value": value} for name, value in common}
    for variable in config.env or ():
        found[variable.name] = _plain(variable)
    return list(found.values())


def _image(default: str, config: KubernetesContainerSpec) -> str:
    if config.image:
        return config.image
    repository = config.image_repository
    return f"{repository}{_suffix(default)}" if repository else default


def _suffix(image: str) -> str:
    """The digest, or the tag, or nothing."""
    _, at, digest = image.partition("@")
    if at:
        return f"@{digest}"
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return f"{colon}{tag}"


def _own_mounts() -> list[Json]:
    read_only = (_BUNDLE, _CERTIFICATES)
    return [
        {"name": name, "mountPath": path, **({"readOnly": True} if name in read_only else {})}
        for name, path in _MOUNTS.items()
    ]


def _probe() -> Json:
    get = {"path": "/health", "port": _ADMIN_PORT, "scheme": "HTTP"}
    return {"httpGet": get, "timeoutSeconds": 5, "successThreshold": 1}


def _volumes(gateway: str) -> tuple[Json, ...]:
    base = base_name(*gateway.split("/", 1))
    index = {"key": "index.json", "path": "index.json"}
    sources = [{"secret": {"name": base, "optional": True, "items": [index]}}]
    for side in SIDES:
        for number in range(PARTS):
            items = [{"key": "chunk", "path": f"parts/{side}-{number}"}]
            name = part_name(base, side, number)
            sources.append({"secret": {"name": name, "optional": True, "items": items}})
    return (
        {"name": _SOCKETS, "emptyDir": {}},
        {"name": _BUNDLE, "projected": {"sources": sources}},
        {"name": _CERTIFICATES, "secret": {"secretName": client_name(base)}},
        {"name": _RUNTIME, "emptyDir": {"medium": "Memory"}},
    )


def _plain(model: Any) -> Json:  # noqa: ANN401 - any model of the API
    written: Json = model.model_dump(
        mode="json", by_alias=True, exclude_unset=True, exclude_none=True
    )
    return written
