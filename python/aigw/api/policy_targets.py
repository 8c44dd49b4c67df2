"""What a policy of Envoy Gateway applies to: objects by name, or by their labels."""

from typing import Annotated

from pydantic import Field

from aigw.api.fields import Group, Kind
from aigw.api.labels import LabelSelector
from aigw.api.model import ApiModel, Rule
from aigw.api.references import SectionTargetReference, TargetRefs


class TargetSelector(LabelSelector):
    """Objects of a kind in the policy's namespace that have these labels."""

    RULES = (
        Rule(
            "EG-48",
            "self.group == 'gateway.networking.k8s.io'",
            "group must be gateway.networking.k8s.io",
        ),
    )

    group: Group = "gateway.networking.k8s.io"
    kind: Kind


class TargetedSpec(ApiModel):
    """Spec of a policy with targets."""

    target_ref: SectionTargetReference | None = None
    target_refs: TargetRefs | None = None
    target_selectors: Annotated[list[TargetSelector], Field(max_length=16)] | None = None

    @property
    def targets(self) -> list[SectionTargetReference]:
        """Targets by name, whichever field names them."""
        return [*([self.target_ref] if self.target_ref else []), *(self.target_refs or [])]

    @property
    def selectors(self) -> list[TargetSelector]:
        """Targets by their labels."""
        return self.target_selectors or []
