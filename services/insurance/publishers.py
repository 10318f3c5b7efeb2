"""Facts that leave the department: cards issued and closed."""

import calendar
from datetime import date, datetime, timedelta, timezone
from typing import Literal

from lienthong import Connection
from services.insurance import insurance, store
from services.insurance.events import CardClosed, CardIssued, DeathRegistered, PersonNumbered

HANOI = timezone(timedelta(hours=7))
SCHOOL = (9, 30)
"""A child's card holds until school: 30 September of the year in which it turns six, if that is later."""


async def issue(db: Connection, numbered: PersonNumbered) -> None:
    """Issue a child's card, or issue it again where number, name or birthday changed. Twice is once."""
    registration = numbered.registration_number
    await store.lock(db, registration)
    corrected, is_annulled = await store.find_later(db, registration)
    if is_annulled:
        return
    # A correction of the register holds over what the number was given for.
    told = corrected or numbered
    holder = store.Holder(numbered.personal_number, told.full_name, told.born_on)
    until = valid_until(holder.born_on)
    card = await store.find_card(db, registration)
    if card is None:
        await store.add_card(db, registration, numbered.dossier_code, holder, until)
    elif card.is_closed or card.holder == holder:
        return
    else:
        await store.change_card(db, registration, holder, until)
    await _publish_issue(db, numbered.dossier_code, until)


async def reissue(db: Connection, registration: str, full_name: str, born_on: date) -> None:
    """Issue a card again after a correction; where there is none, nothing is to be done."""
    card = await store.find_card(db, registration)
    if card is None or card.is_closed:
        return
    holder = store.Holder(card.holder.personal_number, full_name, born_on)
    if holder != card.holder:
        until = valid_until(born_on)
        await store.change_card(db, registration, holder, until)
        await _publish_issue(db, card.dossier_code, until)


async def close_for_annulment(db: Connection, registration: str) -> None:
    """Close the card of a birth that was annulled; where there is none, nothing is to be done."""
    card = await store.find_card(db, registration)
    if card is None or card.is_closed:
        return
    now = datetime.now(HANOI)
    await store.close_card(db, registration, now.date())
    number = await store.next_number(db, "BK", "closing_serial", now)
    await _publish_closing(db, number, card.dossier_code, "birth-annulled", now)


async def close_for_death(db: Connection, death: DeathRegistered) -> None:
    """Close the card of a deceased, once."""
    now = datetime.now(HANOI)
    number = await store.next_number(db, "BK", "closing_serial", now)
    if await store.close(db, death, number):
        await _publish_closing(db, number, death.dossier_code, "death", now)


def valid_until(born_on: date) -> date:
    """Tell the last day of a child's card: the end of the month of its sixth birthday, or until school."""
    year = born_on.year + 6
    month_end = date(year, born_on.month, calendar.monthrange(year, born_on.month)[1])
    return max(month_end, date(year, *SCHOOL))


async def _publish_issue(db: Connection, dossier_code: str, until: date) -> None:
    now = datetime.now(HANOI)
    issued = CardIssued(
        issue_number=await store.next_number(db, "BH", "issue_serial", now),
        dossier_code=dossier_code,
        issued_at=now,
        valid_until_on=until,
    )
    await insurance.publish(db, issued, happened_at=now)


async def _publish_closing(
    db: Connection, number: str, dossier_code: str, ground: Literal["death", "birth-annulled"], at: datetime
) -> None:
    closed = CardClosed(closing_number=number, dossier_code=dossier_code, closed_at=at, ground=ground)
    await insurance.publish(db, closed, happened_at=at)
