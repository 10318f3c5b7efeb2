"""The department's own tables: children on their way to a number, persons, residences, and closings."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from lienthong import Connection
from services.police.events import BirthCorrected, BirthNotified, BirthRegistered, DossierSubmitted

TABLES = """
-- One row a birth, however its parts arrive; every writer locks it, so the last of them sees all.
CREATE TABLE IF NOT EXISTS child (
    notification_id     text PRIMARY KEY,
    notice              jsonb,
    notices             integer NOT NULL DEFAULT 0,
    dossiers            jsonb NOT NULL DEFAULT '{}',
    registered          jsonb,
    registration_number text UNIQUE,
    corrections         integer NOT NULL DEFAULT 0,
    annulled_at         timestamptz
);
CREATE TABLE IF NOT EXISTS person (
    personal_number     text PRIMARY KEY,
    registration_number text NOT NULL,
    full_name           text NOT NULL,
    sex                 text NOT NULL,
    born_on             date NOT NULL,
    status              text NOT NULL DEFAULT 'held'
        CHECK (status IN ('held', 'replaced', 'cancelled', 'deceased'))
);
CREATE UNIQUE INDEX IF NOT EXISTS person_held ON person (registration_number)
    WHERE status IN ('held', 'deceased');
CREATE TABLE IF NOT EXISTS residence (
    residence_number    text PRIMARY KEY,
    registration_number text NOT NULL UNIQUE,
    dossier_code        text NOT NULL,
    unit_code           text NOT NULL,
    registered_at       timestamptz NOT NULL,
    closed_on           date
);
-- Closings for a death; most of the deceased came to live here long before this book was opened.
CREATE TABLE IF NOT EXISTS closing (
    registration_number text PRIMARY KEY,
    closing_number      text NOT NULL UNIQUE,
    personal_number     text NOT NULL,
    closed_on           date NOT NULL,
    undone_at           timestamptz
);
CREATE SEQUENCE IF NOT EXISTS residence_serial;
CREATE SEQUENCE IF NOT EXISTS closing_serial;
CREATE OR REPLACE VIEW awaiting AS
    SELECT notification_id, notice IS NULL AS awaits_notice, registered IS NULL AS awaits_registration
    FROM child WHERE registration_number IS NULL AND annulled_at IS NULL;
-- What the department did about every fact that it reads; the ledger holds it against the bus.
CREATE OR REPLACE VIEW effect (consumer_group, topic, key, times) AS
    SELECT 'police.residence-registration', 'health.birth-notified.v1', notification_id, notices
    FROM child WHERE notices > 0
    UNION ALL SELECT 'police.residence-registration', 'onestop.dossier-submitted.v1', notification_id, 1
    FROM child, jsonb_object_keys(dossiers)
    UNION ALL SELECT 'police.residence-registration', 'justice.birth-registered.v1',
        registered ->> 'registration_number', 1
    FROM child WHERE registered IS NOT NULL
    UNION ALL SELECT 'police.residence-registration', 'justice.birth-corrected.v1',
        registration_number, corrections
    FROM child WHERE corrections > 0
    UNION ALL SELECT 'police.residence-registration', 'justice.birth-annulled.v1', registration_number, 1
    FROM child WHERE annulled_at IS NOT NULL
    UNION ALL SELECT 'police.residence-closing', 'justice.death-registered.v1', registration_number, 1
    FROM closing
    UNION ALL SELECT 'police.residence-closing', 'justice.death-annulled.v1', registration_number, 1
    FROM closing WHERE undone_at IS NOT NULL;
"""

_NOTE_NOTICE = """
INSERT INTO child (notification_id, notice, notices) VALUES ($1, $2, 1)
ON CONFLICT (notification_id) DO UPDATE
SET notice = excluded.notice, notices = child.notices + 1 RETURNING *
"""
_NOTE_DOSSIER = """
INSERT INTO child (notification_id, dossiers) VALUES ($1, $2)
ON CONFLICT (notification_id) DO UPDATE SET dossiers = child.dossiers || excluded.dossiers RETURNING *
"""
_NOTE_REGISTERED = """
INSERT INTO child (notification_id, registered) VALUES ($1, $2)
ON CONFLICT (notification_id) DO UPDATE SET registered = excluded.registered RETURNING *
"""
_ADD_PERSON = """
INSERT INTO person (personal_number, registration_number, full_name, sex, born_on) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (personal_number) DO NOTHING RETURNING personal_number
"""
_REGISTER_RESIDENCE = """
INSERT INTO residence (residence_number, registration_number, dossier_code, unit_code, registered_at)
VALUES ($1, $2, $3, $4, $5)
"""
_CLOSE = """
INSERT INTO closing (registration_number, closing_number, personal_number, closed_on) VALUES ($1, $2, $3, $4)
ON CONFLICT (registration_number) DO NOTHING RETURNING closing_number
"""


@dataclass(frozen=True, slots=True)
class Complete:
    """A registered child of whom everything needed has come."""

    notice: BirthNotified
    dossier: DossierSubmitted
    registered: BirthRegistered


@dataclass(frozen=True, slots=True)
class Held:
    """What the book holds of a numbered child."""

    personal_number: str
    full_name: str
    sex: str
    born_on: date
    dossier_code: str
    is_annulled: bool


async def note_notice(db: Connection, notice: BirthNotified) -> Complete | None:
    """Keep a notice; gives the child if it was the last that was missing."""
    return _complete(await db.fetchrow(_NOTE_NOTICE, notice.notification_id, _plain(notice)))


async def note_dossier(db: Connection, dossier: DossierSubmitted) -> Complete | None:
    """Keep a dossier beside others for the same child: which one counts, the registration says."""
    kept = {dossier.dossier_code: _plain(dossier)}
    return _complete(await db.fetchrow(_NOTE_DOSSIER, dossier.notification_id, kept))


async def note_registered(db: Connection, registered: BirthRegistered) -> Complete | None:
    """Keep a registration."""
    return _complete(await db.fetchrow(_NOTE_REGISTERED, registered.notification_id, _plain(registered)))


async def mark_numbered(db: Connection, registered: BirthRegistered) -> None:
    """Note that a child has been numbered, so that it is numbered once."""
    await db.execute(
        "UPDATE child SET registration_number = $2 WHERE notification_id = $1",
        registered.notification_id,
        registered.registration_number,
    )


async def add_person(
    db: Connection, number: str, registration_number: str, full_name: str, sex: str, born_on: date
) -> bool:
    """Add a person; False where the number is somebody's."""
    added = await db.fetchval(_ADD_PERSON, number, registration_number, full_name, sex, born_on)
    return added is not None


