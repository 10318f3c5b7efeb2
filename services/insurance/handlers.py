"""What the department does when others speak: it issues cards, changes them and closes them."""

from lienthong import Connection, Event, NotYet
from services.insurance import insurance, publishers, store
from services.insurance.events import (
    BirthAnnulled,
    BirthCorrected,
    DeathAnnulled,
    DeathRegistered,
    DossierSubmitted,
    PersonNumbered,
)

BIRTH, DEATH = "child-card", "card-closing"


@insurance.reads("onestop.dossier-submitted.v1", purpose=BIRTH)
async def note_dossier(event: Event[DossierSubmitted], db: Connection) -> None:
    """Keep whether a card was asked for."""
    if numbered := await store.note_dossier(db, event.data):
        await publishers.issue(db, numbered)


@insurance.reads("police.person-numbered.v1", purpose=BIRTH)
async def note_numbered(event: Event[PersonNumbered], db: Connection) -> None:
    """Keep a child's number and issue its card, if one was asked for. A new number means a new card."""
    if numbered := await store.note_numbered(db, event.data):
        await publishers.issue(db, numbered)


@insurance.reads("justice.birth-corrected.v1", purpose=BIRTH)
async def correct(event: Event[BirthCorrected], db: Connection) -> None:
    """Print the card again with the corrected name and birthday."""
    corrected = event.data
    await store.lock(db, corrected.registration_number)
    await store.note_corrected(db, corrected)
    await publishers.reissue(db, corrected.registration_number, corrected.full_name, corrected.born_on)


@insurance.reads("justice.birth-annulled.v1", purpose=BIRTH)
async def annul(event: Event[BirthAnnulled], db: Connection) -> None:
    """Close the card of a birth that was annulled, and issue none later."""
    await store.lock(db, event.data.registration_number)
    await store.note_annulled(db, event.data.registration_number)
    await publishers.close_for_annulment(db, event.data.registration_number)


@insurance.reads("justice.death-registered.v1", purpose=DEATH)
async def close_card(event: Event[DeathRegistered], db: Connection) -> None:
    """Close the card of a deceased. Twice is the same as once."""
    await publishers.close_for_death(db, event.data)


@insurance.reads("justice.death-annulled.v1", purpose=DEATH)
async def reopen_card(event: Event[DeathAnnulled], db: Connection) -> None:
    """Open the card again of somebody who is alive after all."""
    if not await store.reopen(db, event.data.registration_number):
        raise NotYet(reason="the card of this registration is not closed yet")
