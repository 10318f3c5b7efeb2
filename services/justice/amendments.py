"""What the registrar's desk changes in the register later: corrections and annulments, which then travel."""

from datetime import date, datetime
from typing import Any

from lienthong import Connection, NotValid, Problem, Refused, after_quiet
from services.justice import deaths, judging, justice, publishers, store
from services.justice.events import BirthAnnulled, BirthCorrected, DeathAnnulled

CORRECTED = ("full_name", "sex", "born_on")


class NeverRegistered(Refused):
    """There is nothing to correct or to annul."""

    code = "never-registered"
    remedy = "Look up the number; what is not in the register yet is corrected in the dossier."


class AnnulledAlready(Refused):
    """The registration was annulled before."""

    code = "annulled-already"
    remedy = "Nothing to do."


class NothingCorrected(Refused):
    """The correction says what the register says already."""

    code = "nothing-corrected"
    remedy = "Say what is to be corrected: full_name, sex or born_on."


@justice.takes("correction", ready=after_quiet("correction"))
async def correct_birth(record: dict[str, Any], db: Connection) -> None:
    """Correct a registered birth: name, sex or birthday, on a ground."""
    found = await store.find_registration(db, str(record.get("number", "")))
    if found is None:
        raise NeverRegistered(reason="there is no registration of this number")
    if found.is_annulled:
        raise AnnulledAlready(reason=f"registration {found.registration_number} was annulled")
    now = datetime.now(publishers.HANOI)
    child = found.entry["child"]
    before = {
        "full_name": child["full_name"],
        "sex": child["sex"],
        "born_on": datetime.fromisoformat(child["born_at"]).astimezone(publishers.HANOI).date().isoformat(),
    }
    after = before | {name: record[name] for name in CORRECTED if name in record}
    if after == before:
        raise NothingCorrected(reason=f"registration {found.registration_number} says so already")
    if not judging.is_letters(str(after["full_name"])):
        raise NotValid(problems=(Problem("/full_name", "letters", "a name is letters only"),))
    fact = {
        "correction_number": await store.number_correction(db, now),
        "registration_number": found.registration_number,
        "corrected_at": now.isoformat(),
        "ground": record.get("ground", ""),
        **after,
    }
    await justice.publish(db, fact, topic=BirthCorrected.TOPIC, happened_at=now)
    await store.rewrite(db, found.registration_number, _corrected(found.entry, after))


@justice.takes("annulment", ready=after_quiet("annulment"))
async def annul_registration(record: dict[str, Any], db: Connection) -> None:
    """Annul a registered birth or death that never should have been registered."""
    number = str(record.get("number", ""))
    if birth := await store.find_registration(db, number):
        if birth.is_annulled:
            raise AnnulledAlready(reason=f"registration {birth.registration_number} was annulled before")
        await annul_birth(db, birth, "wrongly-registered")
    elif death := await deaths.find_registration(db, number):
        if death.is_annulled:
            raise AnnulledAlready(reason=f"registration {death.registration_number} was annulled before")
        await _annul_death(db, death)
    else:
        raise NeverRegistered(reason="there is no registration of this number")


async def annul_birth(db: Connection, birth: store.Registration, reason: str) -> None:
    """Annul a birth and tell everybody who acted on it."""
    now = datetime.now(publishers.HANOI)
    await store.annul(db, birth.registration_number, now)
    annulled = BirthAnnulled.model_validate(
        {
            "registration_number": birth.registration_number,
            "dossier_code": birth.dossier_code,
            "annulled_at": now,
            "reason": reason,
        }
    )
    await justice.publish(db, annulled, happened_at=now)


async def _annul_death(db: Connection, death: deaths.Registration) -> None:
    now = datetime.now(publishers.HANOI)
    await deaths.annul(db, death.registration_number, now)
    annulled = DeathAnnulled(
        registration_number=death.registration_number,
        dossier_code=death.dossier_code,
        annulled_at=now,
        reason="wrongly-registered",
    )
    await justice.publish(db, annulled, happened_at=now)


def _corrected(entry: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Write the corrected entry; the time of day of the birth stays."""
    born_at = datetime.fromisoformat(entry["child"]["born_at"]).astimezone(publishers.HANOI)
    born_at = datetime.combine(date.fromisoformat(str(after["born_on"])), born_at.timetz())
    child = {
        **entry["child"],
        "full_name": after["full_name"],
        "sex": after["sex"],
        "born_at": born_at.isoformat(),
    }
    return {**entry, "child": child}
