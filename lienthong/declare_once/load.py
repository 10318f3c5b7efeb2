"""Read the forms of all rooms; what is misspelt, fictitious or incomplete is found with its line."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lienthong.contracts import Contracts, Finding
from lienthong.contracts.document import At, Document, read_document
from lienthong.contracts.load import not_sound
from lienthong.declare_once.form import Form, Paper, Place, Question
from lienthong.declare_once.soundness import soundness_findings

FORM_KEYS: Final = {
    "form": str,
    "name": str,
    "name_en": str,
    "legal_basis": str,
    "dossier": dict,
    "besides": list,
    "groups": list,
    "papers": list,
    "known": dict,
    "questions": list,
}
PAPER_KEYS: Final = {"paper": str, "name": str, "name_en": str}
CONDITION_KEYS: Final = {"place": str, "value": str}
QUESTION_KEYS: Final = {"concept": str, "label": str, "label_en": str, "papers": list}
QUESTION_MAY: Final = {
    "asked": list,
    "asked_when": str,
    "asked_when_en": str,
    "taken_from": str,
    "made": str,
    "outside": str,
    "fills": list,
    "when": list,
}
PLACE: Final = re.compile(r"([a-z]+\.[a-z]+(?:-[a-z]+)*\.v[1-9][0-9]{0,3})#([a-z0-9_]+(?:\.[a-z0-9_]+)*)")
CONCEPT: Final = re.compile(r"[a-z]+(?:\.[a-z_]+)+")
KINDS: Final[Mapping[type[Any], str]] = {str: "a text", list: "a list", dict: "a mapping"}


def load_forms(contracts: Contracts) -> list[Form]:
    """Read every form beside these contracts.

    Raises:
        ContractsNotSound: with every finding, unless all is sound.
    """
    forms, findings = _read_forms(contracts)
    if findings:
        raise not_sound(findings)
    return forms


def check_forms(contracts: Contracts) -> list[Finding]:
    """List every problem of the forms; an empty list is a yes."""
    return sorted(set(_read_forms(contracts)[1]))


def _read_forms(contracts: Contracts) -> tuple[list[Form], list[Finding]]:
    forms: list[Form] = []
    findings: list[Finding] = []
    for path in sorted((contracts.root / "services").glob("*/forms/*.yaml")):
        if not path.resolve().is_relative_to(contracts.root.resolve()):
            message, remedy = "is a link that leads out of this folder.", "Put the file itself here."
            findings.append(Finding(path.relative_to(contracts.root), 1, "file-link", message, remedy))
            continue
        document, found = read_document(path, contracts.root)
        if document is not None and not found:
            form, found = judge(document, contracts)
            forms += [form] if form is not None else []
        findings += found
    findings += _names_taken_twice(forms)
    return forms, findings


def judge(document: Document, contracts: Contracts) -> tuple[Form | None, list[Finding]]:
    """Make a form of a document; None where its shape forbids, and everything found is listed."""
    if wrong := list(_shape_findings(document)):
        return None, wrong
    form = _form(document)
    return form, list(soundness_findings(form, document, contracts))


def _names_taken_twice(forms: list[Form]) -> Iterator[Finding]:
    seen: dict[str, Form] = {}
    for form in forms:
        if (first := seen.setdefault(form.form, form)) is not form:
            message = f"has the name `{form.form}`, which {first.file.as_posix()} has."
            yield Finding(form.file, 1, "form-name", message, "Name one of the two otherwise.")


def _shape_findings(document: Document) -> Iterator[Finding]:
    """Look at keys and kinds of values, before anything is built from them."""
    data = document.data
    wrong = list(_keys(document, (), data, FORM_KEYS))
    if wrong:
        yield from wrong
        return
    if data["form"] != document.path.stem:
        message = f"calls itself `{data['form']}`."
        yield document.finding(("form",), "form-name", message, f"Write `form: {document.path.stem}`.")
    yield from _keys(document, ("dossier",), data["dossier"], {"topic": str, "code": str})
    for number, paper in enumerate(data["papers"]):
        at: At = ("papers", number)
        yield from _keys(document, at, paper, PAPER_KEYS, {"asked_for": dict})
        if isinstance(paper, dict) and isinstance(paper.get("asked_for"), dict):
            yield from _keys(document, (*at, "asked_for"), paper["asked_for"], CONDITION_KEYS)
            yield from _places(document, (*at, "asked_for"), [paper["asked_for"].get("place")])
    yield from _known_findings(document, data["known"])
    for number, question in enumerate(data["questions"]):
        at = ("questions", number)
        wrong = list(_keys(document, at, question, QUESTION_KEYS, QUESTION_MAY))
        yield from wrong
        if not wrong:
            yield from _question_findings(document, at, question)


def _known_findings(document: Document, known: Mapping[str, Any]) -> Iterator[Finding]:
    for topic, fields in known.items():
        if not isinstance(fields, dict):
            yield document.finding(
                ("known", topic), "form-shape", "is no mapping.", "Write field: [concept]."
            )
            continue
        for path, concepts in fields.items():
            at: At = ("known", topic, path)
            yield from _places(document, at, [f"{topic}#{path}"])
            if not isinstance(concepts, list) or not concepts:
                yield document.finding(at, "form-shape", "names no concept.", "Write field: [concept].")
                continue
            for concept in concepts:
                yield from _concept_findings(document, at, concept)


def _question_findings(document: Document, at: At, question: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _concept_findings(document, at, question["concept"])
    for name in ("asked", "fills", "when"):
        yield from _places(document, (*at, name), question.get(name, []))
    if "taken_from" in question:
        yield from _places(document, (*at, "taken_from"), [question["taken_from"]])
    answers = [name for name in ("taken_from", "made", "outside") if name in question]
    if len(answers) > 1 or (not answers and "asked" not in question):
        message = "has more than one answer." if answers else "says neither who is asked nor who answers."
        yield document.finding(
            at, "form-answer", message, "Write one of taken_from, made and outside, or asked."
        )
    both = "asked" in question and bool({"taken_from", "made"} & set(answers))
    if both != ("asked_when" in question) or both != ("asked_when_en" in question):
        message = "is asked and answered by us besides, or tells when it is asked though it always is."
        remedy = "With both, tell in asked_when and asked_when_en when it is asked; else leave these out."
        yield document.finding(at, "form-asked-when", message, remedy)
    if "asked" in question and "outside" in question:
        remedy = "What is asked is on the bus: leave outside away."
        yield document.finding(at, "form-answer", "is asked, and answered elsewhere.", remedy)


def _concept_findings(document: Document, at: At, concept: object) -> Iterator[Finding]:
    if not isinstance(concept, str) or not CONCEPT.fullmatch(concept):
        remedy = "Write whose it is and what: mother.full_name."
        yield document.finding(at, "form-concept", f"`{concept}` is no concept.", remedy)


def _places(document: Document, at: At, places: list[Any]) -> Iterator[Finding]:
    for place in places:
        if not isinstance(place, str) or not PLACE.fullmatch(place):
            remedy = "Write <department>.<event>.v<major>#<field>."
            yield document.finding(at, "form-place", f"`{place}` is no field of a dataset.", remedy)


def _keys(
    document: Document,
    at: At,
    data: object,
    must: Mapping[str, type[Any]],
    may: Mapping[str, type[Any]] | None = None,
) -> Iterator[Finding]:
    if not isinstance(data, dict):
        yield document.finding(at, "form-shape", "is no mapping.", f"Write {', '.join(must)}.")
        return
    allowed = {**must, **(may or {})}
    for key in sorted(must.keys() - data.keys()):
        yield document.finding(at, "form-shape", f"has no `{key}`.", f"Add it: {KINDS[must[key]]}.")
    for key, value in data.items():
        if key not in allowed:
            remedy = f"Known are {', '.join(allowed)}."
            yield document.finding((*at, key), "form-shape", f"has the unknown key `{key}`.", remedy)
        elif not isinstance(value, allowed[key]) or (isinstance(value, str) and not value.strip()):
            remedy = f"Write {KINDS[allowed[key]]}."
            yield document.finding((*at, key), "form-shape", f"`{key}` is not {KINDS[allowed[key]]}.", remedy)


def _form(document: Document) -> Form:
    data = document.data
    return Form(
        department=document.path.parent.parent.name,
        form=data["form"],
        name=data["name"],
        name_en=data["name_en"],
        legal_basis=data["legal_basis"],
        topic=data["dossier"]["topic"],
        code=data["dossier"]["code"],
        besides=tuple(map(str, data["besides"])),
        groups=tuple(map(str, data["groups"])),
        papers=tuple(_paper(paper) for paper in data["papers"]),
        known={
            Place(topic, path): tuple(concepts)
            for topic, fields in data["known"].items()
            for path, concepts in fields.items()
        },
        questions=tuple(_question(question) for question in data["questions"]),
        file=document.file,
    )


def _paper(paper: Mapping[str, Any]) -> Paper:
    wanted = paper.get("asked_for")
    place = _place(wanted["place"]) if wanted else None
    return Paper(paper["paper"], paper["name"], paper["name_en"], place, wanted["value"] if wanted else "")


def _question(question: Mapping[str, Any]) -> Question:
    texts = {
        name: question[name]
        for name in ("asked_when", "asked_when_en", "made", "outside")
        if name in question
    }
    return Question(
        question["concept"],
        question["label"],
        question["label_en"],
        papers=tuple(map(str, question["papers"])),
        asked=tuple(map(_place, question.get("asked", ()))),
        taken_from=_place(question["taken_from"]) if "taken_from" in question else None,
        fills=tuple(map(_place, question.get("fills", ()))),
        when=tuple(map(_place, question.get("when", ()))),
        **texts,
    )


def _place(text: str) -> Place:
    topic, _, path = text.partition("#")
    return Place(topic, path)
