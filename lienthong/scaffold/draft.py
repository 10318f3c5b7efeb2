"""A field and an event as they are about to be written into a contract, each guess marked as one."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lienthong import names
from lienthong.contracts.contract import Classification, LogicalType
from lienthong.contracts.document import MOST_INTEGER
from lienthong.contracts.fields import has_vietnamese
from lienthong.errors import ContractsNotSound
from lienthong.scaffold.classification import guess_classification

CODE: Final = "^[A-Z0-9-]{1,40}$"
KINDS: Final[Mapping[str, LogicalType]] = {
    "text": "string",
    "code": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}
"""Kinds of field that a person may ask for, with their types in a contract."""
OF_KIND: Final[Mapping[str, tuple[Mapping[str, Any], Any]]] = {
    "text": ({"minLength": 1, "maxLength": 200}, "Mẫu"),
    "code": ({"pattern": CODE}, "MAU-1"),
    "integer": ({"minimum": 0, "maximum": 1_000_000}, 1),
    "number": ({"minimum": 0, "maximum": 1_000_000}, 1.5),
    "boolean": ({}, True),
    "date": ({}, "2026-01-01"),
    "timestamp": ({}, "2026-01-01T08:00:00+07:00"),
}
_ASKED: Final = re.compile(r"([a-z][a-z0-9]*(?:_[a-z0-9]+)*)(\?)?:([a-z]+)(?::(.+))?")
_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]+")


@dataclass(frozen=True, slots=True)
class Draft:
    """One field. `guesses` are the tags of what nobody has confirmed."""

    name: str
    kind: LogicalType
    label: str
    description: str
    example: Any
    required: bool = True
    classification: Classification = "internal"
    options: Mapping[str, Any] = field(default_factory=dict)
    codes: tuple[tuple[str, str], ...] = ()
    key_position: int | None = None
    guesses: tuple[str, ...] = ()
    column: str | None = None
    """The column of a table that it is taken from."""
    source: str | None = None
    """The SQL expression that gives its JSON value, of a row called {row}."""


@dataclass(frozen=True, slots=True)
class EventDraft:
    """One event or state, with its fields."""

    topic: names.Topic
    title: str
    fields: tuple[Draft, ...]
    is_state: bool = False
    guesses: tuple[str, ...] = ()

    @property
    def keys(self) -> list[Draft]:
        """The fields that make the record key, in order."""
        keyed = [one for one in self.fields if one.key_position is not None]
        return sorted(keyed, key=lambda one: one.key_position or 0)

    @property
    def class_name(self) -> str:
        return names.class_name(self.topic.event, self.topic.major)

    @property
    def word(self) -> str:
        """The event as a Python name: `relic_listed`."""
        major = "" if self.topic.major == 1 else f"_v{self.topic.major}"
        return self.topic.event.replace("-", "_") + major

    @property
    def happened(self) -> Draft | None:
        """The field that says when it happened, where there is one."""
        if self.is_state:
            return None
        return next((one for one in self.fields if one.kind == "timestamp" and one.required), None)


def plain_fields(event: str, *, is_state: bool, asked: list[str]) -> tuple[Draft, ...]:
    """Draft the fields of an event of which no more is known than its name, and those asked for."""
    words = event.split("-")
    thing = words if is_state else words[:-1]
    key = Draft(
        name=f"{'_'.join(thing)}_code",
        kind="string",
        label="Mã",
        description="Mã nhận biết, do cơ quan chủ quản cấp. (Identifies it.)",
        example=f"{'-'.join(thing).upper()[:24]}-000001",
        options={"pattern": CODE},
        key_position=1,
        guesses=("confirm:bounds", "confirm:classification"),
    )
    found = [key]
    if not is_state:
        found.append(
            Draft(
                name=f"{words[-1]}_at",
                kind="timestamp",
                label="Thời điểm",
                description="Lúc sự việc xảy ra. (When it happened.)",
                example=OF_KIND["timestamp"][1],
            )
        )
    return (*found, *map(_asked_field, asked))


def _asked_field(asked: str) -> Draft:
    """Read NAME[?]:KIND[:LABEL]; a question mark means that it may be absent."""
    match = _ASKED.fullmatch(unicodedata.normalize("NFC", asked.strip()))
    if match is None or match[3] not in KINDS:
        raise ContractsNotSound(
            reason=f"--field {asked!r} is not understood.",
            remedy=f'Write NAME:KIND:LABEL, as "unit_code:code:Phường, xã"; kinds are {", ".join(KINDS)};'
            " NAME? for one that may be absent.",
        )
    options, example = OF_KIND[match[3]]
    label = flat(match[4] or "", 120)
    guesses = ["confirm:classification"] + (["confirm:bounds"] if options else [])
    if not has_vietnamese(label):
        guesses.append("confirm:words")
    return Draft(
        name=match[1],
        kind=KINDS[match[3]],
        label=label or match[1],
        description=described(label),
        example=example,
        required=match[2] is None,
        classification=guess_classification(match[1], is_text=match[3] == "text"),
        options=options,
        guesses=tuple(guesses),
    )


def described(label: str) -> str:
    """Describe a field by its label, in Vietnamese whatever the label is."""
    return f"{label}." if has_vietnamese(label) else "Ý nghĩa do cơ quan chủ quản xác nhận."


def flat(text: str, most: int) -> str:
    """Make a text safe on one line of YAML: NFC, nothing invisible, not too long."""
    seen = _UNSEEN.sub(" ", unicodedata.normalize("NFC", text))
    return " ".join(seen.split())[:most].strip()


def rounded_bounds(least: float | None, most: float | None) -> dict[str, int]:
    """Guess a number's bounds from the data: zero or the power of ten beyond, so that no row shows."""
    low, high = float(least or 0), float(most or 0)
    return {
        "minimum": 0 if low >= 0 else -_power_beyond(-low),
        "maximum": _power_beyond(high) if high > 0 else 1_000,
    }


def _power_beyond(value: float) -> int:
    power = 1_000
    while power < value and power * 10 <= MOST_INTEGER:
        power *= 10
    return power if power >= value else MOST_INTEGER
