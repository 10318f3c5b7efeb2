"""Facts that leave the department: dossiers that counters accepted, how far they are, what citizens think."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from lienthong import Connection, Refused, after_quiet
from services.onestop import onestop, store, terms
from services.onestop.events import (
    DeathSubmitted,
    DossierAdvanced,
    DossierCompleted,
    DossierSubmitted,
    FeedbackReceived,
    ForeignParentDeclared,
    Unit,
)

UNITS_OF_THE_CITY = 126
MOST_IN_A_MINUTE = 120
"""No counter accepts more; a faulty client does, and would make every other counter wait."""
UNIT_CODE = re.compile(r"[0-9]{5}")
FOREIGN = ("foreign_parent", "child_nationality_code")


class CounterFlooded(Refused):
    """One counter submits more in a minute than people could."""

    code = "counter-flooded"
    remedy = "Stop the client of that counter; what was real is submitted again from the list of problems."


class NotReturned(Refused):
    """A dossier is said to replace one that was not returned."""

    code = "not-returned"
    remedy = "Look up the code of the returned dossier."


class DossierUnknown(Refused):
    """Feedback for a dossier that no counter opened."""

    code = "dossier-unknown"
    remedy = "Ask the citizen for the code on the receipt."


class NotYours(Refused):
    """Feedback without the number on the paper that belongs to the dossier."""

    code = "not-yours"
    remedy = "Ask for the number of the notice that the dossier was opened with."


async def units_are_known(db: Connection) -> bool:
    """Tell whether a counter's code can be checked yet: all of today's units have come."""
    return await onestop.count_state(db, Unit) >= UNITS_OF_THE_CITY


async def turn_floods_away(
    records: Sequence[Mapping[str, Any]], db: Connection
) -> list[CounterFlooded | None]:
    """Turn a counter away that submits more in a minute than people could, before others wait for it."""
    minutes = [_minute_of(record) for record in records]
    counted = await store.count_in_minutes(db, {minute for minute in minutes if minute})
    judged: list[CounterFlooded | None] = []
    for minute in minutes:
        judged.append(None)
        if minute is None:
            continue  # the gate is about to refuse it
        counted[minute] += 1
        if counted[minute] > MOST_IN_A_MINUTE:
            reason = f"one counter submitted more than {MOST_IN_A_MINUTE} dossiers in a minute"
            judged[-1] = CounterFlooded(reason=reason)
    return judged


def _minute_of(record: Mapping[str, Any]) -> tuple[str, datetime] | None:
    """Tell which counter submitted, and in which minute."""
    unit_code, submitted_at = record.get("unit_code"), _instant(record.get("submitted_at"))
    if not isinstance(unit_code, str) or not UNIT_CODE.fullmatch(unit_code) or submitted_at is None:
        return None
    try:
        return unit_code, submitted_at.astimezone(UTC).replace(second=0, microsecond=0)
    except OverflowError:
        return None


@onestop.takes("dossier", ready=units_are_known, sift=turn_floods_away)
async def submit_dossier(record: dict[str, Any], db: Connection) -> None:
    """Submit a birth dossier as a counter entered it.

    Beside the fields of the event the record may hold `replaces`, the code of a returned dossier, and
    `foreign_parent` with `child_nationality_code`, which are a fact of their own.
    """
    fact = dict(record)
    replaces = fact.pop("replaces", None)
    foreign: dict[str, Any] = {name: fact.pop(name) for name in FOREIGN if name in fact}
    submitted_at = _instant(fact.get("submitted_at"))
    await onestop.publish(db, fact, topic=DossierSubmitted.TOPIC, happened_at=submitted_at)
    dossier = DossierSubmitted.model_validate(fact)
    await _open(db, "birth", dossier, dossier.notification_id, dossier.procedures)
    if foreign:
        foreign |= {name: fact[name] for name in ("dossier_code", "notification_id")}
        foreign["declared_at"] = fact["submitted_at"]
        await onestop.publish(db, foreign, topic=ForeignParentDeclared.TOPIC, happened_at=submitted_at)
    if replaces is not None:
        await _replace(db, str(replaces), dossier.dossier_code)


@onestop.takes("resubmission", ready=after_quiet("resubmission"), sift=turn_floods_away)
async def resubmit_dossier(record: dict[str, Any], db: Connection) -> None:
    """Submit a birth dossier that a citizen corrected; it names the returned one that it `replaces`."""
    await submit_dossier(record, db)


@onestop.takes("death-dossier", ready=units_are_known, sift=turn_floods_away)
async def submit_death_dossier(record: dict[str, Any], db: Connection) -> None:
    """Submit a death dossier as a counter entered it; `replaces` as for a birth."""
    fact = dict(record)
    replaces = fact.pop("replaces", None)
    submitted_at = _instant(fact.get("submitted_at"))
    await onestop.publish(db, fact, topic=DeathSubmitted.TOPIC, happened_at=submitted_at)
    dossier = DeathSubmitted.model_validate(fact)
    await _open(db, "death", dossier, dossier.notice_id, terms.DEATH_STEPS)
    if replaces is not None:
        await _replace(db, str(replaces), dossier.dossier_code)


@onestop.takes("feedback", ready=after_quiet("feedback"))
async def receive_feedback(record: dict[str, Any], db: Connection) -> None:
    """Receive feedback about one's own dossier: whoever gives it knows the number on the paper."""
    fact = dict(record)
    notice_number = fact.pop("notice_number", None)
    dossier = await store.find_dossier(db, str(fact.get("dossier_code", "")))
    if dossier is None:
        raise DossierUnknown(reason="no counter opened the dossier that the feedback is about")
    if notice_number != dossier.notice_number:
        raise NotYours(
            reason=f"the feedback does not know what dossier {dossier.dossier_code} was opened with"
        )
    fact["unit_code"] = dossier.unit_code
    received_at = _instant(fact.get("received_at"))
    await onestop.publish(db, fact, topic=FeedbackReceived.TOPIC, happened_at=received_at)
    await store.add_feedback(db, fact["feedback_id"], dossier.dossier_code, fact["rating"])


