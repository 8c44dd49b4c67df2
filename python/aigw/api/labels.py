"""Label selectors."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from aigw.api.fields import Text
from aigw.api.model import ApiModel


class LabelSelectorRequirement(ApiModel):
    """A condition on one label."""

    key: Text
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[str] = Field(default_factory=list)

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Whether the condition holds."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels


class LabelSelector(ApiModel):
    """All conditions must hold; none at all accepts everything."""

    match_labels: dict[str, str] = Field(default_factory=dict)
    match_expressions: list[LabelSelectorRequirement] = Field(default_factory=list)

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.accepts(labels) for requirement in self.match_expressions
        )
