"""Two records are the same event where source and id are, and the content is what it was."""

from datetime import UTC, datetime, timedelta

import pytest

from lienthong import complaints
from lienthong.dead_letters import Record
from lienthong.event import RawEvent, to_headers
from lienthong.inbox import Dealt, digest_of
from lienthong.lane import Taken, take_up

TOPIC = "health.birth-notified.v1"
AT = datetime(2025, 11, 14, 13, 55, tzinfo=UTC)
ID = "0199a3b2-7c11-7abc-8def-0123456789ab"
EVENT = RawEvent(
    id=ID,
    source="/vn.gov.hanoi/health",
    type="vn.gov.hanoi.health.birth-notified",
    subject="vat",
    time=AT,
    recorded_at=AT,
    dataschema="urn:vn.gov.hanoi:health:birth-notified:1.0.0",
    key="vat",
    classification="personal",
    correlation_id=ID,
    causation_id=None,
    traceparent=None,
    value=b'{"a":1}',
)


def taken(event: RawEvent = EVENT, topic: str = TOPIC) -> Taken:
    return take_up(Record(topic, 0, 7, 0, event.key.encode(), event.value, to_headers(event)))


@pytest.mark.parametrize(
    "other",
    [
        {"value": b'{"a":2}'},
        {"value": None},
        {"value": b""},
        {"type": "vn.gov.hanoi.health.death-notified"},
        {"key": "vat-2"},
        {"subject": "vat-2"},
        # The same letters, parted elsewhere.
        {"subject": "va", "key": "tvat"},
    ],
    ids=str,
)
def test_what_its_source_says_of_it_is_an_events_content(other):
    assert digest_of(EVENT._replace(**other)) != digest_of(EVENT)


def test_when_it_was_written_and_what_the_bus_adds_is_not():
    again = EVENT._replace(
        time=AT + timedelta(days=1),
        recorded_at=AT + timedelta(days=1),
        dataschema="urn:vn.gov.hanoi:health:birth-notified:1.1.0",
        traceparent="00-1",
        correlation_id="another",
    )
    assert digest_of(again) == digest_of(EVENT)


def test_the_same_event_is_no_conflict_and_neither_is_one_whose_content_nobody_knows():
    assert complaints.find_conflict(taken(), Dealt("handled", None, digest_of(EVENT))) is None
    assert complaints.find_conflict(taken(), Dealt("handled", None)) is None


def test_another_event_of_the_same_id_is_named_by_both_places_and_nothing_else():
    dealt = Dealt("handled", None, digest_of(EVENT), TOPIC, 2, 41)
    reason = complaints.find_conflict(taken(EVENT._replace(value=b'{"a":"Bi Mat"}')), dealt)
    assert reason is not None
    assert reason.code == "id-conflict"
    assert f"{TOPIC}[2]@41" in reason.sentence
    assert "Bi Mat" not in f"{reason}"


def test_a_record_in_conflict_is_known_by_its_place():
    one = taken()
    assert one.mark == ("/vn.gov.hanoi/health", ID)
    one.conflict = complaints.find_conflict(one, Dealt("handled", None, bytes(16)))
    assert one.mark == (f"kafka:{TOPIC}", "0/7")


def test_an_event_that_bears_anothers_name_is_known_by_its_place():
    forged = taken(topic="justice.birth-registered.v1")
    assert forged.mark == ("kafka:justice.birth-registered.v1", "0/7")
    assert forged.digest is None
