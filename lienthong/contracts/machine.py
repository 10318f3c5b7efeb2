"""Turn a pattern of the house into a machine of states: what texts it allows, exactly (hop 3)."""

import re
import sys
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Final, NoReturn

MOST_LENGTH: Final = 4_000
MOST_DEPTH: Final = 12
MOST_STATES: Final = 6_000
"""A machine with more states is not built: whoever asked has to do without an answer."""

CharSet = tuple[tuple[int, int], ...]
"""Code points, as sorted ranges that do not touch, both ends included."""

_TO_COME: Final = ("Lu", "Ll", "Lo", "Mn", "Nd", "No")
"""One point past the end of Unicode stands for the letters that a later version of it will have."""

_CATEGORIES: Final = ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No")
_WITH_LETTERS: Final = (range(0x34000), range(0xE0000, 0xE0200))
"""Planes that have letters, marks or digits; the others are empty, or for private use."""

_LAST: Final = sys.maxunicode + len(_TO_COME)
_ANY: Final[CharSet] = ((0, 9), (11, _LAST))
"""What `.` matches: everything but the end of a line."""
_COUNT: Final = re.compile(r"\{([0-9]{1,6})(?:(,)([0-9]{1,6})?)?\}")
_PROPERTY: Final = re.compile(r"\\p\{(L|Lu|Ll|M|N|Nd)\}")
_SIGNS: Final = re.compile(r"[.+*?()|{}^$/\\\[\]-]")
_PLAIN: Final = frozenset(".-+*?()[]{}|^$/\\ ")


class TooHard(Exception):
    """A pattern is not of the house's kind, or its machine too large."""


@dataclass(slots=True)
class Machine:
    """States with moves; a text is allowed when its moves lead from a start to an accepting state."""

    moves: list[list[tuple[CharSet, int]]] = field(default_factory=list)
    silent: list[list[int]] = field(default_factory=list)
    accepting: int = 0
    start: frozenset[int] = frozenset()

    def add(self) -> int:
        if len(self.moves) >= MOST_STATES:
            raise TooHard
        self.moves.append([])
        self.silent.append([])
        return len(self.moves) - 1

    def closure(self, state: int) -> frozenset[int]:
        """Follow what costs no character; only states that move or accept are kept."""
        seen, left = {state}, [state]
        while left:
            for after in self.silent[left.pop()]:
                if after not in seen:
                    seen.add(after)
                    left.append(after)
        return frozenset(one for one in seen if self.moves[one] or one == self.accepting)


@lru_cache(maxsize=512)
def machine_of(pattern: str) -> Machine:
    """Build the machine of an anchored pattern.

    Raises:
        TooHard: where the pattern is not of the house's kind, or too large.
    """
    if not (pattern.startswith("^") and pattern.endswith("$") and not pattern.endswith("\\$")):
        raise TooHard
    if len(pattern) > MOST_LENGTH:
        raise TooHard
    reading = _Reading(pattern[1:-1])
    node = reading.alternatives()
    if reading.at < len(reading.text) or any(kind == "|" and depth == 0 for kind, depth in reading.bars):
        raise TooHard
    machine = Machine()
    machine.accepting = machine.add()
    machine.start = machine.closure(_build(machine, node, machine.accepting))
    return machine


def any_text() -> Machine:
    """Build the machine that allows every text."""
    machine = Machine()
    machine.accepting = machine.add()
    machine.moves[0].append((((0, _LAST),), 0))
    machine.start = frozenset({0})
    return machine


def pattern_of_codes(codes: list[str]) -> str:
    """Write a code list as a pattern."""
    written = (_SIGNS.sub(r"\\\g<0>", code) for code in codes)
    return f"^(?:{'|'.join(written)})$"


@dataclass(frozen=True, slots=True)
class _Node:
    """A piece of a pattern: a set of characters, a sequence, alternatives, or a repetition of one piece."""

    kind: str
    chars: CharSet = ()
    parts: tuple["_Node", ...] = ()
    least: int = 1
    most: int | None = 1


def _build(machine: Machine, node: _Node, end: int) -> int:
    """Add the states of a piece that goes on at `end`; give its first state."""
    if node.kind == "set":
        state = machine.add()
        machine.moves[state].append((node.chars, end))
        return state
    if node.kind == "sequence":
        for part in reversed(node.parts):
            end = _build(machine, part, end)
        return end
    if node.kind == "alternatives":
        starts = [_build(machine, part, end) for part in node.parts]
        state = machine.add()
        machine.silent[state].extend(starts)
        return state
    return _build_repeated(machine, node, end)