async def advance(db: Connection, dossier: store.Dossier, step: str, at: datetime, result: str) -> None:
    """Note a step that is done, tell it, and complete the dossier with its last. Twice is once."""
    done = await store.note_done(db, dossier.dossier_code, step, at, result)
    if done is None:
        await store.note_further(db, dossier.dossier_code, step, result)
        return
    await _tell(db, dossier, step, "done", at, done.due_on)
    if dossier.status != "open" or not done.is_last:
        return
    last, completed_at = done.last_due_on, done.last_done_at
    await store.end(db, dossier.dossier_code, "completed", completed_at)
    completed = DossierCompleted(
        dossier_code=dossier.dossier_code,
        procedure=dossier.procedure,
        unit_code=dossier.unit_code,
        submitted_at=dossier.submitted_at,
        completed_at=completed_at,
        due_on=last,
        is_late=_is_late(completed_at, last),
    )
    await onestop.publish(db, completed, happened_at=completed_at)


async def turn_back(
    db: Connection, dossier: store.Dossier, status: str, at: datetime, reasons: Iterable[str] = ()
) -> None:
    """Return or annul a dossier, and tell it at its registration."""
    reasons = tuple(reasons)
    if dossier.status == status:
        return
    await store.end(db, dossier.dossier_code, status, at, reasons)
    step = f"{dossier.procedure}-registration"
    due = next(one.due_on for one in await store.find_steps(db, dossier.dossier_code) if one.name == step)
    await _tell(db, dossier, step, status, at, due, reasons)


async def _tell(
    db: Connection,
    dossier: store.Dossier,
    step: str,
    status: str,
    at: datetime,
    due: date,
    reasons: tuple[str, ...] = (),
) -> None:
    advanced = DossierAdvanced.model_validate(
        {
            "dossier_code": dossier.dossier_code,
            "step": step,
            "status": status,
            "advanced_at": at,
            "due_on": due,
            "is_late": _is_late(at, due),
            "reasons": reasons or None,
        }
    )
    await onestop.publish(db, advanced, happened_at=at)


async def _open(
    db: Connection,
    procedure: store.Procedure,
    dossier: DossierSubmitted | DeathSubmitted,
    notice_number: str,
    steps: Iterable[str],
) -> None:
    due = {step: terms.due_on(dossier.submitted_at, terms.TERMS[step]) for step in steps}
    await store.open_dossier(
        db,
        dossier.dossier_code,
        procedure,
        dossier.unit_code,
        dossier.submitted_at,
        notice_number,
        dossier.model_dump(mode="json", exclude_none=True),
        due,
    )


async def _replace(db: Connection, replaces: str, replaced_by: str) -> None:
    returned = await store.find_dossier(db, replaces)
    if returned is None or returned.status != "returned":
        raise NotReturned(reason=f"dossier {replaced_by} replaces one that was not returned")
    await store.note_replaced(db, replaces, replaced_by)


def _is_late(at: datetime, due: date) -> bool:
    return at.astimezone(terms.HANOI).date() > due


def _instant(text: object) -> datetime | None:
    """Read when it happened; what is no instant with an offset the gate is about to refuse."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
