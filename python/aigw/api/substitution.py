"""Environment variables in text: `$NAME`, `${NAME}`, `${NAME:-default}`, `$$`.

`-` and `=` give a default for an unset variable, `+` a text for a set one; with a colon in
front an empty variable counts as unset. Defaults may contain variables. A `$` before anything
else stays.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-=+]")
MAX_NESTING = 10


@dataclass(frozen=True, slots=True)
class Substitution:
    """Replaces variables; `on_unset` hears the name of each unset one without a default.

    `unset` is the text in place of these.
    """

    variables: Mapping[str, str]
    on_unset: Callable[[str], None]
    unset: str = ""

    def apply(self, text: str, depth: int = 0) -> str:
        """`text` with its variables replaced."""
        parts: list[str] = []
        position = 0
        while (dollar := text.find("$", position)) >= 0:
            parts.append(text[position:dollar])
            value, position = self._reference(text, dollar, depth)
            parts.append(value)
        parts.append(text[position:])
        return "".join(parts)

    def _reference(self, text: str, dollar: int, depth: int) -> tuple[str, int]:
        """Value of the reference at `dollar`, and where the text goes on."""
        start = dollar + 1
        if text.startswith("$", start):
            return "$", start + 1
        if text.startswith("{", start):
            return self._braces(text, dollar, depth)
        if name := _NAME.match(text, start):
            return self._value(name.group()), name.end()
        return "$", start

    def _braces(self, text: str, dollar: int, depth: int) -> tuple[str, int]:
        name = _NAME.match(text, dollar + 2)
        end = _closing_brace(text, dollar + 1)
        if not name or end < 0 or depth >= MAX_NESTING:
            return "$", dollar + 1
        rest = text[name.end() : end]
        if not rest:
            return self._value(name.group()), end + 1
        operator = _OPERATOR.match(rest)
        if not operator:
            return "$", dollar + 1
        word = rest[operator.end() :]
        return self._with_operator(name.group(), operator.group(), word, depth), end + 1

    def _with_operator(self, name: str, operator: str, word: str, depth: int) -> str:
        value = self.variables.get(name)
        is_set = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return self.apply(word, depth + 1) if is_set else ""
        return value or "" if is_set else self.apply(word, depth + 1)

    def _value(self, name: str) -> str:
        value = self.variables.get(name)
        if value is None:
            self.on_unset(name)
            return self.unset
        return value


def _closing_brace(text: str, opening: int) -> int:
    """Index of the brace that closes the one at `opening`, or -1."""
    depth = 0
    for index in range(opening, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    return -1
