"""Contracts made at random, changed at random, and documents that they allow, by generators of their own."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

from lienthong import names
from lienthong.contracts.contract import Code, Contract, Field, Grant, Rule
from lienthong.contracts.inclusion import Text, texts_of

TOPIC = names.Topic("trade", "thing-seen", 1)
DIGITS, UPPER, LOWER = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
LETTERS = "aăâbcdđeêghiklmnoôơpqrstuưvxyzAĂÂĐƠƯ"


def _of(random: Random, letters: str, least: int, most: int) -> str:
    return "".join(random.choices(letters, k=_end(random, least, most)))


def _end(random: Random, least: int, most: int) -> int:
    """The ends are where mistakes live."""
    return random.choice((least, most, random.randint(least, most)))


PATTERNS: dict[str, Callable[[Random], str]] = {
    "^[0-9]{4}$": lambda r: _of(r, DIGITS, 4, 4),
    "^[0-9]{4,6}$": lambda r: _of(r, DIGITS, 4, 6),
    "^[0-9]{1,4}$": lambda r: _of(r, DIGITS, 1, 4),
    "^[0-9A-Z]{4,6}$": lambda r: _of(r, DIGITS + UPPER, 4, 6),
    "^[A-Z][0-9]{1,3}$": lambda r: r.choice(UPPER) + _of(r, DIGITS, 1, 3),
    "^[A-Z]{1,2}[0-9]{1,4}$": lambda r: _of(r, UPPER, 1, 2) + _of(r, DIGITS, 1, 4),
    "^(?:a|bc)[0-9]{2,5}$": lambda r: r.choice(("a", "bc")) + _of(r, DIGITS, 2, 5),
    "^(?:a|b|bc)[0-9]{2,5}$": lambda r: r.choice(("a", "b", "bc")) + _of(r, DIGITS, 2, 5),
    "^[a-z0-9-]{1,12}$": lambda r: _of(r, LOWER + DIGITS + "-", 1, 12),
    "^[a-z0-9]+(?:-[a-z0-9]+)*$": lambda r: "-".join(
        _of(r, LOWER + DIGITS, 1, 3) for _ in range(r.randint(1, 3))
    ),
    r"^\p{L}{1,8}$": lambda r: _of(r, LETTERS, 1, 8),
    r"^[\p{L} .]{1,20}$": lambda r: _of(r, LETTERS + " .", 1, 20),
}
RULES = (
    "data.amount < 50",
    "data.amount <= 90",
    "data.amount != 7",
    'data.sort == "a" || data.amount > 5',
    'data.sort != "b" || data.amount < 60',
    "data.amount >= 0",
)
KINDS = ("string", "text", "codes", "integer", "number", "boolean", "date", "timestamp", "object", "array")
CODES = ("a", "b", "c", "d-1", "E2")


def make_contract(random: Random) -> Contract:
    """Make a contract of two fields that rules may name, a key, and some more."""
    fields = (
        _plain("code", "string", {"pattern": "^[0-9]{4}$"}, required=True, key_position=1),
        _plain("amount", "integer", {"minimum": 0, "maximum": 99}, required=True),
        _plain("sort", "string", {}, codes=_codes("a", "b"), required=True),
        *(make_field(random, f"field_{at}", depth=1) for at in range(random.randint(1, 3))),
    )
    rules = tuple(
        Rule(f"rule-{at}", RULES[at], "Quy tắc.")
        for at in sorted(random.sample(range(6), k=random.choice((0, 0, 1, 2))))
    )
    return Contract(
        path=Path("contracts/trade/thing-seen.v1.yaml"),
        topic=TOPIC,
        status="active",
        title="Đã thấy",
        purpose="Một điều đã thấy.",
        owner="Sở Công Thương",
        contact="a@trade.example",
        is_state=False,
        fields=fields,
        rules=rules,
        grants=(
            Grant(
                "science", "seeing", "Nghị định 1/2026", tuple(one.name for one in fields), date(2030, 1, 1)
            ),
        ),
        partitions=1,
        retention_seconds=1,
        latency_seconds=1,
        frequency_seconds=1,
        max_bytes=8_192,
    )


def make_field(random: Random, name: str, *, depth: int) -> Field:
    """Make a field of any kind; objects and arrays hold further ones."""
    kind = random.choice(KINDS if depth < 3 else KINDS[:8])
    required = random.random() < 0.6
    match kind:
        case "string":
            return _plain(name, "string", {"pattern": random.choice(list(PATTERNS))}, required=required)
        case "text":
            return _plain(name, "string", _lengths(random), required=required)
        case "codes":
            codes = _codes(*random.sample(CODES, k=random.randint(1, 4)))
            return replace(
                _plain(name, "string", {}, codes=codes, required=required),
                has_open_codes=random.random() < 0.4,
            )
        case "integer" | "number":
            return _plain(name, kind, _bounds(random, kind), required=required)
        case "object":
            inner = tuple(
                make_field(random, f"inner_{at}", depth=depth + 1) for at in range(random.randint(1, 2))
            )
            return replace(_plain(name, "object", {}, required=required), fields=inner)
        case "array":
            items = make_field(random, "item", depth=depth + 1)
            while items.logical_type == "array":
                items = make_field(random, "item", depth=depth + 1)
            return replace(_plain(name, "array", _sizes(random), required=required), items=items)
        case _:
            return _plain(name, kind, {}, required=required)


def _plain(name: str, kind: Any, options: dict[str, Any], *, required: bool = False, **more: Any) -> Field:
    return Field(
        name, "Nhãn", "Mô tả.", kind, required, more.pop("classification", "internal"), options, **more
    )


def _codes(*values: str) -> tuple[Code, ...]:
    return tuple(Code(value, "Mã") for value in values)


def _lengths(random: Random) -> dict[str, Any]:
    least = random.choice((None, 0, 1, 3))
    return {"maxLength": random.choice((4, 8, 12))} | ({} if least is None else {"minLength": least})


def _bounds(random: Random, kind: str) -> dict[str, Any]:
    low, high = random.choice((-10, 0, 1)), random.choice((10, 20, 99))
    if kind == "number" and random.random() < 0.5:
        low, high = low + 0.5, high + 0.25
    bounds = {
        random.choice(("minimum", "exclusiveMinimum")): low,
        random.choice(("maximum", "exclusiveMaximum")): high,
    }
    step = random.choice((None, None, 1, 2, 3, 4, 0.5) if kind == "number" else (None, None, 2, 3, 4))
    return bounds | ({} if step is None else {"multipleOf": step})


def _sizes(random: Random) -> dict[str, Any]:
    sizes: dict[str, Any] = {"maxItems": random.choice((2, 3, 5))}
    if random.random() < 0.6:
        sizes["minItems"] = random.choice((0, 1, 2))
    return sizes


# Changes.


def change(random: Random, contract: Contract) -> Contract:
    """Change a contract in one to three ways; rules that name what is gone go too."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        contract = random.choice(_CHANGES)(random, contract)
    return _sound(contract)


