"""The verdict on a history: a sound one is found sound, and each kind of wrong is found and named."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

from lienthong.chaos import history, verdict
from lienthong.chaos.departments import answers_of, facts_of, grants
from lienthong.chaos.history import (
    Commit,
    Effect,
    Fact,
    HandedIn,
    History,
    Left,
    Letter,
    Record,
    Struck,
    TurnedAway,
)

NAMES = ("north", "east")
SOURCE, ANSWERS = facts_of("north"), answers_of("east")
FOLLOWING, HEARING = "east.following", "north.watching"
KEYS = ("k-1", "k-2")


def fact(topic: str, number: int, does: str = "passes", cause: str | None = None) -> Fact:
    """The fact of this number; its transaction saw all those before it."""
    event, key = f"{topic}#{number}", KEYS[number % 2]
    label = "" if cause else f"north-{number}"
    return Fact(
        number,
        topic,
        event,
        key,
        label,
        number,
        does,
        cause,
        f"md5 of {event}",
        100 + number,
        f"{99 + number}:{100 + number}:",
    )


def at(found: Fact, offset: int) -> Record:
    return Record(found.topic, 0, offset, found.id, found.key, found.digest)


def done(group: str, found: Fact, seq: int) -> Effect:
    return Effect(group, found.topic, found.id, found.key, found.number, seq, 1_000.0 + seq)


def sound() -> History:
    """Six facts of one department, answered by the other, the last of them poison."""
    facts = [fact(SOURCE, number) for number in range(1, 6)]
    poison = fact(SOURCE, 6, "is-poison")
    answers = [fact(ANSWERS, one.number, cause=one.id) for one in facts]
    found = History()
    found.handed_in = [HandedIn(one.label, "north", "intake") for one in (*facts, poison)]
    found.handed_in.append(HandedIn("north-7", "north", "intake"))
    found.turned_away = [TurnedAway("north-7", "north", "not-valid")]
    found.facts = [*facts, poison, *answers]
    found.records = [at(one, offset) for offset, one in enumerate((*facts, poison))]
    found.records += [at(one, offset) for offset, one in enumerate(answers)]
    found.effects = [done(FOLLOWING, one, one.number) for one in facts]
    found.effects += [done(HEARING, one, one.number) for one in answers]
    found.letters = [
        Letter(
            FOLLOWING,
            SOURCE,
            0,
            5,
            poison.id,
            poison.key,
            poison.digest,
            "not-handled",
            "it is poison",
            "1",
            "2",
        )
    ]
    found.commits = [Commit(FOLLOWING, SOURCE, 0, offset, 1_001.0 + offset) for offset in range(7)]
    found.commits.append(Commit(HEARING, ANSWERS, 0, 5, 1_100.0))
    found.struck = [
        Struck("service-killed", 1.0, 1.0, {"who": "north-1", "pid": 7}),
        Struck("broker-frozen", 2.0, 3.0, {}),
        Struck("services-stopped-in-order", 4.0, 6.5, {"who": "east-2", "seconds": 2.5}),
    ]
    return found


def wrongs(found: History) -> set[str]:
    return set(verdict.judge(found, NAMES).wrongs)


def test_a_sound_history_is_found_sound_and_counted() -> None:
    found = verdict.judge(sound(), NAMES)
    assert found.wrongs == {}
    assert found.is_sound
    assert found.totals == {
        "facts": 11,
        "records": 11,
        "effects": 10,
        "letters": 1,
        "turned away": 1,
        "written twice": 0,
        "offsets committed": 8,
    }
    assert found.faults == {"service-killed": 1, "services-stopped-in-order": 1}
    assert found.longest_stop_seconds == 2.5
    assert verdict.sentences(found) == []


def _change(**fields: Any) -> Callable[[list[Any], int], None]:
    def change(entries: list[Any], number: int) -> None:
        entries[number] = dataclasses.replace(entries[number], **fields)

    return change


def _drop(entries: list[Any], number: int) -> None:
    del entries[number]


def _repeat(entries: list[Any], number: int) -> None:
    entries.append(entries[number])


def _handle_the_poison(entries: list[Any], _: int) -> None:
    entries.append(done(FOLLOWING, fact(SOURCE, 6, "is-poison"), 7))


def _swap_places(entries: list[Any], number: int) -> None:
    one, other = entries[number], entries[number + 2]
    entries[number] = dataclasses.replace(one, offset=other.offset)
    entries[number + 2] = dataclasses.replace(other, offset=one.offset)


def _swap_turns(entries: list[Any], number: int) -> None:
    one, other = entries[number], entries[number + 2]
    entries[number] = dataclasses.replace(one, seq=other.seq)
    entries[number + 2] = dataclasses.replace(other, seq=one.seq)


@pytest.mark.parametrize(
    ("kind", "change", "expected"),
    [
        ("facts", _drop, {"lost at the source", "committed by no source", "effect of no fact"}),
        ("turned_away", _drop, {"lost at the source"}),
        ("records", _drop, {"lost on the way", "skipped on the way"}),
        ("effects", _drop, {"lost at a reader", "effect of no fact"}),
        ("letters", _drop, {"lost at a reader"}),
        ("effects", _repeat, {"took effect twice"}),
        ("records", _swap_places, {"out of order on the bus", "out of order at an effect"}),
        ("effects", _swap_turns, {"out of order at an effect"}),
        ("letters", _change(code=""), {"set aside without a reason"}),
        ("letters", _change(reason=""), {"set aside without a reason"}),
        ("effects", _handle_the_poison, {"set aside and handled", "handled though its handler failed"}),
        ("records", _change(digest="another"), {"altered on the way"}),
        ("records", _change(key="another"), {"altered on the way"}),
        ("letters", _change(digest="another"), {"altered on the way"}),
        ("commits", _change(offset=9), {"an offset went back"}),
        ("commits", _change(offset=5), {"an offset went back"}),
        ("effects", _change(at=9_000.0), {"committed before its effect"}),
    ],
)
def test_each_kind_of_wrong_is_found(
    kind: str, change: Callable[[list[Any], int], None], expected: set[str]
) -> None:
    found = sound()
    change(getattr(found, kind), 0)
    assert wrongs(found) >= expected
    told = verdict.sentences(verdict.judge(found, NAMES))
    assert all(any(sentence.startswith(rule) for sentence in told) for rule in expected)


def test_an_event_that_no_source_committed_is_found() -> None:
    found = sound()
    found.records.append(Record(SOURCE, 0, 9, "made-up", "k-1", "md5"))
    assert wrongs(found) == {"committed by no source"}


def test_a_fact_that_is_answered_twice_took_effect_twice() -> None:
    found = sound()
    twice = dataclasses.replace(found.facts[6], id="again", seq=99, xid=199, saw="199:199:")
    found.facts.append(twice)
    found.records.append(at(twice, 9))
    found.effects.append(done(HEARING, twice, 99))
    assert wrongs(found) == {"took effect twice"}


def test_what_is_set_aside_though_its_handler_would_have_passed_is_found() -> None:
    found = sound()
    lost = found.effects.pop(0)
    found.facts = [one for one in found.facts if one.cause != lost.id]
    found.records = [one for one in found.records if one.id != f"{ANSWERS}#1"]
    found.effects = [one for one in found.effects if one.id != f"{ANSWERS}#1"]
    found.letters.append(
        dataclasses.replace(found.letters[0], id=lost.id, key=lost.key, digest=f"md5 of {lost.id}", offset=0)
    )
    assert wrongs(found) == {"set aside though sound"}


def test_a_letter_that_was_sent_twice_is_one_and_one_that_was_written_twice_is_two() -> None:
    found = sound()
    found.letters.append(found.letters[0])
    assert wrongs(found) == set()
    found.letters.append(dataclasses.replace(found.letters[0], last_at="3"))
    assert wrongs(found) == {"set aside twice"}


def test_a_record_that_was_written_twice_is_no_wrong() -> None:
    found = sound()
    found.records += [dataclasses.replace(one, offset=one.offset + 10) for one in found.records]
    assert wrongs(found) == set()
    assert verdict.judge(found, NAMES).totals["written twice"] == 11


def test_what_is_still_under_way_is_not_sound_and_not_said_to_be_lost() -> None:
    found = sound()
    del found.records[4], found.effects[0]
    found.left.append(Left({"north, outbox": 1}))
    judged = verdict.judge(found, NAMES)
    assert not judged.is_sound
    assert "lost on the way" not in judged.wrongs
    assert "not settled, still waiting: north, outbox 1" in verdict.sentences(judged)


def test_two_facts_that_were_under_way_at_once_have_no_order() -> None:
    one, other = fact(SOURCE, 1), fact(SOURCE, 3)
    assert verdict.comes_first(one, other)
    began_later = dataclasses.replace(one, xid=200)
    assert not verdict.comes_first(began_later, dataclasses.replace(other, saw="150:201:150,200"))
    assert not verdict.comes_first(began_later, dataclasses.replace(other, saw="150:200:150"))
    assert verdict.comes_first(began_later, dataclasses.replace(other, saw="150:201:150"))


def test_the_first_culprits_are_named_and_the_rest_are_counted() -> None:
    found = sound()
    found.records = []
    (told,) = [s for s in verdict.sentences(verdict.judge(found, NAMES)) if s.startswith("lost on the way")]
    assert told.startswith(f"lost on the way: 11 – {SOURCE} {SOURCE}#1 (north-1); ")
    assert told.endswith("; and 6 more")


@hypothesis.given(st.data())
def test_whatever_is_taken_from_a_history_of_facts_records_or_effects_is_missed(data: st.DataObject) -> None:
    found = sound()
    kind = data.draw(st.sampled_from(["facts", "records", "effects", "letters", "turned_away"]))
    entries = getattr(found, kind)
    del entries[data.draw(st.integers(0, len(entries) - 1))]
    assert not verdict.judge(found, NAMES).is_sound


def test_a_history_is_kept_and_read_back(tmp_path: Path) -> None:
    found = sound()
    found.left.append(Left({"east, outbox": 2}))
    history.save(tmp_path / "history.jsonl", found)
    assert history.load(tmp_path / "history.jsonl") == found
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == len(list(found))


@pytest.mark.parametrize("line", ["{", "[]", '{"what": "rumour"}', '{"what": "left", "who": 1}', "{}"])
def test_what_is_no_history_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "history.jsonl"
    file.write_text(f'{{"what": "left", "where": {{}}}}\n{line}\n')
    with pytest.raises(ValueError, match=r"line 2 of history\.jsonl is no entry of a history"):
        history.load(file)


def test_every_fact_goes_to_two_groups_and_every_answer_comes_back() -> None:
    names = ("north", "east", "south", "west")
    found = grants(names)
    assert sorted(g.group for g in found if g.topic == facts_of("north")) == [
        "east.following",
        "south.watching",
    ]
    assert [g.group for g in found if g.topic == answers_of("east")] == ["north.watching"]
    assert len(found) == len(set(found)) == 12
    assert all(grant.department != grant.topic.split(".")[0] for grant in found)
