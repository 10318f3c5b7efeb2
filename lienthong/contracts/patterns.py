"""Judge a pattern before any engine runs it: anchored, bounded, readable the same way everywhere (hop 3)."""

import re
from dataclasses import dataclass, field
from typing import Final, NoReturn

MOST_LENGTH: Final = 500
MOST_DEPTH: Final = 8
MOST_REPEATS: Final = 1_000
_ESCAPES: Final = frozenset(".-+*?()[]{}|^$/\\ ")
_COUNT: Final = re.compile(r"\{([0-9]{1,6})(?:(,)([0-9]{1,6})?)?\}")
_PROPERTY: Final = re.compile(r"\\p\{(?:L|Lu|Ll|M|N|Nd)\}")


@dataclass(slots=True)
class Judged:
    """What is known of a pattern: its problems, the longest text it allows (None: no end), and `|` in it."""

    problems: list[str] = field(default_factory=list)
    longest: int | None = 0
    may_hold_bar: bool = False


class _Stop(Exception):
    """The rest of the pattern cannot be read."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a pattern: the longest text it allows, whether it is a group and can vary."""

    longest: int | None
    group: bool = False
    varies: bool = False
    repeats: int = 1


def judge_pattern(pattern: str) -> Judged:
    """Judge one pattern; an empty list of problems means that every engine takes linear time over it."""
    judged = Judged()
    if len(pattern) > MOST_LENGTH:
        judged.problems.append(f"is longer than {MOST_LENGTH} characters")
        judged.longest = None
        return judged
    if not (pattern.startswith("^") and pattern.endswith("$") and not pattern.endswith("\\$")):
        judged.problems.append("is not anchored: it must begin with ^ and end with $")
    inner = pattern.removeprefix("^").removesuffix("$")
    reading = _Reading(inner, judged)
    try:
        judged.longest = reading.alternatives(depth=0).longest
    except _Stop:
        judged.longest = None
    return judged


class _Reading:
    """One pass over a pattern, left to right."""

    def __init__(self, text: str, judged: Judged) -> None:
        self.text = text
        self.judged = judged
        self.at = 0

    def alternatives(self, depth: int) -> _Part:
        """Read up to the closing bracket or the end."""
        if depth > MOST_DEPTH:
            self._stop(f"nests groups deeper than {MOST_DEPTH}")
        branches = [self._sequence(depth)]
        while self._peek() == "|":
            if depth == 0:
                self._tell(
                    "has alternatives outside a group, so ^ and $ belong to one of them each; use (a|b)"
                )
            self.at += 1
            branches.append(self._sequence(depth))
        if depth == 0 and self.at < len(self.text):
            self._stop("closes a bracket that was never opened")
        ends = [branch.longest for branch in branches]
        longest = None if None in ends else max(end for end in ends if end is not None)
        varies = len(branches) > 1 or any(branch.varies for branch in branches)
        return _Part(longest, varies=varies, repeats=max(branch.repeats for branch in branches))

    def _sequence(self, depth: int) -> _Part:
        longest: int | None = 0
        varies, repeats = False, 1
        while self._peek() not in ("", "|", ")"):
            part = self._repeated(self._atom(depth))
            longest = None if longest is None or part.longest is None else longest + part.longest
            varies = varies or part.varies
            repeats = max(repeats, part.repeats)
        return _Part(longest, varies=varies, repeats=repeats)

    def _atom(self, depth: int) -> _Part:
        character = self._take()
        if character == "(":
            return self._group(depth)
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escape()
        if character in "^$":
            self._tell("has ^ or $ in the middle")
            return _Part(0)
        if character in "*+?{":
            self._stop(f"repeats nothing with {character}")
        if character in ".|":
            self.judged.may_hold_bar = True
        return _Part(1)

    def _group(self, depth: int) -> _Part:
        if self._peek() == "?":
            if self.text[self.at : self.at + 2] != "?:":
                self._stop("looks ahead or behind, or names a group: no linear engine does that")
            self.at += 2
        inner = self.alternatives(depth + 1)
        if self._take() != ")":
            self._stop("opens a bracket and never closes it")
        return _Part(inner.longest, group=True, varies=inner.varies, repeats=inner.repeats)

    def _class(self) -> _Part:
        if self._peek() == "^":
            self.judged.may_hold_bar = True
            self._tell("says which characters are not allowed; say which are")
            self.at += 1
        first = True
        while (character := self._take()) != "]" or first:
            first = False
            if character == "":
                self._stop("opens a [ and never closes it")
            if character == "\\":
                self._escape()
            elif character in "[&~":
                self._tell(f"has {character} in a set, which engines read differently; escape or drop it")
            elif character == "|":
                self.judged.may_hold_bar = True
        return _Part(1)

    def _escape(self) -> _Part:
        if named := _PROPERTY.match(self.text, self.at - 1):
            self.at = named.end()
            return _Part(1)
        character = self._take()
        if character == "|":
            self.judged.may_hold_bar = True
        if character in tuple("dwsDWS"):
            self._tell(f"uses \\{character}, which engines read differently; write the characters, as [0-9]")
        elif character not in _ESCAPES:
            self._stop(f"uses \\{character}, which is not plain matching")
        return _Part(1)

    def _repeated(self, part: _Part) -> _Part:
        least_most = self._quantifier()
        if least_most is None:
            return part
        least, most = least_most
        if part.group and part.varies and most != 1 and (most is None or part.repeats > 1):
            # What makes a backtracking engine explode: two ways to share the same text out.
            self._tell("repeats a group that itself varies: such patterns explode")
        if most is not None and most > MOST_REPEATS:
            self._tell(f"repeats more than {MOST_REPEATS} times")
        if self._peek() in tuple("?+*{"):
            self._stop("repeats a repetition")
        repeats = MOST_REPEATS + 1 if most is None else part.repeats * max(most, 1)
        if most is not None and part.group and repeats > MOST_REPEATS:
            self._tell(f"repeats more than {MOST_REPEATS} times in all")
        longest = None if most is None or part.longest is None else part.longest * most
        return _Part(longest, varies=part.varies or least != most, repeats=max(repeats, 1))

    def _quantifier(self) -> tuple[int, int | None] | None:
        character = self._peek()
        if character in ("*", "+", "?") and character:
            self.at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[character]
        if character != "{":
            return None
        count = _COUNT.match(self.text, self.at)
        if count is None:
            self._stop("has a { that is no count; escape it")
        self.at = count.end()
        least = int(count[1])
        most = least if count[2] is None else (int(count[3]) if count[3] else None)
        return least, most

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self) -> str:
        character = self._peek()
        self.at += 1
        return character

    def _tell(self, problem: str) -> None:
        if problem not in self.judged.problems:
            self.judged.problems.append(problem)

    def _stop(self, problem: str) -> NoReturn:
        self._tell(problem)
        raise _Stop
