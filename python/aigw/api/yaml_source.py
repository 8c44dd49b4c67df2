"""YAML text to plain values, document by document.

Only what JSON can say: no custom tags, no cycles; timestamps stay text, and mappings without
duplicate keys. Variables are replaced in string values only, so a value can never change the
structure of a document. Null members are dropped: null means absent, as in an API server.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import yaml

from aigw.api.fields import EnvText

MAX_NODES = 500_000
MAX_DEPTH = 64
MAX_BYTES = 32 * 1024 * 1024
_SAFE_NESTING = 400
_LONGEST_NUMBER = 64
"""Characters of an integer; a longer one is text: no field is that large."""
_OPEN, _CLOSE = "\ue000", "\ue001"
_REFERENCE = re.compile(r"\$\{([A-Za-z_][^{}\n'\"]*)\}")
_MARK = re.compile(r"^---(?=[ \t\r\n\x85\u2028\u2029]|\Z)", re.MULTILINE)
_NOT_APART = re.compile(r"^(?:%|\.\.\.)", re.MULTILINE)
_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o?[0-7]+")

Replace = Callable[[str, str], str]
"""Replaces variables in a string; the second argument is the field path."""


class YamlError(Exception):
    """A document that cannot be read. `line` is 1-based, 0 when unknown."""

    def __init__(self, message: str, line: int = 0) -> None:
        """A message without values of the document."""
        super().__init__(message)
        self.line = line


class YamlSyntaxError(YamlError):
    """The text cannot be read any further."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its value and the 1-based line where it starts."""

    value: Any
    line: int


def pieces(text: str) -> Iterator[tuple[str, int]]:
    """Parts of a text that can be read on their own, and how many lines are before each.

    A line that starts with `---` starts a document wherever it stands. Directives and `...` may
    concern the document after them: a text with such lines is one piece.
    """
    if len(text) > MAX_BYTES or _NOT_APART.search(text):
        yield text, 0
        return
    line = start = 0
    for mark in _MARK.finditer(text):
        if mark.start() > start:
            yield text[start : mark.start()], line
            line += text.count("\n", start, mark.start())
            start = mark.start()
    yield text[start:], line


def documents(text: str, replace: Replace) -> Iterator[Document | YamlError]:
    """Documents of a text; empty ones are None. After a syntax error nothing more is read."""
    if len(text) > MAX_BYTES:
        yield YamlSyntaxError(f"the file is larger than {MAX_BYTES >> 20} MiB")
        return
    nodes: Iterator[yaml.Node] | None = None
    while True:
        try:
            nodes = nodes or _nodes(text)
            node = next(nodes, None)
        except (yaml.YAMLError, RecursionError) as error:
            yield _syntax_error(error)
            return
        if node is None:
            return
        try:
            _check_size(node)
            yield Document(_value(node, "", replace), node.start_mark.line + 1)
        except YamlError as error:
            yield error


def _nodes(text: str) -> Iterator[yaml.Node]:
    text = _hide_braces(text)
    _check_nesting(text)
    return yaml.compose_all(text, Loader=yaml.CSafeLoader)


def _hide_braces(text: str) -> str:
    """`${NAME}` without braces, so that `{key: ${NAME}}` is YAML; undone for each scalar."""
    if _OPEN in text or _CLOSE in text:
        return text
    return _REFERENCE.sub(rf"{_OPEN}\1{_CLOSE}", text)


def _shown(text: str) -> str:
    return text.replace(_OPEN, "${").replace(_CLOSE, "}")


def _check_nesting(text: str) -> None:
    """Raises RecursionError for nesting that would overflow the C stack of the parser.

    The cheap upper bound counts open brackets and indentation; only when that is high are the
    events of the text counted, which needs no stack.
    """
    prefix = max((len(line) for line in re.findall(r"^[ ?\-]+", text, re.MULTILINE)), default=0)
    brackets = deepest = 0
    for bracket in re.findall(r"[\[{\]}]", text):
        brackets = brackets + 1 if bracket in "[{" else max(brackets - 1, 0)
        deepest = max(deepest, brackets)
    if deepest + 2 * prefix > _SAFE_NESTING and _event_depth(text) > _SAFE_NESTING:
        raise RecursionError


