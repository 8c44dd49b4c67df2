"""A small request for each endpoint, for questions that bring no body."""

import json
from dataclasses import dataclass

_HELLO = [{"role": "user", "content": "hello"}]
_MEMBERS: dict[str, dict[str, object]] = {
    "/chat/completions": {"messages": _HELLO},
    "/completions": {"prompt": "hello"},
    "/embeddings": {"input": "hello"},
    "/responses": {"input": "hello"},
    "/responses/input_tokens": {"input": "hello"},
    "/audio/speech": {"input": "hello", "voice": "alloy"},
    "/images/generations": {"prompt": "hello"},
    "/rerank": {"query": "hello", "documents": ["a", "b"]},
    "/messages": {"max_tokens": 64, "messages": _HELLO},
    "/messages/count_tokens": {"messages": _HELLO},
    "/tokenize": {"messages": _HELLO},
}
_FORMS = {
    "/audio/transcriptions": "file",
    "/audio/translations": "file",
    "/images/edits": "image",
    "/images/variations": "image",
}
"""The member that is a file."""
_MODELS = "/models"
_BOUNDARY = "aigw-explain"


@dataclass(frozen=True, slots=True)
class Sample:
    """Method, content type and body of a request."""

    method: str
    content_type: str
    body: bytes


def sample(path: str, model: str) -> Sample:
    """A request for the endpoint at a path; other paths get one without members."""
    if path.endswith(_MODELS):
        return Sample("GET", "", b"")
    if member := next((name for end, name in _FORMS.items() if path.endswith(end)), None):
        content_type = f"multipart/form-data; boundary={_BOUNDARY}"
        return Sample("POST", content_type, _form(model, member))
    known = sorted(_MEMBERS, key=len, reverse=True)
    members = next((_MEMBERS[end] for end in known if path.endswith(end)), {})
    text = json.dumps({"model": model, **members}, separators=(",", ":"))
    return Sample("POST", "application/json", text.encode())


def _form(model: str, member: str) -> bytes:
    name = "content-disposition: form-data; name="
    parts = (
        f'{name}"model"\r\n\r\n{model}',
        f'{name}"{member}"; filename="{member}"\r\ncontent-type: application/octet-stream\r\n\r\n',
    )
    text = "".join(f"--{_BOUNDARY}\r\n{part}\r\n" for part in parts)
    return f"{text}--{_BOUNDARY}--\r\n".encode("utf-8", "surrogateescape")
