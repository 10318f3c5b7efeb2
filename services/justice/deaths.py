"""The department's own tables for deaths: deaths that await their other half, and the register."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lienthong import Connection
from services.justice.events import DeathNotified, DeathRegistered, DeathSubmitted

TABLES = """
CREATE TABLE IF NOT EXISTS death (
    notice_id text PRIMARY KEY,
    notice    jsonb,
    dossier   jsonb,
    opened_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS death_registration (
    registration_number text PRIMARY KEY,
    notice_id           text NOT NULL UNIQUE REFERENCES death,
    dossier_code        text NOT NULL UNIQUE,
    personal_number     text NOT NULL,
    registered_at       timestamptz NOT NULL,
    entry               jsonb NOT NULL,
    annulled_at         timestamptz
);
-- Nobody dies twice: two notices for one person make one registration.
CREATE UNIQUE INDEX IF NOT EXISTS death_of_person ON death_registration (personal_number)
    WHERE annulled_at IS NULL;
CREATE SEQUENCE IF NOT EXISTS death_serial;
CREATE OR REPLACE VIEW death_awaiting AS
    SELECT notice_id, CASE WHEN dossier IS NULL THEN 'dossier' ELSE 'notice' END AS awaits, opened_at
    FROM death WHERE notice IS NULL OR dossier IS NULL;
-- What the department did about every fact that it reads; the ledger holds it against the bus.
CREATE OR REPLACE VIEW effect (consumer_group, topic, key, times) AS
    SELECT * FROM birth_effect
    UNION ALL SELECT 'justice.death-registration', 'health.death-notified.v1', notice_id, 1
    FROM death WHERE notice IS NOT NULL
    UNION ALL SELECT 'justice.death-registration', 'onestop.death-submitted.v1', notice_id, 1
    FROM death WHERE dossier IS NOT NULL
    UNION ALL SELECT 'justice.death-registration', 'onestop.death-submitted.v1', r.notice_number, 1
    FROM rejection r LEFT JOIN death d ON d.notice_id = r.notice_number
    WHERE r.procedure = 'death' AND d.dossier ->> 'dossier_code' IS DISTINCT FROM r.dossier_code
    UNION ALL SELECT 'justice.reference', topic, key, 1
    FROM lienthong.state WHERE topic IN ('science.unit.v1', 'health.facility.v1');
"""

_NOTE_NOTICE = """
INSERT INTO death (notice_id, notice) VALUES ($1, $2)
ON CONFLICT (notice_id) DO UPDATE SET notice = excluded.notice RETURNING notice, dossier
"""
_NOTE_DOSSIER = """
INSERT INTO death (notice_id, dossier) VALUES ($1, $2)
ON CONFLICT (notice_id) DO UPDATE SET dossier = coalesce(death.dossier, excluded.dossier)
RETURNING notice, dossier
"""
_ENTER = """
INSERT INTO death_registration
    (registration_number, notice_id, dossier_code, personal_number, registered_at, entry)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING registration_number
"""
_ANNUL = """
UPDATE death_registration SET annulled_at = $2 WHERE registration_number = $1
"""


@dataclass(frozen=True, slots=True)
class Death:
    """What has come so far of one death."""

    notice: DeathNotified | None
    dossier: DeathSubmitted | None


@dataclass(frozen=True, slots=True)
class Registration:
    """A death in the register."""

    registration_number: str
    dossier_code: str
    is_annulled: bool


async def note_notice(db: Connection, notice: DeathNotified) -> Death:
    """Keep a notice."""
    return _death(await db.fetchrow(_NOTE_NOTICE, notice.notice_id, notice.model_dump(mode="json")))


async def note_dossier(db: Connection, dossier: DeathSubmitted) -> Death:
    """Keep a death's first dossier; a later one does not take its place."""
    return _death(await db.fetchrow(_NOTE_DOSSIER, dossier.notice_id, dossier.model_dump(mode="json")))


async def number(db: Connection, unit_code: str, registered_at: datetime) -> str:
    """Draw the next registration number."""
    serial = await db.fetchval("SELECT nextval('death_serial')")
    return f"{unit_code}-KT{registered_at.year}-{serial:06d}"


async def find_number(db: Connection, notice_id: str) -> str | None:
    """Find under which number a death was registered."""
    found: str | None = await db.fetchval(
        "SELECT registration_number FROM death_registration WHERE notice_id = $1", notice_id
    )
    return found


async def enter(db: Connection, registered: DeathRegistered, entry: dict[str, object]) -> bool:
    """Enter a death in the register; False where this death, or this person's, was entered before."""
    entered = await db.fetchval(
        _ENTER,
        registered.registration_number,
        registered.notice_id,
        registered.dossier_code,
        registered.personal_number,
        registered.registered_at,
        entry,
    )
    return entered is not None


async def find_registration(db: Connection, number: str) -> Registration | None:
    """Find a registration by its number or its notice's, and hold its row until the transaction ends."""
    row = await db.fetchrow(
        "SELECT * FROM death_registration WHERE registration_number = $1 OR notice_id = $1 FOR UPDATE", number
    )
    if row is None:
        return None
    return Registration(row["registration_number"], row["dossier_code"], row["annulled_at"] is not None)


async def annul(db: Connection, registration_number: str, at: datetime) -> None:
    """Mark a registration as annulled."""
    await db.execute(_ANNUL, registration_number, at)


def _death(row: Any) -> Death:
    return Death(
        DeathNotified.model_validate(row["notice"]) if row["notice"] else None,
        DeathSubmitted.model_validate(row["dossier"]) if row["dossier"] else None,
    )
