"""Put a contract's examples through the gate: valid ones pass, invalid ones fail where they say (hop 3)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import jsonschema_rs
import orjson

from lienthong.contracts.contract import Contract, Field
from lienthong.contracts.document import At, Document, Finding
from lienthong.contracts.fields import iter_written
from lienthong.contracts.mapping import Translation
from lienthong.contracts.schema import field_schema, json_schema
from lienthong.errors import ContractsNotSound, NotValid, Problem
from lienthong.gate import Gate
from lienthong.shape import Shape

NOTED_AT: Final = "2026-01-01T00:00:00+07:00"
"""When an example happened and was recorded, unless it says `time` and `recorded_at` itself."""
_EVENT_ID: Final = "0199a1b2-0000-7000-8000-000000000001"


def field_example_findings(document: Document, contract: Contract) -> Iterator[Finding]:
    """Find the examples of single fields that their own field would refuse."""
    places = {
        field.path: field.at for field in iter_written(document.data["schema"][0]["properties"], _FIELDS)
    }
    for path, item in contract.iter_fields():
        for position, value in enumerate(item.examples):
            if not is_valid(item, value):
                at = (*places[path], "examples", position)
                message = f"field `{path}` has an example that the field itself refuses."
                yield document.finding(at, "example", message, "Correct the example or the field's bounds.")


_FIELDS: Final[At] = ("schema", 0, "properties")


def is_valid(item: Field, value: Any) -> bool:
    """Tell whether a field, by its own bounds, takes a value."""
    validator = jsonschema_rs.Draft202012Validator(
        field_schema(item), validate_formats=True, pattern_options=jsonschema_rs.RegexOptions(), offline=True
    )
    return validator.is_valid(value)


def example_findings(document: Document, contract: Contract) -> Iterator[Finding]:
    """Judge the examples beside a contract by the gate that will judge its events."""
    try:
        gate = Gate([Shape.of(json_schema(contract, f"{contract.topic.major}.0.0"))])
    except ContractsNotSound as flaw:
        yield document.finding(
            (), "schema", f"{contract.topic}: {flaw.fields['reason']}.", "Correct the contract."
        )
        return
    for position, example in enumerate(document.data["valid"]):
        if problems := _problems(gate, contract, example):
            listed = "; ".join(map(str, problems))
            message = f"valid example {position + 1} is refused: {listed}."
            yield document.finding(
                ("valid", position), "example-refused", message, "Correct it or the contract."
            )
    for position, example in enumerate(document.data["invalid"]):
        yield from _invalid(document, position, example, _problems(gate, contract, example))


def former_example_findings(document: Document, contract: Contract, former: Contract) -> Iterator[Finding]:
    """Tell each valid example in the former major's words, and ask that one's gate."""
    gate = Gate([Shape.of(json_schema(former, f"{former.topic.major}.0.0"))])
    translation = Translation(contract, former)
    for position, example in enumerate(document.data["valid"]):
        told = {**example, "data": translation.data(example["data"])}
        if problems := _problems(gate, former, told):
            listed = "; ".join(map(str, problems))
            message = f"valid example {position + 1}, mapped to {former.topic}, is refused there: {listed}."
            remedy = "Correct the mapping: during the overlap, such a fact would be refused on both topics."
            yield document.finding(("valid", position), "mapping-example", message, remedy)


def _problems(gate: Gate, contract: Contract, example: Mapping[str, Any]) -> tuple[Problem, ...]:
    happened = str(example.get("time", NOTED_AT))
    recorded = str(example.get("recorded_at", happened))
    try:
        time, recorded_at = datetime.fromisoformat(happened), datetime.fromisoformat(recorded)
        gate.check_data(
            str(contract.topic),
            orjson.dumps(example["data"]),
            time=time,
            recorded_at=recorded_at,
            subject=None,
            event_id=_EVENT_ID,
        )
    except ValueError:
        return (Problem("", "time", "time and recorded_at must be days and hours that exist"),)
    except NotValid as refusal:
        return refusal.problems
    return ()


def _invalid(
    document: Document, position: int, example: Mapping[str, Any], problems: tuple[Problem, ...]
) -> Iterator[Finding]:
    at: At = ("invalid", position)
    what = f"invalid example {position + 1}"
    if not problems:
        message = f"{what} is admitted: the contract does not forbid what it shows."
        yield document.finding(
            at, "example-admitted", message, "Add the missing bound or rule to the contract."
        )
        return
    named, found = set(example["paths"]), {problem.path for problem in problems}
    if missing := sorted(named - found):
        message = f"{what} is not refused at {', '.join(path or '(the whole)' for path in missing)}."
        yield document.finding((*at, "paths"), "example-path", message, "Correct the path, or the contract.")
    if extra := [problem for problem in problems if problem.path not in named]:
        message = f"{what} is also refused for another reason: {'; '.join(map(str, extra))}."
        yield document.finding(
            (*at, "paths"), "example-path", message, "Name that path too, or make it sound there."
        )
