"""Show the harm of a change: a made-up document that one side allows and the other refuses (hop 3)."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice, product
from typing import Any, Final, Literal

import jsonschema_rs
import orjson

from lienthong.contracts.compatibility import Change, reader_schema
from lienthong.contracts.samples import NoSample, iter_values, sample
from lienthong.shape import Circumstances, Shape

Schema = Mapping[str, Any]
Shows = Literal["refused", "unread", "unread-later", "shown", "moved"]
"""What a document shows: today's writer is refused; today's reader cannot read what is written, or what a
later version may allow; it would be seen with less protection; or it is kept elsewhere, or otherwise."""

MOST_TRIED: Final = 3_000
_NOTED: Final = datetime.fromisoformat("2026-01-01T00:00:00+07:00")
_AROUND: Final = Circumstances(_NOTED, _NOTED, None, "0199a1b2-0000-7000-8000-000000000001")


@dataclass(frozen=True, slots=True)
class Witness:
    """A synthetic document, and what it shows; `size`: written with blanks to so many bytes."""

    document: Mapping[str, Any]
    shows: Shows
    size: int = 0

    @property
    def value(self) -> bytes:
        """The document as a writer would hand it in."""
        return orjson.dumps(self.document).ljust(self.size)

    def as_json(self) -> dict[str, Any]:
        return {"document": self.document, "shows": self.shows} | ({"size": self.size} if self.size else {})


class Witnesses:
    """Seeks witnesses for the changes between two schemas; what it gives, both schemas have confirmed."""

    def __init__(self, old: Schema, new: Schema, examples: Sequence[Mapping[str, Any]] = ()) -> None:
        self._old, self._new = old, new
        self._examples = examples
        self._was, self._is_now = Shape.of(old), Shape.of(new)
        self._class_was, self._class_is_now = _validator(reader_schema(old)), _validator(reader_schema(new))

    def find(self, change: Change) -> Witness | None:
        """Find a document that shows what a breaking change does; None where none was found."""
        if change.level != "breaking":
            return None
        if change.rule == "size-lowered":
            return self._too_long()
        if change.rule in _ANY_DOCUMENT:
            return self._any(change)
        for shows in ("refused", "unread", "unread-later"):
            if self._may_show(change, shows):
                for document in islice(self._documents(change, shows), MOST_TRIED):
                    if self._shows(document, shows, change):
                        return Witness(document, shows)
        return None

    def is_refused(self, value: bytes) -> bool:
        """Tell whether a writer of the old version was admitted with this and is not any more."""
        return not self._was.check(value, _AROUND)[1] and bool(self._is_now.check(value, _AROUND)[1])

    def _shows(self, document: Any, shows: Shows, change: Change) -> bool:
        value = orjson.dumps(document)
        if shows == "refused":
            return self.is_refused(value)
        # The reader has to trip over this change, not over another one of the same release.
        places = (change.path, change.path.rpartition("/")[0])
        if not any(_place(one) in places for one in self._class_was.iter_errors(document)):
            return False
        if shows == "unread":
            return not self._is_now.check(value, _AROUND)[1]
        return bool(self._class_is_now.is_valid(document))

    @staticmethod
    def _may_show(change: Change, shows: Shows) -> bool:
        return ("writers" in change.hurts) if shows == "refused" else ("readers" in change.hurts)

    def _documents(self, change: Change, shows: Shows) -> Iterator[Any]:
        """Make documents that may show the harm, likely ones first."""
        schema = self._old if shows == "refused" else self._new
        if change.rule == "rule-added":
            yield from _turned(schema, change.after, list(self._bases(schema, {})))
        if change.rule in ("required-field-added", "became-required", "became-optional"):
            yield from (_without(one, change.path) for one in self._sound_bases(schema, {}))
        values = [*change.values, *self._stretched(change)]
        values += [*_values_at(self._old, change.path), *_values_at(self._new, change.path)]
        for value in values:
            yield from self._bases(schema, {change.path: value} if change.path else {})
        for value in values:
            yield from self._sound_bases(schema, {change.path: value} if change.path else {})

    def _stretched(self, change: Change) -> Iterator[str]:
        """Make the examples' own texts longer or shorter than the new bounds: rules may name a beginning."""
        bounds = _at(self._new, change.path)
        if change.rule != "text-narrowed" or bounds is None:
            return
        for example in self._examples:
            text = example.get(change.field)
            if isinstance(text, str) and text and change.path == f"/{change.field}":
                yield text + text[-1] * (bounds.get("maxLength", 0) + 1 - len(text))
                yield text[: max(0, bounds.get("minLength", 0) - 1)]

    def _sound_bases(self, schema: Schema, chosen: Mapping[str, Any]) -> Iterator[Any]:
        """Make documents, and turn in them what rules name, until the rules are content too."""
        bases = list(self._bases(schema, chosen))
        yield from bases
        rules = " ".join(rule["expression"] for rule in schema.get("x-rules", ()))
        if rules:
            yield from _turned(schema, rules, bases, kept={path.split("/")[1] for path in chosen})

    def _bases(self, schema: Schema, chosen: Mapping[str, Any]) -> Iterator[Any]:
        for example in self._examples:
            document = deepcopy(dict(example))
            if all(_put(document, path.split("/")[1:], value) for path, value in chosen.items()):
                yield document
        for full in (True, False):
            try:
                yield sample(schema, chosen, full=full)
            except NoSample:
                continue

    def _any(self, change: Change) -> Witness | None:
        shows: Shows = "shown" if change.rule == "protection-lowered" else "moved"
        chosen = {} if not change.path else {change.path: _first(_values_at(self._old, change.path))}
        for document in chain(self._sound_bases(self._old, chosen), self._sound_bases(self._old, {})):
            if not self._was.check(orjson.dumps(document), _AROUND)[1]:
                return Witness(document, shows)
        return None

    def _too_long(self) -> Witness | None:
        for document in self._sound_bases(self._old, {}):
            witness = Witness(document, "refused", size=self._is_now.max_bytes + 1)
            if self.is_refused(witness.value):
                return witness
        return None


