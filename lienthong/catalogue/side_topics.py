"""The topics beside the contracts, as AsyncAPI tells them: refusals and dead letters (hops 3 and 7)."""

from typing import Any, Final

from lienthong import names
from lienthong.catalogue.envelope import headers
from lienthong.dead_letters import NO_KEY, PREFIX
from lienthong.event import JSON

_TEXT: Final = {"type": "string"}
_PLACE: Final = {"type": "integer", "minimum": 0}
_PROBLEMS: Final = {
    "type": "array",
    "maxItems": 50,
    "items": {
        "type": "object",
        "required": ["path", "rule", "message"],
        "properties": {"path": _TEXT, "rule": _TEXT, "message": _TEXT},
    },
}
_REFUSAL: Final = {
    "type": "object",
    "required": ["refused_id", "refused_topic", "code", "schema_version", "problems"],
    "properties": {
        "refused_id": _TEXT,
        "refused_topic": {"type": "string", "maxLength": 200},
        "code": _TEXT,
        "schema_version": {"type": ["string", "null"]},
        "problems": _PROBLEMS,
        "found_by": _TEXT
        | {"description": "Nhóm đọc đã thấy lỗi. (The reading group that found it, on a published record.)"},
        "partition": _PLACE | {"description": "Phân vùng của bản ghi. (The record's partition.)"},
        "offset": _PLACE | {"description": "Vị trí của bản ghi. (The record's offset.)"},
    },
}
_LETTER: Final = {
    "group": "Nhóm đọc đã để riêng. (The group that set it aside.)",
    "topic": "Chủ đề gốc. (Where it was read.)",
    "partition": "Phân vùng gốc. (Its partition.)",
    "offset": "Vị trí gốc. (Its offset.)",
    "timestamp_ms": "Thời điểm trên trục. (The broker's time.)",
    "code": "Mã lý do. (Code of the reason.)",
    "reason": "Lý do, không có dữ liệu. (The reason, without data.)",
    "attempts": "Số lần thử. (How often it was tried.)",
    "first_at": "Lần thử đầu. (First try.)",
    "last_at": "Lần thử cuối. (Last try.)",
    "library": "Chương trình đã ghi. (What wrote it.)",
}


def refusal_record(department: str) -> dict[str, Any]:
    """Describe the notice that the gate refused an event: the department's own, or one that it read."""
    return {
        "name": names.event_type(department, "refusal"),
        "title": "Sự kiện bị từ chối (an event was refused)",
        "description": "Vì sao, ở trường nào; không có dữ liệu. (Why, and on which field; no data.)",
        "contentType": JSON,
        "headers": headers(department, "refusal", 1),
        "payload": _REFUSAL,
        "bindings": {"kafka": {"key": _TEXT, "bindingVersion": "0.5.0"}},
    }


def dead_letter_record(group: str) -> dict[str, Any]:
    """Describe a record that a group set aside: its own bytes and headers, then ours."""
    told = {f"{PREFIX}{name}": _TEXT | {"description": means} for name, means in _LETTER.items()}
    told[f"{PREFIX}group"] |= {"const": group}
    told[f"{PREFIX}key"] = {"const": NO_KEY, "description": "Bản ghi gốc không có khóa. (It had no key.)"}
    told[f"{PREFIX}problems"] = _TEXT | {
        "contentMediaType": JSON,
        "description": "Các lỗi, JSON. (The problems.)",
    }
    return {
        "name": "dead-letter",
        "title": "Bản ghi để riêng (a record set aside)",
        "description": (
            "Bản ghi gốc nguyên vẹn, cộng lý do trong các header `lt_…`. "
            "(The record as it was, and the reason in headers of ours.)"
        ),
        "headers": {
            "type": "object",
            "required": [f"{PREFIX}{name}" for name in _LETTER],
            "properties": told,
        },
        "payload": {"description": "Byte của bản ghi gốc. (The original's bytes, whatever they are.)"},
    }
