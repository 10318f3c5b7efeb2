"""Make synthetic documents that a schema allows, with chosen values at chosen places (hop 3)."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from lienthong.contracts.comparing import kind_of
from lienthong.contracts.inclusion import Text, texts_of
from lienthong.contracts.machine import TooHard
from lienthong.contracts.ranges import Range

Schema = Mapping[str, Any]
_DATES: Final = ("2026-01-01", "2025-06-30", "2024-02-29")
_TIMES: Final = ("2026-01-01T08:00:00+07:00", "2025-06-30T10:15:00Z", "2024-02-29T23:59:59.5+07:00")
_LONGEST_LIST: Final = 12


class NoSample(Exception):
    """No value was found that the schema allows."""


def sample(
    schema: Schema, chosen: Mapping[str, Any] | None = None, *, full: bool = True, path: str = ""
) -> Any:
    """Make one value.

    Args:
        schema: What it has to satisfy.
        chosen: Values by path (`/stalls/*/faults`), taken as they are; the way to them is made.
        full: With every optional field, or with none that is not on the way.
        path: Where the value stands.

    Raises:
        NoSample: when nothing was found that the schema allows.
    """
    chosen = chosen or {}
    if path in chosen:
        return chosen[path]
    match kind_of(schema):
        case "object":
            return _object(schema, chosen, full=full, path=path)
        case "array":
            return _array(schema, chosen, full=full, path=path)
        case _:
            return _first(iter_values(schema))


def iter_values(schema: Schema) -> Iterator[Any]:
    """Give some different values that a schema allows, plain ones first."""
    match kind_of(schema):
        case "object":
            yield from _objects(schema)
        case "array":
            yield from _arrays(schema)
        case "boolean":
            yield from (True, False)
        case "date":
            yield from _DATES
        case "date-time":
            yield from _TIMES
        case "integer" | "number":
            allowed = Range.of(schema)
            yield from allowed.samples(allowed)
        case _ if "enum" in schema:
            yield from schema["enum"]
        case _:
            yield from _texts(schema)


def _texts(schema: Schema) -> Iterator[str]:
    try:
        yield from texts_of(Text.of(schema))
    except TooHard:
        return


def _first(values: Iterator[Any]) -> Any:
    for value in values:
        return value
    raise NoSample


def _object(schema: Schema, chosen: Mapping[str, Any], *, full: bool, path: str) -> dict[str, Any]:
    made = {}
    for name, item in schema.get("properties", {}).items():
        where = f"{path}/{name}"
        on_the_way = any(one == where or one.startswith(f"{where}/") for one in chosen)
        if on_the_way or full or name in schema.get("required", ()):
            try:
                made[name] = sample(item, chosen, full=full, path=where)
            except NoSample:
                if on_the_way or name in schema.get("required", ()):
                    raise
    for one, value in chosen.items():
        # A field that the schema does not have: for whoever must see that it is refused.
        if one.rpartition("/")[0] == path and one.rpartition("/")[2] not in schema.get("properties", {}):
            made[one.rpartition("/")[2]] = value
    return made


def _array(schema: Schema, chosen: Mapping[str, Any], *, full: bool, path: str) -> list[Any]:
    items = schema.get("items", {})
    where = f"{path}/*"
    least = schema.get("minItems", 0)
    on_the_way = any(one == where or one.startswith(f"{where}/") for one in chosen)
    size = max(least, 1) if on_the_way or full else least
    if (most := schema.get("maxItems")) is not None and size > most:
        size = most
    made = [sample(items, chosen, full=full, path=where)] if size else []
    made += _fill(items, made, size - len(made), distinct=bool(schema.get("uniqueItems")))
    return made


def _fill(items: Schema, made: list[Any], missing: int, *, distinct: bool) -> list[Any]:
    if missing <= 0:
        return []
    if not distinct:
        return [_first(iter_values(items))] * missing
    others = list(islice((one for one in iter_values(items) if one not in made), missing))
    if len(others) < missing:
        raise NoSample
    return others


def _arrays(schema: Schema) -> Iterator[list[Any]]:
    """Give arrays of the sizes at the ends of what is allowed, and of different elements."""
    items, distinct = schema.get("items", {}), bool(schema.get("uniqueItems"))
    least, most = schema.get("minItems", 0), schema.get("maxItems", _LONGEST_LIST)
    for size in dict.fromkeys((least, least + 1, most, most - 1, min(most, least + 2))):
        if least <= size <= most:
            try:
                yield _fill(items, [], size, distinct=distinct)
            except NoSample:
                continue
    if least <= 1 <= most:
        yield from ([one] for one in islice(iter_values(items), 1, 20))


def _objects(schema: Schema) -> Iterator[dict[str, Any]]:
    """Give the full object, the least one, and the full one with each field varied in turn."""
    seen: list[Any] = []
    for full in (True, False):
        made = sample(schema, full=full)
        if made not in seen:
            seen.append(made)
            yield made
    whole = seen[0]
    for name, item in schema.get("properties", {}).items():
        for value in islice(iter_values(item), 0, 12):
            made = {**whole, name: value}
            if made not in seen:
                seen.append(made)
                yield made