def _build_repeated(machine: Machine, node: _Node, end: int) -> int:
    (part,), after = node.parts, end
    if not _moves(part):
        return end  # nothing, however often
    if node.most is None:
        after = machine.add()
        machine.silent[after].extend((end, _build(machine, part, after)))
    for _ in range(0 if node.most is None else node.most - node.least):
        optional = machine.add()
        machine.silent[optional].extend((end, _build(machine, part, after)))
        after = optional
    for _ in range(node.least):
        after = _build(machine, part, after)
    return after


def _moves(node: _Node) -> bool:
    return node.kind == "set" or any(_moves(part) for part in node.parts)


class _Reading:
    """One pass over a pattern that has been judged; what was not foreseen is too hard."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.bars: list[tuple[str, int]] = []
        self._depth = 0

    def alternatives(self) -> _Node:
        branches = [self._sequence()]
        while self._peek() == "|":
            self.bars.append(("|", self._depth))
            self.at += 1
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else _Node("alternatives", parts=tuple(branches))

    def _sequence(self) -> _Node:
        parts = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))
        return _Node("sequence", parts=tuple(parts))

    def _atom(self) -> _Node:
        character = self._take()
        if character == "(":
            return self._group()
        if character == "[":
            return _Node("set", self._class())
        if character == ".":
            return _Node("set", _ANY)
        if character == "\\":
            return _Node("set", self._escape())
        if character in "^$*+?{}":
            self._stop()
        return _Node("set", ((ord(character), ord(character)),))

    def _group(self) -> _Node:
        if self._peek() == "?":
            if self.text[self.at : self.at + 2] != "?:":
                self._stop()
            self.at += 2
        self._depth += 1
        if self._depth > MOST_DEPTH:
            self._stop()
        inner = self.alternatives()
        self._depth -= 1
        if self._take() != ")":
            self._stop()
        return inner

    def _class(self) -> CharSet:
        ranges: list[tuple[int, int]] = []
        negated = self._peek() == "^"
        self.at += negated
        first = True
        while self._peek() != "]" or first:
            first = False
            low = self._member()
            if self._peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self._member()
                if len(low) != 1 or len(high) != 1 or low[0][0] != low[0][1] or high[0][0] != high[0][1]:
                    self._stop()
                low = ((low[0][0], high[0][0]),)
            ranges.extend(low)
        self.at += 1
        joined = join(ranges)
        return complement(joined) if negated else joined

    def _member(self) -> CharSet:
        character = self._take()
        if character == "\\":
            return self._escape()
        if character in ("", "[", "&", "~"):
            self._stop()
        return ((ord(character), ord(character)),)

    def _escape(self) -> CharSet:
        if named := _PROPERTY.match(self.text, self.at - 1):
            self.at = named.end()
            return letters(named[1])
        character = self._take()
        if character not in _PLAIN or not character:
            self._stop()
        return ((ord(character), ord(character)),)

    def _repeated(self, part: _Node) -> _Node:
        character = self._peek()
        if character in ("*", "+", "?") and character:
            self.at += 1
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[character]
        elif character == "{":
            count = _COUNT.match(self.text, self.at)
            if count is None:
                self._stop()
            self.at = count.end()
            least = int(count[1])
            most = least if count[2] is None else (int(count[3]) if count[3] else None)
        else:
            return part
        if self._peek() in tuple("?+*{") or (most is not None and most < least):
            self._stop()
        return _Node("repeated", parts=(part,), least=least, most=most)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self) -> str:
        character = self._peek()
        self.at += 1
        return character

    @staticmethod
    def _stop() -> NoReturn:
        raise TooHard


def join(ranges: list[tuple[int, int]]) -> CharSet:
    """Sort ranges and join those that touch."""
    joined: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if low > high:
            raise TooHard
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return tuple(joined)


def complement(ranges: CharSet) -> CharSet:
    """Give what a set leaves out."""
    left, at = [], 0
    for low, high in ranges:
        if low > at:
            left.append((at, low - 1))
        at = high + 1
    return (*left, (at, _LAST)) if at <= _LAST else tuple(left)


def holds(ranges: CharSet, point: int) -> bool:
    """Tell whether a set has a code point."""
    at = bisect_right(ranges, (point, _LAST + 1)) - 1
    return at >= 0 and ranges[at][0] <= point <= ranges[at][1]


@lru_cache(maxsize=8)
def letters(category: str) -> CharSet:
    """Give the code points of a Unicode category, as this Python's table has them."""
    kinds = {one for one in _CATEGORIES if one.startswith(category)}
    points = [one for one in chain(*_WITH_LETTERS) if unicodedata.category(chr(one)) in kinds]
    points += [sys.maxunicode + at for at, one in enumerate(_TO_COME, start=1) if one in kinds]
    return join([(one, one) for one in points])
