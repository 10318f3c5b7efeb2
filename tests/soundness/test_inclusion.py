"""Whether one pattern's texts are all another's: decided exactly, or not at all; `re` is the oracle."""

import re
from itertools import product
from random import Random

import pytest

from lienthong.contracts.inclusion import Text, find_text_outside, texts_of
from lienthong.contracts.machine import TooHard, machine_of, pattern_of_codes
from tests.soundness.shapes import PATTERNS

WORDS = ["".join(word) for length in range(7) for word in product("ab0", repeat=length)]


def make_pattern(random: Random, depth: int = 0) -> str:
    """Make a pattern of the house's kind over a, b and 0."""
    parts = []
    for _ in range(random.randint(1, 3)):
        part = random.choice(("a", "b", "0", "[ab]", "[a0]", "[ab0]"))
        if depth < 2 and random.random() < 0.35:
            inner = "|".join(make_pattern(random, depth + 1) for _ in range(random.randint(1, 3)))
            # What varies inside is repeated little outside: the oracle goes back and forth for ever else.
            parts.append(f"(?:{inner})" + random.choice(("", "", "?", "{1,2}")))
        else:
            parts.append(part + random.choice(("", "", "", "?", "*", "+", "{2}", "{1,2}", "{0,3}", "{2,}")))
    return "".join(parts)


def outside(inner: str, outer: str) -> str | None:
    return find_text_outside(Text(f"^{inner}$"), Text(f"^{outer}$"))


@pytest.mark.parametrize("block", range(4))
def test_a_text_that_is_shown_is_a_true_one_and_where_there_is_none_every_short_word_agrees(
    block: int,
) -> None:
    random = Random(block)
    answers = []
    for _ in range(60):
        one = make_pattern(random)
        other = make_pattern(random) if random.random() < 0.6 else f"(?:{one}|{make_pattern(random)})"
        inner, outer = re.compile(one), re.compile(other)
        try:
            text = outside(one, other)
        except TooHard:
            continue  # no answer is an honest one
        answers.append(text is None)
        if text is not None:
            assert inner.fullmatch(text), (one, other, text)
            assert not outer.fullmatch(text), (one, other, text)
        else:
            wrong = [word for word in WORDS if inner.fullmatch(word) and not outer.fullmatch(word)]
            assert wrong == [], (one, other)
    assert min(answers.count(True), answers.count(False)) > 10


@pytest.mark.parametrize("block", range(2))
def test_lengths_count_like_patterns_do(block: int) -> None:
    random = Random(100 + block)
    for _ in range(40):
        bounds = [
            Text(f"^{make_pattern(random)}$", random.randint(0, 2), random.choice((None, 3, 4, 5)))
            for _ in "ab"
        ]
        allowed = [
            {word for word in WORDS if re.fullmatch(str(one.pattern)[1:-1], word) and one.fits(len(word))}
            for one in bounds
        ]
        text = find_text_outside(*bounds)
        if text is None:
            assert allowed[0] <= allowed[1], bounds
        elif len(text) <= 6:
            assert text in allowed[0] - allowed[1], bounds


@pytest.mark.parametrize("pattern", PATTERNS)
def test_samples_are_texts_of_the_pattern_and_differ(pattern: str) -> None:
    found = texts_of(Text(pattern, 1, 9))
    letters = pattern.replace(r"\p{L}", r"[^\W\d_]").replace(r"[[^\W\d_] .]", r"(?:[^\W\d_]|[ .])")
    assert [text for text in found if not re.fullmatch(letters, text) or not 1 <= len(text) <= 9] == []
    assert len(set(found)) == len(found) >= 20


def test_letters_of_any_language_are_more_than_those_of_one() -> None:
    assert find_text_outside(Text("^[a-z]{1,9}$"), Text(r"^\p{L}{1,9}$")) is None
    assert find_text_outside(Text(r"^\p{L}{1,9}$"), Text("^[a-zđ]{1,9}$")) is not None
    assert find_text_outside(Text(r"^\p{Lu}\p{L}{0,8}$"), Text(r"^[\p{L}\p{M}]{1,9}$")) is None
    assert find_text_outside(Text(r"^\p{Nd}{1,9}$"), Text(r"^\p{N}{1,9}$")) is None
    assert find_text_outside(Text(r"^\p{N}$"), Text(r"^\p{Nd}$")) is not None


def test_letters_that_unicode_does_not_have_yet_are_letters_too() -> None:
    """A list of all of today's letters is not all letters: one side's engine may be newer."""
    today = "".join(
        f"{chr(low)}-{chr(high)}" for low, high in machine_of(r"^\p{Lu}$").moves[1][0][0] if high < 0x110000
    )
    assert find_text_outside(Text(r"^\p{Lu}$"), Text(f"^[{today}]$")) is not None
    assert find_text_outside(Text(f"^[{today}]$"), Text(r"^\p{Lu}$")) is None


def test_codes_are_a_pattern_too() -> None:
    codes = Text(pattern_of_codes(["a.b", "c-1", "x"]))
    assert find_text_outside(codes, Text("^[a-z0-9.-]{1,3}$")) is None
    assert find_text_outside(Text("^(?:x|c-1)$"), codes) is None
    assert find_text_outside(Text("^[a-c]..$"), codes) is not None


@pytest.mark.parametrize(
    "pattern",
    ["[0-9]", "^a|b$", r"^\d$", "^(?=a)a$", "^a**$", "^[[a]]$", "^(a$", "^a{2,1}$", r"^(?:a)\1$", "^a\\$"],
)
def test_what_is_not_of_the_house_is_too_hard_and_never_guessed(pattern: str) -> None:
    with pytest.raises(TooHard):
        find_text_outside(Text(pattern), Text("^a$"))
    with pytest.raises(TooHard):
        find_text_outside(Text("^a$"), Text(pattern))


def test_the_work_has_a_limit() -> None:
    far = Text("^(?:a|b)*a(?:a|b){14}$"), Text("^(?:a|b)*b(?:a|b){14}$")
    with pytest.raises(TooHard):
        find_text_outside(*far, most_places=2_000)
    with pytest.raises(TooHard):
        find_text_outside(Text("^(?:[0-9]{1,1000}){1,90}$"), Text("^[0-9]$"))