def _event_depth(text: str) -> int:
    depth = deepest = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        deepest = max(deepest, depth)
        if deepest > _SAFE_NESTING:
            break
    return deepest


def _syntax_error(error: Exception) -> YamlSyntaxError:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return YamlSyntaxError(f"invalid YAML: {error.problem}", error.problem_mark.line + 1)
    if isinstance(error, RecursionError):
        return YamlSyntaxError("invalid YAML: nested too deeply")
    return YamlSyntaxError("invalid YAML: the text cannot be read")


def _check_size(root: yaml.Node) -> None:
    """Refuses cycles, deep nesting, and documents that aliases blow up."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, depth: int) -> int:
        known = sizes.get(id(node))
        line = node.start_mark.line + 1
        if known == 0:
            message = "an alias refers to its own parent"
            raise YamlError(message, line)
        if known is not None:
            return known
        if depth > MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} levels"
            raise YamlError(message, line)
        sizes[id(node)] = 0
        total = 1 + sum(size(child, depth + 1) for child in _children(node))
        if total > MAX_NODES:
            message = f"more than {MAX_NODES} values, aliases included"
            raise YamlError(message, line)
        sizes[id(node)] = total
        return total

    size(root, 0)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _value(node: yaml.Node, path: str, replace: Replace) -> Any:  # noqa: ANN401 - any value
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, replace)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, f"{path}[{index}]", replace) for index, item in enumerate(node.value)]
    return _scalar(cast("yaml.ScalarNode", node), path, replace)


def _mapping(node: yaml.MappingNode, path: str, replace: Replace) -> dict[str, Any]:
    result: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if key_node.tag == _TAG + "merge":
            merged.update(_merge(value_node, path, replace))
            continue
        if not isinstance(key_node, yaml.ScalarNode):
            message = f"{path or 'document'}: keys must be text"
            raise YamlError(message, key_node.start_mark.line + 1)
        key = _shown(key_node.value)
        if key in result:
            message = f"{path or 'document'}: duplicate key {key}"
            raise YamlError(message, key_node.start_mark.line + 1)
        result[key] = _value(value_node, f"{path}.{key}" if path else key, replace)
    return {key: value for key, value in {**merged, **result}.items() if value is not None}


def _merge(node: yaml.Node, path: str, replace: Replace) -> dict[str, Any]:
    """Members that `<<` adds."""
    sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
    result: dict[str, Any] = {}
    for source in reversed(sources):
        if not isinstance(source, yaml.MappingNode):
            message = f"{path or 'document'}: << needs a mapping"
            raise YamlError(message, node.start_mark.line + 1)
        result.update(_mapping(source, path, replace))
    return result


def _scalar(node: yaml.ScalarNode, path: str, replace: Replace) -> Any:  # noqa: ANN401
    text = _shown(cast("str", node.value))
    match node.tag.removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return text.lower() in ("true", "yes", "on")
        case "int" if len(text) <= _LONGEST_NUMBER and _INTEGER.fullmatch(text):
            return _integer(text)
        case "float" if text.strip("+-.").lower() not in ("inf", "nan"):
            return _float(text)
        case "str" | "int" | "float" | "timestamp" | "value":
            return _text(node, text, path, replace)
        case _:
            message = f"{path or 'document'}: the tag {node.tag} is not supported"
            raise YamlError(message, node.start_mark.line + 1)


def _integer(text: str) -> int:
    if re.fullmatch(r"0[0-7]+", text):
        return int(text, 8)
    return int(text, 0)


def _float(text: str) -> float | str:
    try:
        return float(text.replace("_", ""))
    except ValueError:
        return text


def _text(node: yaml.ScalarNode, text: str, path: str, replace: Replace) -> str:
    if "$" not in text:
        return text
    replaced = replace(text, path)
    return EnvText(replaced) if not node.style and replaced != text else replaced
