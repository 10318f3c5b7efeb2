"""Errors say what happened, why and what to do; they survive pickling and hold no data value."""

import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong import errors
from lienthong.errors import (
    BusNotUsable,
    ContractsNotSound,
    LienThongError,
    NotHandled,
    NotStrict,
    NotValid,
    NotYet,
    Problem,
    Refused,
    SettingsNotUsable,
    SpoolFull,
    SpoolNotUsable,
    Undelivered,
    UnknownVersion,
    Unreadable,
    listed,
)

PROBLEMS = (
    Problem("/born_at", "format", "expected a date-time with offset"),
    Problem("/weight_g", "maximum", "above 9000"),
)
EVENT = {"topic": "health.birth-notified.v1", "event_id": "019a"}
PLACE = {"topic": "health.facility.v1", "partition": 3, "offset": 41}

AT_SOURCE = "Correct the record at its source and publish it again."
SEND_AGAIN = "Correct the cause and send the dead letter again."

SENTENCES = {
    SettingsNotUsable: (
        {"reason": "No such setting: LIENTHONG_X.", "remedy": "Correct the spelling"},
        "No such setting: LIENTHONG_X.",
        "Correct the spelling.",
    ),
    ContractsNotSound: (
        {"reason": "2 problems", "remedy": "Run `lienthong contracts check`."},
        "2 problems.",
        "Run `lienthong contracts check`.",
    ),
    BusNotUsable: ({"reason": "No bus runs here", "remedy": "Start one."}, "No bus runs here.", "Start one."),
    Refused: (
        {**EVENT, "reason": "the topic is not yours."},
        "health.birth-notified.v1 019a was refused: the topic is not yours.",
        AT_SOURCE,
    ),
    NotValid: (
        {**EVENT, "schema_version": "1.2.0", "problems": PROBLEMS},
        (
            "health.birth-notified.v1 019a was refused, 2 problems against schema 1.2.0: /born_at: expected a"
            " date-time with offset; /weight_g: above 9000."
        ),
        AT_SOURCE,
    ),
    Undelivered: (
        {**EVENT, "reason": "The broker did not confirm within 30 s"},
        "The broker did not confirm within 30 s.",
        "The outbox keeps the event and sends it again by itself.",
    ),
    SpoolFull: (
        {"reason": "The spool of trade is full: 7 facts wait for the bus"},
        "The spool of trade is full: 7 facts wait for the bus.",
        "Nothing of it was written: make room, or let the bus be reached, and hand it in again.",
    ),
    SpoolNotUsable: (
        {"reason": "The spool of trade is spoilt.", "remedy": "Name another folder."},
        "The spool of trade is spoilt.",
        "Name another folder.",
    ),
    Unreadable: (
        {**PLACE, "problems": (Problem("id", "attribute", "the attribute is missing"),)},
        "The record health.facility.v1[3]@41 is not an event we can read: id: the attribute is missing.",
        "Tell the owner of the topic; the record stays in the dead-letter topic.",
    ),
    UnknownVersion: (
        {**PLACE, "reason": "schema version 1.3.0 is not here."},
        "The record health.facility.v1[3]@41 is not an event we can read: schema version 1.3.0 is not here.",
        "Bring the schemas folder up to date and restart; the record is tried again until then.",
    ),
    NotStrict: (
        {"problems": (Problem("", "depth", "nested more than 32 levels deep"),)},
        "The bytes are not sound JSON: /: nested more than 32 levels deep.",
        "Write plain UTF-8 JSON: no repeated names, no number beyond 64 bits, at most 32 levels.",
    ),
    NotHandled: ({"reason": "the birth was registered"}, "the birth was registered.", SEND_AGAIN),
    NotYet: ({"reason": "its unit is not known yet."}, "its unit is not known yet.", SEND_AGAIN),
}


def tree(root=LienThongError):
    """Give every class of the tree, the root first."""
    found = [root]
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            found += tree(child)
    return found


def drawn() -> dict[str, str]:
    """Read the docstring's drawing: each class with its parent."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = [(-1, "Exception")]
    for line in errors.__doc__.splitlines():
        if found := re.match(r"    ([│├└─ ]*)([A-Z]\w+)(?:\s{2,}.+)?$", line):
            depth = len(found[1])
            while above[-1][0] >= depth:
                above.pop()
            parents[found[2]] = above[-1][1]
            above.append((depth, found[2]))
    return parents


def test_the_drawn_tree_is_the_tree_of_classes():
    assert drawn() == {kind.__name__: kind.__base__.__name__ for kind in tree()}


def test_every_class_has_a_sentence_here():
    assert [kind.__name__ for kind in tree()[1:] if kind not in SENTENCES] == []


def test_codes_are_stable_words_and_unique():
    codes = [kind.code for kind in tree()]
    assert sorted(set(codes)) == sorted(codes)
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(-[a-z]+)*", code)] == []


def test_what_may_heal_by_itself_is_retriable_and_nothing_else():
    assert {kind for kind in tree() if kind.retriable} == {SpoolFull, Undelivered, UnknownVersion, NotYet}


@pytest.mark.parametrize("kind", SENTENCES, ids=lambda kind: kind.__name__)
def test_a_sentence_says_what_why_and_what_to_do(kind):
    fields, what, remedy = SENTENCES[kind]
    assert str(kind(**fields)) == f"{what} {remedy}"


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling_with_its_fields(kind):
    fields = SENTENCES.get(kind, ({"reason": "why"},))[0]
    error = pickle.loads(pickle.dumps(kind(**fields)))
    assert type(error) is kind
    assert error.fields == fields
    assert str(error) == str(kind(**fields))


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_an_error_of_few_fields_still_ends_in_a_sentence(kind):
    assert re.fullmatch(r".+[.:]", str(kind()))


def test_fields_are_read_as_attributes_and_an_unknown_one_is_none_of_them():
    error = Refused(topic="health.facility.v1")
    assert error.topic == "health.facility.v1"
    assert not hasattr(error, "event_id")


def test_the_remedy_of_the_moment_goes_before_that_of_the_kind():
    assert str(Refused(reason="no", remedy="Ask health.")) == "The event was refused: no. Ask health."


def test_one_problem_is_counted_as_one():
    assert "refused, 1 problem against schema (unknown): /born_at" in str(NotValid(problems=PROBLEMS[:1]))


def test_a_problem_of_the_whole_is_shown_at_the_root():
    assert str(Problem("", "type", "expected an object")) == "/: expected an object"
    assert Problem("", "type", "expected an object").as_json() == {
        "path": "",
        "rule": "type",
        "message": "expected an object",
    }


@given(st.integers(0, 60), st.integers(1, 30))
def test_long_lists_of_problems_are_cut_and_the_rest_is_counted(count, most):
    told = listed([Problem(f"/{n}", "rule", "wrong") for n in range(count)], most)
    assert told.count("wrong") == min(count, most)
    assert told.endswith(f"and {count - most} more") == (count > most)
