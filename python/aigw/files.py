"""Files that others read while they are written."""

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Replaces a file at once, for its owner only; readers see the old content or the new.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)
