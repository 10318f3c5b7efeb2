"""Tell a dossier's story from its events: each step, when, by whom, and what is awaited until when."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Final

from lienthong.contracts.contract import Field
from lienthong.contracts.load import Contracts
from lienthong.event import is_uuid
from lienthong.procedures.procedure import PUBLIC, Fact, Procedure
from lienthong.procedures.trail import Found, Trail
from lienthong.working_days import HANOI, due_on, working_days_between

IDENTIFIERS: Final = ("_id", "_code", "_number")


@dataclass(frozen=True, slots=True)
class Awaited:
    """A fact that has not come yet, and whose it is."""

    topic: str
    title: str
    department: str


@dataclass(frozen=True, slots=True)
class StepTold:
    """A step of this dossier."""

    step: str
    label: str
    label_en: str
    department: str
    status: str
    """`done`, `awaited`, `ended` (it will not be done) or `undone` (done, and taken back since)."""
    done_at: datetime | None
    event_id: str | None
    due_on: date | None
    late_working_days: int
    awaits: tuple[Awaited, ...]
    """What has to come first; none where the department itself is at it."""


@dataclass(frozen=True, slots=True)
class EventTold:
    """One event: what, when, by whom, where on the bus; of its data only codes and words of code lists."""

    topic: str
    title: str
    part: str
    department: str
    event_id: str | None
    partition: int
    offset: int
    happened_at: datetime
    recorded_at: datetime
    cause: str | None
    """The event of this story that it came of."""
    codes: dict[str, list[str]]
    """By the field's Vietnamese name."""


@dataclass(frozen=True, slots=True)
class Story:
    """A dossier, from its submission to its end."""

    dossier: str
    procedure: str
    name: str
    name_en: str
    status: str
    """`open`, `completed`, `returned` or `annulled`."""
    submitted_at: datetime | None
    corrected: bool
    reasons: tuple[str, ...]
    replaced_by: str | None
    replaces: str | None
    other_dossiers: tuple[str, ...]
    steps: tuple[StepTold, ...]
    events: tuple[EventTold, ...]
    unreadable: int

    def as_json(self) -> dict[str, Any]:
        """Give the story as plain data."""
        return asdict(self)


def tell(trail: Trail, contracts: Contracts, today: date) -> Story | None:
    """Tell what the events of a trail say; None where there are none."""
    procedure = trail.procedure
    if procedure is None:
        return None
    found = sorted(trail.found.values(), key=lambda one: (one.event.recorded_at, one.event.id))
    parts = {one.fact.part: one for one in reversed(found)}
    submitted_at = _submitted_at(procedure, parts.get("opens"))
    asked = _asked(procedure, parts.get("opens"))
    ended = "annulled" if "annuls" in parts else "returned" if "returns" in parts else None
    steps = tuple(
        _step(procedure, fact, found, contracts, submitted_at, today, ended=ended)
        for fact in sorted(procedure.steps, key=lambda one: one.step.working_days if one.step else 0)
        if fact.step is not None and (asked is None or fact.step.name in asked)
    )
    is_done = all(one.status == "done" for one in steps)
    replaced_by, replaces = _replacement(trail, parts)
    return Story(
        dossier=trail.dossier,
        procedure=procedure.code,
        name=procedure.opening.name,
        name_en=procedure.opening.name_en,
        status=ended or ("completed" if is_done else "open"),
        submitted_at=submitted_at,
        corrected="corrects" in parts,
        reasons=_reasons(parts),
        replaced_by=replaced_by,
        replaces=replaces,
        other_dossiers=tuple(sorted(trail.others)),
        steps=steps,
        events=tuple(_event(one, trail, contracts) for one in found),
        unreadable=trail.unreadable,
    )


def _submitted_at(procedure: Procedure, opening: Found | None) -> datetime | None:
    if opening is None:
        return None
    return datetime.fromisoformat(str(opening.data[procedure.opening.submitted_at]))


def _asked(procedure: Procedure, opening: Found | None) -> Sequence[str] | None:
    """List the steps that the dossier asks for; None where it asks for all, or nobody knows."""
    if opening is None or procedure.opening.asks is None:
        return None
    asked: Sequence[str] | None = opening.data.get(procedure.opening.asks)
    return asked


