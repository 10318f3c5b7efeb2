"""A pattern is judged before any engine runs it."""

import pytest

from lienthong.contracts.patterns import judge_pattern


@pytest.mark.parametrize(
    ("pattern", "longest"),
    [
        ("^[0-9]{5}$", 5),
        ("^[0-9]{2}[0-9A-Z]{3}-[0-9]{4}$", 10),
        (r"^H26\.[0-9]{5}$", 9),
        ("^(male|female)$", 6),
        ("^(?:ab?){1,3}$", 6),
        ("^(?:ab){1,3}$", 6),
        ("^[A-Z][0-9]{1,3}$", 4),
        (r"^\p{L}{1,60}$", 60),
        ("^[0-9]+$", None),
        ("^a*$", None),
        ("^a{2,}$", None),
        ("^a?b$", 2),
        ("^[]a]$", 1),
        ("^$", 0),
    ],
)
def test_the_longest_text_a_pattern_allows_is_known(pattern: str, longest: int | None) -> None:
    judged = judge_pattern(pattern)
    assert judged.problems == []
    assert judged.longest == longest


@pytest.mark.parametrize(
    "pattern",
    [
        "^(a+)+$",
        "^(a*)*$",
        "^(a|aa)+$",
        "^(a|a?)+$",
        "^([a-z]+[0-9]?)*$",
        "^((ab+)c)+$",
        "^([a-z]{1,30}){1,30}$",
        "^(a{1,100}){1,100}$",
        "^(x+x+)+y$",
    ],
)
def test_a_pattern_that_explodes_is_refused(pattern: str) -> None:
    assert judge_pattern(pattern).problems


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        ("[0-9]{5}", "anchored"),
        ("^[0-9]{5}", "anchored"),
        (r"^[0-9]{5}\$", "anchored"),
        ("^a|b$", "outside a group"),
        (r"^\d{5}$", r"\d"),
        (r"^\w+$", r"\w"),
        ("^(?=a)a$", "ahead"),
        ("^(?P<x>a)$", "names a group"),
        (r"^(a)\1$", r"\1"),
        ("^[^a]$", "not allowed"),
        ("^(a$", "never closes"),
        ("^a)$", "never opened"),
        ("^[a$", "never closes"),
        ("^*a$", "repeats nothing"),
        ("^a+?$", "repetition"),
        ("^a{x}$", "no count"),
        ("^a{2000}$", "more than 1000"),
        ("^a^b$", "middle"),
        ("^[a[b]]$", "["),
        ("^" + "(" * 20 + "a" + ")" * 20 + "$", "deeper"),
        ("^" + "a" * 600 + "$", "longer than"),
    ],
)
def test_what_is_wrong_with_a_pattern_is_said(pattern: str, word: str) -> None:
    assert word in "; ".join(judge_pattern(pattern).problems)


@pytest.mark.parametrize(
    ("pattern", "may"),
    [("^[a-z]{3}$", False), (r"^a\|b$", True), ("^[a|b]$", True), ("^.$", True), ("^(a|b)$", False)],
)
def test_a_pattern_that_may_hold_the_bar_that_joins_keys_is_known(pattern: str, may: bool) -> None:
    assert judge_pattern(pattern).may_hold_bar is may
