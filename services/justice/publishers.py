"""Facts that leave the department: registered births and deaths, and dossiers that were turned down."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from lienthong import Connection, NotHandled, NotYet
from services.justice import deaths, justice, store, units
from services.justice.events import (
    BirthNotified,
    BirthRegistered,
    DeathNotified,
    DeathRegistered,
    DeathSubmitted,
    DossierRejected,
    DossierSubmitted,
    Facility,
    ForeignParentDeclared,
    Unit,
)

HANOI = timezone(timedelta(hours=7))


class RegistrarDivided(NotHandled):
    """The unit that accepted the dossier was divided since, and nobody says who goes on with it."""

    code = "registrar-divided"
    remedy = "Let one of today's units take the dossier over and submit it again."


async def register(
    db: Connection,
    notification: BirthNotified,
    dossier: DossierSubmitted,
    foreign_parent: ForeignParentDeclared | None = None,
) -> None:
    """Enter a birth in the register and publish that it is there; a birth that is there stays as it is.

    Raises:
        NotYet: a unit or the facility that the entry must name has not come yet.
    """
    registrar = await _registrar(db, dossier.unit_code)
    residence = await units.find_place(db, notification.mother.unit_code)
    registered_at = datetime.now(HANOI)
    registered = BirthRegistered(
        registration_number=await store.number(db, registrar.unit_code, registered_at),
        dossier_code=dossier.dossier_code,
        notification_id=notification.notification_id,
        unit_code=registrar.unit_code,
        registered_at=registered_at,
    )
    place = await _place_of(db, notification.facility_code)
    entry = write_entry(notification, dossier, registrar.name, str(residence), place)
    if foreign_parent and foreign_parent.dossier_code == dossier.dossier_code:
        entry = with_foreign_father(entry, foreign_parent)
    if await store.enter(db, registered, entry):
        await justice.publish(db, registered, happened_at=registered_at)


async def register_death(db: Connection, notice: DeathNotified, dossier: DeathSubmitted) -> None:
    """Enter a death in the register and publish that it is there; nobody is registered dead twice.

    Raises:
        NotYet: a unit or the facility that the entry must name has not come yet.
    """
    registrar = await _registrar(db, dossier.unit_code)
    residence = await units.find_place(db, notice.deceased.unit_code)
    registered_at = datetime.now(HANOI)
    registered = DeathRegistered(
        registration_number=await deaths.number(db, registrar.unit_code, registered_at),
        dossier_code=dossier.dossier_code,
        notice_id=notice.notice_id,
        unit_code=registrar.unit_code,
        registered_at=registered_at,
        personal_number=notice.deceased.personal_number,
        died_on=notice.died_at.astimezone(HANOI).date(),
    )
    entry: dict[str, object] = {
        "registered_by": registrar.name,
        "submitted_at": dossier.submitted_at.isoformat(),
        "deceased": {
            **notice.deceased.model_dump(mode="json", exclude={"unit_code"}),
            "residence": str(residence),
        },
        "died_at": notice.died_at.isoformat(),
        "deathplace": await _place_of(db, notice.facility_code),
        "declarant": dossier.declarant.model_dump(mode="json"),
    }
    if await deaths.enter(db, registered, entry):
        await justice.publish(db, registered, happened_at=registered_at)
    elif await deaths.find_number(db, notice.notice_id) is None:
        await reject(db, "death", dossier.dossier_code, dossier.notice_id, ["died-already"])


async def reject(
    db: Connection, procedure: store.Procedure, dossier_code: str, notice_number: str, reasons: Sequence[str]
) -> None:
    """Turn a dossier down with every reason, so that the citizen can correct all of it at once. Once."""
    now = datetime.now(HANOI)
    if not await store.note_rejection(db, dossier_code, procedure, notice_number, reasons, now):
        return
    rejected = DossierRejected.model_validate(
        {"dossier_code": dossier_code, "rejected_at": now, "reasons": list(reasons)}
    )
    await justice.publish(db, rejected, happened_at=now)


async def _registrar(db: Connection, unit_code: str) -> Unit:
    """Find who registers: the unit that accepted the dossier, or the one it was merged into since."""
    registrar = (await units.find_place(db, unit_code)).one
    if registrar is None:
        raise RegistrarDivided(reason="the unit that accepted the dossier was divided since")
    return registrar


async def _place_of(db: Connection, facility_code: str) -> str:
    """Name a facility as the register does, with its ward or commune."""
    facility = await justice.find_state(db, Facility, facility_code)
    if facility is None:
        raise NotYet(reason="the facility that the entry must name has not come yet")
    return f"{facility.name}, {await units.find_place(db, facility.unit_code)}"


def write_entry(
    notification: BirthNotified,
    dossier: DossierSubmitted,
    registrar: str,
    residence: str,
    birthplace: str,
) -> dict[str, Any]:
    """Write what the register says of a birth, from what each department knows; nothing is asked twice."""
    mother, father, declarant = notification.mother, dossier.father, dossier.declarant
    known = {
        "mother": (mother.full_name, mother.personal_number),
        "father": (father.full_name, father.personal_number) if father else (None, None),
    }
    name, number = known.get(declarant.relationship, (declarant.full_name, declarant.personal_number))
    return {
        "registered_by": registrar,
        "submitted_at": dossier.submitted_at.isoformat(),
        "child": {
            "full_name": dossier.child.full_name,
            "sex": notification.sex,
            "born_at": notification.born_at.isoformat(),
            "birthplace": birthplace,
            # A child follows one of its parents; a dossier names an ethnicity only to choose the father's.
            "ethnicity_code": dossier.child.ethnicity_code or mother.ethnicity_code,
        },
        "mother": {**mother.model_dump(mode="json", exclude={"unit_code"}), "residence": residence},
        "father": father.model_dump(mode="json") if father else None,
        "declarant": {"relationship": declarant.relationship, "full_name": name, "personal_number": number},
    }


def with_foreign_father(entry: dict[str, Any], declared: ForeignParentDeclared) -> dict[str, Any]:
    """Supplement an entry with a foreign father and the nationality agreed for the child."""
    child = {**entry["child"], "nationality_code": declared.child_nationality_code}
    return {**entry, "child": child, "father": declared.foreign_parent.model_dump(mode="json")}