def _step(
    procedure: Procedure,
    fact: Fact,
    found: Sequence[Found],
    contracts: Contracts,
    submitted_at: datetime | None,
    today: date,
    *,
    ended: str | None,
) -> StepTold:
    assert fact.step is not None
    came = {one.fact.topic for one in found}
    done = next((one for one in found if one.fact.topic == fact.topic), None)
    due = due_on(submitted_at, fact.step.working_days) if submitted_at else None
    until = done.event.time.astimezone(HANOI).date() if done else today
    is_awaited = done is None and ended is None
    status = "done" if done else "awaited" if is_awaited else "ended"
    if done and ended == "annulled":
        status = "undone"
    missing = [procedure.fact(topic) for topic in fact.after if topic not in came]
    return StepTold(
        step=fact.step.name,
        label=fact.step.label,
        label_en=fact.step.label_en,
        department=_name(fact.department, contracts),
        status=status,
        done_at=done.event.time if done else None,
        event_id=_safe(done.event.id) if done else None,
        due_on=due,
        late_working_days=working_days_between(due, until) if due and (done or is_awaited) else 0,
        awaits=tuple(_awaited(one, contracts) for one in missing) if is_awaited else (),
    )


def _awaited(fact: Fact, contracts: Contracts) -> Awaited:
    return Awaited(fact.topic, fact.contract.title, _name(fact.department, contracts))


def _replacement(trail: Trail, parts: Mapping[str, Found]) -> tuple[str | None, str | None]:
    """Tell which dossier took the place of this one, and whose place this one took.

    The bus does not say it: of two dossiers on one ground the later came in the place of the one that had
    been returned by then.
    """
    others = sorted(trail.others.values(), key=lambda one: one.recorded_at)
    returned, opened = parts.get("returns"), parts.get("opens")
    by = next(
        (one.dossier for one in others if returned and one.recorded_at > returned.event.recorded_at), None
    )
    placed = [
        one.dossier
        for one in others
        if opened and one.returned_at is not None and one.returned_at < opened.event.recorded_at
    ]
    return by, placed[-1] if placed else None


def _reasons(parts: Mapping[str, Found]) -> tuple[str, ...]:
    """List why a dossier was returned, or its registration annulled, in the contract's words."""
    ending = parts.get("annuls") or parts.get("returns")
    if ending is None:
        return ()
    words = [word for item in ending.fact.contract.fields for word in _words(item, ending.data)]
    return tuple(words)


def _event(found: Found, trail: Trail, contracts: Contracts) -> EventTold:
    event, position = found.event, found.event.position
    assert position is not None
    told = ((item.label, _codes(item, found.data, contracts)) for item in found.fact.contract.fields)
    return EventTold(
        topic=found.fact.topic,
        title=found.fact.contract.title,
        part=found.fact.part,
        department=_name(found.fact.department, contracts),
        event_id=_safe(event.id),
        partition=position.partition,
        offset=position.offset,
        happened_at=event.time,
        recorded_at=event.recorded_at,
        cause=_safe(event.causation_id) if event.causation_id in trail.found else None,
        codes={label: codes for label, codes in told if codes},
    )


def _codes(item: Field, data: Mapping[str, Any], contracts: Contracts) -> list[str]:
    """Tell what a field says, where it may be told: a code that is nobody's, or a word of a code list."""
    value = data.get(item.name)
    if item.classification not in PUBLIC or value is None:
        return []
    if item.codes or item.items:
        return _words(item, data)
    # Of reference data, such as a ward, the code tells nothing of the dossier's way.
    refers = contracts.contracts.get(item.reference or "")
    if not item.name.endswith(IDENTIFIERS) or (refers is not None and refers.is_state):
        return []
    return [value] if isinstance(value, str) and _has_form(item, value) else []


def _has_form(item: Field, value: str) -> bool:
    """Tell whether a code has the form that its contract says: what does not may be anything."""
    try:
        return re.fullmatch(str(item.options.get("pattern", "")), value) is not None
    except re.error:
        return False


def _words(item: Field, data: Mapping[str, Any]) -> list[str]:
    """Give the Vietnamese words of a code list's values; what is not in the list is not repeated."""
    inner = item.items or item
    if not inner.codes or not {inner.classification, item.classification} <= set(PUBLIC):
        return []
    labels = {code.value: code.label for code in inner.codes}
    value = data.get(item.name)
    listed = value if isinstance(value, list) else [value]
    return [labels[one] for one in listed if isinstance(one, str) and one in labels]


def _safe(event_id: str | None) -> str | None:
    """Give an event's id; one of a foreign program may be anything, a citizen's number too."""
    return event_id if event_id is not None and is_uuid(event_id) else None


def _name(department: str, contracts: Contracts) -> str:
    card = contracts.departments.get(department)
    return card.name if card else department
