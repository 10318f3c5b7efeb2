"""One column as a field: its name by the house's rules, its type, and guesses marked as such."""

import keyword
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from lienthong.contracts.contract import LogicalType
from lienthong.contracts.fields import MOST_TEXT, has_vietnamese
from lienthong.errors import ContractsNotSound
from lienthong.scaffold.classification import guess_classification, plain
from lienthong.scaffold.draft import OF_KIND, Draft, described, flat, rounded_bounds

KINDS: Final[Mapping[str, LogicalType]] = {
    "text": "string",
    "varchar": "string",
    "bpchar": "string",
    "uuid": "string",
    "enum": "string",
    "int2": "integer",
    "int4": "integer",
    "int8": "integer",
    "numeric": "number",
    "float4": "number",
    "float8": "number",
    "bool": "boolean",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamp",
}
"""PostgreSQL's types that a field can hold, with their types in a contract."""
UUID: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_WHOLE, _DAY = "^-?[0-9]{1,19}$", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "int2": (_WHOLE, "1000001"),
    "int4": (_WHOLE, "1000001"),
    "int8": (_WHOLE, "1000001"),
    "numeric": ("^-?[0-9]{1,19}(\\.[0-9]{1,19})?$", "1000001"),
    "bool": ("^(true|false)$", "true"),
    "date": (_DAY, "2026-01-01"),
}
"""Forms of identifiers that are no text in the table, with an example."""
_ENDINGS: Final[Mapping[LogicalType, str]] = {"timestamp": "_at", "date": "_on"}
_IDENTIFIERS: Final = ("_id", "_code", "_number")
_TAKEN: Final = frozenset({"date", "str", "int", "float", "bool", "tuple", "datetime", "dict", "retracted"})
MOST_NAME: Final = 50


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and what its data are like; None where the table is empty."""

    name: str
    field: str
    """The field that it becomes."""
    written: str
    """Its type in SQL."""
    type: str
    required: bool
    comment: str = ""
    longest: int | None = None
    """Greatest length that its type allows."""
    codes: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    most: int | None = None
    least: int | None = None
    digits: bool | None = None
    capitals: bool | None = None
    letters: bool | None = None

    @property
    def is_identifier(self) -> bool:
        return self.field.endswith(_IDENTIFIERS) or self.field in ("id", "code", "number")


def name_columns(columns: Sequence[tuple[str, str, bool]]) -> dict[str, str]:
    """Name the field of each column (name, type, is it a key), no two alike."""
    named: dict[str, str] = {}
    for name, kind, is_key in columns:
        field = _named(name, KINDS.get(kind, "string"), is_key=is_key)
        number = 2
        while field in named.values():
            ending = next((one for one in (*_ENDINGS.values(), *_IDENTIFIERS) if field.endswith(one)), "")
            field = f"{field.removesuffix(ending)}_{number}{ending}"
            number += 1
        named[name] = field
    return named


def _named(name: str, kind: LogicalType, *, is_key: bool) -> str:
    """Give a name the ending of its type: `_at` an instant, `_on` a day, `_code` a key."""
    field = plain(name)[:MOST_NAME].strip("_") or "field"
    if not field[0].isalpha():
        field = f"field_{field}"
    if kind in _ENDINGS and not is_key:
        return field.removesuffix("_on").removesuffix("_at") + _ENDINGS[kind]
    if field.endswith(tuple(_ENDINGS.values())):
        field = f"{field}_value"
    if is_key and not (field.endswith(_IDENTIFIERS) or field in ("id", "code", "number")):
        return f"{field}_code"
    if keyword.iskeyword(field) or field in _TAKEN or hasattr(BaseModel, field) or field.startswith("model_"):
        return f"{field}_value"
    return field


def draft_column(column: Column, *, key_position: int | None) -> Draft:
    """Draft the field of a column."""
    kind: LogicalType = KINDS[column.type]
    if key_position is not None or (kind in {"integer", "number"} and column.is_identifier):
        kind = "string"
    options, example, guessed = _bounds(column, kind, is_key=key_position is not None)
    comment = flat(column.comment, 500)
    label = flat(comment.partition(".")[0].partition(":")[0], 60) if has_vietnamese(comment) else column.name
    guesses = ["confirm:classification"]
    if guessed:
        guesses.append("confirm:bounds")
    if not has_vietnamese(comment) or column.codes:
        guesses.append("confirm:words")
    if column.type == "timestamp":
        guesses.append("confirm:offset")
    is_text = kind == "string" and not column.codes
    return Draft(
        name=column.field,
        kind=kind,
        label=flat(label, 120),
        description=comment if has_vietnamese(comment) else described(comment),
        example=example,
        required=column.required,
        classification="internal"
        if key_position is not None
        else guess_classification(f"{column.name}_{column.field}", is_text=is_text),
        options=options,
        codes=tuple((code, f"Giá trị {code}") for code in column.codes),
        key_position=key_position,
        guesses=tuple(guesses),
        column=column.name,
        source=_source(column, kind),
    )


def _bounds(column: Column, kind: LogicalType, *, is_key: bool) -> tuple[dict[str, Any], Any, bool]:
    """Give a field's bounds, a made-up example within them, and whether they were guessed from the data."""
    if column.codes:
        return {}, column.codes[0], False
    if column.type == "uuid":
        return {"pattern": UUID}, "00000000-0000-4000-8000-000000000001", False
    if kind in {"integer", "number"}:
        bounds = rounded_bounds(column.low, column.high)
        return bounds, 1 if kind == "integer" else 1.5, True
    if kind != "string":
        return {}, OF_KIND[kind][1], False
    if is_key or column.is_identifier:
        return _form(column, is_key=is_key)
    most = column.longest or _rounded_length(column.most)
    return {"maxLength": min(most, MOST_TEXT)}, "Mẫu"[:most], column.longest is None


