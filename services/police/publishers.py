"""Facts that leave the department: personal numbers, residences registered and closed."""

from datetime import date, datetime, timedelta, timezone
from typing import Literal

from lienthong import Connection, NotHandled
from services.police import numbers, police, store
from services.police.events import (
    DeathRegistered,
    PersonNumbered,
    ResidenceClosed,
    ResidenceRegistered,
)

HANOI = timezone(timedelta(hours=7))


class SexUndetermined(NotHandled):
    """A personal number says the sex; of this child it is not determined."""

    code = "sex-undetermined"
    remedy = "When it is determined, the registration is corrected; send the letter again then."


async def number(db: Connection, child: store.Complete) -> None:
    """Give a registered child its number, and register its residence where that was asked for."""
    if child.notice.sex == "undetermined":
        raise SexUndetermined(reason="the sex of the child is not determined")
    registered, dossier = child.registered, child.dossier
    await store.mark_numbered(db, registered)
    await publish_number(
        db,
        registration_number=registered.registration_number,
        dossier_code=registered.dossier_code,
        full_name=dossier.child.full_name,
        sex=child.notice.sex,
        born_on=child.notice.born_at.astimezone(HANOI).date(),
    )
    if "residence-registration" in dossier.procedures:
        now = datetime.now(HANOI)
        residence = ResidenceRegistered(
            residence_number=await store.register_residence(db, registered, now),
            registration_number=registered.registration_number,
            dossier_code=registered.dossier_code,
            unit_code=registered.unit_code,
            registered_at=now,
        )
        await police.publish(db, residence, happened_at=now)


async def publish_number(
    db: Connection,
    *,
    registration_number: str,
    dossier_code: str,
    full_name: str,
    sex: Literal["female", "male"],
    born_on: date,
) -> None:
    """Draw a number that nobody has, enter the person and publish it; the latest of a registration holds."""
    while True:
        drawn = numbers.draw(sex, born_on, police.random)
        if await store.add_person(db, drawn, registration_number, full_name, sex, born_on):
            break
    now = datetime.now(HANOI)
    numbered = PersonNumbered(
        registration_number=registration_number,
        dossier_code=dossier_code,
        personal_number=drawn,
        full_name=full_name,
        born_on=born_on,
        numbered_at=now,
    )
    await police.publish(db, numbered, happened_at=now)


async def close_for_death(db: Connection, death: DeathRegistered) -> None:
    """Close the residence of a deceased, once."""
    now = datetime.now(HANOI)
    number = await store.next_closing(db, now)
    if await store.close(db, death.registration_number, number, death.personal_number, death.died_on):
        await publish_closing(db, number, death.dossier_code, "death", now)


async def publish_closing(
    db: Connection,
    number: str,
    dossier_code: str,
    ground: Literal["death", "birth-annulled"],
    closed_at: datetime,
) -> None:
    """Publish that a residence is closed."""
    closed = ResidenceClosed(
        closing_number=number, dossier_code=dossier_code, closed_at=closed_at, ground=ground
    )
    await police.publish(db, closed, happened_at=closed_at)
