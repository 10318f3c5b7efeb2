"""A group that has to set too much aside stops, and says for which reasons."""

import pytest

from lienthong.bound import Bound


def test_it_is_reached_when_so_many_of_the_last_were_set_aside():
    bound = Bound(40, 100)
    bound.note([None] * 60 + ["unreadable"] * 39)
    assert not bound.is_reached()
    assert bound.is_reached(["unreadable"])


def test_what_was_set_aside_long_ago_does_not_count():
    bound = Bound(40, 100)
    bound.note(["unreadable"] * 39 + [None] * 100)
    assert not bound.is_reached(["unreadable"] * 39)


def test_what_would_be_dealt_with_is_not_taken_note_of():
    bound = Bound(2, 4)
    assert bound.is_reached(["unreadable"] * 2)
    assert not bound.is_reached()


def test_a_group_that_has_only_just_begun_may_set_as_many_aside():
    bound = Bound(3, 100)
    bound.note(["unreadable"] * 3)
    assert bound.is_reached()


def test_its_words_name_the_reasons_the_most_frequent_first():
    bound = Bound(3, 5)
    bound.note([None, "not-handled", None, "unreadable", "unreadable"])
    assert bound.told() == "3 of the last 5 set aside, for `unreadable`, `not-handled`"


@pytest.mark.parametrize("many", [1, 10_000])
def test_without_a_bound_it_is_never_reached(many: int):
    assert not Bound(0, 100).is_reached(["unreadable"] * many)
