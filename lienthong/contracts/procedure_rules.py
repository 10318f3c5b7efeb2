"""The house rules of procedures: who opens one, who does its steps, and which facts belong to it (hop 3)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lienthong import names
from lienthong.contracts.document import At, Document, Finding
from lienthong.contracts.folder import Folder

CUSTOM: Final[At] = ("customProperties",)
RULE: Final = "procedure"


@dataclass(frozen=True, slots=True)
class _Said:
    """What one contract says about procedures, and where."""

    document: Document
    name: str
    value: Any
    at: At

    def finding(self, key: str, message: str, remedy: str) -> Finding:
        return self.document.finding((*self.at, "value", key), RULE, message, remedy)

    def get(self, key: str) -> Any:
        return self.value.get(key) if isinstance(self.value, dict) else None


def procedure_findings(folder: Folder) -> Iterator[Finding]:
    """Judge what the contracts say about procedures, all of them together."""
    said = [one for document in folder.contracts.values() for one in _said(document)]
    opened: dict[str, _Said] = {}
    for one in said:
        if one.name == "opens" and isinstance(procedure := one.get("procedure"), str):
            if procedure in opened and not _same_event(one, opened[procedure]):
                message = (
                    f"procedure {procedure} is opened twice, first by {opened[procedure].document.file}."
                )
                yield one.finding("procedure", message, "One fact opens a procedure: name another one here.")
            opened.setdefault(procedure, one)
            yield from _opening(one, said)
    yield from _steps(said, opened)
    for topic, document in folder.contracts.items():
        yield from _parts(document, opened)
        yield from _grants(topic, document, opened)


def _said(document: Document) -> Iterator[_Said]:
    custom = document.data.get("customProperties") if isinstance(document.data, dict) else None
    for position, entry in enumerate(custom if isinstance(custom, list) else ()):
        if isinstance(entry, dict) and isinstance(name := entry.get("property"), str):
            yield _Said(document, name, entry.get("value"), (*CUSTOM, position))


def _same_event(one: _Said, other: _Said) -> bool:
    """Tell whether two contracts are majors of one event: what one is to a procedure, the other is too."""
    first, second = (said.document.file.as_posix().rpartition(".v")[0] for said in (one, other))
    return first == second


def _fields(document: Document) -> dict[str, Mapping[str, Any]]:
    try:
        properties = document.data["schema"][0]["properties"]
    except (KeyError, IndexError, TypeError):
        return {}
    listed = properties if isinstance(properties, list) else []
    return {str(one.get("name")): one for one in listed if isinstance(one, dict)}


def _opening(one: _Said, said: list[_Said]) -> Iterator[Finding]:
    """Judge the fields that an opening names."""
    fields = _fields(one.document)
    dossier = fields.get(str(one.get("dossier")), {})
    if dossier.get("logicalType") != "string" or dossier.get("required") is not True:
        yield one.finding(
            "dossier", "the dossier's code is no required text.", "Name the field that holds it."
        )
    elif dossier.get("classification") not in ("public", "internal"):
        remedy = "Name a code that says nothing about anybody."
        yield one.finding("dossier", "the dossier's code is personal.", remedy)
    submitted = fields.get(str(one.get("submittedAt")), {})
    if submitted.get("logicalType") != "timestamp" or submitted.get("required") is not True:
        remedy = "Name the timestamp from which terms count."
        yield one.finding("submittedAt", "the moment of submission is no required timestamp.", remedy)
    if (asks := one.get("asks")) is not None:
        yield from _asked(one, fields.get(str(asks), {}), said)


def _asked(one: _Said, field: Mapping[str, Any], said: list[_Said]) -> Iterator[Finding]:
    items = field.get("items")
    codes = items.get("enum") if isinstance(items, dict) else None
    asked = (
        {code.get("value") for code in codes if isinstance(code, dict)} if isinstance(codes, list) else set()
    )
    done = {
        step.get("name")
        for step in said
        if step.name == "step" and step.get("procedure") == one.get("procedure")
    }
    if not asked:
        yield one.finding(
            "asks", "what is asked for is no list of codes.", "Name the field that lists steps."
        )
    elif missing := sorted(map(str, asked - done)):
        message = f"steps may be asked for that no fact ends: {', '.join(missing)}."
        remedy = "Give each the customProperty `step` in the contract of the fact that ends it."
        yield one.finding("asks", message, remedy)


def _steps(said: list[_Said], opened: Mapping[str, _Said]) -> Iterator[Finding]:
    first: dict[str, _Said] = {}
    for one in said:
        if one.name != "step" or not isinstance(name := one.get("name"), str):
            continue
        if name in first and not _same_event(one, first[name]):
            message = f"step {name} is ended by two facts, first by {first[name].document.file}."
            yield one.finding("name", message, "Give each step a name of its own.")
        first.setdefault(name, one)
        opening = opened.get(str(one.get("procedure")))
        if opening is None:
            yield one.finding("procedure", *_unopened(one.get("procedure")))
        elif str(opening.get("dossier")) not in _fields(one.document):
            message = f"step {name} does not say of which dossier: there is no `{opening.get('dossier')}`."
            yield one.finding("name", message, "Add that field: nobody could follow the dossier.")


def _parts(document: Document, opened: Mapping[str, _Said]) -> Iterator[Finding]:
    for said in _said(document):
        if said.name != "parts" or not isinstance(said.value, list):
            continue
        for position, part in enumerate(said.value):
            procedure = part.get("procedure") if isinstance(part, dict) else None
            if isinstance(procedure, str) and procedure not in opened:
                yield document.finding((*said.at, "value", position), RULE, *_unopened(procedure))


def _grants(topic: names.Topic, document: Document, opened: Mapping[str, _Said]) -> Iterator[Finding]:
    """Find grants for a procedure that is not there, or to which the fact does not belong."""
    called = {str(one.get("name")): procedure for procedure, one in opened.items()}
    belongs = set()
    for said in _said(document):
        listed = said.value if said.name == "parts" and isinstance(said.value, list) else [said.value]
        if said.name in ("opens", "step", "parts"):
            belongs |= {str(one.get("procedure")) for one in listed if isinstance(one, dict)}
    roles = document.data.get("roles") if isinstance(document.data, dict) else None
    for position, role in enumerate(roles if isinstance(roles, list) else ()):
        custom = role.get("customProperties") if isinstance(role, dict) else None
        for entry in custom if isinstance(custom, list) else ():
            if not isinstance(entry, dict) or entry.get("property") != "procedure":
                continue
            at: At = ("roles", position)
            name = str(entry.get("value"))
            if name not in called:
                message = f"the grant to {role.get('role')} is for a procedure that no contract opens."
                remedy = f"Write one of: {', '.join(sorted(called)) or 'none is opened'}."
                yield document.finding(at, RULE, message, remedy)
            elif called[name] not in belongs:
                message = f"the grant to {role.get('role')} is for {name}, to which {topic} does not belong."
                remedy = f"Say what it is to {called[name]}, in the customProperty `parts` or `step`."
                yield document.finding(at, RULE, message, remedy)


def _unopened(procedure: object) -> tuple[str, str]:
    remedy = "Correct the name, or add the customProperty `opens` to the contract of the fact that opens it."
    return f"procedure {procedure} is opened by no contract.", remedy
