"""JSON that every reader understands alike, and text that every eye reads alike (hop 3).

Parsers disagree, in silence, about repeated names, about integers beyond 64 bits and about lone surrogates;
so none of them passes. The good path costs about two microseconds: bytes that orjson writes back unchanged
hold none of these.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

import orjson

from lienthong.errors import NotStrict, Problem

DEEPEST: Final = 32
"""Greatest depth of nested objects and arrays."""

MOST_PROBLEMS: Final = 50
"""Nobody reads more of one event, and hostile bytes could hold a million."""

_LEAST_INTEGER: Final = -(2**63)
_GREATEST_INTEGER: Final = 2**64 - 1
_FIELD_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
# An unfinished string counts as one: trying again at each quote inside it would take time n².
_STRING_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_ODD_CATEGORIES: Final = {
    "Cc": "a control character",
    "Cf": "an invisible formatting character",
    "Co": "a private-use character",
    "Cs": "half of a surrogate pair",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}


def loads(raw: bytes, *, depth: int = DEEPEST) -> Any:
    """Read JSON strictly.

    Raises:
        NotStrict: with all problems; paths are JSON pointers, and no value is repeated.
    """
    data, problems = read(raw, depth=depth)
    if problems:
        raise NotStrict(problems=tuple(problems))
    return data


def read(raw: bytes, *, depth: int = DEEPEST) -> tuple[Any, list[Problem]]:
    """Read JSON as `loads` does, but give what could be read beside the problems."""
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as flaw:
        return None, _diagnose(raw, flaw, depth)
    # Counting brackets, even those inside strings, is quick and never counts too few.
    if raw.count(b"{") + raw.count(b"[") > depth and _deeper_than(data, depth):
        return None, [_too_deep(depth)]
    if raw == orjson.dumps(data):
        return data, []
    return data, _find_flaws(raw)


def text_problems(raw: bytes, data: Any) -> list[Problem]:
    """Find text that is not NFC or holds characters no official can see, in names and values of `data`.

    `raw` is what `data` was read from: if the whole of it is plain there is nothing to walk through.
    """
    text = raw.decode()
    if (
        text.isprintable()
        and "\\" not in text
        and _REPLACEMENT not in text
        and unicodedata.is_normalized("NFC", text)
    ):
        return []
    problems: list[Problem] = []
    for path, value in _iter_texts(data, ""):
        problems.extend(_problems_of_text(path, value))
        if len(problems) > MOST_PROBLEMS:
            break
    return problems


def pointer(path: str, name: str | int) -> str:
    """Extend a JSON pointer by one step.

    A name that is not a field name may itself be personal data (a table keyed by citizens' numbers), so it is
    not repeated.
    """
    if isinstance(name, int) or _FIELD_NAME.fullmatch(name):
        return f"{path}/{name}"
    return f"{path}/(not a field name)"


class _Flawed(dict[str, Any]):
    """An object in which names were repeated."""

    repeated: list[str]


class _Unsound:
    """A number that readers would understand differently."""

    def __init__(self, rule: str, message: str) -> None:
        self.rule = rule
        self.message = message


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    flawed = _Flawed(found)
    seen: set[str] = set()
    flawed.repeated = [name for name, _ in pairs if name in seen or seen.add(name)]  # type: ignore[func-returns-value]
    return flawed


def _integer(digits: str) -> int | _Unsound:
    # Python refuses to read thousands of digits, so length comes first.
    if len(digits) <= 20 and _LEAST_INTEGER <= (number := int(digits)) <= _GREATEST_INTEGER:
        return number
    return _Unsound("integer-size", "an integer beyond 64 bits, which readers would round")


def _constant(_: str) -> _Unsound:
    return _Unsound("json", "NaN and Infinity are not JSON numbers")


def _find_flaws(raw: bytes) -> list[Problem]:
    """Find repeated names, integers beyond 64 bits and odd constants; `raw` is known to be shallow."""
    try:
        data = json.loads(raw, object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant)
    except ValueError:
        return []
    problems = []
    for path, value in _iter_values(data, ""):
        if isinstance(value, _Unsound):
            problems.append(Problem(path, value.rule, value.message))
        elif isinstance(value, _Flawed):
            problems += [
                Problem(pointer(path, name), "repeated-name", "the name is there more than once")
                for name in dict.fromkeys(value.repeated)
            ]
        if len(problems) > MOST_PROBLEMS:
            break
    return problems[:MOST_PROBLEMS]


def _diagnose(raw: bytes, flaw: orjson.JSONDecodeError, depth: int) -> list[Problem]:
    """Say why bytes are not JSON at all, in words that help to find the place."""
    if not raw:
        return [Problem("", "json", "expected JSON, there are no bytes")]
    if raw.startswith(b"\xef\xbb\xbf"):
        return [Problem("", "json", "begins with a byte order mark; write UTF-8 without one")]
    try:
        raw.decode()
    except UnicodeDecodeError as wrong:
        return [Problem("", "encoding", f"not UTF-8 at byte {wrong.start}")]
    if _bracket_depth(raw) > depth:
        return [_too_deep(depth)]
    problems = _find_flaws(raw) + _find_surrogates(raw)
    return problems or [Problem("", "json", f"not JSON at character {flaw.pos}: {flaw.msg.split(':')[0]}")]


def _find_surrogates(raw: bytes) -> list[Problem]:
    try:
        data = json.loads(raw, parse_int=_integer)
    except ValueError:
        return []
    return [
        Problem(path, "encoding", f"holds {_ODD_CATEGORIES['Cs']}")
        for path, text in _iter_texts(data, "")
        if any("\ud800" <= character <= "\udfff" for character in text)
    ][:MOST_PROBLEMS]


def _too_deep(depth: int) -> Problem:
    return Problem("", "depth", f"nested more than {depth} levels deep")


def _bracket_depth(raw: bytes) -> int:
    """Count how deep brackets nest outside strings, without recursion, whether or not the rest is JSON."""
    deepest = depth = 0
    for mark in _STRING_OR_BRACKET.finditer(raw):
        if mark[0] in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark[0] in b"]}":
            depth -= 1
    return deepest


def _deeper_than(data: Any, depth: int) -> bool:
    """Look for an object or array below `depth` levels, level by level, without recursion."""
    level = [data]
    for _ in range(depth):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _iter_values(data: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, data
    if isinstance(data, dict):
        for name, value in data.items():
            yield from _iter_values(value, pointer(path, name))
    elif isinstance(data, list):
        for position, value in enumerate(data):
            yield from _iter_values(value, pointer(path, position))


def _iter_texts(data: Any, path: str) -> Iterator[tuple[str, str]]:
    for place, value in _iter_values(data, path):
        if isinstance(value, str):
            yield place, value
        elif isinstance(value, dict):
            for name in value:
                yield pointer(place, name), name


def _problems_of_text(path: str, text: str) -> list[Problem]:
    problems = []
    if not unicodedata.is_normalized("NFC", text):
        problems.append(Problem(path, "nfc", "not in Unicode normal form C (composed letters)"))
    if text.isprintable() and _REPLACEMENT not in text:
        return problems
    for place, character in enumerate(text):
        kind = _odd_kind(character)
        if kind is not None:
            message = f"holds {kind} (U+{ord(character):04X}) at character {place}"
            problems.append(Problem(path, "characters", message))
            break  # the first is enough to find the cause
    return problems


def _odd_kind(character: str) -> str | None:
    if character == _REPLACEMENT:
        return "a replacement character, the mark of a wrong conversion"
    if ord(character) & 0xFFFE == 0xFFFE or "\ufdd0" <= character <= "\ufdef":
        return "a code point that is not a character"
    return _ODD_CATEGORIES.get(unicodedata.category(character))
