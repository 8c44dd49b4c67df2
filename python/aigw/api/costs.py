"""Counts that become dynamic metadata: of a route, and as defaults of a Gateway."""

from typing import Literal

from aigw.api.model import ApiModel


class LLMRequestCost(ApiModel):
    """A count written as metadata when a response is complete."""

    metadata_key: str
    """Key in the dynamic metadata of `io.envoy.ai_gateway`."""
    type: Literal[
        "OutputToken",
        "InputToken",
        "CachedInputToken",
        "CacheCreationInputToken",
        "TotalToken",
        "ReasoningToken",
        "CEL",
    ]
    cel: str | None = None
    """Expression over the counts of a response, for the type CEL."""
