"""What a schema's refusal means, in a sentence that never repeats the value it is about (hop 3)."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from lienthong.errors import Problem
from lienthong.strict_json import pointer

_TYPES: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}

_FORMATS: Final = {
    "date-time": "expected a date-time with offset, as 2025-11-14T20:55:00+07:00",
    "date": "expected a date, as 2025-11-14",
}

_SENTENCES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "type": lambda kind: f"expected {_type_words(kind.get('types'))}",
    "enum": lambda kind: f"expected one of {_listed(kind['options'])}",
    "const": lambda kind: f"expected {kind['expected_value']}",
    "pattern": lambda kind: f"does not have the form {kind['pattern']}",
    "minimum": lambda kind: f"below {kind['limit']}",
    "maximum": lambda kind: f"above {kind['limit']}",
    "exclusiveMinimum": lambda kind: f"not above {kind['limit']}",
    "exclusiveMaximum": lambda kind: f"not below {kind['limit']}",
    "multipleOf": lambda kind: f"not a multiple of {kind['multiple_of']}",
    "minLength": lambda kind: f"shorter than {kind['limit']} characters",
    "maxLength": lambda kind: f"longer than {kind['limit']} characters",
    "minItems": lambda kind: f"fewer than {kind['limit']} elements",
    "maxItems": lambda kind: f"more than {kind['limit']} elements",
    "uniqueItems": lambda _: "an element is there more than once",
    "format": lambda kind: _FORMATS.get(kind["format"], f"expected the format {kind['format']}"),
}


def problems_of(flaw: Any) -> list[Problem]:
    """Turn one of jsonschema-rs's errors into problems in our words, at the fields they are about."""
    path = ""
    for step in flaw.instance_path:
        path = pointer(path, step)
    rule = flaw.kind.name
    kind = flaw.kind.as_dict()
    if rule == "required":
        return [Problem(f"{path}/{kind['property']}", rule, "is required and missing")]
    if rule == "additionalProperties":
        return [Problem(pointer(path, name), rule, "is not in the contract") for name in kind["unexpected"]]
    sentence = _SENTENCES.get(rule)
    return [Problem(path, rule, sentence(kind) if sentence else f"breaks the schema's {rule}")]


def _type_words(types: Any) -> str:
    listed = types if isinstance(types, list) else [types]
    return " or ".join(_TYPES.get(str(name), str(name)) for name in listed)


def _listed(options: list[Any], most: int = 12) -> str:
    shown = ", ".join(str(option) for option in options[:most])
    return shown if len(options) <= most else f"{shown} and {len(options) - most} more"
