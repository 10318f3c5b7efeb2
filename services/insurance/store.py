"""The department's own tables: children on their way to a card, cards, and closings."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from lienthong import Connection
from services.insurance.events import BirthCorrected, DeathRegistered, DossierSubmitted, PersonNumbered

TABLES = """
-- One row a dossier, however dossier and number arrive; both writers lock it, so one of them sees both.
CREATE TABLE IF NOT EXISTS child (
    dossier_code    text PRIMARY KEY,
    notification_id text,
    procedures      jsonb,
    numbered        jsonb,
    numberings      integer NOT NULL DEFAULT 0
);
-- What Justice said later of a registration, whether or not there is a card yet.
CREATE TABLE IF NOT EXISTS registration (
    registration_number text PRIMARY KEY,
    corrected           jsonb,
    corrections         integer NOT NULL DEFAULT 0,
    is_annulled         boolean NOT NULL DEFAULT false
);
CREATE TABLE IF NOT EXISTS card (
    card_number         text PRIMARY KEY,
    registration_number text NOT NULL UNIQUE,
    dossier_code        text NOT NULL,
    personal_number     text NOT NULL,
    full_name           text NOT NULL,
    born_on             date NOT NULL,
    valid_until_on      date NOT NULL,
    issues              integer NOT NULL DEFAULT 1,
    closed_on           date
);
CREATE INDEX IF NOT EXISTS card_of_person ON card (personal_number);
-- Closings for a death; most of the deceased got their cards long before this book was opened.
CREATE TABLE IF NOT EXISTS closing (
    registration_number text PRIMARY KEY,
    closing_number      text NOT NULL UNIQUE,
    personal_number     text NOT NULL,
    closed_on           date NOT NULL,
    undone_at           timestamptz
);
CREATE SEQUENCE IF NOT EXISTS card_serial;
CREATE SEQUENCE IF NOT EXISTS issue_serial;
CREATE SEQUENCE IF NOT EXISTS closing_serial;
CREATE OR REPLACE VIEW awaiting AS
    SELECT dossier_code FROM child WHERE numbered IS NULL AND procedures ? 'health-insurance-card';
-- What the department did about every fact that it reads; the ledger holds it against the bus.
CREATE OR REPLACE VIEW effect (consumer_group, topic, key, times) AS
    SELECT 'insurance.child-card', 'onestop.dossier-submitted.v1', notification_id, 1::bigint
    FROM child WHERE procedures IS NOT NULL
    UNION ALL SELECT 'insurance.child-card', 'police.person-numbered.v1',
        numbered ->> 'registration_number', numberings
    FROM child WHERE numbered IS NOT NULL
    UNION ALL SELECT 'insurance.child-card', 'justice.birth-corrected.v1', registration_number, corrections
    FROM registration WHERE corrections > 0
    UNION ALL SELECT 'insurance.child-card', 'justice.birth-annulled.v1', registration_number, 1
    FROM registration WHERE is_annulled
    UNION ALL SELECT 'insurance.card-closing', 'justice.death-registered.v1', registration_number, 1
    FROM closing
    UNION ALL SELECT 'insurance.card-closing', 'justice.death-annulled.v1', registration_number, 1
    FROM closing WHERE undone_at IS NOT NULL;
"""

_NOTE_DOSSIER = """
INSERT INTO child (dossier_code, notification_id, procedures) VALUES ($1, $2, $3)
ON CONFLICT (dossier_code)
DO UPDATE SET notification_id = excluded.notification_id, procedures = excluded.procedures
RETURNING procedures, numbered
"""
_NOTE_NUMBERED = """
INSERT INTO child (dossier_code, numbered, numberings) VALUES ($1, $2, 1)
ON CONFLICT (dossier_code)
DO UPDATE SET numbered = excluded.numbered, numberings = child.numberings + 1 RETURNING procedures, numbered
"""
_NOTE_CORRECTED = """
INSERT INTO registration (registration_number, corrected, corrections) VALUES ($1, $2, 1)
ON CONFLICT (registration_number)
DO UPDATE SET corrected = excluded.corrected, corrections = registration.corrections + 1
"""
_NOTE_ANNULLED = """
INSERT INTO registration (registration_number, is_annulled) VALUES ($1, true)
ON CONFLICT (registration_number) DO UPDATE SET is_annulled = true
"""
_ADD_CARD = """
INSERT INTO card (card_number, registration_number, dossier_code, personal_number, full_name, born_on,
    valid_until_on) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_CHANGE_CARD = """
UPDATE card SET personal_number = $2, full_name = $3, born_on = $4, valid_until_on = $5, issues = issues + 1
WHERE registration_number = $1
"""
_CLOSE = """
INSERT INTO closing (registration_number, closing_number, personal_number, closed_on) VALUES ($1, $2, $3, $4)
ON CONFLICT (registration_number) DO NOTHING RETURNING closing_number
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose card it is, as printed on it."""

    personal_number: str
    full_name: str
    born_on: date


