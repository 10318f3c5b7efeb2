"""The department's own tables for births: births that await their other half, and the register."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from lienthong import Connection
from services.justice.events import BirthNotified, BirthRegistered, DossierSubmitted, ForeignParentDeclared

TABLES = """
-- One row a birth, however its parts arrive; every writer locks it, so the last of them sees all.
CREATE TABLE IF NOT EXISTS birth (
    notification_id text PRIMARY KEY,
    notification    jsonb,
    notified_times  integer NOT NULL DEFAULT 0,
    dossier         jsonb,
    is_annulled     boolean NOT NULL DEFAULT false,
    opened_at       timestamptz NOT NULL DEFAULT now()
);
-- A foreign parent belongs to one dossier; another dossier for the same birth may name another.
CREATE TABLE IF NOT EXISTS foreign_parent (
    dossier_code    text PRIMARY KEY,
    notification_id text NOT NULL REFERENCES birth,
    declared        jsonb NOT NULL
);
CREATE TABLE IF NOT EXISTS registration (
    registration_number text PRIMARY KEY,
    notification_id     text NOT NULL UNIQUE REFERENCES birth,
    dossier_code        text NOT NULL UNIQUE,
    registered_at       timestamptz NOT NULL,
    entry               jsonb NOT NULL,
    personal_number     text,
    annulled_at         timestamptz
);
-- Numbers as the police gave them; the latest holds.
CREATE TABLE IF NOT EXISTS number_given (
    personal_number     text PRIMARY KEY,
    registration_number text NOT NULL REFERENCES registration
);
-- Dossiers turned down, with every reason; `notice_number` says which birth or death they were about.
CREATE TABLE IF NOT EXISTS rejection (
    dossier_code  text PRIMARY KEY,
    procedure     text NOT NULL CHECK (procedure IN ('birth', 'death')),
    notice_number text NOT NULL,
    reasons       text[] NOT NULL,
    rejected_at   timestamptz NOT NULL
);
-- One number for the whole city, so that two registrars never wait for each other; numbers may have gaps.
CREATE SEQUENCE IF NOT EXISTS registration_serial;
CREATE SEQUENCE IF NOT EXISTS correction_serial;
CREATE OR REPLACE VIEW awaiting AS
    SELECT notification_id, CASE WHEN dossier IS NULL THEN 'dossier' ELSE 'notification' END AS awaits,
        opened_at
    FROM birth WHERE (notification IS NULL OR dossier IS NULL) AND NOT is_annulled;
-- What each fact about births came to; a dossier is either kept or turned down on the spot.
CREATE OR REPLACE VIEW birth_effect (consumer_group, topic, key, times) AS
    SELECT 'justice.birth-registration', 'health.birth-notified.v1', notification_id, notified_times
    FROM birth WHERE notified_times > 0
    UNION ALL SELECT 'justice.birth-registration', 'health.birth-notice-annulled.v1', notification_id, 1
    FROM birth WHERE is_annulled
    UNION ALL SELECT 'justice.birth-registration', 'onestop.dossier-submitted.v1', notification_id, 1
    FROM birth WHERE dossier IS NOT NULL
    UNION ALL SELECT 'justice.birth-registration', 'onestop.dossier-submitted.v1', r.notice_number, 1
    FROM rejection r LEFT JOIN birth b ON b.notification_id = r.notice_number
    WHERE r.procedure = 'birth' AND b.dossier ->> 'dossier_code' IS DISTINCT FROM r.dossier_code
    UNION ALL SELECT 'justice.birth-registration', 'onestop.foreign-parent-declared.v1', notification_id, 1
    FROM foreign_parent
    UNION ALL SELECT 'justice.birth-registration', 'police.person-numbered.v1', registration_number, 1
    FROM number_given;
"""

_NOTE_NOTIFICATION = """
INSERT INTO birth (notification_id, notification, notified_times) VALUES ($1, $2, 1)
ON CONFLICT (notification_id) DO UPDATE
SET notification = excluded.notification, notified_times = birth.notified_times + 1 RETURNING *
"""
_NOTE_DOSSIER = """
INSERT INTO birth (notification_id, dossier) VALUES ($1, $2)
ON CONFLICT (notification_id) DO UPDATE SET dossier = coalesce(birth.dossier, excluded.dossier) RETURNING *
"""
_NOTE_FOREIGN_PARENT = """
INSERT INTO foreign_parent (dossier_code, notification_id, declared) VALUES ($1, $2, $3)
ON CONFLICT (dossier_code) DO UPDATE SET declared = excluded.declared
"""
_LOCK_BIRTH = """
INSERT INTO birth (notification_id) VALUES ($1)
ON CONFLICT (notification_id) DO UPDATE SET notification_id = excluded.notification_id
"""
_NOTE_NUMBER = """
WITH given AS (
    INSERT INTO number_given (personal_number, registration_number)
    SELECT $2, registration_number FROM registration WHERE registration_number = $1
    ON CONFLICT (personal_number) DO NOTHING
)
UPDATE registration SET personal_number = $2 WHERE registration_number = $1 RETURNING true
"""
_NOTE_REJECTION = """
INSERT INTO rejection (dossier_code, procedure, notice_number, reasons, rejected_at)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT (dossier_code) DO NOTHING RETURNING true
"""
_ANNUL_NOTICE = """
INSERT INTO birth (notification_id, is_annulled) VALUES ($1, true)
ON CONFLICT (notification_id) DO UPDATE SET is_annulled = true RETURNING *
"""
_ENTER = """
INSERT INTO registration (registration_number, notification_id, dossier_code, registered_at, entry)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT (notification_id) DO NOTHING RETURNING registration_number
"""
_FIND_REGISTRATION = """
SELECT registration_number, notification_id, dossier_code, entry, annulled_at FROM registration
WHERE registration_number = $1 OR notification_id = $1 FOR UPDATE
"""

Procedure = Literal["birth", "death"]


@dataclass(frozen=True, slots=True)
class Birth:
    """What has come so far of one birth."""

    notification: BirthNotified | None
    dossier: DossierSubmitted | None
    is_annulled: bool

    @property
    def is_complete(self) -> bool:
        return self.notification is not None and self.dossier is not None and not self.is_annulled


@dataclass(frozen=True, slots=True)
class Registration:
    """A birth in the register."""

    registration_number: str
    notification_id: str
    dossier_code: str
    entry: dict[str, Any]
    is_annulled: bool


async def note_notification(db: Connection, notification: BirthNotified) -> Birth:
    """Keep a notification."""
    return _birth(await db.fetchrow(_NOTE_NOTIFICATION, notification.notification_id, _plain(notification)))


async def note_dossier(db: Connection, dossier: DossierSubmitted) -> Birth:
    """Keep a birth's first dossier; a later one does not take its place."""
    return _birth(await db.fetchrow(_NOTE_DOSSIER, dossier.notification_id, _plain(dossier)))


