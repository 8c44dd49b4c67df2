"""What the demo provider says: the same deterministic answer, whichever API asks."""

from __future__ import annotations

import enum
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

from aigw.providers.encode import json_bytes

JsonObject = dict[str, Any]

CREATED = 1767225600
BYTES_PER_TOKEN = 4
QUOTE_LENGTH = 200
SCHEMA_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the client offers; `schema` is the JSON schema of its arguments."""

    name: str
    schema: JsonObject


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request in no provider's words.

    `last` is the text of the last message; `size` counts the bytes of all input text; `required`
    names the tool that must be called, `""` being any; `output_schema` asks for JSON.
    """

    model: str
    last: str
    size: int
    tools: tuple[Tool, ...] = ()
    required: str | None = None
    max_tokens: int | None = None
    output_schema: JsonObject | None = None
    after_tool: str | None = None


class Stop(enum.Enum):
    """Why an answer ends."""

    END = "end"
    LENGTH = "length"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call."""

    id: str
    name: str
    arguments: JsonObject

    @property
    def arguments_json(self) -> str:
        """The arguments as JSON text."""
        return json_bytes(self.arguments).decode()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in no provider's words; `id` is short and depends on the prompt alone."""

    id: str
    text: str
    call: Call | None
    stop: Stop
    input_tokens: int
    output_tokens: int

    @property
    def pieces(self) -> list[str]:
        """The text in pieces as a stream brings them: words with the space before them."""
        return re.findall(r"\s*\S+|\s+$", self.text)

    @property
    def argument_pieces(self) -> list[str]:
        """The JSON of the call's arguments in two pieces."""
        text = self.call.arguments_json if self.call else ""
        middle = len(text) // 2
        return [piece for piece in (text[:middle], text[middle:]) if piece]


def tokens(text: str | int) -> int:
    """The token count of a text, or of that many bytes: one for each four bytes begun."""
    size = text if isinstance(text, int) else len(text.encode())
    return -(-size // BYTES_PER_TOKEN)


def answer(prompt: Prompt) -> Answer:
    """The deterministic answer to a prompt."""
    seed = f"{prompt.model}\0{prompt.last}\0{prompt.size}".encode()
    ident = f"{zlib.crc32(seed):08x}{zlib.adler32(seed):08x}"
    tool = _wanted_tool(prompt)
    if tool is not None:
        call = Call(f"call_{ident}", tool.name, sample(tool.schema))
        size = tokens(tool.name) + tokens(call.arguments_json)
        return Answer(ident, "", call, Stop.TOOL, tokens(prompt.size), size)
    text = _text(prompt)
    stop = Stop.END
    if prompt.max_tokens is not None and tokens(text) > prompt.max_tokens:
        kept = text.encode()[: prompt.max_tokens * BYTES_PER_TOKEN]
        text, stop = kept.decode(errors="ignore"), Stop.LENGTH
    return Answer(ident, text, None, stop, tokens(prompt.size), tokens(text))


def _wanted_tool(prompt: Prompt) -> Tool | None:
    """The tool that is forced, or whose name shares a word with the last message."""
    if prompt.required is not None:
        named = (tool for tool in prompt.tools if prompt.required in {"", tool.name})
        return next(named, None)
    if prompt.after_tool is not None:
        return None
    said = prompt.last.lower()
    return next((tool for tool in prompt.tools if _mentions(said, tool.name)), None)


def _mentions(text: str, name: str) -> bool:
    words = re.findall(r"[A-Z]?[a-z]+", name)
    return any(word.lower() in text for word in words if len(word) > 3)


def _text(prompt: Prompt) -> str:
    if prompt.output_schema is not None:
        return json_bytes(sample(prompt.output_schema)).decode()
    intro = f"This is the aigw demo provider, answering as {prompt.model}."
    if prompt.after_tool is not None:
        return f"{intro} The tool returned: {prompt.after_tool[:QUOTE_LENGTH]}"
    return f"{intro} You said: {prompt.last[:QUOTE_LENGTH]}"


def text_of(content: object) -> str:
    """The text of a message content: a string, or parts that may carry `text`."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(
        text
        for part in content
        if isinstance(part, dict) and isinstance(text := part.get("text"), str)
    )


def size_of(*values: object) -> int:
    """The bytes of text in message contents and, as JSON, of anything that is not a content."""
    return sum(_size(value) for value in values)


def _size(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, dict):
        return len(json_bytes(value))
    return len(text_of(value).encode())


def sample(schema: JsonObject) -> Any:  # noqa: ANN401 - any JSON value
    """A value that fits a JSON schema (the usual keywords, local references)."""
    return _sample(schema, schema, "", SCHEMA_DEPTH)


def _sample(schema: JsonObject, root: JsonObject, name: str, depth: int) -> Any:  # noqa: ANN401
    if depth == 0:
        return None
    resolved = _resolve(schema, root)
    if "const" in resolved:
        return resolved["const"]
    if resolved.get("enum"):
        return resolved["enum"][0]
    kind = _kind(resolved)
    if kind == "object":
        properties = resolved.get("properties", {})
        names = resolved.get("required") or list(properties)
        return {n: _sample(properties.get(n, {}), root, n, depth - 1) for n in names}
    if kind == "array":
        return [_sample(resolved.get("items", {}), root, name, depth - 1)]
    return _scalar(kind, name)


def _resolve(schema: JsonObject, root: JsonObject) -> JsonObject:
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        target: Any = root
        for key in reference[2:].split("/"):
            target = target[key]
        return _as_object(target)
    for keyword in ("anyOf", "oneOf", "allOf"):
        if schema.get(keyword):
            return _resolve(_as_object(schema[keyword][0]), root)
    return schema


def _as_object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _kind(schema: JsonObject) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "string"
    return str(kind)


def _scalar(kind: str, name: str) -> Any:  # noqa: ANN401
    places = ("city", "location", "place")
    text = "Paris" if any(word in name.lower() for word in places) else "demo"
    values: JsonObject = {"integer": 1, "number": 1.5, "boolean": True, "null": None, "object": {}}
    return values.get(kind, text)


def parse_arguments(text: object) -> JsonObject:
    """A JSON object from a body or a field.

    Raises:
        ValueError: it is something else.
    """
    value = json.loads(text) if isinstance(text, (str, bytes)) else text
    if not isinstance(value, dict):
        message = "expected a JSON object"
        raise ValueError(message)  # noqa: TRY004 - callers treat it as malformed JSON
    return value
