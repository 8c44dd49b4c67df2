"""A small request for each endpoint, for questions that bring none."""

import json

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


def sample(path: str, model: str) -> bytes | None:
    """A body for the endpoint at a path; None where one cannot be made up."""
    known = sorted(_MEMBERS, key=len, reverse=True)
    ending = next((end for end in known if path.endswith(end)), None)
    if ending is None:
        return None
    return json.dumps({"model": model, **_MEMBERS[ending]}, separators=(",", ":")).encode()
