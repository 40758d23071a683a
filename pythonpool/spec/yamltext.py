"""YAML as kubectl reads it: the safe core, and a mistake with its line for everything else.

Differs from PyYAML's own reading where that would make the two homes differ: no dates, no base-60
numbers, `1e3` is a number, `y` and `n` are booleans; a key given twice, a key that is no text and
an alias that refers to itself or swells are refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

MAX_NODES = 100_000

_BOOL, _INT, _FLOAT = (f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float"))
_KEYS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
_OWN = (_BOOL, _INT, _FLOAT, "tag:yaml.org,2002:timestamp")


class YamlMistake(Exception):
    """What is wrong, in words, and the line (from 1; 0 when it is the file as a whole)."""

    def __init__(self, words: str, line: int) -> None:
        super().__init__(words)
        self.line = line


@dataclass(frozen=True, slots=True)
class Document:
    """What one document holds, and the line (from 1) at which it begins."""

    content: Any
    line: int


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of kubectl's reader."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the class above declares it
        first: [(tag, pattern) for tag, pattern in pairs if tag not in _OWN]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    bool_values = yaml.SafeLoader.bool_values | {"y": True, "n": False}


_Loader.add_implicit_resolver(
    _BOOL, re.compile(r"(?:y|Y|n|N|(?i:yes|no|true|false|on|off))\Z"), list("yYnNtTfFoO")
)
_Loader.add_implicit_resolver(
    _INT,
    re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]*|[1-9][0-9_]*|0x[0-9a-fA-F_]+)\Z"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))\Z"
        r"|\.(?:nan|NaN|NAN)\Z"
    ),
    list("-+0123456789."),
)


def documents(text: str) -> list[Document]:
    """All documents of `text` that are not empty, at least one.

    Raises:
        YamlMistake: it is no YAML, or YAML that a manifest may not be, or there is no document.
    """
    try:
        found = list(_read(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = _one_line(error.problem or error.context)
        raise YamlMistake(f"is not YAML: {words}", mark.line + 1 if mark else 0) from None
    except yaml.reader.ReaderError as error:
        raise YamlMistake(f"is not YAML: {error.reason}", 0) from None
    except (yaml.YAMLError, ValueError) as error:
        raise YamlMistake(f"is not YAML: {_one_line(error)}", 0) from None
    except RecursionError:
        raise YamlMistake("is nested too deeply, must be at most some hundred levels", 0) from None
    if not found:
        raise YamlMistake("is empty, must hold at least one PythonPool", 0)
    return found


def _read(text: str) -> Iterator[Document]:
    loader = _Loader(text)
    try:
        while loader.check_node() and (node := loader.get_node()) is not None:
            _check(node, {}, set())
            content = loader.construct_document(node)
            if content is not None:
                yield Document(content, node.start_mark.line + 1)
    finally:
        loader.dispose()


def _check(node: yaml.Node, sizes: dict[int, int], above: set[int]) -> int:
    """How many nodes `node` unfolds to; a mistake when that is a manifest no more."""
    line = node.start_mark.line + 1
    if id(node) in above:
        raise YamlMistake("an alias refers to itself, must refer to something else", line)
    if id(node) in sizes:
        return sizes[id(node)]
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
    above.add(id(node))
    size = 1 + sum(_check(part, sizes, above) for part in _parts(node))
    above.discard(id(node))
    if size > MAX_NODES:
        raise YamlMistake(f"unfolds to over {MAX_NODES} values, must be fewer", line)
    sizes[id(node)] = size
    return size


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_keys(node: yaml.MappingNode) -> None:
    """Keys are text, and each is given once."""
    seen: set[str] = set()
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if key.tag not in _KEYS:
            shown = (
                _one_line(key.value) if isinstance(key, yaml.ScalarNode) else "of several values"
            )
            raise YamlMistake(f"the key {shown} is not text, must be in quotes", line)
        if key.value in seen:
            shown = _one_line(key.value)
            raise YamlMistake(f"the key {shown} is given twice, must be given once", line)
        seen.add(key.value)


def _one_line(words: object) -> str:
    return " ".join(str(words).split())
