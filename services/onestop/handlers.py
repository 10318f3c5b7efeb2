"""What the department does when others speak: it follows each dossier through all departments to its end."""

from lienthong import Connection, Event, NotHandled
from services.onestop import onestop, publishers, store
from services.onestop.events import (
    BirthAnnulled,
    BirthRegistered,
    CardClosed,
    CardIssued,
    DeathAnnulled,
    DeathRegistered,
    DossierRejected,
    ResidenceClosed,
    ResidenceRegistered,
)

FOLLOW_UP = "dossier-follow-up"

onestop.keeps("science.unit.v1", purpose="reference")
onestop.keeps("science.agency.v1", purpose="reference")


class DossierUnknown(NotHandled):
    """A department names a dossier that no counter opened."""

    code = "dossier-unknown"
    remedy = "Ask that department which dossier it meant."


@onestop.reads("justice.birth-registered.v1", purpose=FOLLOW_UP)
async def note_birth(event: Event[BirthRegistered], db: Connection) -> None:
    """Note that the birth of a dossier is registered."""
    done = event.data
    dossier = await _dossier(db, done.dossier_code, done.registration_number)
    await publishers.advance(db, dossier, "birth-registration", done.registered_at, done.registration_number)


@onestop.reads("justice.death-registered.v1", purpose=FOLLOW_UP)
async def note_death(event: Event[DeathRegistered], db: Connection) -> None:
    """Note that the death of a dossier is registered."""
    done = event.data
    dossier = await _dossier(db, done.dossier_code, done.registration_number)
    await publishers.advance(db, dossier, "death-registration", done.registered_at, done.registration_number)


@onestop.reads("police.residence-registered.v1", purpose=FOLLOW_UP)
async def note_residence(event: Event[ResidenceRegistered], db: Connection) -> None:
    """Note that the residence of a dossier's child is registered."""
    done = event.data
    dossier = await _dossier(db, done.dossier_code)
    await publishers.advance(db, dossier, "residence-registration", done.registered_at, done.residence_number)


@onestop.reads("police.residence-closed.v1", purpose=FOLLOW_UP)
async def note_residence_closed(event: Event[ResidenceClosed], db: Connection) -> None:
    """Note that a residence is closed: a step for a death, no news for a birth that was annulled."""
    done = event.data
    dossier = await _dossier(db, done.dossier_code)
    await publishers.advance(db, dossier, "residence-closing", done.closed_at, done.closing_number)


@onestop.reads("insurance.card-issued.v1", purpose=FOLLOW_UP)
async def note_card(event: Event[CardIssued], db: Connection) -> None:
    """Note that the card of a dossier's child is issued."""
    done = event.data
    dossier = await _dossier(db, done.dossier_code)
    await publishers.advance(db, dossier, "health-insurance-card", done.issued_at, done.issue_number)


@onestop.reads("insurance.card-closed.v1", purpose=FOLLOW_UP)
async def note_card_closed(event: Event[CardClosed], db: Connection) -> None:
    """Note that a card is closed: a step for a death, no news for a birth that was annulled."""
    done = event.data
    dossier = await _dossier(db, done.dossier_code)
    await publishers.advance(db, dossier, "card-closing", done.closed_at, done.closing_number)


@onestop.reads("justice.dossier-rejected.v1", purpose=FOLLOW_UP)
async def return_dossier(event: Event[DossierRejected], db: Connection) -> None:
    """Return a dossier to its citizen with every reason."""
    rejected = event.data
    dossier = await _dossier(db, rejected.dossier_code)
    await publishers.turn_back(db, dossier, "returned", rejected.rejected_at, rejected.reasons)


@onestop.reads("justice.birth-annulled.v1", purpose=FOLLOW_UP)
async def annul_birth_dossier(event: Event[BirthAnnulled], db: Connection) -> None:
    """Note that a dossier led to a registration that was annulled."""
    dossier = await _dossier(db, event.data.dossier_code)
    await publishers.turn_back(db, dossier, "annulled", event.data.annulled_at)


@onestop.reads("justice.death-annulled.v1", purpose=FOLLOW_UP)
async def annul_death_dossier(event: Event[DeathAnnulled], db: Connection) -> None:
    """Note that a dossier led to a registration that was annulled."""
    dossier = await _dossier(db, event.data.dossier_code)
    await publishers.turn_back(db, dossier, "annulled", event.data.annulled_at)


async def _dossier(
    db: Connection, dossier_code: str, registration_number: str | None = None
) -> store.Dossier:
    dossier = await store.find_dossier(db, dossier_code, registration_number)
    if dossier is None:
        raise DossierUnknown(reason=f"dossier {dossier_code} was opened by no counter")
    return dossier
