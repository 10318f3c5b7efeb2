"""Hold a file against its closed form and the official ODCS schema; say in words what is wrong (hop 3)."""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs

from lienthong.contracts.document import At, Document, Finding
from lienthong.contracts.forms import ALL_KEYS, FORMS


def form_findings(document: Document, form: str) -> Iterator[tuple[At, Finding]]:
    """Find every key that is unknown, missing or of the wrong kind, with its place."""
    for error in _validator(form).iter_errors(document.data):
        yield from _told(document, error)


def odcs_findings(document: Document, *, apart_from: list[At]) -> Iterator[Finding]:
    """Find what the official ODCS schema refuses, apart from places that have been spoken of.

    One unknown key makes that schema call all its neighbours unevaluated; where ours has said it better, its
    word is left out.
    """
    for error in _official().iter_errors(document.data):
        at = tuple(error.instance_path)
        if not any(at == said[: len(at)] or said == at[: len(said)] for said in apart_from):
            message = f"{place_of(document, at)} is not what ODCS 3.2 allows: {error.message}."
            yield document.finding(at, "odcs", message, "See the Open Data Contract Standard 3.2.")


def place_of(document: Document, at: At) -> str:
    """Name a place in words: fields by their path, roles and rules by their own names."""
    words: list[str] = []
    path, rest, value = _field_path(document.data, at)
    if path:
        words.append(f"field `{path}`")
    for step in rest:
        value = value[step]
        if isinstance(step, int):
            named = _own_name(value)
            words.append(f"`{named}`" if named else f"#{step + 1}")
        elif step != "customProperties":
            words.append(step)
    return " ".join(words) or "the file"


def _field_path(data: Any, at: At) -> tuple[str, At, Any]:
    """Take the field out of a place: its path, the steps that remain, and where they start."""
    if at[:3] != ("schema", 0, "properties") or len(at) < 4:
        return "", at, data
    path: list[str] = []
    value = data["schema"][0]["properties"]
    for position, step in enumerate(at[3:], start=3):
        if not isinstance(step, int) and step not in ("properties", "items"):
            return "/".join(path), at[position:], value
        value = value[step]
        if step == "items":
            path.append("*")
        elif isinstance(step, int):
            path.append(_own_name(value) or f"#{step + 1}")
    return "/".join(path), (), value


def _own_name(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    found = next(
        (value[key] for key in ("name", "property", "role", "value", "channel") if key in value), None
    )
    return found if isinstance(found, str) else None


@cache
def _validator(form: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        FORMS[form], pattern_options=jsonschema_rs.RegexOptions(), offline=True
    )


@cache
def _official() -> jsonschema_rs.Draft201909Validator:
    """The standard's own schema, as its own package ships it."""
    raw = (files("open_data_contract_standard") / "schema.json").read_text("utf-8")
    return jsonschema_rs.Draft201909Validator(
        json.loads(raw), pattern_options=jsonschema_rs.RegexOptions(), offline=True, mask="it"
    )


def _told(document: Document, error: jsonschema_rs.ValidationError) -> Iterator[tuple[At, Finding]]:
    at: At = tuple(error.instance_path)
    where = place_of(document, at)
    kind, value = error.kind.name, error.kind.value
    if kind == "additionalProperties":
        for key in sorted(value):
            yield (*at, key), _junk(document, (*at, key), where)
        return
    rule, message, remedy = _sentence(kind, value, error.instance)
    yield at, document.finding(at, rule, f"{where} {message}", remedy)


def _junk(document: Document, at: At, where: str) -> Finding:
    key = str(at[-1])
    if key in ("$ref", "$schema", "$dynamicRef"):
        message = f"{where} has {key}: a contract never loads a schema from anywhere."
        return document.finding(at, "remote-reference", message, "Write the fields out here.")
    near = get_close_matches(key, ALL_KEYS, 1)
    remedy = f"Did you mean `{near[0]}`? Else delete it." if near else "Delete it; nothing would read it."
    return document.finding(
        at, "unknown-key", f"{where} has the key `{key}`, which means nothing here.", remedy
    )


def _sentence(kind: str, value: Any, instance: Any) -> tuple[str, str, str]:
    match kind:
        case "required":
            return "missing-key", f"has no `{value}`.", f"Add `{value}`."
        case "type":
            return _wrong_kind(value, instance)
        case "enum":
            return "unknown-word", f"is not one of {', '.join(map(str, value))}.", "Use one of these words."
        case "const":
            return "unknown-word", f"is not `{value}`.", f"Write `{value}`."
        case "pattern":
            return "form", f"does not have the form {value}.", "See docs/contracts.md."
        case "minItems" | "minLength":
            return "empty", "is empty or too short.", f"Write at least {value}."
        case "maxItems" | "maxLength":
            return "too-long", f"is longer than {value}.", "Shorten it."
        case _:
            return "form", f"breaks {kind} {value}.", "See docs/contracts.md."


def _wrong_kind(expected: list[str], found: Any) -> tuple[str, str, str]:
    words = {"boolean": "true or false", "string": "text", "array": "a list", "object": "a mapping of keys"}
    remedy = "Correct the value."
    if "boolean" in expected and isinstance(found, str):
        remedy = "Write true or false: YAML 1.2 reads yes, no, on and off as text."
    elif "string" in expected and not isinstance(found, (dict, list)):
        remedy = "Put the value in quotes."
    kinds = " or ".join(words.get(one, f"of type {one}") for one in expected)
    return "wrong-kind", f"is not {kinds}.", remedy