async def note_foreign_parent(db: Connection, declared: ForeignParentDeclared) -> None:
    """Keep a foreign parent; of an earlier dossier, or of one to come."""
    await db.execute(_LOCK_BIRTH, declared.notification_id)
    kept = _plain(declared)
    await db.execute(_NOTE_FOREIGN_PARENT, declared.dossier_code, declared.notification_id, kept)


async def find_foreign_parent(db: Connection, dossier_code: str) -> ForeignParentDeclared | None:
    """Find the foreign parent that a dossier declares."""
    declared = await db.fetchval("SELECT declared FROM foreign_parent WHERE dossier_code = $1", dossier_code)
    return ForeignParentDeclared.model_validate(declared) if declared else None


async def annul_notice(db: Connection, notification_id: str) -> Birth:
    """Keep that a notice was taken back, even one that has not come yet."""
    return _birth(await db.fetchrow(_ANNUL_NOTICE, notification_id))


async def number(db: Connection, unit_code: str, registered_at: datetime) -> str:
    """Draw the next registration number."""
    serial = await db.fetchval("SELECT nextval('registration_serial')")
    return f"{unit_code}-{registered_at.year}-{serial:06d}"


async def number_correction(db: Connection, corrected_at: datetime) -> str:
    """Draw the next number of a correction."""
    serial = await db.fetchval("SELECT nextval('correction_serial')")
    return f"CC-{corrected_at.year}-{serial:06d}"


async def enter(db: Connection, registered: BirthRegistered, entry: dict[str, object]) -> bool:
    """Enter a birth in the register; False where it was entered before."""
    entered = await db.fetchval(
        _ENTER,
        registered.registration_number,
        registered.notification_id,
        registered.dossier_code,
        registered.registered_at,
        entry,
    )
    return entered is not None


async def find_registration(db: Connection, number: str) -> Registration | None:
    """Find a registration by its number or its notice's, and hold its row until the transaction ends."""
    row = await db.fetchrow(_FIND_REGISTRATION, number)
    if row is None:
        return None
    return Registration(
        row["registration_number"],
        row["notification_id"],
        row["dossier_code"],
        row["entry"],
        row["annulled_at"] is not None,
    )


async def rewrite(db: Connection, registration_number: str, entry: dict[str, Any]) -> None:
    """Write a corrected or supplemented entry."""
    await db.execute(
        "UPDATE registration SET entry = $2 WHERE registration_number = $1", registration_number, entry
    )


async def set_personal_number(db: Connection, registration_number: str, personal_number: str) -> bool:
    """Write a child's personal number beside its entry; False where the number is not in the register."""
    return await db.fetchval(_NOTE_NUMBER, registration_number, personal_number) is True


async def note_rejection(
    db: Connection,
    dossier_code: str,
    procedure: Procedure,
    notice_number: str,
    reasons: Sequence[str],
    at: datetime,
) -> bool:
    """Note that a dossier is turned down; False where it was before."""
    noted = await db.fetchval(_NOTE_REJECTION, dossier_code, procedure, notice_number, list(reasons), at)
    return noted is True


async def annul(db: Connection, registration_number: str, at: datetime) -> None:
    """Mark a registration as annulled."""
    await db.execute(
        "UPDATE registration SET annulled_at = $2 WHERE registration_number = $1", registration_number, at
    )


def _birth(row: Any) -> Birth:
    notification, dossier = row["notification"], row["dossier"]
    return Birth(
        BirthNotified.model_validate(notification) if notification else None,
        DossierSubmitted.model_validate(dossier) if dossier else None,
        row["is_annulled"],
    )


def _plain(data: BirthNotified | DossierSubmitted | ForeignParentDeclared) -> dict[str, Any]:
    return data.model_dump(mode="json", exclude_none=True)
