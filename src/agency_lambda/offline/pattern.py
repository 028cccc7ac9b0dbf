import re
import string
from collections.abc import Iterable
from importlib import import_module
from typing import Any

_PARSER: Any = import_module("re._parser")  # no public name; without it a pattern could only be guessed
_CLASSES = {
    "DIGIT": r"\d",
    "NOT_DIGIT": r"\D",
    "SPACE": r"\s",
    "NOT_SPACE": r"\S",
    "WORD": r"\w",
    "NOT_WORD": r"\W",
}
_ALPHABET = string.ascii_letters + string.digits + string.punctuation + " "


def matching(pattern: str, repeat: int) -> str:
    """Return a short text for a regular expression. Look-around and back-references count as empty.

    repeat: how often to write repeated parts, within their own bounds.
    """
    return _write(_PARSER.parse(pattern), repeat)


def _write(nodes: Iterable[tuple[Any, Any]], repeat: int) -> str:
    return "".join(_piece(str(kind), value, repeat) for kind, value in nodes)


def _piece(kind: str, value: Any, repeat: int) -> str:
    match kind:
        case "LITERAL":
            return chr(value)
        case "NOT_LITERAL":
            return "b" if chr(value) == "a" else "a"
        case "ANY":
            return "a"
        case "IN":
            return _member(value)
        case "BRANCH":
            return _write(value[1][0], repeat)
        case "SUBPATTERN":
            return _write(value[3], repeat)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, high, nodes = value
            return _write(nodes, repeat) * min(int(high), max(int(low), repeat))
    return ""


def _member(choices: list[tuple[Any, Any]]) -> str:
    # Of a class such as [A-Z\d_] or [^/].
    negated = str(choices[0][0]) == "NEGATE"
    ends = "".join(chr(value[0]) for kind, value in choices if str(kind) == "RANGE")
    literals = "".join(chr(value) for kind, value in choices if str(kind) == "LITERAL")
    for char in _ALPHABET + ends + literals:
        if any(_accepts(str(kind), value, char) for kind, value in choices) != negated:
            return char
    return ""


def _accepts(kind: str, value: Any, char: str) -> bool:
    if kind == "LITERAL":
        return bool(ord(char) == value)
    if kind == "RANGE":
        return bool(value[0] <= ord(char) <= value[1])
    name = str(value).removeprefix("CATEGORY_")
    return kind == "CATEGORY" and re.fullmatch(_CLASSES[name], char) is not None
