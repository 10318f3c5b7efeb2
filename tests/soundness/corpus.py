"""Cases of other people's: what Confluent's Schema Registry holds compatible, told as facts in our words.

Source: the test data of confluentinc/schema-registry (Apache-2.0), json-schema-provider: its schema pairs for
the dialect 2020-12; what a contract can say of them, and samples of what none can. *Compatible* is backward
there: a new reader reads what an old writer wrote. That is our claim to writers; what readers of the old
version may rely on is a claim of ours alone.
"""

from typing import Any, NamedTuple


class Case(NamedTuple):
    """One fact: two schemas of a field `foo`, or of the whole, what the registry says, and why we differ."""

    told: str
    before: dict[str, Any]
    after: dict[str, Any]
    compatible: bool
    ours: str
    """The level that we give: none, minor, breaking."""
    because: str = ""


def _text(**bounds: Any) -> dict[str, Any]:
    return {"type": "string", **bounds}


def _number(**bounds: Any) -> dict[str, Any]:
    return {"type": "number", **bounds}


def _list(**bounds: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "boolean"}, **bounds}


def _object(*required: str, closed: bool = True, **fields: dict[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {"type": "object", "properties": fields, "required": sorted(required)}
    return whole | ({"additionalProperties": False} if closed else {})


CLASS = "A typed class of the old version does not read it."
CLOSED = "On this bus every object is closed on write and open on read, so the field was never there."
OPEN = "An object here is never open: it is a construct the comparison does not know."
UNKNOWN = "No contract can say it; what the comparison does not know is never called safe."
FOO, BAR = _text(), _number()

FIELDS = [
    Case("another type", {"type": "object"}, {"type": "array"}, False, "breaking"),
    Case("string to number", _text(), _number(), False, "breaking"),
    Case("minLength raised", _text(minLength=10), _text(minLength=11), False, "breaking"),
    Case("minLength lowered", _text(minLength=11), _text(minLength=10), True, "minor"),
    Case("maxLength raised", _text(maxLength=10), _text(maxLength=12), True, "minor"),
    Case("maxLength lowered", _text(maxLength=12), _text(maxLength=10), False, "breaking"),
    Case("pattern removed", _text(pattern="^[a-f0-9-]{36}$"), _text(), True, "minor"),
    Case("pattern changed", _text(pattern="^[0-9-]{10}$"), _text(pattern="^[a-f-]{36}$"), False, "breaking"),
    Case("pattern kept", _text(pattern="^[0-9-]{10}$"), _text(pattern="^[0-9-]{10}$"), True, "none"),
    Case("pattern unanchored", _text(pattern="date"), _text(pattern="uuid"), False, "breaking"),
    Case("maximum removed", _number(maximum=10), _number(), True, "minor"),
    Case("maximum raised", _number(maximum=10), _number(maximum=11), True, "minor"),
    Case("maximum lowered", _number(maximum=11), _number(maximum=10), False, "breaking"),
    Case("minimum removed", _number(minimum=10), _number(), True, "minor"),
    Case("minimum raised", _number(minimum=10), _number(minimum=11), False, "breaking"),
    Case("minimum lowered", _number(minimum=11), _number(minimum=10), True, "minor"),
    Case("multipleOf removed", _number(multipleOf=10), _number(), True, "minor"),
    Case("multipleOf a divisor", _number(multipleOf=10), _number(multipleOf=2), True, "minor"),
    Case("multipleOf another", _number(multipleOf=10), _number(multipleOf=11), False, "breaking"),
    Case("number to integer", _number(), {"type": "integer"}, False, "breaking"),
    Case("integer to number", {"type": "integer"}, _number(), True, "breaking", CLASS),
    Case("code list longer", _text(enum=["red"]), _text(enum=["red", "blue"]), True, "breaking", CLASS),
    Case(
        "code list longer, said to be open",
        _text(enum=["red"], **{"x-open": True}),
        _text(enum=["red", "blue"], **{"x-open": True}),
        True,
        "minor",
    ),
    Case("code list shorter", _text(enum=["red", "blue"]), _text(enum=["red"]), False, "breaking"),
    Case("maxItems lowered", _list(maxItems=2), _list(maxItems=1), False, "breaking"),
    Case("maxItems raised", _list(maxItems=1), _list(maxItems=2), True, "minor"),
    Case("minItems removed", _list(minItems=1), _list(), True, "minor"),
    Case("minItems raised", _list(minItems=1), _list(minItems=2), False, "breaking"),
    Case("minItems lowered", _list(minItems=2), _list(minItems=1), True, "minor"),
    Case("uniqueItems removed", _list(uniqueItems=True), _list(), True, "minor"),
    Case(
        "type of elements changed",
        {"type": "array", "items": _text()},
        {"type": "array", "items": _number()},
        False,
        "breaking",
    ),
    Case("title changed", _text(title="a"), _text(title="b"), True, "patch"),
    Case("description changed", _text(description="a"), _text(description="b"), True, "patch"),
    Case("one type more", {"type": ["object"]}, {"type": ["object", "array"]}, True, "breaking", UNKNOWN),
    Case(
        "maxProperties raised",
        {"type": "object", "maxProperties": 1},
        {"type": "object", "maxProperties": 2},
        True,
        "breaking",
        UNKNOWN,
    ),
    Case(
        "maxProperties lowered",
        {"type": "object", "maxProperties": 2},
        {"type": "object", "maxProperties": 1},
        False,
        "breaking",
    ),
    Case(
        "minProperties raised",
        {"type": "object", "minProperties": 1},
        {"type": "object", "minProperties": 2},
        False,
        "breaking",
    ),
    Case(
        "minProperties lowered",
        {"type": "object", "minProperties": 2},
        {"type": "object", "minProperties": 1},
        True,
        "breaking",
        UNKNOWN,
    ),
    Case("minContains raised", _list(minContains=1), _list(minContains=2), False, "breaking"),
    Case("minContains lowered", _list(minContains=2), _list(minContains=1), True, "breaking", UNKNOWN),
    Case(
        "not narrowed",
        _text(**{"not": {"enum": ["a", "b"]}}),
        _text(**{"not": {"enum": ["a"]}}),
        True,
        "breaking",
        UNKNOWN,
    ),
    Case(
        "not extended",
        _text(**{"not": {"enum": ["a"]}}),
        _text(**{"not": {"enum": ["a", "b"]}}),
        False,
        "breaking",
    ),
    Case("oneOf longer", {"oneOf": [_text()]}, {"oneOf": [_text(), _number()]}, True, "breaking", UNKNOWN),
    Case("allOf longer", {"allOf": [_text()]}, {"allOf": [_text(), _text(maxLength=3)]}, False, "breaking"),
    Case(
        "allOf shorter",
        {"allOf": [_text(), _text(maxLength=3)]},
        {"allOf": [_text()]},
        True,
        "breaking",
        UNKNOWN,
    ),
    Case(
        "tuple shorter",
        _list(prefixItems=[_text(), _text()]),
        _list(prefixItems=[_text()]),
        True,
        "breaking",
        UNKNOWN,
    ),
    Case("reference moved", _text(), {"$ref": "#/$defs/a"}, True, "breaking", UNKNOWN),
]
WHOLES = [
    Case("field renamed", _object(foo=FOO), _object(bar=FOO), False, "breaking"),
    Case("optional field added, closed", _object(foo=FOO), _object(foo=FOO, bar=BAR), True, "minor"),
    Case(
        "required field added, closed", _object(foo=FOO), _object("bar", foo=FOO, bar=BAR), False, "breaking"
    ),
    Case(
        "optional field added, open",
        _object(foo=FOO, closed=False),
        _object(foo=FOO, bar=BAR, closed=False),
        False,
        "minor",
        CLOSED,
    ),
    Case(
        "field removed, open",
        _object(foo=FOO, bar=BAR, closed=False),
        _object(foo=FOO, closed=False),
        True,
        "breaking",
        CLOSED,
    ),
    Case("required no longer", _object("foo", foo=FOO), _object(foo=FOO), True, "breaking", CLASS),
    Case("required from now on", _object(foo=FOO), _object("foo", foo=FOO), False, "breaking"),
    Case(
        "another field required",
        _object("foo", foo=FOO, bar=BAR),
        _object("bar", foo=FOO, bar=BAR),
        False,
        "breaking",
    ),
    Case("closed opened", _object(foo=FOO), _object(foo=FOO, closed=False), True, "breaking", OPEN),
    Case("open closed", _object(foo=FOO, closed=False), _object(foo=FOO), False, "breaking"),
    Case(
        "dependency added",
        _object(foo=FOO),
        _object(foo=FOO) | {"dependentRequired": {"foo": ["bar"]}},
        False,
        "breaking",
    ),
    Case(
        "dependency removed",
        _object(foo=FOO) | {"dependentSchemas": {"foo": {}}},
        _object(foo=FOO),
        True,
        "breaking",
        UNKNOWN,
    ),
    Case(
        "an identifier changed",
        _object(foo=FOO) | {"$id": "a"},
        _object(foo=FOO) | {"$id": "b"},
        True,
        "none",
    ),
]