def _sound(contract: Contract) -> Contract:
    """Leave out rules that name what is gone, and a key that is no required text any more."""
    known = {one.name: one.logical_type for one in contract.fields if one.required}
    kept = tuple(
        rule
        for rule in contract.rules
        if ("data.amount" not in rule.expression or known.get("amount") in ("integer", "number"))
        and ("data.sort" not in rule.expression or known.get("sort") == "string")
    )
    key = contract.key[0] if contract.key and known.get(contract.key[0]) == "string" else "code"
    fields = (replace(one, key_position=1 if one.name == key else None) for one in contract.fields)
    return replace(contract, rules=kept, fields=tuple(fields))


def _some_field(random: Random, contract: Contract) -> Contract:
    at = random.randrange(1, len(contract.fields))
    fields = list(contract.fields)
    fields[at] = _other(random, fields[at])
    return replace(contract, fields=tuple(fields))


def _other(random: Random, field: Field) -> Field:
    """Change one field, or one inside it."""
    inside = random.random() < 0.7
    if inside and field.fields:
        at = random.randrange(len(field.fields))
        inner = list(field.fields)
        inner[at] = _other(random, inner[at])
        return replace(field, fields=tuple(inner))
    if inside and field.items is not None:
        return replace(field, items=replace(_other(random, field.items), required=field.items.required))
    return random.choice((_bounded, _bounded, _bounded, _needed, _kinded, _classified, _labelled))(
        random, field
    )


def _bounded(random: Random, field: Field) -> Field:
    match field.logical_type:
        case "string" if field.codes:
            return _coded(random, field)
        case "string":
            options = {"pattern": random.choice(list(PATTERNS))} if random.random() < 0.6 else {}
            return replace(field, options=options or _lengths(random))
        case "integer" | "number":
            return replace(field, options=_bounds(random, field.logical_type))
        case "array":
            return replace(field, options=_sizes(random))
        case "object":
            return replace(field, fields=_grown(random, field.fields, "inner"))
        case _:
            return _needed(random, field)


def _coded(random: Random, field: Field) -> Field:
    roll = random.random()
    if roll < 0.3:
        return replace(field, has_open_codes=not field.has_open_codes)
    if roll < 0.4:
        return replace(field, codes=(), has_open_codes=False, options=_lengths(random))
    return replace(field, codes=_codes(*random.sample(CODES, k=random.randint(1, 5))))


