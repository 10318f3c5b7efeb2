"""One frozen schema version, made ready to check data quickly (hop 3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import jsonschema_rs

from lienthong import names, strict_json
from lienthong.errors import ContractsNotSound, NotStrict, Problem
from lienthong.moments import Plan, are_real, find_moments, moment_problems
from lienthong.rules import Rule, compile_rules
from lienthong.sentences import problems_of

MOST_BYTES: Final = 262_144
"""No contract may allow more data in one event."""


PersonalPlan = Mapping[str, "PersonalPlan | None"]
"""Names of fields that are, or contain, personal or sensitive values; `*` for each element of an array."""


class Circumstances(NamedTuple):
    """What rules may know of the event around the data: `event` in an expression."""

    time: datetime
    recorded_at: datetime
    subject: str | None
    id: str


@dataclass(frozen=True, slots=True, repr=False)
class Shape:
    """A schema version and all that is derived from it at load."""

    topic: str
    source: str
    type: str
    version: str
    uri: str
    key: tuple[str, ...]
    is_state: bool
    max_bytes: int
    classification: str
    references: Mapping[str, tuple[str, str]]
    rules: tuple[Rule, ...]
    moments: Plan
    personal: "PersonalPlan"
    validator: Any

    @classmethod
    def of(cls, schema: Mapping[str, Any]) -> "Shape":
        """Make a frozen schema ready. No address is ever fetched, and patterns take linear time only.

        Raises:
            ContractsNotSound: when the schema is not one that `lienthong release` writes.
        """
        uri = str(schema.get("$id", ""))
        named = names.find_schema_version(uri)
        if named is None:
            raise _not_sound("the schema's $id names no version of an event")
        try:
            validator = _validator(schema)
            if not _may_be_key(schema, schema["x-key"]):
                raise _not_sound(f"the schema {uri} cannot be used: its key is not made of required fields")
            return cls(
                topic=schema["x-topic"],
                source=names.source(named[0]),
                type=names.event_type(named[0], named[1]),
                version=named[2],
                uri=uri,
                key=tuple(schema["x-key"]),
                is_state=bool(schema.get("x-state", False)),
                max_bytes=min(int(schema.get("x-max-bytes", MOST_BYTES)), MOST_BYTES),
                classification=schema["x-classification"],
                references={
                    path: (to["topic"], to["field"]) for path, to in schema.get("x-references", {}).items()
                },
                rules=compile_rules(schema.get("x-rules", ()), schema),
                moments=find_moments(schema),
                personal=_find_personal(schema, inherited=False),
                validator=validator,
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as flaw:
            # The rest of its text repeats the whole schema.
            raise _not_sound(f"the schema {uri} cannot be used: {str(flaw).splitlines()[0]}") from flaw
        except (KeyError, TypeError, AttributeError) as flaw:
            raise _not_sound(f"the schema {uri} lacks or misspells something: {flaw}") from flaw

    def check(self, value: bytes, event: Circumstances) -> tuple[Any, list[Problem]]:
        """Read and check data: size, strict JSON, text, schema, real dates, rules; every problem at once."""
        if len(value) > self.max_bytes:
            message = f"{len(value)} bytes, the contract allows {self.max_bytes}"
            return None, [Problem("", "size", message)]
        data, problems = strict_json.read(value)
        if data is None and problems:
            return None, problems
        problems += strict_json.text_problems(value, data)
        if not problems and self.validator.is_valid(data):
            if not are_real(data, self.moments):
                problems = moment_problems(data, self.moments)
            if not problems:
                for rule in self.rules:
                    if (problem := rule.check(data, event)) is not None:
                        problems.append(problem)
            return data, problems
        return data, self._all_problems(data, problems, event)

    def _all_problems(self, data: Any, problems: list[Problem], event: Circumstances) -> list[Problem]:
        """Add what the schema says, one problem a place; rules count only where the schema is content."""
        told = {problem.path for problem in problems}
        flaws = chain.from_iterable(map(problems_of, self.validator.iter_errors(data)))
        # A format has the better sentence; a text that breaks it often breaks a pattern beside it.
        for problem in sorted(
            islice(flaws, strict_json.MOST_PROBLEMS), key=lambda flaw: flaw.rule == "pattern"
        ):
            if problem.path not in told:
                problems.append(problem)
                told.add(problem.path)
        problems += [problem for problem in moment_problems(data, self.moments) if problem.path not in told]
        # A rule over unsound data often cannot be evaluated; only where it says a clear no is it told.
        problems += [
            rule.problem for rule in self.rules if rule.denies(data, event) and rule.path not in told
        ]
        return problems

    def personal_texts(self, data: Any) -> list[str]:
        """Collect the texts of one event's data that are classified personal or sensitive."""
        texts: list[str] = []
        _collect(data, self.personal, texts)
        return texts

    def key_of(self, data: Mapping[str, Any]) -> str:
        """Join the key fields' values with `|`."""
        if len(self.key) == 1:
            return _key_text(data[self.key[0]])
        return "|".join(_key_text(data[name]) for name in self.key)


