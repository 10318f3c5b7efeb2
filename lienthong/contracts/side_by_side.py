"""Lay two versions of a contract side by side, for a person (hop 3)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from lienthong import names
from lienthong.contracts.change_words import Language
from lienthong.contracts.comparing import BOUNDS, ITEMS, TEXT, kind_of
from lienthong.contracts.compatibility import Change, changes
from lienthong.contracts.document import read_document
from lienthong.contracts.folder import CONTRACTS
from lienthong.contracts.frozen import SCHEMAS, place
from lienthong.contracts.load import build_contract
from lienthong.contracts.schema import json_schema
from lienthong.errors import ContractsNotSound

_KINDS: Final = {
    "string": ("text", "chuỗi"),
    "integer": ("whole number", "số nguyên"),
    "number": ("number", "số"),
    "boolean": ("yes or no", "đúng/sai"),
    "date": ("date", "ngày"),
    "date-time": ("instant", "thời điểm"),
    "object": ("group", "nhóm"),
    "array": ("list", "danh sách"),
}
_WORDS: Final = {
    "required": ("required", "bắt buộc"),
    "optional": ("optional", "không bắt buộc"),
    "open": ("open list", "danh mục mở"),
    "closed": ("closed list", "danh mục đóng"),
    "public": ("public", "công khai"),
    "internal": ("internal", "nội bộ"),
    "personal": ("personal", "cá nhân"),
    "sensitive": ("sensitive", "nhạy cảm"),
    "minimum": ("from {}", "từ {}"),
    "maximum": ("to {}", "đến {}"),
    "exclusiveMinimum": ("above {}", "trên {}"),
    "exclusiveMaximum": ("below {}", "dưới {}"),
    "multipleOf": ("in steps of {}", "bội của {}"),
    "minLength": ("at least {} characters", "ít nhất {} ký tự"),
    "maxLength": ("at most {} characters", "nhiều nhất {} ký tự"),
    "pattern": ("pattern {}", "mẫu {}"),
    "minItems": ("at least {} elements", "ít nhất {} phần tử"),
    "maxItems": ("at most {} elements", "nhiều nhất {} phần tử"),
    "uniqueItems": ("all different", "không trùng"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One field in both versions, in words; `changes` are those of the field itself."""

    path: str
    label: str
    before: str | None
    after: str | None
    changes: tuple[Change, ...]


def read_version(root: Path, named: str) -> dict[str, Any]:
    """Read one side: a contract's file, a frozen schema's file, `topic@version`, or a topic as it is now.

    Raises:
        ContractsNotSound: where there is no such version, or it cannot be read.
    """
    topic, _, version = named.partition("@")
    parts = names.find_topic(topic)
    if parts is None:
        path = Path(named)
    elif version:
        path = root / SCHEMAS / place(parts, version)
    else:
        path = root / CONTRACTS / parts.department / f"{parts.event}.v{parts.major}.yaml"
    if not path.is_file():
        raise ContractsNotSound(
            reason=f"There is no version {named}.",
            remedy="Name a file, a topic (health.facility.v1) or a version (health.facility.v1@1.0.0).",
        )
    return _frozen(path) if path.suffix == ".json" else _current(path)


def _frozen(path: Path) -> dict[str, Any]:
    try:
        schema = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        schema = None
    if not isinstance(schema, dict) or "x-topic" not in schema:
        raise ContractsNotSound(
            reason=f"{path} is no frozen schema.", remedy="Name a file that `lienthong release` wrote."
        )
    return schema


def _current(path: Path) -> dict[str, Any]:
    document, findings = read_document(path, path.parent)
    said = document.data.get("id") if document is not None and isinstance(document.data, dict) else None
    topic = names.find_topic(str(said))
    if document is None or topic is None:
        told = "; ".join(map(str, findings)) or "it names no topic"
        raise ContractsNotSound(
            reason=f"{path} is no contract: {told}", remedy="`lienthong contracts check` says more."
        )
    try:
        return json_schema(build_contract(topic, document, None), f"{topic.major}.0.0")
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as flaw:
        raise ContractsNotSound(
            reason=f"{path} is not a sound contract.",
            remedy="`lienthong contracts check` says where and why.",
        ) from flaw


def iter_rows(old: Mapping[str, Any], new: Mapping[str, Any], language: Language) -> Iterator[Row]:
    """Give a row for the whole and for each field that either version has, in the newer one's order."""
    told: dict[str, list[Change]] = {}
    for change in changes(old, new):
        told.setdefault(change.path, []).append(change)
    before, after = dict(_fields(old, language)), dict(_fields(new, language))
    for path in dict.fromkeys((*after, *before)):
        was, is_now = before.get(path), after.get(path)
        label = (is_now or was or ("", ""))[0]
        yield Row(path, label, was and was[1], is_now and is_now[1], tuple(told.get(path, ())))


def _fields(schema: Mapping[str, Any], language: Language) -> Iterator[tuple[str, tuple[str, str]]]:
    key = ", ".join(schema.get("x-key", ()))
    words = {"en": "key {}, at most {} bytes", "vi": "khóa {}, nhiều nhất {} byte"}[language]
    rules = "; ".join(rule["expression"] for rule in schema.get("x-rules", ()))
    whole = words.format(key, schema.get("x-max-bytes"))
    yield "", (schema.get("title", ""), f"{whole}; {rules}" if rules else whole)
    yield from _inside("", schema, language)


def _inside(
    path: str, schema: Mapping[str, Any], language: Language
) -> Iterator[tuple[str, tuple[str, str]]]:
    for name, item in schema.get("properties", {}).items():
        where = f"{path}/{name}"
        need = "required" if name in schema.get("required", ()) else "optional"
        yield where, (item.get("title", ""), f"{_word(need, language)}, {_described(item, language)}")
        yield from _inside(where, item, language)
        if "items" in item:
            yield f"{where}/*", (item["items"].get("title", ""), _described(item["items"], language))
            yield from _inside(f"{where}/*", item["items"], language)


def _described(item: Mapping[str, Any], language: Language) -> str:
    parts = [_KINDS[kind_of(item)][language == "vi"]]
    if "enum" in item:
        parts.append(
            f"{_word('open' if item.get('x-open') else 'closed', language)}: {', '.join(item['enum'])}"
        )
    parts += [
        _word(one, language).format(item[one])
        for one in (*TEXT, *BOUNDS, *ITEMS)
        if item.get(one, False) is not False
    ]
    parts.append(_word(item.get("x-classification", "public"), language))
    return ", ".join(parts)


def _word(word: str, language: Language) -> str:
    return _WORDS[word][language == "vi"]
