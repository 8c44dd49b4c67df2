"""A gateway in front of the provider that answers as recorded, for the official libraries."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from beds import official
from beds.golden import BACKEND_HEADER, CELL_HEADER, Cell, GoldenProvider, cells

if TYPE_CHECKING:
    from beds.gateway import RunningGateway

SCHEMAS = (
    "AWSAnthropic",
    "AWSBedrock",
    "Anthropic",
    "AzureOpenAI",
    "Cohere",
    "GCPAnthropic",
    "GCPVertexAI",
    "OpenAI",
)
# Backends whose replies the gateway writes itself, whichever endpoint of text is called.
BUILT = tuple(schema for schema in SCHEMAS if not schema.endswith("OpenAI"))
SAID = "High tide is at 14:20 \N{EN DASH} plan for it."
QUESTION = "When is high tide?"
SCHEMA = {
    "type": "object",
    "properties": {"zone": {"type": "string"}, "berth": {"type": "integer"}},
    "required": ["zone", "berth"],
    "additionalProperties": False,
}
BERTHS = [{"zone": "b", "berth": 7}, {"zone": "b", "berth": 8}]


class Tide(BaseModel):
    """What a model is made to say."""

    at: str
    m: float


def cell(name: str) -> Cell:
    """The cell of an id."""
    return next(found for found in cells() if found.id == name)


@dataclass(slots=True)
class SdkBed:
    """The gateway and its provider."""

    gateway: RunningGateway
    provider: GoldenProvider

    def headers(self, reply: str, backend: str | None = None) -> dict[str, str]:
        """Chooses a reply, and the backend of the same cell or of another one."""
        return {CELL_HEADER: reply, BACKEND_HEADER: cell(backend or reply).backend}

    def check_sent(self, reply: str, backend: str | None = None) -> dict[str, Any]:
        """Checks what the provider got last, by its own library where there is one."""
        sent = self.provider.received[reply][-1]
        schema = cell(backend or reply).folder.name
        if schema == "AWSBedrock":
            official.check_bedrock_request(sent.path, sent.body)
        elif schema == "GCPVertexAI":
            official.check_gemini_request(sent.body)
        elif schema == "Cohere":
            official.check_cohere_request(sent.body)
        body: dict[str, Any] = json.loads(sent.body)
        return body
