"""The house rules of a whole contract, its examples and its department's card (hop 3)."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from lienthong import names
from lienthong.contracts.cycles import cycle_findings
from lienthong.contracts.document import At, Document, Finding
from lienthong.contracts.fields import (
    REFERENCE,
    Written,
    field_findings,
    has_vietnamese,
    iter_written,
    key_fields,
)
from lienthong.contracts.folder import Folder
from lienthong.contracts.house import form_findings, odcs_findings
from lienthong.contracts.procedure_rules import procedure_findings
from lienthong.errors import ContractsNotSound
from lienthong.rules import compile_rule

FIELDS: Final[At] = ("schema", 0, "properties")
RULES: Final[At] = ("schema", 0, "quality")
_TEXT: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_DATA: Final = re.compile(r"\bdata((?:\.[A-Za-z_]\w*(?!\w|\s*\())+)")
_EVENT: Final = re.compile(r"\bevent\.([A-Za-z_]\w*)")
_AROUND: Final = ("time", "recorded_at", "subject", "id")
_RESERVED_CLASSES: Final = frozenset(
    {"Data", "Field", "Final", "Literal", "ClassVar", "AwareDatetime", "Step"}
)


def soundness_findings(folder: Folder) -> Iterator[Finding]:
    """Judge every document that could be read; the examples' behaviour at the gate is judged elsewhere."""
    for department, card in folder.cards.items():
        yield from (finding for _, finding in form_findings(card, "card"))
        if isinstance(card.data, dict) and card.data.get("department") not in (department, None):
            message = f"names another department than its folder, {department}."
            yield card.finding(
                ("department",), "department-card", message, f"Write `department: {department}`."
            )
    for topic, document in folder.contracts.items():
        yield from _contract_findings(folder, topic, document)
        if topic not in folder.examples and topic not in folder.unread:
            file = document.file.with_name(f"{topic.event}.v{topic.major}.examples.yaml")
            remedy = "Add it, with valid and invalid examples: they show what the contract means."
            yield Finding(file, 1, "examples-missing", "is missing.", remedy)
    for topic, document in folder.examples.items():
        yield from (finding for _, finding in form_findings(document, "examples"))
        if topic not in folder.contracts and topic not in folder.unread:
            yield document.finding(
                (), "examples-stray", f"there is no contract {topic}.", "Rename or delete it."
            )
    yield from cycle_findings(folder)
    yield from procedure_findings(folder)


def _contract_findings(folder: Folder, topic: names.Topic, document: Document) -> Iterator[Finding]:
    spoken_of = []
    for at, finding in form_findings(document, "contract"):
        spoken_of.append(at)
        yield finding
    yield from odcs_findings(document, apart_from=spoken_of)
    if not isinstance(document.data, dict):
        return
    yield from _names(document, topic)
    yield from _words(document)
    properties = _at(document.data, FIELDS)
    yield from field_findings(document, properties, FIELDS)
    written = list(iter_written(properties, FIELDS))
    yield from _key(document, written)
    yield from _references(folder, topic, document, written)
    yield from _grants(folder, document, written)
    yield from _promises(document)
    yield from _rules(document, written)
    yield from _custom(document, ("customProperties",), document.data.get("customProperties"))


def _at(data: Any, at: At) -> Any:
    for step in at:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _items(data: Any) -> list[tuple[int, Mapping[str, Any]]]:
    return [
        (at, one) for at, one in enumerate(data if isinstance(data, list) else ()) if isinstance(one, dict)
    ]


def _names(document: Document, topic: names.Topic) -> Iterator[Finding]:
    for at, expected in (
        (("id",), str(topic)),
        (("domain",), topic.department),
        (("schema", 0, "name"), topic.event),
        (("schema", 0, "physicalName"), str(topic)),
    ):
        found = _at(document.data, at)
        if found is not None and found != expected:
            message = f"{at[-1]} does not agree with the file's place, {topic}."
            yield document.finding(at, "names", message, f"Write `{expected}`, or move the file.")
    version = str(document.data.get("version", ""))
    if version and version.partition(".")[0] != str(topic.major):
        message = f"version does not belong to major {topic.major}; the rest of it is computed by `release`."
        yield document.finding(("version",), "names", message, f"Write `{topic.major}.0.0`.")
    name = names.class_name(topic.event)
    if name in _RESERVED_CLASSES:
        message = f"the event's class would be called {name}, a name that typed classes need themselves."
        yield document.finding(
            ("schema", 0, "name"), "names", message, "Say what happened: thing and past participle."
        )


