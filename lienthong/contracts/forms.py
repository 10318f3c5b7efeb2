"""The closed form of everything people write under `contracts/`: which keys may stand where (hop 3).

A stricter subset of ODCS 3.2: a key that the standard has and the house gives no meaning is refused too, so
that nobody believes in a promise that nothing keeps.
"""

from collections.abc import Iterator
from typing import Any, Final

from lienthong.contracts.contract import CLASSIFICATIONS, PARTS

Schema = dict[str, Any]
_FLAG: Final[Schema] = {"type": "boolean"}
_NUMBER: Final[Schema] = {"type": "number", "minimum": -(2**53) + 1, "maximum": 2**53 - 1}
_DAY: Final = "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"


def _text(most: int = 500, pattern: str = r"\S") -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": most, "pattern": pattern}


def _const(value: str) -> Schema:
    return {"const": value}


def _one_of(*values: str) -> Schema:
    return {"enum": list(values)}


def _object(needed: Schema, **optional: Schema) -> Schema:
    properties = {**needed, **optional}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(needed),
        "properties": properties,
    }


def _list(items: Schema, least: int = 0, most: int = 500, *, distinct: bool = False) -> Schema:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most, "uniqueItems": distinct}


def _custom(needed: Schema, **optional: Schema) -> Schema:
    """Give a list of customProperties its closed set of names and a type for each value."""
    known = {**needed, **optional}
    entry = _object({"property": _one_of(*known), "value": {}}, description=_text())
    entry["allOf"] = [
        {
            "if": {"properties": {"property": _const(name)}, "required": ["property"]},
            "then": {"properties": {"value": schema}},
        }
        for name, schema in known.items()
    ]
    return _list(entry)


_LENGTH: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 100_000}
_OPTIONS: Final = _object(
    {},
    minLength=_LENGTH,
    maxLength=_LENGTH,
    pattern={"type": "string"},
    minimum=_NUMBER,
    maximum=_NUMBER,
    exclusiveMinimum=_NUMBER,
    exclusiveMaximum=_NUMBER,
    multipleOf={"type": "number", "exclusiveMinimum": 0},
    minItems={"type": "integer", "minimum": 0, "maximum": 10_000},
    maxItems={"type": "integer", "minimum": 1, "maximum": 10_000},
    uniqueItems=_FLAG,
)
_CODE: Final = _object({"value": _text(64, "^[A-Za-z0-9][A-Za-z0-9_.-]*$"), "description": _text()})
_TYPES: Final = ("string", "integer", "number", "boolean", "date", "timestamp", "object", "array")
_RELATIONSHIP: Final = _object({"type": _const("foreignKey"), "to": _text(300)})
_OF_ANY_FIELD: Final[Schema] = {
    "customProperties": _custom({}, codes=_one_of("open", "closed")),
    "logicalTypeOptions": _OPTIONS,
    "unique": _FLAG,
    "enum": _list(_CODE, 1),
    "examples": _list({}, 1, 20),
    "relationships": _list(_RELATIONSHIP, 1, 1),
    "properties": _list({"$ref": "#/$defs/field"}, 1, 200),
    "items": {"$ref": "#/$defs/items"},
    "tags": _list(_text(60)),
}
_FIELD: Final = _object(
    {
        "name": _text(60, "^[a-z][a-z0-9]*(_[a-z0-9]+)*$"),
        "businessName": _text(120),
        "description": _text(1_000),
        "logicalType": _one_of(*_TYPES),
        "required": _FLAG,
        "classification": _one_of(*CLASSIFICATIONS),
    },
    primaryKey=_FLAG,
    primaryKeyPosition={"type": "integer", "minimum": 1, "maximum": 20},
    partitioned=_FLAG,
    partitionKeyPosition={"type": "integer", "minimum": 1, "maximum": 20},
    **_OF_ANY_FIELD,
)
_ITEMS: Final = _object(
    {"logicalType": _one_of(*_TYPES)},
    name=_text(60, "^[a-z][a-z0-9]*(_[a-z0-9]+)*$"),
    businessName=_text(120),
    description=_text(1_000),
    classification=_one_of(*CLASSIFICATIONS),
    **_OF_ANY_FIELD,
)
_RULE: Final = _object(
    {
        "type": _const("custom"),
        "engine": _const("cel"),
        "name": _text(60, "^[a-z]+(-[a-z0-9]+)*$"),
        "description": _text(),
        "implementation": _text(1_000),
        "severity": _one_of("error", "warning"),
    },
    dimension=_text(40),
)
_SUBJECT: Final = _object(
    {
        "name": _text(60, "^[a-z]+(-[a-z]+)*$"),
        "logicalType": _const("object"),
        "physicalType": _const("topic"),
        "physicalName": _text(120),
        "properties": _list({"$ref": "#/$defs/field"}, 1, 200),
    },
    dataGranularityDescription=_text(),
    businessName=_text(120),
    description=_text(1_000),
    quality=_list(_RULE),
    tags=_list(_text(60)),
)


