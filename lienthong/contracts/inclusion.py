"""Decide whether every text that one bound allows is allowed by another; if not, show one (hop 3).

Exact, and with a limit on its work: a text is sought that the first machine accepts and the second does not,
over single states of the first and sets of states of the second. Where the limit is met, there is no answer.
"""

import sys
import unicodedata
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from random import Random
from typing import Any, Final

from lienthong.contracts.machine import CharSet, Machine, TooHard, any_text, holds, machine_of

MOST_PLACES: Final = 30_000
"""So many pairs of states are looked at before the answer is that there is none."""
_LONGEST_SAMPLE: Final = 400
_LIKED: Final = "a0A1b2Bc9Z-. /_,|đơĐạ" + "\u0e31"
"""Characters that a person can read in a witness, and that never merge with their neighbours."""


@dataclass(frozen=True, slots=True)
class Text:
    """The bounds of a string: a pattern, if there is one, and how many characters."""

    pattern: str | None = None
    least: int = 0
    most: int | None = None

    @classmethod
    def of(cls, schema: Mapping[str, Any]) -> "Text":
        """Read them from a field's schema."""
        return cls(schema.get("pattern"), schema.get("minLength", 0), schema.get("maxLength"))

    def fits(self, length: int) -> bool:
        return self.least <= length and (self.most is None or length <= self.most)

    @property
    def machine(self) -> Machine:
        return any_text() if self.pattern is None else machine_of(self.pattern)


@lru_cache(maxsize=4096)
def find_text_outside(inside: Text, outside: Text, most_places: int = MOST_PLACES) -> str | None:
    """Find a shortest text that `inside` allows and `outside` does not; None where there is none.

    Raises:
        TooHard: when the limit on work is met, or a pattern is not of the house's kind.
    """
    if inside == outside:
        return None
    yes, no = inside.machine, outside.machine
    alphabet = _Alphabet(yes, no)
    cap = max(inside.least, inside.most or 0, outside.least, outside.most or 0) + 1
    counts = cap > 1
    start = [(one, no.start, 0) for one in yes.start]
    before: dict[Any, tuple[Any, str] | None] = dict.fromkeys(start)
    left = deque(start)
    while left:
        place = left.popleft()
        state, others, length = place
        if state == yes.accepting and inside.fits(length):
            accepted = no.accepting in others and outside.fits(length)
            if not accepted:
                return _spelled(place, before)
        if inside.most is not None and length >= inside.most:
            continue
        further = min(length + 1, cap) if counts else 0
        for chars, after in yes.moves[state]:
            for one in alphabet.classes(chars):
                reached = alphabet.step(no, others, one)
                for target in alphabet.close(yes, after):
                    following = (target, reached, further)
                    if following not in before:
                        before[following] = (place, alphabet.liked[one])
                        left.append(following)
        if len(before) > most_places:
            raise TooHard
    return None


@lru_cache(maxsize=1024)
def texts_of(text: Text, most: int = 40) -> tuple[str, ...]:
    """Give some of the texts that a bound allows, each once, always the same ones.

    Raises:
        TooHard: where the pattern is not of the house's kind.
    """
    return tuple(_iter_texts(text, most))


def _iter_texts(text: Text, most: int) -> Iterator[str]:
    machine = text.machine
    alphabet = _Alphabet(machine, machine)
    longest = min(text.most if text.most is not None else _LONGEST_SAMPLE, _LONGEST_SAMPLE)
    ways = [{machine.accepting}]
    for _ in range(longest):
        ways.append(_predecessors(machine, alphabet, ways[-1]))
        if len(ways) > text.least + 40 and any(machine.start & way for way in ways[text.least :]):
            break
    lengths = [n for n, way in enumerate(ways) if machine.start & way and text.fits(n)]
    told: set[str] = set()
    for seed in range(most * 3 if lengths else 0):
        random = Random(seed)  # noqa: S311  # the same samples every time
        length = lengths[min(seed, len(lengths) - 1)] if seed % 2 == 0 else random.choice(lengths)
        made = _walk(machine, alphabet, ways, length, random if seed else None)
        if made not in told and unicodedata.is_normalized("NFC", made):
            told.add(made)
            yield made
        if len(told) >= most:
            return


def _predecessors(machine: Machine, alphabet: "_Alphabet", targets: set[int]) -> set[int]:
    return {
        state
        for state, moves in enumerate(machine.moves)
        if any(alphabet.close(machine, after) & targets for _, after in moves)
    }


def _walk(
    machine: Machine, alphabet: "_Alphabet", ways: list[set[int]], length: int, random: Random | None
) -> str:
    """Go from the start to the end in so many steps; the first way without `random`."""
    made = []
    states = sorted(machine.start & ways[length])
    for left in range(length, 0, -1):
        choices = [
            (chars, target)
            for state in states
            for chars, after in machine.moves[state]
            for target in sorted(alphabet.close(machine, after) & ways[left - 1])
        ]
        chars, target = random.choice(choices) if random else choices[0]
        liked = alphabet.some_of(chars)
        made.append(random.choice(liked) if random else liked[0])
        states = [target]
    return "".join(made)


def _spelled(place: Any, before: Mapping[Any, tuple[Any, str] | None]) -> str:
    characters = []
    while (step := before[place]) is not None:
        place, character = step
        characters.append(character)
    return "".join(reversed(characters))


class _Alphabet:
    """The characters of two machines in classes that both treat alike, one character standing for each."""

    def __init__(self, *machines: Machine) -> None:
        sets = {chars for machine in machines for moves in machine.moves for chars, _ in moves}
        ends = sorted({end for chars in sets for low, high in chars for end in (low, high + 1)})
        ordered = sorted(sets)
        told: dict[tuple[bool, ...], list[tuple[int, int]]] = {}
        for low, following in pairwise(ends):
            signature = tuple(holds(chars, low) for chars in ordered)
            if any(signature):
                told.setdefault(signature, []).append((low, following - 1))
        self.liked = [_liked(tuple(ranges))[0] for ranges in told.values()]
        self._classes = {
            chars: tuple(n for n, signature in enumerate(told) if signature[at])
            for at, chars in enumerate(ordered)
        }
        self._steps: dict[tuple[frozenset[int], int], frozenset[int]] = {}
        self._closures: dict[tuple[int, int], frozenset[int]] = {}

    def classes(self, chars: CharSet) -> tuple[int, ...]:
        return self._classes[chars]

    def close(self, machine: Machine, state: int) -> frozenset[int]:
        place = (id(machine), state)
        if place not in self._closures:
            self._closures[place] = machine.closure(state)
        return self._closures[place]

    def step(self, machine: Machine, states: frozenset[int], one: int) -> frozenset[int]:
        """Move a set of states by a class of characters."""
        place = (states, one)
        if place not in self._steps:
            self._steps[place] = frozenset().union(
                *(
                    self.close(machine, after)
                    for state in states
                    for chars, after in machine.moves[state]
                    if one in self._classes[chars]
                )
            )
        return self._steps[place]

    @staticmethod
    def some_of(chars: CharSet) -> str:
        return _liked(chars)


@lru_cache(maxsize=2048)
def _liked(ranges: CharSet) -> str:
    """Choose characters of a set that a person can read; any, where there is none."""
    liked = "".join(one for one in _LIKED if holds(ranges, ord(one)))
    return liked or "".join(chr(low) for low, _ in ranges[:3] if low <= sys.maxunicode) or "\ufffd"
