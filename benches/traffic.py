"""The requests of the scenarios: paths for both surfaces and bodies of a given size."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benches.configs import BEDROCK_MODEL, OPENAI_MODEL
from benches.loadgen import Call
from benches.variants import Surface

if TYPE_CHECKING:
    from pathlib import Path

    from benches.deployment import Deployment

CHAT_PATH = "/v1/chat/completions"
SENTENCE = "Tell me what a gateway is good for, in plain words please. "


@dataclass(frozen=True)
class Traffic:
    """One kind of request.

    Attributes:
        name: Name of the body's file.
        model: Decides the backend.
        size: Bytes of the body.
        stream: Adds `"stream":true` when it is "stream".
        upstream_path: Path for a proxy that only forwards.
    """

    name: str
    model: str
    size: int
    reply: str = "document"
    upstream_path: str = CHAT_PATH

    def body(self) -> bytes:
        """A chat completion request of exactly `size` bytes."""
        document = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": "You answer briefly."},
                {"role": "user", "content": ""},
            ],
            "temperature": 0.2,
            "max_tokens": 256,
        }
        if self.reply == "stream":
            document["stream"] = True
        missing = self.size - len(_encode(document))
        text = (SENTENCE * (missing // len(SENTENCE) + 1))[:missing]
        document["messages"][1]["content"] = text  # type: ignore[index]
        return _encode(document)

    def call(self, deployment: Deployment, directory: Path) -> Call:
        """The request for one deployment, its body written to `directory`."""
        file = directory / f"{self.name}.json"
        file.write_bytes(self.body())
        forwards = deployment.variant.surface is Surface.UPSTREAM
        path = self.upstream_path if forwards else CHAT_PATH
        return Call(deployment.launch.url + path, file)


def _encode(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


CHAT_1K = Traffic("chat-1k", OPENAI_MODEL, 1024)
STREAM_1K = Traffic("stream-1k", OPENAI_MODEL, 1024, "stream")
BEDROCK_16K = Traffic(
    "bedrock-16k",
    BEDROCK_MODEL,
    16 * 1024,
    upstream_path=f"/model/{BEDROCK_MODEL}/converse",
)
BEDROCK_STREAM_1K = Traffic(
    "bedrock-stream-1k",
    BEDROCK_MODEL,
    1024,
    "stream",
    upstream_path=f"/model/{BEDROCK_MODEL}/converse-stream",
)
