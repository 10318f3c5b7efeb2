"""The house rules of a field: named, bounded, labelled, and never a person's number as a key (hop 3)."""

import keyword
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs
from pydantic import BaseModel

from lienthong.contracts.document import At, Document, Finding
from lienthong.contracts.patterns import judge_pattern
from lienthong.contracts.schema import OPTIONS

MOST_TEXT: Final = 4_000
MOST_DEPTH: Final = 5
PROTECTED: Final = ("personal", "sensitive")
_SCALARS: Final = ("string", "integer", "number", "date", "timestamp")
_IDENTIFIER: Final = re.compile(r"(?:^|_)(?:id|code|number)$")
_ABOUT_A_PERSON: Final = re.compile(
    r"(?:^|_)(?:(?:personal|identity|passport|phone)_number|full_name|born_(?:at|on)|email_address)$"
)
REFERENCE: Final = re.compile(
    r"(?:\.\./([a-z]+)/)?([a-z]+(?:-[a-z]+)*)\.v([1-9][0-9]{0,3})\.yaml"
    r"#/schema/([a-z]+(?:-[a-z]+)*)/properties/([a-z][a-z0-9_]*)"
)
"""`facility.v1.yaml#/schema/facility/properties/facility_code`; another's: `../science/unit.v1.yaml#/…`."""
# A class body that gives such a name a default value would hide the type of that name from the lines below.
_TAKEN: Final = frozenset(
    {"date", "str", "int", "float", "bool", "tuple", "datetime", "json", "copy", "dict", "schema"}
)


@dataclass(frozen=True, slots=True)
class Written:
    """A field as written, its place in the file, and its path: `mother/full_name`, `former_units/*/name`."""

    item: Mapping[str, Any]
    at: At
    path: str
    depth: int
    is_items: bool = False

    @property
    def name(self) -> str:
        return str(self.item.get("name", ""))

    @property
    def is_optional(self) -> bool:
        """Tell whether an event may lack the field; what is no boolean has been spoken of elsewhere."""
        return self.item.get("required", False) is False

    @property
    def codes(self) -> list[Mapping[str, Any]]:
        codes = self.item.get("enum")
        return [code for code in codes if isinstance(code, dict)] if isinstance(codes, list) else []

    @property
    def options(self) -> Mapping[str, Any]:
        options = self.item.get("logicalTypeOptions")
        return options if isinstance(options, dict) else {}


def iter_written(properties: Any, at: At, prefix: str = "", depth: int = 1) -> Iterator[Written]:
    """Walk fields as written, nested ones and array elements too, past whatever has not the right shape."""
    for position, item in enumerate(properties if isinstance(properties, list) else ()):
        if isinstance(item, dict):
            yield from _and_inside(Written(item, (*at, position), f"{prefix}{item.get('name', '?')}", depth))


def _and_inside(field: Written) -> Iterator[Written]:
    yield field
    if field.depth > MOST_DEPTH:
        return
    inner = (*field.at, "properties")
    yield from iter_written(field.item.get("properties"), inner, f"{field.path}/", field.depth + 1)
    items = field.item.get("items")
    if isinstance(items, dict):
        yield from _and_inside(
            Written(items, (*field.at, "items"), f"{field.path}/*", field.depth + 1, is_items=True)
        )


def field_findings(document: Document, properties: Any, at: At) -> Iterator[Finding]:
    """Judge every field of a contract against the house rules."""
    for field in iter_written(properties, at):
        for rule in _RULES:
            for name, where, message, remedy in rule(field):
                yield document.finding((*field.at, *where), name, f"field `{field.path}` {message}", remedy)
    yield from _repeated_names(document, properties, at)


Told = Iterator[tuple[str, At, str, str]]


def _name(field: Written) -> Told:
    name, kind = field.name, field.item.get("logicalType")
    if field.depth > MOST_DEPTH:
        yield "field-depth", (), f"is nested deeper than {MOST_DEPTH}.", "Flatten it."
    if field.is_items:
        return
    if keyword.iskeyword(name) or name in _TAKEN or hasattr(BaseModel, name) or name.startswith("model_"):
        message = "has a name that Python or its typed classes use themselves."
        yield (
            "field-name",
            ("name",),
            message,
            "Say more: `event_date` becomes `reported_on`, `class` `school_class`.",
        )
    for suffix, expected in (("_at", "timestamp"), ("_on", "date")):
        if name.endswith(suffix) != (kind == expected):
            message = (
                f"is {kind or 'of no type'}: {suffix} ends the name of every {expected}, and of nothing else."
            )
            yield "field-name", ("name",), message, f"Rename it, or make it a {expected}."
    if _IDENTIFIER.search(name) and kind not in ("string", None):
        yield (
            "identifier",
            ("logicalType",),
            "is an identifier and no string.",
            "Numbers lose leading zeros: string.",
        )


