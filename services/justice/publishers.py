"""Facts that leave the department: registered births."""

from datetime import datetime, timedelta, timezone

from lienthong import Connection, NotYet
from services.justice import justice, store
from services.justice.events import BirthNotified, BirthRegistered, DossierSubmitted, Facility, Unit

HANOI = timezone(timedelta(hours=7))


async def register(db: Connection, notification: BirthNotified, dossier: DossierSubmitted) -> None:
    """Enter a birth in the register and publish that it is there; a birth that is there stays as it is.

    Raises:
        NotYet: a unit or the facility that the entry must name has not come yet.
    """
    registrar = await justice.find_state(db, Unit, dossier.unit_code)
    residence = await justice.find_state(db, Unit, notification.mother.unit_code)
    facility = await justice.find_state(db, Facility, notification.facility_code)
    birthplace = await justice.find_state(db, Unit, facility.unit_code) if facility else None
    if registrar is None or residence is None or facility is None or birthplace is None:
        raise NotYet(reason="a unit or a facility that the entry must name has not come yet")
    registered_at = datetime.now(HANOI)
    registered = BirthRegistered(
        registration_number=await store.number(db, registrar.unit_code, registered_at),
        dossier_code=dossier.dossier_code,
        notification_id=notification.notification_id,
        unit_code=registrar.unit_code,
        registered_at=registered_at,
    )
    entry = write_entry(notification, dossier, registrar, residence, f"{facility.name}, {birthplace.name}")
    if await store.enter(db, registered, entry):
        await justice.publish(db, registered, happened_at=registered_at)


def write_entry(
    notification: BirthNotified,
    dossier: DossierSubmitted,
    registrar: Unit,
    residence: Unit,
    birthplace: str,
) -> dict[str, object]:
    """Write what the register says of a birth, from what each department knows; nothing is asked twice."""
    mother, father, declarant = notification.mother, dossier.father, dossier.declarant
    known = {
        "mother": (mother.full_name, mother.personal_number),
        "father": (father.full_name, father.personal_number) if father else (None, None),
    }
    name, number = known.get(declarant.relationship, (declarant.full_name, declarant.personal_number))
    return {
        "registered_by": registrar.name,
        "submitted_at": dossier.submitted_at.isoformat(),
        "child": {
            "full_name": dossier.child.full_name,
            "sex": notification.sex,
            "born_at": notification.born_at.isoformat(),
            "birthplace": birthplace,
            # A child follows one of its parents; a dossier names an ethnicity only to choose the father's.
            "ethnicity_code": dossier.child.ethnicity_code or mother.ethnicity_code,
        },
        "mother": {**mother.model_dump(mode="json", exclude={"unit_code"}), "residence": residence.name},
        "father": father.model_dump(mode="json") if father else None,
        "declarant": {"relationship": declarant.relationship, "full_name": name, "personal_number": number},
    }
