"""Whether `lienthong release` would take a schema as the next version: the seam to its comparison (hop 3)."""

from collections.abc import Mapping
from typing import Any, Final

import jsonschema_rs
import orjson

from lienthong import strict_json
from lienthong.contracts.compatibility import changes, next_version
from lienthong.contracts.contract import CLASSIFICATIONS
from lienthong.contracts.schema import DIALECT
from lienthong.errors import NotStrict, listed
from lienthong.registry.answers import schema_not_valid
from lienthong.registry.book import Registered

OURS: Final = "JSON"
"""The one kind of schema on this bus, in Confluent's word."""

_NOT_OURS: Final = (
    "not of a form that contracts take: every field has one type, every object is closed "
    "(additionalProperties: false)."
)
_TEXTS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
_FIELD: Final = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string"},
        "enum": {"items": {"type": "string"}},
        "properties": {"additionalProperties": {"$ref": "#/$defs/field"}},
        "items": {"$ref": "#/$defs/field"},
        "x-classification": {"enum": list(CLASSIFICATIONS)},
        "x-codes": _TEXTS,
        "x-key": {"type": "array", "items": {"type": "string"}},
        "x-max-bytes": {"type": "integer"},
        "x-open": {"type": "boolean"},
        "x-references": {
            "type": "object",
            "additionalProperties": {**_TEXTS, "required": ["topic", "field"]},
        },
        "x-rules": {"type": "array", "items": {**_TEXTS, "required": ["name", "expression", "description"]}},
        "x-state": {"type": "boolean"},
        "x-topic": {"type": "string"},
    },
    "dependentSchemas": {"format": {"properties": {"type": {"const": "string"}}}},
    "if": {"properties": {"type": {"const": "object"}}},
    "then": {
        "required": ["additionalProperties"],
        "properties": {"additionalProperties": {"const": False}},
    },
}
_FORM: Final = jsonschema_rs.validator_for(
    {
        "$schema": DIALECT,
        "$ref": "#/$defs/field",
        "properties": {"type": {"const": "object"}},
        "$defs": {"field": _FIELD},
    }
)
"""What the comparison may rely on in a schema that `lienthong release` did not write."""


def read_candidate(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the schema that a client sent in; None where it is of another kind, Avro or Protobuf.

    Nothing in it is ever fetched, and no pattern of it is tried on anything.

    Raises:
        Problem: where it is no sound JSON Schema.
    """
    if document.get("schemaType", "AVRO") != OURS:
        return None
    if document.get("references"):
        raise schema_not_valid("references to other schemas are not used on this bus.")
    text = document.get("schema")
    if not isinstance(text, str):
        raise schema_not_valid("the field `schema` holds the schema as text.")
    try:
        schema = strict_json.loads(text.encode())
    except NotStrict as flaw:
        raise schema_not_valid(listed(flaw.problems)) from None
    if not isinstance(schema, dict) or schema.get("$schema", DIALECT) != DIALECT:
        raise schema_not_valid(f"expected an object of the dialect {DIALECT}.")
    if not jsonschema_rs.meta.is_valid({**schema, "$schema": DIALECT}):
        raise schema_not_valid(f"breaks the rules of {DIALECT}.")
    return schema


def is_same(candidate: Mapping[str, Any], registered: Registered) -> bool:
    """Tell whether a schema is the frozen one, whatever the order of its names and its white space."""
    return _canonical(candidate) == _canonical(registered.schema)


def objections(registered: Registered, candidate: Mapping[str, Any] | None) -> list[str]:
    """List what stands against a schema as the next version after a frozen one; none where nothing does."""
    if candidate is None:
        return [f"The schema is not of the type {OURS}: this bus knows no other (schemaType)."]
    if odd := [f"/{'/'.join(map(str, flaw.instance_path))}" for flaw in _FORM.iter_errors(candidate)]:
        return [f"{place}: {_NOT_OURS}" for place in sorted(set(odd))]
    whole = _with_annotations(candidate, registered.schema)
    differences = changes(registered.schema, whole)
    if next_version(registered.properties["version"], differences) is not None:
        return []
    return [str(difference) for difference in differences]


def _canonical(schema: Mapping[str, Any]) -> bytes:
    return orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)


def _with_annotations(candidate: Mapping[str, Any], frozen: Mapping[str, Any]) -> dict[str, Any]:
    """Add our annotations (`x-…`) to a plain JSON Schema that has none: they are taken as unchanged."""
    if "x-topic" in candidate:
        return dict(candidate)
    return _annotated(candidate, frozen)


def _annotated(candidate: Mapping[str, Any], frozen: Mapping[str, Any]) -> dict[str, Any]:
    whole = {**{name: value for name, value in frozen.items() if name.startswith("x-")}, **candidate}
    known = frozen.get("properties", {})
    if "properties" in candidate:
        fields = candidate["properties"].items()
        whole["properties"] = {name: _annotated(field, known.get(name, {})) for name, field in fields}
    if "items" in candidate:
        whole["items"] = _annotated(candidate["items"], frozen.get("items", {}))
    return whole