def _needed(random: Random, field: Field) -> Field:
    return replace(field, required=not field.required)


def _kinded(random: Random, field: Field) -> Field:
    if field.logical_type == "integer" and random.random() < 0.5:
        return replace(field, logical_type="number")
    made = make_field(random, field.name, depth=2)
    return replace(made, required=field.required)


def _classified(random: Random, field: Field) -> Field:
    return replace(field, classification=random.choice(("public", "internal", "personal", "sensitive")))


def _labelled(random: Random, field: Field) -> Field:
    return replace(field, label=random.choice(("Nhãn", "Tên khác")))


def _grown(random: Random, fields: tuple[Field, ...], name: str) -> tuple[Field, ...]:
    if len(fields) > 1 and random.random() < 0.4:
        gone = random.randrange(1, len(fields))
        return tuple(one for at, one in enumerate(fields) if at != gone)
    return (*fields, make_field(random, f"{name}_{random.randint(10, 99)}", depth=2))


def _fields(random: Random, contract: Contract) -> Contract:
    fields = _grown(random, contract.fields, "more")
    return replace(contract, fields=fields) if len({one.name for one in fields}) == len(fields) else contract


def _ruled(random: Random, contract: Contract) -> Contract:
    chosen = sorted(random.sample(range(6), k=random.choice((0, 1, 2))))
    return replace(contract, rules=tuple(Rule(f"rule-{at}", RULES[at], "Quy tắc.") for at in chosen))


def _sized(random: Random, contract: Contract) -> Contract:
    return replace(contract, max_bytes=random.choice((4_096, 8_192, 16_384)))


def _turned(random: Random, contract: Contract) -> Contract:
    return replace(contract, is_state=not contract.is_state)


def _rekeyed(random: Random, contract: Contract) -> Contract:
    keyed = random.choice(("code", "sort"))
    fields = (replace(one, key_position=1 if one.name == keyed else None) for one in contract.fields)
    return replace(contract, fields=tuple(fields))


def _referred(random: Random, contract: Contract) -> Contract:
    target = random.choice((None, "trade.market.v1", "science.unit.v1"))
    code = replace(contract.fields[0], reference=target, reference_field=target and "unit_code")
    return replace(contract, fields=(code, *contract.fields[1:]))


_CHANGES = (_some_field,) * 12 + (_fields,) * 4 + (_ruled, _ruled, _sized, _turned, _rekeyed, _referred)


# Documents.


def documents(random: Random, contract: Contract, count: int) -> Iterator[dict[str, Any]]:
    """Make documents that the fields allow; rules are not looked at."""
    for _ in range(count):
        yield _object(random, contract.fields)


def _object(random: Random, fields: tuple[Field, ...]) -> dict[str, Any]:
    sparse = random.random() < 0.3
    return {
        one.name: _value(random, one)
        for one in fields
        if one.required or (not sparse and random.random() < 0.8)
    }


def _value(random: Random, field: Field) -> Any:
    options = field.options
    match field.logical_type:
        case "string" if field.codes:
            return random.choice(field.codes).value
        case "string" if "pattern" in options:
            return _fitting(random, options)
        case "string":
            return _of(random, LETTERS + DIGITS, options.get("minLength", 0), options["maxLength"])
        case "integer" | "number":
            return _number(random, field)
        case "boolean":
            return random.random() < 0.5
        case "date":
            return date(random.randint(1950, 2030), random.randint(1, 12), random.randint(1, 28)).isoformat()
        case "timestamp":
            return (
                f"{random.randint(1950, 2030)}-0{random.randint(1, 9)}-1{random.randint(0, 9)}T08:00:00+07:00"
            )
        case "object":
            return _object(random, field.fields)
        case _:
            assert field.items is not None
            size = _end(random, options.get("minItems", 0), options["maxItems"])
            return [_value(random, field.items) for _ in range(size)]


def _fitting(random: Random, options: Mapping[str, Any]) -> str:
    """Make a text of a pattern; of one that is not in the list here, one that the library knows."""
    made = PATTERNS.get(options["pattern"])
    return made(random) if made is not None else random.choice(texts_of(Text.of(options)))


def _number(random: Random, field: Field) -> int | float:
    options = field.options
    low = options.get("minimum", options.get("exclusiveMinimum"))
    high = options.get("maximum", options.get("exclusiveMaximum"))
    step = options.get("multipleOf") or (1 if field.logical_type == "integer" else 0.25)
    steps = [at * step for at in range(int(low // step) - 1, int(high // step) + 2)]
    fitting = [
        one
        for one in steps
        if low <= one <= high
        and not ("exclusiveMinimum" in options and one == low)
        and not ("exclusiveMaximum" in options and one == high)
    ]
    return random.choice((fitting[0], fitting[-1], random.choice(fitting)))
