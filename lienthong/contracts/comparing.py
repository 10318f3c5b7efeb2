"""Judge the differences of one field: types, bounds, texts, codes, lists, objects, protection (hop 3)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lienthong.contracts.contract import CLASSIFICATIONS
from lienthong.contracts.inclusion import Text, find_text_outside, texts_of
from lienthong.contracts.machine import TooHard, pattern_of_codes
from lienthong.contracts.ranges import Range

Schema = Mapping[str, Any]
TEXT: Final = ("pattern", "minLength", "maxLength")
BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
ITEMS: Final = ("minItems", "maxItems", "uniqueItems")
_OF_ANY: Final = frozenset({"type", "format", "title", "description", "x-classification"})
_OF_KIND: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({*TEXT, "enum", "x-codes", "x-open"}),
    "integer": frozenset(BOUNDS),
    "number": frozenset(BOUNDS),
    "array": frozenset({*ITEMS, "items"}),
    "object": frozenset({"properties", "required"}),
}
"""What is compared; a difference in anything else is called breaking."""


@dataclass(frozen=True, slots=True)
class Found:
    """A difference, under the name of its rule; `values` at the path may show the harm."""

    path: str
    rule: str
    keyword: str
    before: Any
    after: Any
    values: tuple[Any, ...] = ()


def kind_of(schema: Schema) -> str:
    """Name what a field's values are: its type, or its format where that decides the class."""
    return str(schema.get("format") or schema.get("type"))


