"""The envelope as an AsyncAPI document tells it: each header's meaning, and a whole example (hop 2)."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import orjson

from lienthong import names
from lienthong.contracts import CLASSIFICATIONS, Contract
from lienthong.event import JSON, RawEvent, to_headers

Schema = dict[str, Any]

_MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
_UUID: Final[Schema] = {
    "type": "string",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
}
_VERSIONS: Final = r"\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$"
_ALWAYS: Final = (
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_dataschema",
    "ce_partitionkey",
    "ce_recordedtime",
    "ce_correlationid",
    "ce_dataclassification",
)
_MEANINGS: Final[dict[str, tuple[str, Schema]]] = {
    "ce_specversion": ("Phiên bản CloudEvents. (CloudEvents version.)", {"type": "string", "const": "1.0"}),
    "ce_id": ("Mã sự kiện, UUIDv7; gửi lại vẫn là mã ấy. (Id of the event.)", _UUID),
    "ce_source": ("Cơ quan công bố. (Who publishes.)", {"type": "string"}),
    "ce_type": ("Loại sự kiện. (Type of the event.)", {"type": "string"}),
    "ce_time": ("Thời điểm việc xảy ra. (When it happened.)", _MOMENT),
    "ce_subject": ("Sự kiện nói về ai, cái gì. (What it is about.)", {"type": "string", "maxLength": 1024}),
    "ce_dataschema": ("Phiên bản lược đồ của dữ liệu. (Schema version of the data.)", {"type": "string"}),
    "ce_partitionkey": (
        "Khóa giữ thứ tự, bằng khóa của bản ghi. (The key that orders; the record's own.)",
        {"type": "string", "maxLength": 1024},
    ),
    "ce_recordedtime": ("Thời điểm cơ quan ghi sổ. (When its department recorded it.)", _MOMENT),
    "ce_traceparent": (
        "Dấu vết theo W3C Trace Context. (Trace, as W3C writes it.)",
        {"type": "string", "maxLength": 1024},
    ),
    "ce_correlationid": ("Sự kiện mở đầu chuỗi việc. (First event of the chain.)", _UUID),
    "ce_causationid": ("Sự kiện gây ra sự kiện này. (The event that caused it.)", _UUID),
    "ce_dataclassification": (
        "Mức bảo vệ cao nhất của các trường. (Highest classification of its fields.)",
        {"type": "string", "enum": list(CLASSIFICATIONS)},
    ),
    "ce_siblingid": (
        "Cùng một việc, kể theo phiên bản kia. (The same fact as the other major tells it.)",
        _UUID,
    ),
    "ce_deprecated": (
        "Phiên bản này sẽ chấm dứt. (This major will end.)",
        {"type": "string", "const": "true"},
    ),
    "ce_deprecationsunset": ("Lúc chấm dứt. (When it ends.)", _MOMENT),
    "ce_deprecationmigration": ("Lược đồ thay thế. (The schema to go over to.)", {"type": "string"}),
    "content-type": ("Dữ liệu là JSON, UTF-8. (The data is JSON.)", {"type": "string", "const": JSON}),
    names.SCHEMA_HEADER: (
        "Mã GUID của lược đồ, cho máy khách của Confluent. (The schema's GUID, for Confluent's clients.)",
        {"type": "string", "minLength": 17, "maxLength": 17},
    ),
}
_HANOI: Final = timezone(timedelta(hours=7))
_HAPPENED: Final = datetime(2026, 1, 1, 8, 0, tzinfo=_HANOI)
_ID: Final = "019b7700-0000-7000-8000-000000000001"


def headers(department: str, event: str, major: int, *, tombstone: bool = False) -> Schema:
    """Describe the headers of a topic's records; of a tombstone, which has no data, likewise."""
    schemas = {name: {"description": told, **schema} for name, (told, schema) in _MEANINGS.items()}
    schemas["ce_source"]["const"] = names.source(department)
    schemas["ce_type"]["const"] = names.event_type(department, event)
    uri = re.escape(names.schema_uri(department, event, str(major)))
    schemas["ce_dataschema"]["pattern"] = "^" + uri.replace(r"\-", "-") + _VERSIONS
    required = list(_ALWAYS)
    if tombstone:
        del schemas["content-type"]
    else:
        required.append("content-type")
    return {"type": "object", "required": required, "properties": schemas}


def example_headers(contract: Contract, key: str, uri: str) -> dict[str, str]:
    """Write the headers that an example's event would have, by the code that writes all of them."""
    raw = RawEvent(
        id=_ID,
        source=names.source(contract.topic.department),
        type=contract.topic.type,
        subject=None,
        time=_HAPPENED,
        recorded_at=_HAPPENED.astimezone(UTC) + timedelta(seconds=2),
        dataschema=uri,
        key=key,
        classification=contract.classification,
        correlation_id=_ID,
        causation_id=None,
        traceparent=None,
        value=orjson.dumps({}),
    )
    return {name: value.decode() for name, value in to_headers(raw) if name in _MEANINGS}