@dataclass(frozen=True, slots=True)
class Card:
    """A card in the book."""

    dossier_code: str
    holder: Holder
    is_closed: bool


async def note_dossier(db: Connection, dossier: DossierSubmitted) -> PersonNumbered | None:
    """Keep what a dossier asks for; gives the child's number if a card is due."""
    about = dossier.dossier_code, dossier.notification_id
    return _due(await db.fetchrow(_NOTE_DOSSIER, *about, list(dossier.procedures)))


async def note_numbered(db: Connection, numbered: PersonNumbered) -> PersonNumbered | None:
    """Keep a child's number; gives it back if a card is due."""
    kept = numbered.model_dump(mode="json")
    return _due(await db.fetchrow(_NOTE_NUMBERED, numbered.dossier_code, kept))


async def lock(db: Connection, registration_number: str) -> None:
    """Take turns over a registration: number, correction and annulment may come side by side."""
    await db.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", registration_number)


async def note_corrected(db: Connection, corrected: BirthCorrected) -> None:
    """Keep a correction; the latest holds."""
    await db.execute(_NOTE_CORRECTED, corrected.registration_number, corrected.model_dump(mode="json"))


async def note_annulled(db: Connection, registration_number: str) -> None:
    """Keep an annulment: no card from now on."""
    await db.execute(_NOTE_ANNULLED, registration_number)


async def find_later(db: Connection, registration_number: str) -> tuple[BirthCorrected | None, bool]:
    """Find what Justice said later: the correction, and whether it was annulled."""
    row = await db.fetchrow(
        "SELECT corrected, is_annulled FROM registration WHERE registration_number = $1", registration_number
    )
    if row is None:
        return None, False
    return BirthCorrected.model_validate(row["corrected"]) if row["corrected"] else None, row["is_annulled"]


async def find_card(db: Connection, registration_number: str) -> Card | None:
    """Find the card of a registration."""
    row = await db.fetchrow("SELECT * FROM card WHERE registration_number = $1", registration_number)
    if row is None:
        return None
    holder = Holder(row["personal_number"], row["full_name"], row["born_on"])
    return Card(row["dossier_code"], holder, row["closed_on"] is not None)


async def add_card(
    db: Connection, registration_number: str, dossier_code: str, holder: Holder, until: date
) -> None:
    """Add a card: TE1 for a child under six, 01 for the city, and a serial number."""
    serial = await db.fetchval("SELECT nextval('card_serial')")
    await db.execute(
        _ADD_CARD,
        f"TE101{serial:010d}",
        registration_number,
        dossier_code,
        holder.personal_number,
        holder.full_name,
        holder.born_on,
        until,
    )


async def change_card(db: Connection, registration_number: str, holder: Holder, until: date) -> None:
    """Print a card again with what is right now."""
    await db.execute(
        _CHANGE_CARD, registration_number, holder.personal_number, holder.full_name, holder.born_on, until
    )


async def close_card(db: Connection, registration_number: str, on: date) -> None:
    """Close the card of a registration."""
    await db.execute("UPDATE card SET closed_on = $2 WHERE registration_number = $1", registration_number, on)


async def next_number(db: Connection, prefix: str, book: str, at: datetime) -> str:
    """Draw the next number of a book: `BH-2025-000001`."""
    serial = await db.fetchval("SELECT nextval($1::text::regclass)", book)
    return f"{prefix}-{at.year}-{serial:06d}"


async def close(db: Connection, death: DeathRegistered, closing_number: str) -> bool:
    """Close the card of a deceased; False where it was closed before for the same registration."""
    if (
        await db.fetchval(
            _CLOSE, death.registration_number, closing_number, death.personal_number, death.died_on
        )
        is None
    ):
        return False
    await _set_closed(db, death.personal_number, death.died_on)
    return True


async def reopen(db: Connection, registration_number: str) -> bool:
    """Undo a closing; False where there is none yet."""
    number = await db.fetchval(
        "UPDATE closing SET undone_at = coalesce(undone_at, now()) WHERE registration_number = $1"
        " RETURNING personal_number",
        registration_number,
    )
    if number is None:
        return False
    await _set_closed(db, number, None)
    return True


async def _set_closed(db: Connection, personal_number: str, closed_on: date | None) -> None:
    await db.execute("UPDATE card SET closed_on = $2 WHERE personal_number = $1", personal_number, closed_on)


def _due(row: Any) -> PersonNumbered | None:
    """Give the number if it is there and a card was asked for."""
    if row["numbered"] is None or "health-insurance-card" not in (row["procedures"] or ()):
        return None
    return PersonNumbered.model_validate(row["numbered"])