async def register_residence(db: Connection, registered: BirthRegistered, at: datetime) -> str:
    """Register a child's residence; gives its number."""
    serial = await db.fetchval("SELECT nextval('residence_serial')")
    number = f"TT-{at.year}-{serial:06d}"
    await db.execute(
        _REGISTER_RESIDENCE,
        number,
        registered.registration_number,
        registered.dossier_code,
        registered.unit_code,
        at,
    )
    return number


async def find_held(db: Connection, registration_number: str) -> Held | None:
    """Find a numbered child, and hold its row until the transaction ends."""
    row = await db.fetchrow(
        "SELECT registered, annulled_at FROM child WHERE registration_number = $1 FOR UPDATE",
        registration_number,
    )
    if row is None:
        return None
    person = await db.fetchrow(
        "SELECT * FROM person WHERE registration_number = $1 ORDER BY status = 'replaced' LIMIT 1",
        registration_number,
    )
    assert person is not None  # written in the transaction that gave the child its number
    return Held(
        person["personal_number"],
        person["full_name"],
        person["sex"],
        person["born_on"],
        row["registered"]["dossier_code"],
        row["annulled_at"] is not None,
    )


async def count_correction(db: Connection, registration_number: str) -> None:
    """Count a correction that came for a numbered child, whatever it changes."""
    await db.execute(
        "UPDATE child SET corrections = corrections + 1 WHERE registration_number = $1", registration_number
    )


async def rename(db: Connection, number: str, corrected: BirthCorrected) -> None:
    """Correct what the book says of a person whose number stays."""
    await db.execute(
        "UPDATE person SET full_name = $2, born_on = $3 WHERE personal_number = $1",
        number,
        corrected.full_name,
        corrected.born_on,
    )


async def set_status(db: Connection, number: str, status: str) -> None:
    """Say what became of a number: held, replaced, cancelled, deceased."""
    await db.execute("UPDATE person SET status = $2 WHERE personal_number = $1", number, status)


async def annul(db: Connection, registration_number: str, at: datetime) -> bool:
    """Annul a child's entries; True where a residence had to be closed."""
    await db.execute(
        "UPDATE child SET annulled_at = $2 WHERE registration_number = $1", registration_number, at
    )
    closed = await db.fetchval(
        "UPDATE residence SET closed_on = $2 WHERE registration_number = $1 AND closed_on IS NULL"
        " RETURNING true",
        registration_number,
        at.date(),
    )
    return closed is True


async def next_closing(db: Connection, at: datetime) -> str:
    """Draw the next closing number."""
    serial = await db.fetchval("SELECT nextval('closing_serial')")
    return f"XT-{at.year}-{serial:06d}"


async def close(
    db: Connection, registration_number: str, closing_number: str, personal_number: str, died_on: date
) -> bool:
    """Close the residence of a deceased; False where it was closed before for the same registration."""
    if await db.fetchval(_CLOSE, registration_number, closing_number, personal_number, died_on) is None:
        return False
    await _set_closed(db, personal_number, died_on, "deceased")
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
    await _set_closed(db, number, None, "held")
    return True


async def _set_closed(db: Connection, personal_number: str, closed_on: date | None, status: str) -> None:
    """Close, or open again, what the book itself holds of a person."""
    await db.execute(
        "UPDATE residence r SET closed_on = $2 FROM person p"
        " WHERE p.personal_number = $1 AND r.registration_number = p.registration_number",
        personal_number,
        closed_on,
    )
    await db.execute(
        "UPDATE person SET status = $2 WHERE personal_number = $1 AND status IN ('held', 'deceased')",
        personal_number,
        status,
    )


def _complete(row: Any) -> Complete | None:
    """Give the child if all its parts are there, the registered dossier among them, and it has no number."""
    if row["registration_number"] or not row["notice"] or not row["registered"]:
        return None
    dossier = row["dossiers"].get(row["registered"]["dossier_code"])
    if dossier is None:
        return None
    return Complete(
        BirthNotified.model_validate(row["notice"]),
        DossierSubmitted.model_validate(dossier),
        BirthRegistered.model_validate(row["registered"]),
    )


def _plain(data: BirthNotified | DossierSubmitted | BirthRegistered) -> dict[str, Any]:
    return data.model_dump(mode="json", exclude_none=True)
