"""Turn a contract into its JSON Schema 2020-12: closed, bounded, the same bytes every time (hop 3)."""

from typing import Any, Final

import orjson

from lienthong import names
from lienthong.contracts.contract import Contract, Field

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "string": ("minLength", "maxLength", "pattern"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    "array": ("minItems", "maxItems", "uniqueItems"),
}
"""ODCS logicalTypeOptions that have the same name and meaning in JSON Schema, by logical type."""


def json_schema(contract: Contract, version: str) -> dict[str, Any]:
    """Derive the frozen form of a contract's shape, at a version such as `1.0.0`."""
    topic = contract.topic
    return {
        "$schema": DIALECT,
        "$id": names.schema_uri(topic.department, topic.event, version),
        "title": contract.title,
        "description": contract.purpose,
        **_object(contract.fields),
        "x-topic": str(topic),
        "x-key": list(contract.key),
        "x-state": contract.is_state,
        "x-max-bytes": contract.max_bytes,
        "x-classification": contract.classification,
        "x-rules": [
            {"name": rule.name, "expression": rule.expression, "description": rule.description}
            for rule in contract.rules
            if rule.severity == "error"
        ],
        "x-references": {
            f"/{path}": {"topic": item.reference, "field": item.reference_field}
            for path, item in contract.iter_fields()
            if item.reference is not None
        },
    }


def schema_bytes(schema: dict[str, Any]) -> bytes:
    """Write a schema as it is frozen: sorted, indented by two, one newline at the end."""
    return orjson.dumps(schema, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def field_schema(item: Field) -> dict[str, Any]:
    """Derive the schema of one field's values."""
    schema: dict[str, Any] = {"title": item.label, "x-classification": item.classification, **_type(item)}
    if item.description:
        schema["description"] = item.description
    for option in OPTIONS.get(item.logical_type, ()):
        if option in item.options:
            schema[option] = item.options[option]
    if item.codes:
        schema["enum"] = [code.value for code in item.codes]
        schema["x-codes"] = {code.value: code.label for code in item.codes}
        if item.has_open_codes:
            schema["x-open"] = True
    return schema


def _type(item: Field) -> dict[str, Any]:
    match item.logical_type:
        case "object":
            return _object(item.fields)
        case "array":
            items = field_schema(item.items) if item.items is not None else {}
            return {"type": "array", "items": items}
        case "date":
            return {"type": "string", "format": "date"}
        case "timestamp":
            return {"type": "string", "format": "date-time"}
        case plain:
            return {"type": plain}


def _object(fields: tuple[Field, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": sorted(item.name for item in fields if item.required),
        "properties": {item.name: field_schema(item) for item in fields},
    }