def _words(document: Document) -> Iterator[Finding]:
    for at in (("name",), ("description", "purpose")):
        text = _at(document.data, at)
        if isinstance(text, str) and not has_vietnamese(text):
            remedy = "Write it in Vietnamese with its marks; English may follow in brackets."
            yield document.finding(
                at, "vietnamese", f"{' '.join(map(str, at))} has no word of Vietnamese.", remedy
            )


def _key(document: Document, written: list[Written]) -> Iterator[Finding]:
    top = [dict(field.item) for field in written if field.depth == 1 and "name" in field.item]
    keys = key_fields(top)
    if not keys and top:
        remedy = "Mark the field that says what the event is about: primaryKey: true, primaryKeyPosition: 1."
        yield document.finding(FIELDS, "key", "no field is the key.", remedy)
    positions = list(keys.values())
    if any(positions.count(position) > 1 for position in positions):
        yield document.finding(FIELDS, "key", "two key fields have the same position.", "Number them 1, 2, …")
    primary = {str(item.get("name")) for item in top if item.get("primaryKey") is True}
    if _is_state(document) and primary and primary != keys.keys():
        message = "is a state whose primary key is not its record key: compaction would mix or keep too much."
        yield document.finding(FIELDS, "key", message, "Give partitioned and primaryKey to the same fields.")


def _is_state(document: Document) -> bool:
    custom = _items(document.data.get("customProperties"))
    return any(one.get("property") == "kind" and one.get("value") == "state" for _, one in custom)


def _references(
    folder: Folder, topic: names.Topic, document: Document, written: list[Written]
) -> Iterator[Finding]:
    for field in written:
        to = _at(field.item, ("relationships", 0, "to"))
        if not isinstance(to, str):
            continue
        at = (*field.at, "relationships", 0, "to")
        why, remedy = _reference_flaw(folder, topic, field, to)
        if why:
            yield document.finding(at, "reference", f"field `{field.path}` refers to {why}.", remedy)


def _reference_flaw(folder: Folder, topic: names.Topic, field: Written, to: str) -> tuple[str, str]:
    form = "../<department>/<event>.v<major>.yaml#/schema/<event>/properties/<field>"
    match = REFERENCE.fullmatch(to)
    if match is None:
        return (
            "something that is no field of a contract here",
            f"Write {form}; nothing is read from elsewhere.",
        )
    target = names.Topic(match[1] or topic.department, match[2], int(match[3]))
    if target in folder.unread:
        return "", ""
    if target not in folder.contracts or match[4] != target.event:
        return f"{target}, which has no contract", f"Write {form}, or add that contract."
    fields = iter_written(_at(folder.contracts[target].data, FIELDS), FIELDS)
    found = next((one.item for one in fields if one.depth == 1 and one.name == match[5]), None)
    if found is None:
        return f"`{match[5]}`, which is no field of {target}", "Name a field that is there."
    if not any(found.get(flag) is True for flag in ("unique", "primaryKey")):
        return (
            f"`{match[5]}`, which does not identify a fact of {target}",
            "Refer to its key, or a unique field.",
        )
    if found.get("logicalType") != field.item.get("logicalType"):
        return f"`{match[5]}` of {target}, which has another type", "Give both the same type."
    return "", ""


def _grants(folder: Folder, document: Document, written: list[Written]) -> Iterator[Finding]:
    top = {field.name for field in written if field.depth == 1}
    keys = key_fields(
        [dict(field.item) for field in written if field.depth == 1 and "name" in field.item]
    ).keys()
    first: dict[str, int] = {}
    for position, role in _items(document.data.get("roles")):
        at: At = ("roles", position)
        who = f"the grant to {role.get('role', 'nobody')}"
        if isinstance(name := role.get("role"), str) and name not in folder.departments:
            remedy = f"Correct the name, or add contracts/{name}/department.yaml."
            yield document.finding((*at, "role"), "grant", f"{who} names no department here.", remedy)
        custom = role.get("customProperties")
        yield from _custom(document, (*at, "customProperties"), custom)
        said = {str(one.get("property")): one.get("value") for _, one in _items(custom)}
        for wanted in ("legalBasis", "purpose", "fields", "until"):
            if wanted not in said:
                remedy = "Nobody reads without a legal basis, a purpose, a list of fields and an end: add it."
                yield document.finding(at, "grant", f"{who} has no {wanted}.", remedy)
        yield from _granted_fields(document, at, who, said.get("fields"), top, set(keys))
        yield from _until(document, at, who, said.get("until"))
        group = f"{role.get('role')}.{said.get('purpose')}"
        if group in first:
            message = f"{who} for {said.get('purpose')} is there twice, first on line {first[group]}."
            yield document.finding(at, "grant", message, "One purpose, one grant: join them.")
        first.setdefault(group, document.line(*at))