_NUMBER: Final = re.compile(r"(?<![\w.\"'])-?[0-9]{1,15}(?![\w.])")
_QUOTED: Final = re.compile(r"[\"']([^\"'\\]*)[\"']")
_ANY_DOCUMENT: Final = frozenset(
    {"key-changed", "kind-changed", "protection-lowered", "reference-added", "reference-changed"}
)


def _validator(schema: Schema) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True, offline=True)


def _place(error: jsonschema_rs.ValidationError) -> str:
    return "".join(f"/{'*' if isinstance(step, int) else step}" for step in error.instance_path)


def _at(schema: Schema, path: str) -> Schema | None:
    found: Any = schema
    for step in path.split("/")[1:]:
        found = found.get("items") if step == "*" else found.get("properties", {}).get(step)
        if found is None:
            return None
    return dict(found)


def _values_at(schema: Schema, path: str) -> list[Any]:
    place = _at(schema, path)
    try:
        return [] if place is None else list(islice(iter_values(place), 40))
    except NoSample:
        return []


def _first(values: Sequence[Any]) -> Any:
    return values[0] if values else None


def _without(document: Any, path: str) -> Any:
    """Take the value at a path out of a document."""
    document = deepcopy(document)
    *way, last = path.split("/")[1:]
    places = [document]
    for step in way:
        places = [
            inner
            for place in places
            for inner in (
                (place if isinstance(place, list) else [])
                if step == "*"
                else ([place[step]] if isinstance(place, dict) and step in place else [])
            )
        ]
    for place in places:
        if isinstance(place, dict):
            place.pop(last, None)
    return document


def _put(place: Any, steps: list[str], value: Any) -> bool:
    """Put a value where a path leads, in the first element of an array; False where the way is not there."""
    step, rest = steps[0], steps[1:]
    if step == "*":
        if not isinstance(place, list) or not place:
            return False
        key: Any = 0
    else:
        if not isinstance(place, dict) or (rest and step not in place):
            return False
        key = step
    if not rest:
        place[key] = deepcopy(value)
        return True
    return _put(place[key], rest, value)


def _literals(expression: str, item: Schema) -> list[Any]:
    """Give the values that an expression itself names, and the numbers beside them."""
    if item.get("type") in ("integer", "number"):
        numbers = [int(one) for one in _NUMBER.findall(expression)]
        return [one + step for one in numbers for step in (0, 1, -1)]
    return [one for one in _QUOTED.findall(expression) if item.get("type") == "string"]


def _turned(
    schema: Schema, expression: str, bases: Sequence[Any], kept: Collection[str] = ()
) -> Iterator[Any]:
    """Vary, in documents, the fields that an expression names: each value, and absent where it may be."""
    named = [
        name for name in schema.get("properties", {}) if f"data.{name}" in expression and name not in kept
    ]
    named = named[:4]
    nothing = object()
    values: list[list[Any]] = []
    for name in named:
        item = schema["properties"][name]
        few = [*_literals(expression, item), *islice(iter_values(item), 6)]
        values.append(few if name in schema.get("required", ()) else [nothing, *few])
    for base, chosen in product(bases, product(*values)):
        document = {name: value for name, value in base.items() if name not in named}
        varied = zip(named, chosen, strict=True)
        yield document | {name: value for name, value in varied if value is not nothing}
