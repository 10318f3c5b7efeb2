"""A dead letter read again: the record as it was, what is told of it, and which letters are meant."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from lienthong.dead_letters import Reason, Record, key_of, provenance
from lienthong.errors import Problem, SettingsNotUsable
from lienthong.letters.decide import NEARBY, join_spans
from lienthong.letters.found import Found
from lienthong.letters.letter import CONFLICT, Letter, digest, read_letter
from lienthong.letters.plan import LeftOut, Plan, Planned
from lienthong.letters.selection import Selection, State, find_moment, full_group
from lienthong.letters.telling import iter_letter, iter_plan, letter_as_json, letter_line, plain

GROUP = "justice.birth-registration"
TOPIC = "health.birth-notified.v1"
ID = "0199a1b2-0000-7000-8000-000000000001"
FIRST = datetime(2025, 11, 14, 20, 55, tzinfo=UTC)
LAST = FIRST + timedelta(hours=1)
REASON = Reason("not-handled", "No such unit.", (Problem("/unit_code", "reference", "no such code"),))
HEADERS = [
    ("x-odd", b"\xff"),
    ("x-odd", b""),
    ("ce_specversion", b"1.0"),
    ("ce_id", ID.encode()),
    ("ce_source", b"/vn.gov.hanoi/health"),
    ("ce_type", b"vn.gov.hanoi.health.birth-notified"),
    ("ce_time", b"2025-11-14T20:55:00+07:00"),
    ("ce_dataschema", b"urn:vn.gov.hanoi:health:birth-notified:1.0.0"),
    ("lt_code", b"a claim of another"),
]


def record(key: bytes | None = b"vat", value: bytes | None = b'{"name":"Bi Mat"}', **more: Any) -> Record:
    return Record(TOPIC, 3, 1042, 1_763_000_000_000, key, value, more.get("headers", HEADERS))


def carried(one: Record, reason: Reason = REASON, group: str = GROUP) -> Record:
    """The record as it stands on the dead-letter topic."""
    kept = [(name, value) for name, value in one.headers if not name.startswith("lt_")]
    told = provenance(one, group, reason, 4, FIRST, LAST)
    return Record(f"{group}.dlt", 0, 7, 0, key_of(one), one.value, kept + told)


def letter(**changed: Any) -> Letter:
    one = record(headers=changed.pop("headers", HEADERS))
    read = read_letter(GROUP, carried(one, changed.pop("reason", REASON)), 7)
    assert read is not None
    return read[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"vat", b"{}"), (None, b"{}"), (b"", b"{}"), (b"vat", None), (None, None), (b"\xff", b"")],
)
def test_a_letter_gives_its_record_back_byte_for_byte(key: bytes | None, value: bytes | None) -> None:
    one = record(key, value)
    read = read_letter(GROUP, carried(one), 7)
    assert read is not None
    kept = [(name, value) for name, value in HEADERS if not name.startswith("lt_")]
    assert read[1] == Record(one.topic, one.partition, one.offset, one.timestamp_ms, key, value, kept)


def test_a_letter_says_where_it_came_from_why_and_how_often_it_was_tried() -> None:
    one = letter()
    assert str(one.place) == f"{TOPIC}/3/1042"
    assert (one.code, one.reason, one.attempts) == ("not-handled", "No such unit.", 4)
    assert (one.first_at, one.last_at, one.event_id) == (FIRST, LAST, ID)
    assert one.problems == [{"path": "/unit_code", "rule": "reference", "message": "no such code"}]
    assert one.identity == ("/vn.gov.hanoi/health", ID)


def test_what_is_known_by_its_place_only_is_marked_by_it() -> None:
    unreadable = letter(headers=[])
    assert unreadable.identity == (f"kafka:{TOPIC}", "3/1042")
    assert unreadable.event_id is None
    assert letter(reason=Reason(CONFLICT, "Another content.")).identity == (f"kafka:{TOPIC}", "3/1042")


@pytest.mark.parametrize("missing", ["lt_topic", "lt_offset", "lt_first_at", "lt_attempts", "lt_group"])
def test_what_is_no_letter_of_the_group_is_none(missing: str) -> None:
    whole = carried(record())
    headers = [(name, value) for name, value in whole.headers if name != missing]
    assert read_letter(GROUP, _with(whole, headers), 7) is None
    assert read_letter("justice.other", whole, 7) is None


def _with(whole: Record, headers: list[tuple[str, bytes]]) -> Record:
    return Record(whole.topic, 0, 7, 0, whole.key, whole.value, headers)


def test_an_id_that_is_none_of_ours_is_not_shown() -> None:
    headers = [(n, b"001234567890" if n == "ce_id" else v) for n, v in HEADERS]
    told = orjson.dumps(letter_as_json(Found(letter(headers=headers)))).decode()
    assert "001234567890" not in told


def test_no_data_is_told_unless_the_record_is_given() -> None:
    one = Found(letter())
    for told in (letter_line(one), "\n".join(iter_letter(one, None)), str(letter_as_json(one))):
        assert "not-handled" in told
        assert "Bi Mat" not in told
        assert "vat" not in told
    assert "Bi Mat" in "\n".join(iter_letter(one, record()))
    assert letter_as_json(one, record())["headers"][0] == ["x-odd", {"base64": "/w=="}]


def test_no_terminal_acts_on_what_a_stranger_wrote() -> None:
    assert plain("a\x1b[2J\u202eb") == "a\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(
    ("asked", "is_meant"),
    [
        (Selection(), True),
        (Selection(groups=[GROUP], topics=[TOPIC], codes=["not-handled", "not-yet"]), True),
        (Selection(groups=["justice.other"]), False),
        (Selection(topics=["health.other.v1"]), False),
        (Selection(codes=["not-yet"]), False),
        (Selection(since=LAST, until=LAST + timedelta(seconds=1)), True),
        (Selection(since=LAST + timedelta(seconds=1)), False),
        (Selection(until=LAST), False),
        (Selection(ids=[ID]), True),
        (Selection(ids=[f"{TOPIC}/3/1042"]), True),
        (Selection(ids=[f"{TOPIC}/3/1043"]), False),
        (Selection().of_key(digest(b"vat")), True),
        (Selection().of_key(digest(b"other")), False),
    ],
)
def test_all_filters_have_to_hold(asked: Selection, is_meant: bool) -> None:
    assert asked.takes(letter()) is is_meant


def test_a_moment_is_a_day_in_hanoi_an_instant_or_how_long_ago() -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert find_moment("2h", now) == now - timedelta(hours=2)
    assert find_moment("2026-01-31", now) == datetime(2026, 1, 30, 17, tzinfo=UTC)
    assert find_moment("2026-01-31T08:00:00+07:00", now) == datetime(2026, 1, 31, 1, tzinfo=UTC)
    for text in ("yesterday", "2026-02-31", "2026-01-31T08:00:00", "-1h"):
        with pytest.raises(SettingsNotUsable, match="is no moment"):
            find_moment(text, now)


def test_a_purpose_names_its_group() -> None:
    assert full_group("justice", "birth-registration") == "justice.birth-registration"
    assert full_group("justice", "justice.birth-registration") == "justice.birth-registration"


def test_letters_near_each_other_are_fetched_in_one_go() -> None:
    assert join_spans([]) == []
    assert join_spans([3, 4, 9]) == [(3, 10)]
    assert join_spans([0, NEARBY + 2]) == [(0, 1), (NEARBY + 2, NEARBY + 3)]


def test_a_plan_counts_what_is_sent_and_names_what_is_left_out() -> None:
    open_, stale = Found(letter()), Found(letter())
    plan = Plan([Planned(open_), Planned(stale, LeftOut.stale, stale_by=1050)])
    assert list(iter_plan(plan, 10)) == [
        f"+ 1 of {TOPIC} to {GROUP}, set aside for not-handled",
        f"- {TOPIC}/3/1042 left out, stale; {TOPIC}/3/1050 was handled",
    ]
    assert list(iter_plan(plan, 0))[-1] == "  … and 1 more"
    assert open_.state is State.open
