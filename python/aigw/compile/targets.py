"""Targets of policies that name nothing: a policy without effect is reported, never silent."""

from collections.abc import Iterable

from aigw.api.ai_service_backend import AIServiceBackend
from aigw.api.backend import Backend
from aigw.api.backend_security_policy import BackendSecurityPolicy
from aigw.api.backend_tls_policy import BackendTLSPolicy
from aigw.api.backend_traffic_policy import BackendTrafficPolicy
from aigw.api.client_traffic_policy import ClientTrafficPolicy
from aigw.api.gateway import Gateway
from aigw.api.policy_targets import TargetedSpec, TargetSelector
from aigw.api.references import LocalPolicyTargetReference
from aigw.compile.index import Index
from aigw.compile.policy_targets import GATEWAY, HTTP_ROUTE, selected_gateways
from aigw.compile.report import Report
from aigw.errors import Code, ResourceId

Policy = BackendSecurityPolicy | BackendTLSPolicy | BackendTrafficPolicy | ClientTrafficPolicy


def report_targets(index: Index, report: Report) -> None:
    """Names each policy, or part of one, that applies to nothing that was loaded.

    Routes as targets are not looked at, see `policy_targets`.
    """
    targets = _Targets(index, report)
    for security in index.all(BackendSecurityPolicy):
        targets.check(security, security.spec.target_refs, AIServiceBackend)
    for tls in index.all(BackendTLSPolicy):
        targets.check(tls, tls.spec.target_refs, Backend)
    for client in index.all(ClientTrafficPolicy):
        targets.check(client, client.spec.targets, Gateway)
    for traffic in index.all(BackendTrafficPolicy):
        targets.check(traffic, traffic.spec.targets, Gateway)


def report_selects_nothing(policy: ResourceId, path: str, kind: str, report: Report) -> None:
    """Names a selector without any object that it accepts."""
    message = f"selects no {kind} in the namespace {policy.namespace}"
    report.warning(policy, Code.NO_EFFECT, path, message)


def _selectors(policy: Policy) -> list[TargetSelector]:
    return policy.spec.selectors if isinstance(policy.spec, TargetedSpec) else []


class _Targets:
    """Looks targets up."""

    def __init__(self, index: Index, report: Report) -> None:
        self._index = index
        self._report = report

    def check(
        self,
        policy: Policy,
        refs: Iterable[LocalPolicyTargetReference],
        model: type[AIServiceBackend | Backend | Gateway],
    ) -> None:
        """Reports targets that are missing, or of a kind that only exists elsewhere.

        `model` is the usual kind.
        """
        position = -1
        for position, ref in enumerate(refs):
            path = f"spec.targetRefs[{position}]"
            if (ref.group, ref.kind) == HTTP_ROUTE and isinstance(policy, BackendTrafficPolicy):
                continue  # what a route is missing is found when all routes are known
            if (ref.group, ref.kind) == (model.GROUP, model.KIND):
                self._check_presence(policy, ref, path)
            elif isinstance(policy, BackendSecurityPolicy | BackendTLSPolicy):
                message = f"{ref.kind} is not supported as a target, only {model.KIND}"
                self._report.error(policy.id, Code.UNSUPPORTED, path, message)
        if isinstance(policy, BackendTrafficPolicy | ClientTrafficPolicy):
            self._check_selectors(policy)
        if position < 0 and not _selectors(policy):
            message = "targets nothing"
            self._report.warning(policy.id, Code.NO_EFFECT, "spec.targetRefs", message)

    def _check_selectors(self, policy: BackendTrafficPolicy | ClientTrafficPolicy) -> None:
        for position, selector in enumerate(policy.spec.selectors):
            kind = (selector.group, selector.kind)
            if kind == HTTP_ROUTE or (
                kind == GATEWAY and selected_gateways(selector, policy.namespace, self._index)
            ):
                continue
            report_selects_nothing(
                policy.id, f"spec.targetSelectors[{position}]", selector.kind, self._report
            )

    def _check_presence(self, policy: Policy, ref: LocalPolicyTargetReference, path: str) -> None:
        target = ResourceId(ref.group, ref.kind, policy.namespace, ref.name)
        if not self._index.is_written(target):
            self._report.warning(policy.id, Code.NOT_FOUND, path, f"{target} not found")