def judge_object(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    """Compare two objects field by field, and what is said of themselves."""
    yield from _labels(path, old, new)
    yield from _fields(path, old, new)


def judge_field(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    """Compare one field of two versions."""
    yield from _labels(path, old, new)
    yield from _protection(path, old, new)
    was, is_now = kind_of(old), kind_of(new)
    known = _OF_ANY | _OF_KIND.get(was, frozenset()) | _OF_KIND.get(is_now, frozenset())
    if was != is_now:
        known |= {"additionalProperties"}  # it comes and goes with the type
    for keyword in sorted((old.keys() | new.keys()) - known):
        yield from unknown(path, keyword, old, new)
    if (was, old.get("type")) != (is_now, new.get("type")):
        rule = "type-widened" if (was, is_now) == ("integer", "number") else "type-changed"
        if (was, is_now) == ("number", "integer") and Range.of(old).is_within(Range.of(new)):
            rule = "type-narrowed"  # its steps let only whole numbers in before
        yield Found(path, rule, "type", was, is_now, (0.5,) if rule == "type-widened" else ())
        return
    judge = _BY_KIND.get(was)
    if judge is not None:
        yield from judge(path, old, new)


def unknown(path: str, keyword: str, old: Schema, new: Schema) -> Iterator[Found]:
    """Call a difference breaking that nobody can judge."""
    if (keyword in old, old.get(keyword)) != (keyword in new, new.get(keyword)):
        yield Found(path, "construct-unknown", keyword, old.get(keyword), new.get(keyword))


def _fields(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in sorted(before.keys() | after.keys()):
        where = f"{path}/{name}"
        was, is_now = name in old.get("required", ()), name in new.get("required", ())
        if name not in before:
            yield Found(where, "required-field-added" if is_now else "field-added", "field", None, name)
        elif name not in after:
            yield Found(where, "field-removed", "field", name, None)
        else:
            if was != is_now:
                rule = "became-required" if is_now else "became-optional"
                yield Found(where, rule, "required", was, is_now)
            yield from judge_field(where, before[name], after[name])


def _labels(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    for keyword in ("title", "description"):
        # The first files that were frozen hold no description of fields and codes: nothing to compare.
        if keyword in old and old[keyword] != new.get(keyword):
            yield Found(path, "label-changed", keyword, old[keyword], new.get(keyword))
    before, after = old.get("x-codes"), new.get("x-codes")
    if isinstance(before, dict) and isinstance(after, dict):
        for code in sorted(before.keys() & after.keys()):
            if before[code] != after[code]:
                yield Found(path, "label-changed", code, before[code], after[code])


def _protection(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    before, after = old.get("x-classification", "public"), new.get("x-classification", "public")
    if before not in CLASSIFICATIONS or after not in CLASSIFICATIONS:
        yield from unknown(path, "x-classification", old, new)
    elif before != after:
        lowered = CLASSIFICATIONS.index(after) < CLASSIFICATIONS.index(before)
        rule = "protection-lowered" if lowered else "protection-raised"
        yield Found(path, rule, "x-classification", before, after)


def _text(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    """Compare strings: bounds with bounds, code lists with code lists, and the one with the other."""
    codes, now = old.get("enum"), new.get("enum")
    if not all(isinstance(code, str) for code in (*(codes or ()), *(now or ()))):
        yield from unknown(path, "enum", old, new)
    elif any("enum" in one and one.keys() & {*TEXT} for one in (old, new)):
        for keyword in ("enum", *TEXT):  # no contract gives a code list bounds beside it
            yield from unknown(path, keyword, old, new)
    elif codes is None and now is None:
        yield from _text_bounds(path, old, new)
    elif codes is not None and now is not None:
        yield from _codes(path, old, new)
    elif codes is not None:
        yield from _codes_to_text(path, old, new)
    else:
        yield from _text_to_codes(path, old, new)


def _text_bounds(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    before, after = Text.of(old), Text.of(new)
    if before == after:
        return
    keyword = next(one for one in TEXT if old.get(one) != new.get(one))
    words = (_bounds_of(old, TEXT), _bounds_of(new, TEXT))
    try:
        outside = find_text_outside(before, after)
    except TooHard:
        yield Found(path, "text-undecided", keyword, *words, _samples(before))
        return
    if outside is None:
        yield Found(path, "text-widened", keyword, *words)
    else:
        yield Found(path, "text-narrowed", keyword, *words, (outside, *_samples(before)))


def _codes(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    before, after = old["enum"], new["enum"]
    was_open, is_open = bool(old.get("x-open")), bool(new.get("x-open"))
    if removed := tuple(one for one in before if one not in after):
        yield Found(path, "code-removed", "enum", ", ".join(removed), None, removed)
    if added := tuple(one for one in after if one not in before):
        rule = "open-code-added" if was_open else "code-added"
        yield Found(path, rule, "enum", None, ", ".join(added), added)
    if was_open != is_open:
        rule = "codes-opened" if is_open else "codes-closed"
        words = ["open" if one else "closed" for one in (was_open, is_open)]
        yield Found(path, rule, "x-open", words[0], words[1], ("another-code",))


def _codes_to_text(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    lost = tuple(one for one in old["enum"] if _is_outside(one, Text.of(new)))
    shown = (", ".join(old["enum"]), _bounds_of(new, TEXT))
    if lost:
        yield Found(path, "code-removed", "enum", ", ".join(lost), shown[1], lost)
    if old.get("x-open"):
        yield Found(path, "text-widened", "enum", *shown)
    else:
        yield Found(path, "codes-opened", "enum", *shown, _samples(Text.of(new)))


def _text_to_codes(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    before = Text.of(old)
    shown = (_bounds_of(old, TEXT), ", ".join(new["enum"]))
    try:
        outside = find_text_outside(before, Text(pattern_of_codes(new["enum"])))
    except TooHard:
        yield Found(path, "text-undecided", "enum", *shown, _samples(before))
        return
    if outside is None:
        yield Found(path, "codes-closed", "enum", *shown)
    else:
        yield Found(path, "text-narrowed", "enum", *shown, (outside, *_samples(before)))


def _is_outside(code: str, text: Text) -> bool:
    try:
        return find_text_outside(Text(pattern_of_codes([code])), text) is not None
    except TooHard:
        return True


def _samples(text: Text) -> tuple[str, ...]:
    try:
        return texts_of(text)
    except TooHard:
        return ()


def _numbers(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    if all(old.get(one) == new.get(one) for one in BOUNDS):
        return
    keyword = next(one for one in BOUNDS if old.get(one) != new.get(one))
    words = (_bounds_of(old, BOUNDS), _bounds_of(new, BOUNDS))
    before, after = Range.of(old), Range.of(new)
    if before.is_empty or before.is_within(after):
        yield Found(path, "bound-widened", keyword, *words)
    else:
        yield Found(path, "bound-narrowed", keyword, *words, before.samples(after))


def _array(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    yield from _array_size(path, old, new)
    yield from judge_field(f"{path}/*", old.get("items", {}), new.get("items", {}))


def _array_size(path: str, old: Schema, new: Schema) -> Iterator[Found]:
    if all(old.get(one) == new.get(one) for one in ITEMS):
        return
    keyword = next(one for one in ITEMS if old.get(one) != new.get(one))
    words = (_bounds_of(old, ITEMS), _bounds_of(new, ITEMS))
    least, most = old.get("minItems", 0), _most_items(old)
    fewer = new.get("minItems", 0) > least
    more = new.get("maxItems") is not None and (most is None or most > new["maxItems"])
    unique = bool(new.get("uniqueItems")) and not old.get("uniqueItems") and (most is None or most > 1)
    yield Found(path, "items-narrowed" if fewer or more or unique else "items-widened", keyword, *words)


def _most_items(schema: Schema) -> int | None:
    """Give how many elements an array can have; what must all differ cannot be more than there are values."""
    most: int | None = schema.get("maxItems")
    items = schema.get("items", {})
    values: int | None = None
    if schema.get("uniqueItems"):
        if "enum" in items:
            values = len(items["enum"])
        elif items.get("type") == "boolean":
            values = 2
        elif items.get("type") == "integer":
            allowed = Range.of(items)
            if allowed.low is not None and allowed.high is not None and allowed.step is not None:
                values = max(0, int((allowed.high - allowed.low) / allowed.step) + 1)
    ends = [one for one in (most, values) if one is not None]
    return min(ends, default=None)


def _bounds_of(schema: Schema, keywords: tuple[str, ...]) -> str | None:
    return ", ".join(f"{one} {schema[one]}" for one in keywords if one in schema) or None


_BY_KIND: Final[Mapping[str, Callable[[str, Schema, Schema], Iterator[Found]]]] = {
    "string": _text,
    "integer": _numbers,
    "number": _numbers,
    "array": _array,
    "object": _fields,
}
