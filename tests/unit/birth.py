"""A frozen schema written by hand, and an event that it admits: what the gate's tests begin with."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from lienthong.event import RawEvent
from lienthong.gate import Gate
from lienthong.shape import Shape

TOPIC = "health.birth-notified.v1"
STATE = "health.facility.v1"
NOW = datetime(2025, 11, 15, 1, 2, 3, 456789, tzinfo=UTC)
EVENT_ID = "019a8523-1b40-7abc-8def-0123456789ab"

DATA: dict[str, Any] = {
    "notification_id": "01020-2025-000731",
    "born_at": "2025-11-14T20:55:00+07:00",
    "notified_on": "2025-11-15",
    "sex": "female",
    "weight_g": 3150,
    "facility_code": "01020",
    "mother": {
        "personal_number": "001199000001",
        "full_name": "Nguyễn Thị Mẫu",
        "born_on": "1999-02-03",
    },
    "papers": [{"paper_code": "A1", "issued_at": "2025-11-14T21:00:00+07:00"}],
}

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:vn.gov.hanoi:health:birth-notified:1.0.0",
    "title": "Giấy chứng sinh",
    "type": "object",
    "additionalProperties": False,
    "required": ["born_at", "facility_code", "mother", "notification_id", "sex"],
    "properties": {
        "notification_id": {
            "type": "string",
            "pattern": "^[0-9]{5}-[0-9]{4}-[0-9]{6}$",
            "x-classification": "internal",
        },
        "born_at": {"type": "string", "format": "date-time", "x-classification": "personal"},
        "notified_on": {"type": "string", "format": "date", "x-classification": "internal"},
        "sex": {"type": "string", "enum": ["male", "female", "undetermined"], "x-classification": "personal"},
        "weight_g": {"type": "integer", "minimum": 200, "maximum": 9000, "x-classification": "sensitive"},
        "facility_code": {
            "type": "string",
            "pattern": "^[0-9]{2}[0-9A-Z]{3}$",
            "x-classification": "public",
        },
        "note": {"type": "string", "minLength": 1, "maxLength": 500, "x-classification": "internal"},
        "mother": {
            "type": "object",
            "x-classification": "personal",
            "additionalProperties": False,
            "required": ["full_name", "personal_number"],
            "properties": {
                "personal_number": {"type": "string", "pattern": "^[0-9]{12}$"},
                "full_name": {"type": "string", "minLength": 2, "maxLength": 120},
                "born_on": {"type": "string", "format": "date"},
            },
        },
        "papers": {
            "type": "array",
            "maxItems": 3,
            "x-classification": "internal",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["paper_code"],
                "properties": {
                    "paper_code": {"type": "string", "pattern": "^[A-Z][0-9]$"},
                    "issued_at": {"type": "string", "format": "date-time"},
                },
            },
        },
    },
    "x-topic": TOPIC,
    "x-key": ["notification_id"],
    "x-state": False,
    "x-max-bytes": 4096,
    "x-classification": "sensitive",
    "x-rules": [
        {
            "name": "born-before-notified",
            "expression": "data.born_at <= event.time",
            "description": "Thời điểm sinh không sau thời điểm thông báo.",
        }
    ],
    "x-references": {
        "/facility_code": {"topic": STATE, "field": "facility_code"},
        "/papers/*/paper_code": {"topic": "justice.paper.v1", "field": "paper_code"},
    },
}

STATE_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:vn.gov.hanoi:health:facility:1.0.0",
    "type": "object",
    "additionalProperties": False,
    "required": ["facility_code", "floor"],
    "properties": {
        "facility_code": {"type": "string", "pattern": "^[0-9]{2}[0-9A-Z]{3}$"},
        "floor": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "x-topic": STATE,
    "x-key": ["facility_code", "floor"],
    "x-state": True,
    "x-max-bytes": 4096,
    "x-classification": "public",
    "x-rules": [],
    "x-references": {},
}


def error_of(ask: Callable[[], Any], *errors: type[Exception]) -> Any:
    """Give the error that asking ends with, None where it ends well; any other error passes through."""
    try:
        ask()
    except errors as error:
        return error
    return None


def gate(**changes: Any) -> Gate:
    """Make a gate of the two schemas; `changes` replace parts of the birth's."""
    return Gate([Shape.of({**SCHEMA, **changes}), Shape.of(STATE_SCHEMA)])


def data(**changes: Any) -> dict[str, Any]:
    """Copy the sound data with changes; None takes a field away."""
    changed = {**copy.deepcopy(DATA), **changes}
    return {name: value for name, value in changed.items() if value is not None}


def raw_event(**changes: Any) -> RawEvent:
    """Make an event that the gate admits, with changes to its envelope."""
    sound = RawEvent(
        id=EVENT_ID,
        source="/vn.gov.hanoi/health",
        type="vn.gov.hanoi.health.birth-notified",
        subject="01020-2025-000731",
        time=NOW,
        recorded_at=NOW,
        dataschema="urn:vn.gov.hanoi:health:birth-notified:1.0.0",
        key="01020-2025-000731",
        classification="sensitive",
        correlation_id=EVENT_ID,
        causation_id="019a8523-0000-7abc-8def-0123456789ab",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        value=orjson.dumps(DATA),
    )
    return sound._replace(**changes)


def raw_state(**changes: Any) -> RawEvent:
    """Make a state that the gate admits, with changes to its envelope."""
    return raw_event(
        type="vn.gov.hanoi.health.facility",
        subject="01020|2",
        dataschema="urn:vn.gov.hanoi:health:facility:1.0.0",
        key="01020|2",
        classification="public",
        value=orjson.dumps({"facility_code": "01020", "floor": 2}),
    )._replace(**changes)
