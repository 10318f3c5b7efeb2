"""A dead letter says where it came from and why, and stays a record that can be sent."""

from datetime import UTC, datetime, timedelta
from importlib.metadata import version

import orjson

from lienthong.dead_letters import PREFIX, Reason, Record, key_of, provenance
from lienthong.errors import Problem

FIRST = datetime(2025, 11, 14, 20, 55, tzinfo=UTC)
LAST = FIRST + timedelta(seconds=12)
GROUP = "justice.birth-registration"


def record(key: bytes | None = b"vat", value: bytes | None = b"{}") -> Record:
    return Record("health.birth-notified.v1", 3, 41, 1_763_150_100_000, key, value, [("ce_id", b"1")])


def told(reason: Reason) -> dict[str, str]:
    headers = provenance(record(), GROUP, reason, 6, FIRST, LAST)
    assert all(type(value) is bytes for _, value in headers)
    return {name: value.decode() for name, value in headers}


def test_the_headers_say_from_where_why_and_after_how_many_tries():
    assert told(Reason("not-handled", "Đã khai sinh rồi.")) == {
        "lt_group": "justice.birth-registration",
        "lt_topic": "health.birth-notified.v1",
        "lt_partition": "3",
        "lt_offset": "41",
        "lt_timestamp_ms": "1763150100000",
        "lt_code": "not-handled",
        "lt_reason": "Đã khai sinh rồi.",
        "lt_attempts": "6",
        "lt_first_at": "2025-11-14T20:55:00+00:00",
        "lt_last_at": "2025-11-14T20:55:12+00:00",
        "lt_library": f"lienthong {version('lienthong')}",
    }


def test_every_header_of_ours_carries_the_prefix_once():
    names = [name for name, _ in provenance(record(), GROUP, Reason("x", "y"), 1, FIRST, LAST)]
    assert [name for name in names if not name.startswith(PREFIX)] == []
    assert sorted(set(names)) == sorted(names)


def test_problems_are_listed_as_json_the_first_fifty():
    problems = [Problem(f"/a/{n}", "maximum", "above 9") for n in range(60)]
    listed = orjson.loads(told(Reason("not-valid", "60 problems.", problems))["lt_problems"])
    assert listed == [problem.as_json() for problem in problems[:50]]


def test_a_dead_letter_keeps_its_records_key_for_its_place_among_the_others():
    assert key_of(record(b"vat", None)) == b"vat"
    assert key_of(record(b"", b"{}")) == b""
    assert key_of(record(None, b"{}")) is None


def test_a_record_of_neither_key_nor_value_gets_a_key_because_no_client_would_send_it():
    assert key_of(record(None, None)) == b""