def load_shape(path: Path, schemas_dir: Path) -> Shape:
    """Load one frozen schema file; its place must agree with what it says."""
    try:
        schema = strict_json.loads(path.read_bytes())
    except (OSError, NotStrict) as flaw:
        raise _not_sound(f"{path} cannot be read: {flaw}") from flaw
    if not isinstance(schema, dict):
        raise _not_sound(f"{path} is not a JSON object")
    try:
        shape = Shape.of(schema)
    except ContractsNotSound as flaw:
        raise _not_sound(f"{path}: {flaw.fields['reason']}") from flaw
    department, event = path.relative_to(schemas_dir).parts[:2]
    major = shape.version.split(".", 1)[0]
    named = names.find_schema_version(shape.uri)
    if named != (department, event, path.stem) or shape.topic != f"{department}.{event}.v{major}":
        raise _not_sound(f"{path} says that it is version {shape.version} of {shape.topic}")
    return shape


def _not_sound(reason: str) -> ContractsNotSound:
    remedy = "Frozen schemas are written by `lienthong release` only: restore the file from the history."
    return ContractsNotSound(reason=reason, remedy=remedy)


def _validator(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        dict(schema),
        validate_formats=True,
        ignore_unknown_formats=False,
        pattern_options=jsonschema_rs.RegexOptions(),
        retriever=_refuse_address,
    )


def _refuse_address(uri: str) -> Any:
    raise ValueError(f"the schema refers to {uri}; nothing outside the file is read")


def _may_be_key(schema: Mapping[str, Any], key: Sequence[str]) -> bool:
    scalar = {"string", "integer", "boolean"}
    return bool(key) and all(
        name in schema["required"] and schema["properties"][name].get("type") in scalar for name in key
    )


def _find_personal(schema: Mapping[str, Any], *, inherited: bool) -> PersonalPlan:
    """Find the leaves that are classified personal or sensitive, themselves or by what contains them."""
    plan: dict[str, PersonalPlan | None] = {}
    fields = {**schema.get("properties", {}), **({"*": schema["items"]} if "items" in schema else {})}
    for name, field in fields.items():
        personal = inherited or field.get("x-classification") in {"personal", "sensitive"}
        inner = _find_personal(field, inherited=personal)
        if inner:
            plan[name] = inner
        elif personal and field.get("type") not in {"object", "array"}:
            plan[name] = None
    return plan


def _collect(data: Any, plan: PersonalPlan, texts: list[str]) -> None:
    if isinstance(data, list) and "*" in plan:
        for element in data:
            _collect_value(element, plan["*"], texts)
    elif isinstance(data, dict):
        for name, inner in plan.items():
            _collect_value(data.get(name), inner, texts)


def _collect_value(value: Any, inner: "PersonalPlan | None", texts: list[str]) -> None:
    if inner is not None:
        _collect(value, inner, texts)
    elif isinstance(value, str):
        texts.append(value)


def _key_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    # 7.0 and 7 are the same JSON number and must not take two partitions.
    return str(int(value)) if value == int(value) else str(value)