def _granted_fields(
    document: Document, at: At, who: str, fields: Any, top: set[str], keys: set[str]
) -> Iterator[Finding]:
    if not isinstance(fields, list):
        return
    granted = {name for name in fields if isinstance(name, str)}
    where = (*at, "customProperties")
    if unknown := sorted(granted - top):
        yield document.finding(
            where, "grant", f"{who} lists {', '.join(unknown)}: no such field.", "Correct it."
        )
    if missing := sorted(keys - granted):
        remedy = "Grant the key too: without it nobody can tell what a fact is about."
        yield document.finding(where, "grant", f"{who} leaves out the key, {', '.join(missing)}.", remedy)


def _until(document: Document, at: At, who: str, until: Any) -> Iterator[Finding]:
    if not isinstance(until, str):
        return
    try:
        date.fromisoformat(until)
    except ValueError:
        yield document.finding(at, "grant", f"{who} ends on a day that does not exist.", "Write YYYY-MM-DD.")


def _promises(document: Document) -> Iterator[Finding]:
    said = [str(one.get("property")) for _, one in _items(document.data.get("slaProperties"))]
    at: At = ("slaProperties",)
    wanted = ["latency", "frequency"] + ([] if _is_state(document) else ["retention"])
    if document.data.get("status") == "deprecated":
        wanted.append("endOfLife")
    yield from _end(document, document.data.get("slaProperties"))
    for promise in wanted:
        if promise not in said:
            message = f"there is no promise of {promise}."
            remedy = f"Add {{property: {promise}, value: …, unit: …}} to slaProperties."
            yield document.finding(at, "promise", message, remedy)
    for promise in sorted({one for one in said if said.count(one) > 1}):
        yield document.finding(at, "promise", f"{promise} is promised twice.", "Keep one.")


def _end(document: Document, promises: Any) -> Iterator[Finding]:
    for position, one in _items(promises):
        if one.get("property") == "endOfLife" and isinstance(day := one.get("value"), str):
            try:
                date.fromisoformat(day)
            except ValueError:
                at: At = ("slaProperties", position, "value")
                message = "the end of life is a day that does not exist."
                yield document.finding(at, "promise", message, "Write YYYY-MM-DD.")


def _custom(document: Document, at: At, custom: Any) -> Iterator[Finding]:
    said = [str(one.get("property")) for _, one in _items(custom)]
    for name in sorted({one for one in said if said.count(one) > 1}):
        yield document.finding(at, "repeated", f"{name} is said twice.", "Keep one.")


def _rules(document: Document, written: list[Written]) -> Iterator[Finding]:
    known = {field.path: field for field in written}
    first: dict[str, int] = {}
    for position, rule in _items(_at(document.data, RULES)):
        at = (*RULES, position)
        name, expression = str(rule.get("name")), rule.get("implementation")
        if name in first:
            message = f"rule {name} is there twice, first on line {first[name]}."
            yield document.finding(
                (*at, "name"), "rule", message, "Rename one: refusals are counted by rule."
            )
        first.setdefault(name, document.line(*at))
        if isinstance(expression, str):
            for why, remedy in _rule_flaws(expression, known):
                yield document.finding((*at, "implementation"), "rule", f"rule {name} {why}.", remedy)


def _rule_flaws(expression: str, known: Mapping[str, Written]) -> Iterator[tuple[str, str]]:
    try:
        compile_rule(expression, {})
    except ContractsNotSound as flaw:
        yield f"cannot be read: {' '.join(str(flaw.fields['reason']).split())}", flaw.fields["remedy"]
        return
    bare = _TEXT.sub("''", expression)
    for attribute in sorted(set(_EVENT.findall(bare)) - set(_AROUND)):
        yield f"names event.{attribute}", f"A rule may name event.{', event.'.join(_AROUND)}."
    for dotted in sorted({found[1:] for found in _DATA.findall(bare)}):
        path = dotted.replace(".", "/")
        if path not in known:
            yield f"names data.{dotted}, which is no field", "Correct the name."
            continue
        steps = dotted.split(".")
        for end in range(1, len(steps) + 1):
            part = ".".join(steps[:end])
            optional = known["/".join(steps[:end])].is_optional
            if optional and not re.search(rf"\bhas\(\s*data\.{re.escape(part)}\s*\)", bare):
                yield (
                    f"names data.{part}, which may be absent; the rule could then not be evaluated",
                    f"Ask first: !has(data.{part}) || …",
                )
