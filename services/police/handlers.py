"""What the department does when others speak: it numbers children, registers residences and closes them."""

from datetime import datetime

from lienthong import Connection, Event, NotYet
from services.police import numbers, police, publishers, store
from services.police.events import (
    BirthAnnulled,
    BirthCorrected,
    BirthNotified,
    BirthRegistered,
    DeathAnnulled,
    DeathRegistered,
    DossierSubmitted,
)

BIRTH, DEATH = "residence-registration", "residence-closing"


@police.reads("health.birth-notified.v1", purpose=BIRTH)
async def note_notice(event: Event[BirthNotified], db: Connection) -> None:
    """Keep a notice: it says sex and day of birth."""
    if child := await store.note_notice(db, event.data):
        await publishers.number(db, child)


@police.reads("onestop.dossier-submitted.v1", purpose=BIRTH)
async def note_dossier(event: Event[DossierSubmitted], db: Connection) -> None:
    """Keep a dossier: it says the name, and whether residence was asked for."""
    if child := await store.note_dossier(db, event.data):
        await publishers.number(db, child)


@police.reads("justice.birth-registered.v1", purpose=BIRTH)
async def note_registered(event: Event[BirthRegistered], db: Connection) -> None:
    """Keep a registration: only a registered child is numbered."""
    if child := await store.note_registered(db, event.data):
        await publishers.number(db, child)


@police.reads("justice.birth-corrected.v1", purpose=BIRTH)
async def correct(event: Event[BirthCorrected], db: Connection) -> None:
    """Correct the person; another sex or year of birth means another number."""
    corrected = event.data
    held = await store.find_held(db, corrected.registration_number)
    if held is None:
        raise NotYet(reason="the child of this registration has no number yet")
    await store.count_correction(db, corrected.registration_number)
    if held.is_annulled:
        return
    if corrected.sex == "undetermined":
        raise publishers.SexUndetermined(reason="the corrected sex is not determined")
    if held.sex == corrected.sex and numbers.still_fits(
        held.personal_number, corrected.sex, corrected.born_on
    ):
        await store.rename(db, held.personal_number, corrected)
        return
    await store.set_status(db, held.personal_number, "replaced")
    await publishers.publish_number(
        db,
        registration_number=corrected.registration_number,
        dossier_code=held.dossier_code,
        full_name=corrected.full_name,
        sex=corrected.sex,
        born_on=corrected.born_on,
    )


@police.reads("justice.birth-annulled.v1", purpose=BIRTH)
async def annul(event: Event[BirthAnnulled], db: Connection) -> None:
    """Cancel the number and close the residence of a birth that was annulled."""
    number = event.data.registration_number
    held = await store.find_held(db, number)
    if held is None:
        raise NotYet(reason="the child of this registration has no number yet")
    if held.is_annulled:
        return
    now = datetime.now(publishers.HANOI)
    await store.set_status(db, held.personal_number, "cancelled")
    if await store.annul(db, number, now):
        closing = await store.next_closing(db, now)
        await publishers.publish_closing(db, closing, held.dossier_code, "birth-annulled", now)


@police.reads("justice.death-registered.v1", purpose=DEATH)
async def close_residence(event: Event[DeathRegistered], db: Connection) -> None:
    """Close the residence of a deceased. Twice is the same as once."""
    await publishers.close_for_death(db, event.data)


@police.reads("justice.death-annulled.v1", purpose=DEATH)
async def reopen_residence(event: Event[DeathAnnulled], db: Connection) -> None:
    """Open the residence again of somebody who is alive after all."""
    if not await store.reopen(db, event.data.registration_number):
        raise NotYet(reason="the residence of this registration is not closed yet")