def _labels(field: Written) -> Told:
    if field.is_items and field.item.get("logicalType") != "object":
        return
    words = f"{field.item.get('businessName', '')} {field.item.get('description', '')}"
    if words.strip() and not has_vietnamese(words):
        remedy = (
            "Write businessName and description in Vietnamese with its marks; English may follow in brackets."
        )
        yield "vietnamese", ("description",), "has no word of Vietnamese in its label or description.", remedy
    for position, code in enumerate(field.codes):
        if not code.get("description"):
            remedy = "Add `description` with the Vietnamese word for it."
            yield (
                "code-label",
                ("enum", position),
                f"has the code `{code.get('value')}` without a label.",
                remedy,
            )
    values = [str(code.get("value")) for code in field.codes]
    for value in sorted({value for value in values if values.count(value) > 1}):
        yield "code-repeated", ("enum",), f"lists the code `{value}` twice.", "Keep one."


def _bounds(field: Written) -> Told:
    kind, options = field.item.get("logicalType"), field.options
    for option in sorted(options.keys() - set(OPTIONS.get(str(kind), ()))):
        message = f"has {option}, which means nothing for {kind}."
        yield "bounds", ("logicalTypeOptions", option), message, "Delete it."
    at: At = ("logicalTypeOptions",)
    if kind in ("integer", "number"):
        low = [
            options[key]
            for key in ("minimum", "exclusiveMinimum")
            if isinstance(options.get(key), (int, float))
        ]
        high = [
            options[key]
            for key in ("maximum", "exclusiveMaximum")
            if isinstance(options.get(key), (int, float))
        ]
        if not low or not high:
            remedy = "Add minimum and maximum: what would an official call impossible?"
            yield "bounds", at, "is a number without bounds.", remedy
        elif min(high) < max(low):
            yield "bounds", at, "has a maximum below its minimum.", "Swap or correct them."
    for least, most in (("minLength", "maxLength"), ("minItems", "maxItems")):
        if (
            isinstance(options.get(least), int)
            and isinstance(options.get(most), int)
            and options[most] < options[least]
        ):
            yield "bounds", at, f"has {most} below {least}.", "Swap or correct them."
    if kind == "array" and "maxItems" not in options:
        yield "bounds", at, "is an array without end.", "Add maxItems."


def _text_bounds(field: Written) -> Told:
    if field.item.get("logicalType") != "string":
        return
    at: At = ("logicalTypeOptions",)
    pattern, most = field.options.get("pattern"), field.options.get("maxLength")
    judged = judge_pattern(pattern) if isinstance(pattern, str) else None
    if judged is not None:
        for problem in judged.problems:
            yield (
                "pattern",
                (*at, "pattern"),
                f"has a pattern that {problem}.",
                "See docs/contracts.md, patterns.",
            )
        if not judged.problems and not _compiles(str(pattern)):
            remedy = "Shorten it, or lower its counts."
            yield "pattern", (*at, "pattern"), "has a pattern that the gate's engine refuses.", remedy
    ends = [end for end in (judged.longest if judged else None, most) if isinstance(end, int)]
    if field.item.get("enum"):
        if pattern is not None or most is not None:
            yield "bounds", at, "has codes, so a pattern or length says nothing more.", "Delete the options."
        return
    if not ends:
        remedy = "Add maxLength, or a pattern that ends, or a code list."
        yield "bounds", at, "is a string without end.", remedy
    elif min(ends) > MOST_TEXT:
        yield (
            "bounds",
            at,
            f"may be longer than {MOST_TEXT} characters.",
            "An event carries facts, not documents.",
        )
    if pattern is None and (_IDENTIFIER.search(field.name) or field.item.get("primaryKey") is True):
        yield "identifier", at, "is an identifier without a pattern.", 'Add a pattern, as "^[0-9]{5}$".'


