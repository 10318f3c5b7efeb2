"""A proposed schema, rehearsed on records: what it would refuse is counted, and no data is told."""

from types import SimpleNamespace
from typing import Any

import orjson

from lienthong.event import to_headers
from lienthong.rehearsal import rehearse
from tests.unit.birth import DATA, SCHEMA, TOPIC, data, raw_event

LIGHTER = {
    **SCHEMA,
    "properties": {
        **SCHEMA["properties"],
        "weight_g": {**SCHEMA["properties"]["weight_g"], "maximum": 2_000},
    },
}


def record(value: bytes | None, *, headers: list[tuple[str, bytes]] | None = None) -> Any:
    raw = raw_event(value=value)
    told = to_headers(raw) if headers is None else headers
    return SimpleNamespace(
        partition=0, offset=1, timestamp=0, key=raw.key.encode(), value=value, headers=told
    )


def test_what_the_proposal_would_refuse_is_counted_by_path_and_rule() -> None:
    records = [record(orjson.dumps(data(weight_g=weight))) for weight in (1_500, 2_000, 2_001, 3_000)]
    told = rehearse(LIGHTER, TOPIC, records)
    assert told.as_json() == {
        "topic": TOPIC,
        "events": 4,
        "refused": 2,
        "unreadable": 0,
        "problems": [{"path": "/weight_g", "rule": "maximum", "events": 2}],
    }


def test_no_value_is_told() -> None:
    records = [record(orjson.dumps(data(weight_g=8_888)))]
    told = rehearse(LIGHTER, TOPIC, records)
    assert "8888" not in "".join(told.lines()) + str(told.as_json())


def test_tombstones_are_left_out_and_what_is_no_event_is_counted_apart() -> None:
    told = rehearse(SCHEMA, TOPIC, [record(None), record(orjson.dumps(DATA)), record(b"x", headers=[])])
    assert (told.events, told.refused, told.unreadable) == (2, 0, 1)
