"""What sources really hand in: the ways a record of any department comes in broken, one function a way."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

Record = dict[str, Any]


def write(record: Record) -> bytes:
    """Write a sound record as its source would."""
    return orjson.dumps(record)


def broken_json(record: Record, _: Sequence[str]) -> bytes:
    """Stop in the middle, as when a line was cut."""
    raw = write(record)
    return raw[: len(raw) * 2 // 3]


def not_utf8(record: Record, path: Sequence[str]) -> bytes:
    """Write the text at `path` as an old code page did."""
    return _in_place_of(record, path, b'"' + _text(record, path).encode("cp1258", "ignore") + b'\xf4"')


def repeated_key(record: Record, path: Sequence[str]) -> bytes:
    """Name a field twice."""
    name = path[0]
    return write(record)[:-1] + b"," + orjson.dumps({name: record[name]})[1:]


def long_integer(record: Record, path: Sequence[str]) -> bytes:
    """Put 23 digits where the field should be, as a spreadsheet does with a personal number."""
    return _in_place_of(record, path, b"12345678901234567890123")


def lone_surrogate(record: Record, path: Sequence[str]) -> bytes:
    """End a text in half an emoji."""
    return _in_place_of(record, path, orjson.dumps(_text(record, path))[:-1] + rb'\ud83d"')


def not_nfc(record: Record, path: Sequence[str]) -> bytes:
    """Write letters and their marks apart, as some keyboards do."""
    return _in_place_of(record, path, orjson.dumps(unicodedata.normalize("NFD", _text(record, path))))


def control_character(record: Record, path: Sequence[str]) -> bytes:
    """Leave a vertical tab in a text, as a copied table cell does."""
    return _in_place_of(record, path, orjson.dumps(_text(record, path) + "\v"))


def too_large(record: Record, path: Sequence[str]) -> bytes:
    """Make a text of a few hundred thousand bytes."""
    return _in_place_of(record, path, orjson.dumps(_text(record, path) * 20_000))


def too_deep(record: Record, path: Sequence[str]) -> bytes:
    """Nest 100,000 brackets."""
    return _in_place_of(record, path, b"[" * 100_000 + b"]" * 100_000)


SPOILS: Final[dict[str, Callable[[Record, Sequence[str]], bytes]]] = {
    spoil.__name__.replace("_", "-"): spoil
    for spoil in (
        broken_json,
        not_utf8,
        repeated_key,
        long_integer,
        lone_surrogate,
        not_nfc,
        control_character,
        too_large,
        too_deep,
    )
}
"""By name: the functions take a record and the path of a Vietnamese text in it."""


def put_at(record: Record, path: Sequence[str], value: Any) -> Record:
    """Copy a record with another value at `path`; None takes the field away."""
    name, *rest = path
    changed = dict(record)
    if rest:
        changed[name] = put_at(record[name], rest, value)
    elif value is None:
        del changed[name]
    else:
        changed[name] = value
    return changed


def put_all(record: Record, values: Mapping[tuple[str, ...], Any]) -> Record:
    """Copy a record with another value at each of some paths."""
    for path, value in values.items():
        record = put_at(record, path, value)
    return record


def _text(record: Record, path: Sequence[str]) -> str:
    found: Any = record
    for name in path:
        found = found[name]
    return str(found)


def _in_place_of(record: Record, path: Sequence[str], raw: bytes) -> bytes:
    return write(put_at(record, path, "@here@")).replace(b'"@here@"', raw)