def _shape(field: Written) -> Told:
    kind = field.item.get("logicalType")
    for key, of in (("properties", "object"), ("items", "array")):
        if kind == of and not field.item.get(key):
            yield "shape", (), f"is an {of} without {key}.", f"Add {key}."
        if kind != of and key in field.item:
            yield "shape", (key,), f"has {key} and is no {of}.", f"Delete {key}, or make it an {of}."
    if "customProperties" in field.item and not field.item.get("enum"):
        remedy = "Delete it, or give the field its codes."
        yield "shape", ("customProperties",), "says whether its codes are open, and has none.", remedy
    if "enum" in field.item and kind != "string":
        yield "shape", ("enum",), "has codes and is no string.", "Codes are strings; else give bounds."
    if (
        kind == "array"
        and isinstance(items := field.item.get("items"), dict)
        and items.get("logicalType") == "array"
    ):
        yield "shape", ("items",), "is an array of arrays.", "Make its elements objects that hold an array."


def _examples(field: Written) -> Told:
    if field.is_items:
        return
    kind = field.item.get("logicalType")
    if kind in _SCALARS and not field.item.get("examples"):
        yield "example", (), "has no example.", "Add `examples` with a made-up value."


def _classification(field: Written) -> Told:
    classification = field.item.get("classification")
    if _ABOUT_A_PERSON.search(field.name) and classification in ("public", "internal"):
        message = f"tells of a person and is classified {classification}."
        yield (
            "classification",
            ("classification",),
            message,
            "Classify it personal or sensitive, or rename it.",
        )


def _key(field: Written) -> Told:
    flags = [flag for flag in ("primaryKey", "partitioned") if field.item.get(flag) is True]
    for flag, position in (("primaryKey", "primaryKeyPosition"), ("partitioned", "partitionKeyPosition")):
        if position in field.item and flag not in flags:
            yield (
                "key",
                (position,),
                f"has {position} and not {flag}: true.",
                f"Add {flag}: true, or delete it.",
            )
    if not flags:
        return
    at: At = (flags[0],)
    if field.depth > 1:
        yield (
            "key",
            at,
            "is inside another field and cannot be a key.",
            "Keys are fields of the event itself.",
        )
    if field.is_optional:
        yield "key", at, "is a key and not required.", "Add required: true."
    if field.item.get("logicalType") not in ("string", None):
        yield "key", at, "is a key and no string.", "Use an identifier with a pattern."
    if field.item.get("classification") in PROTECTED:
        message = f"is {field.item['classification']} and a key: keys are seen by everybody who runs the bus."
        yield (
            "key-personal",
            at,
            message,
            "Use an identifier that tells nothing of the person, or a keyed hash.",
        )
    pattern = field.options.get("pattern")
    if isinstance(pattern, str) and judge_pattern(pattern).may_hold_bar:
        yield "key", at, "is a key and may hold |, which joins keys.", "Name the characters without |."


_RULES: Final[tuple[Callable[[Written], Told], ...]] = (
    _name,
    _labels,
    _bounds,
    _text_bounds,
    _shape,
    _examples,
    _classification,
    _key,
)


def key_fields(properties: list[dict[str, Any]]) -> dict[str, int]:
    """Give the fields of the record key and their positions: the partition key, else the primary key."""
    for flag, position in (("partitioned", "partitionKeyPosition"), ("primaryKey", "primaryKeyPosition")):
        flagged = [item for item in properties if item.get(flag) is True]
        keyed = {str(item.get("name")): item.get(position, 1) for item in flagged}
        if keyed:
            return keyed
    return {}


def has_vietnamese(text: str) -> bool:
    """Tell whether a text has a letter that Vietnamese has and English has not."""
    return any(char in "đĐ" or len(unicodedata.normalize("NFD", char)) > 1 for char in text)


def _repeated_names(document: Document, properties: Any, at: At) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for field in iter_written(properties, at):
        if field.is_items:
            continue
        if field.path in first:
            message = f"field `{field.path}` is there twice, first on line {first[field.path]}."
            yield document.finding((*field.at, "name"), "field-repeated", message, "Rename or delete one.")
        first.setdefault(field.path, document.line(*field.at))


def _compiles(pattern: str) -> bool:
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions())
    except jsonschema_rs.ValidationError:
        return False
    return True
