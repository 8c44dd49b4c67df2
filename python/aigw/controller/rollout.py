"""When the pods of a Gateway are made anew. Pure.

Pods say in an annotation which sidecar the webhook gave them. Where that is not the wanted one, the
same annotation in the pod template makes them anew. It takes another annotation where the template
says so already: the webhook was not there, or it had other settings.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from aigw.controller.injection import HASH, has_sidecar

Json = dict[str, Any]

AGAIN = "aigateway.envoyproxy.io/uuid"
"""Annotation that makes pods anew although they should be right."""


class Step(Enum):
    """What a workload needs."""

    NOTHING = auto()
    WAIT = auto()
    """A rollout runs: it is looked at again when that has ended."""
    TEMPLATE = auto()
    """Its template gets the wanted hash."""
    AGAIN = auto()
    """Its pods are not what the template asks for."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or a DaemonSet, and its pods."""

    document: Json
    pods: Collection[Json]

    @property
    def hash(self) -> str:
        """The sidecar that its template asks for, or nothing."""
        return str(_annotations(self.document).get(HASH) or "")

    @property
    def live(self) -> list[Json]:
        """Pods that are not ending."""
        return [pod for pod in self.pods if "deletionTimestamp" not in pod["metadata"]]


def step(workload: Workload, wanted: str) -> Step:
    """`wanted` is the hash of the sidecar; empty: none."""
    if is_rolling(workload.document):
        return Step.WAIT
    if all(_sidecar(pod) == wanted for pod in workload.live):
        return Step.NOTHING
    return Step.AGAIN if workload.hash == wanted else Step.TEMPLATE


def is_rolling(document: Json) -> bool:
    """Whether pods are being replaced, or the status is of an older generation."""
    status: Mapping[str, Any] = document.get("status", {})
    generation = document["metadata"].get("generation", 0)
    observed = status.get("observedGeneration", 0)
    if document["kind"] == "DaemonSet":
        if observed == 0:
            return False
        scheduled = status.get("currentNumberScheduled", 0)
        return bool(observed < generation or scheduled > status.get("updatedNumberScheduled", 0))
    replicas, updated = status.get("replicas", 0), status.get("updatedReplicas", 0)
    return bool(observed < generation or replicas > updated)


def template_patch(annotations: Mapping[str, str | None]) -> Json:
    """Merge patch of the annotations of pods to come; None takes one away."""
    return {"spec": {"template": {"metadata": {"annotations": dict(annotations)}}}}


def _sidecar(pod: Json) -> str:
    """The hash of what a pod has; of a sidecar that nobody knows, something that is no hash."""
    if not has_sidecar(pod):
        return ""
    annotations = pod["metadata"].get("annotations") or {}
    return str(annotations.get(HASH) or "unknown")


def _annotations(document: Json) -> Mapping[str, Any]:
    metadata = document["spec"]["template"].get("metadata") or {}
    return metadata.get("annotations") or {}
