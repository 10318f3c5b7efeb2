"""The data as an AsyncAPI document tells it: the frozen shape, with the contract's words (hop 3)."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from lienthong.contracts import Contract, Field
from lienthong.contracts.frozen import Frozen

Schema = dict[str, Any]

_VALUES: Final = ("examples", "enum", "x-labels", "x-codes")
"""Keywords whose content is data, and no schema."""


def data_schema(contract: Contract, frozen: Frozen, granted: Collection[str] | None = None) -> Schema:
    """Give the shape of a dataset's events.

    Closed, as its owner writes it; where `granted` names the fields of a reader, these alone, and open: a
    reader ignores what it was not granted and what a later version adds.
    """
    schema = _described(frozen.schema, contract.fields)
    schema |= {"title": contract.title, "description": contract.purpose}
    del schema["$schema"], schema["$id"]
    if granted is None:
        return schema
    schema["properties"] = {name: of for name, of in schema["properties"].items() if name in granted}
    schema["required"] = [name for name in schema["required"] if name in granted]
    schema["x-references"] = {
        path: to for path, to in schema.get("x-references", {}).items() if path.split("/")[1] in granted
    }
    schema.pop("x-rules", None)  # a rule may speak of fields that are not granted
    opened: Schema = _opened(schema)
    return opened


def pruned(data: Mapping[str, Any], granted: Collection[str] | None) -> dict[str, Any]:
    """Give an example's data as its owner writes it, or a reader's part of it."""
    return {name: value for name, value in data.items() if granted is None or name in granted}


def _described(schema: Mapping[str, Any], fields: tuple[Field, ...]) -> Schema:
    """Add what the contract says today to a frozen object: descriptions, labels of codes, examples."""
    told = {one.name: one for one in fields}
    properties = {
        name: _field(of, told[name]) if name in told else dict(of)
        for name, of in schema.get("properties", {}).items()
    }
    ordered = {one.name: properties[one.name] for one in fields if one.name in properties}
    return dict(schema) | {"properties": ordered | properties}


def _field(schema: Mapping[str, Any], field: Field) -> Schema:
    told: Schema = dict(schema)
    if schema.get("type") == "object":
        told = _described(schema, field.fields)
    elif schema.get("type") == "array" and field.items is not None:
        told["items"] = _field(schema["items"], field.items)
    told |= {"title": field.label, "description": field.description} if field.label else {}
    if field.codes:
        told["x-labels"] = {code.value: code.label for code in field.codes}
    if field.examples:
        told["examples"] = list(field.examples)
    return told


def _opened(schema: Any) -> Any:
    """Take away what a later version may change under a reader: closed objects, code lists that may grow."""
    if isinstance(schema, dict):
        return {
            name: of if name in _VALUES else _opened(of)
            for name, of in schema.items()
            if not (name == "additionalProperties" and of is False)
            and not (name == "enum" and schema.get("x-open") is True)
        }
    return [_opened(one) for one in schema] if isinstance(schema, list) else schema