_GRANT: Final = _custom(
    {
        "legalBasis": _text(500, "[0-9]"),
        "purpose": _text(60, "^[a-z]+(-[a-z]+)*$"),
        "fields": _list(_text(60), 1, 200, distinct=True),
        "until": _text(10, _DAY),
    },
    procedure=_text(120),
)
_PROCEDURE: Final = _text(40, "^[a-z]+(-[a-z]+)*$")
_OPENS: Final = _object(
    {
        "procedure": _PROCEDURE,
        "name": _text(120),
        "nameEn": _text(120),
        "legalBasis": _text(500, "[0-9]"),
        "dossier": _text(60),
        "submittedAt": _text(60),
    },
    asks=_text(60),
)
_STEP: Final = _object(
    {
        "procedure": _PROCEDURE,
        "name": _text(60, "^[a-z]+(-[a-z]+)*$"),
        "label": _text(120),
        "labelEn": _text(120),
        "workingDays": {"type": "integer", "minimum": 0, "maximum": 365},
        "legalBasis": _text(500, "[0-9]"),
    }
)
_PATH: Final = _text(200, "^[a-z][a-z0-9_]*(/[a-z][a-z0-9_]*)*$")
_DERIVATION: Final = _object(
    {"field": _PATH},
    **{"from": {"anyOf": [_PATH, _list(_PATH, 2, 10)]}},
    joinedBy={"type": "string", "maxLength": 10},
    codes={"type": "object", "additionalProperties": _text(64), "maxProperties": 500},
    times={"type": "number", "exclusiveMinimum": 0, "maximum": 10**9},
    value={"type": ["string", "number", "boolean"]},
    otherwise={"type": ["string", "number", "boolean"]},
)
_CONTINUES: Final = _object({"topic": _text(120)}, mapping=_list(_DERIVATION, 0, 200))
_PART: Final = _object({"procedure": _PROCEDURE, "part": _one_of(*PARTS)})
_ROLE: Final = _object(
    {
        "role": _text(40, "^[a-z]+$"),
        "access": _const("read"),
        "description": _text(),
        "customProperties": _GRANT,
    }
)
_PROMISE: Final = _object(
    {"property": _one_of("latency", "frequency", "retention", "endOfLife"), "value": {}},
    unit=_one_of("ms", "s", "min", "h", "d", "y"),
    driver=_one_of("regulatory", "analytics", "operational"),
    description=_text(),
) | {
    "if": {"properties": {"property": _const("endOfLife")}, "required": ["property"]},
    "then": {"properties": {"value": _text(10, _DAY)}},
    "else": {"required": ["unit"], "properties": {"value": {"type": "number", "exclusiveMinimum": 0}}},
}
_LINK: Final = _object({"url": _text(500, "^https://"), "type": _text(60)}, description=_text())
_MEMBER: Final = _object({"username": _text(120)}, name=_text(120), role=_text(60), description=_text())
_SUPPORT: Final = _object(
    {"channel": _text(120), "url": _text(300, "^(mailto:[^@\\s]+@[^@\\s]+$|https://)")},
    tool=_text(40),
    scope=_one_of("interactive", "announcements", "issues", "notifications"),
    description=_text(),
)
_CONTRACT: Final = _object(
    {
        "apiVersion": _const("v3.2.0"),
        "kind": _const("DataContract"),
        "id": _text(120),
        "version": _text(20, "^[1-9][0-9]{0,3}\\.[0-9]+\\.[0-9]+$"),
        "status": _one_of("proposed", "draft", "active", "deprecated", "retired"),
        "name": _text(120),
        "domain": _text(40),
        "description": _object({"purpose": _text(1_000)}, usage=_text(1_000), limitations=_text(1_000)),
        "schema": _list(_SUBJECT, 1, 1),
        "slaProperties": _list(_PROMISE),
        "team": _object({"name": _text(200), "members": _list(_MEMBER, 1)}, description=_text()),
        "support": _list(_SUPPORT, 1),
    },
    tenant=_text(40),
    roles=_list(_ROLE),
    customProperties=_custom(
        {},
        kind=_one_of("event", "state"),
        partitions={"type": "integer", "minimum": 1, "maximum": 64},
        maxBytes={"type": "integer", "minimum": 256, "maximum": 262_144},
        opens=_OPENS,
        step=_STEP,
        parts=_list(_PART, 1, 20, distinct=True),
        continues=_CONTINUES,
    ),
    authoritativeDefinitions=_list(_LINK),
    tags=_list(_text(60)),
    contractCreatedTs=_text(40),
) | {"$defs": {"field": _FIELD, "items": _ITEMS}}

_MOMENT: Final = _text(40, "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})$")
_VALID: Final = _object({"data": {"type": "object"}}, because=_text(), time=_MOMENT, recorded_at=_MOMENT)
_INVALID: Final = _object(
    {
        "data": {"type": "object"},
        "because": _text(),
        "paths": _list(_text(300, "^(/|$)") | {"minLength": 0}, 1),
    },
    time=_MOMENT,
    recorded_at=_MOMENT,
)
_EXAMPLES: Final = _object({"valid": _list(_VALID, 1), "invalid": _list(_INVALID, 1)})
THEMES: Final = (
    *("AGRI", "ECON", "EDUC", "ENER", "ENVI", "GOVE", "HEAL"),
    *("INTR", "JUST", "REGI", "SOCI", "TECH", "TRAN"),
)
"""What a department's data are about, in the words of data portals."""
_CARD: Final = _object(
    {
        "department": _text(40, "^[a-z]+$"),
        "name": _text(120),
        "name_en": _text(120),
        "code": _text(20, "^H[0-9]{2}(\\.[0-9]{1,3}){0,3}$"),
        "contact": _text(120, "^[^@\\s]+@[^@\\s]+$"),
    },
    theme=_one_of(*THEMES),
)
FORMS: Final[dict[str, Schema]] = {"contract": _CONTRACT, "examples": _EXAMPLES, "card": _CARD}


def _all_keys(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {}) if isinstance(schema.get("properties"), dict) else ()
        for inner in schema.values():
            yield from _all_keys(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _all_keys(inner)


ALL_KEYS: Final = sorted({key for form in FORMS.values() for key in _all_keys(form)})
"""Every key that means something somewhere: what a misspelt one may have meant."""