def _form(column: Column, *, is_key: bool) -> tuple[dict[str, Any], Any, bool]:
    """Guess the form of an identifier."""
    length = min(column.longest or _rounded_length(column.most), 200)
    if column.type in _FORMS:
        pattern, made_up = _FORMS[column.type]
        return {"pattern": pattern}, made_up, pattern != _DAY
    if column.digits and column.most == column.least and column.most is not None:
        return {"pattern": f"^[0-9]{{{column.most}}}$"}, "1".zfill(column.most), True
    made_up = "MAU-000001"[-length:].lstrip("-")
    if column.capitals in {True, None}:
        return {"pattern": f"^[A-Z0-9-]{{1,{length}}}$"}, made_up, True
    if column.letters:
        return {"pattern": f"^[A-Za-z0-9._/-]{{1,{length}}}$"}, made_up, True
    if not is_key:
        return {"pattern": f"^[\\p{{L}}0-9 .,:;/()_-]{{1,{length}}}$"}, made_up, True
    raise ContractsNotSound(
        reason=f"The key {column.name} holds other characters than letters, digits and . _ / -.",
        remedy="Clean it, or name another column that identifies a row: --key COLUMN.",
    )


def _rounded_length(most: int | None) -> int:
    """Round the longest text up, so that the next one fits."""
    steps = (20, 40, 100, 200, 500, 1_000, 2_000)
    return next((step for step in steps if step >= (most or 40)), MOST_TEXT)


def _source(column: Column, kind: LogicalType) -> str:
    """Write the SQL that gives a column's JSON value, of a row called {row}."""
    quoted = '{row}."' + column.name.replace('"', '""').replace("{", "{{").replace("}", "}}") + '"'
    if column.type == "timestamp" and kind != "string":
        return f"{quoted} AT TIME ZONE 'Asia/Ho_Chi_Minh'"
    return f"{quoted}::text" if kind == "string" else quoted
