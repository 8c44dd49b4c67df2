"""Findings as status conditions: the only place that words them.

The last condition is `Accepted` or `NotAccepted`: lists of objects show its type. Before it stand
`ResolvedRefs` and `Programmed`, where they say something.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from aigw.errors import Code, Diagnostic, Severity

_LONGEST = 32_768
_MOST_PARTS = 20
_SUCCESS = {
    "AIGatewayRoute": "AI Gateway Route reconciled successfully",
    "AIServiceBackend": "AIServiceBackend reconciled successfully",
    "BackendSecurityPolicy": "BackendSecurityPolicy reconciled successfully",
    "GatewayConfig": "GatewayConfig reconciled successfully",
    "MCPRoute": "MCP Gateway Route reconciled successfully",
    "QuotaPolicy": "QuotaPolicy reconciled successfully",
}
_REFERENCES = {
    Code.NOT_FOUND: "BackendNotFound",
    Code.NOT_PERMITTED: "RefNotPermitted",
}
_NOT_YET = "NotSupportedYet"


class Acceptance(Enum):
    """How much of an object is served."""

    ALL = "all"
    PART = "part"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition without its times."""

    type: str
    status: str
    reason: str
    message: str


def accepted(kind: str, acceptance: Acceptance, faults: Sequence[Diagnostic]) -> Condition:
    """`Accepted`, also where only a part is served: the message names the others."""
    if acceptance is Acceptance.NONE:
        reason = _NOT_YET if any(_is_not_yet(fault) for fault in faults) else None
        return Condition("NotAccepted", "False", reason or "ReconciliationFailed", _text(faults))
    if acceptance is Acceptance.PART:
        message = f"not all of it is served: {_text(faults)}"
        return Condition("Accepted", "True", "PartiallyAccepted", message[:_LONGEST])
    return Condition("Accepted", "True", "ReconciliationSucceeded", _SUCCESS[kind])


def withdrawn(condition: Condition, faults: Sequence[Diagnostic]) -> Condition:
    """`Accepted` where the cluster does not let us write what follows from the object."""
    message = _text(faults)
    if condition.type == "NotAccepted":
        message = f"{condition.message}; {message}"[:_LONGEST]
    return Condition("NotAccepted", "False", "ReconciliationFailed", message)


def also(programmed: Condition, faults: Sequence[str]) -> Condition:
    """`Programmed` where pods have no copy of the configuration for when nobody streams it."""
    if not faults:
        return programmed
    text = f"pods have no copy in case the controller is away: {'; '.join(faults)}"
    message = f"{programmed.message}; {text}"[:_LONGEST]
    return Condition(programmed.type, programmed.status, programmed.reason, message)


def resolved_refs(faults: Sequence[Diagnostic]) -> Condition:
    """Whether everything that the object refers to is there and may be referred to."""
    broken = [fault for fault in faults if fault.code in _REFERENCES or _is_pool(fault)]
    if not broken:
        return Condition("ResolvedRefs", "True", "ResolvedRefs", "all references are resolved")
    reason = _REFERENCES.get(broken[0].code, _NOT_YET)
    return Condition("ResolvedRefs", "False", reason, _text(broken))


def _is_not_yet(fault: Diagnostic) -> bool:
    return fault.code is Code.UNSUPPORTED and fault.field_path == "kind"


def _is_pool(fault: Diagnostic) -> bool:
    return fault.code is Code.UNSUPPORTED and ".backendRefs[" in fault.field_path


def faults_of(findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Findings because of which something is not served."""
    return [
        finding
        for finding in findings
        if finding.severity is Severity.ERROR or finding.code is Code.LEFT_OUT
    ]


def _text(faults: Sequence[Diagnostic]) -> str:
    parts = [
        f"{fault.field_path}: {fault.message}" if fault.field_path else fault.message
        for fault in dict.fromkeys(faults)
    ]
    if len(parts) > _MOST_PARTS:
        parts[_MOST_PARTS:] = [f"and {len(parts) - _MOST_PARTS} more"]
    return "; ".join(parts)[:_LONGEST]


def status_of(
    conditions: Sequence[Condition], generation: int, last: Mapping[str, Any], now: datetime
) -> dict[str, Any] | None:
    """The status to write, or None where `last` says the same already.

    The transition time of a condition changes with its status alone.
    """
    known = {item.get("type"): item for item in last.get("conditions", ()) if item}
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    written = []
    for condition in conditions:
        before = known.get(condition.type, {})
        is_same = before.get("status") == condition.status
        written.append(
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message,
                "observedGeneration": generation,
                "lastTransitionTime": before.get("lastTransitionTime", time) if is_same else time,
            }
        )
    return None if written == last.get("conditions") else {"conditions": written}
