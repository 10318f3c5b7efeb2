"""The department's own tables: births that await their other half, and the register."""

from datetime import datetime

from lienthong import Connection
from services.justice.events import BirthNotified, BirthRegistered, DossierSubmitted

TABLES = """
-- One row a birth, however its two halves arrive; both writers lock it, so one of them sees both.
CREATE TABLE IF NOT EXISTS birth (
    notification_id text PRIMARY KEY,
    notification    jsonb,
    dossier         jsonb,
    opened_at       timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS registration (
    registration_number text PRIMARY KEY,
    notification_id     text NOT NULL UNIQUE REFERENCES birth,
    dossier_code        text NOT NULL UNIQUE,
    registered_at       timestamptz NOT NULL,
    entry               jsonb NOT NULL
);
-- One number for the whole city, so that two registrars never wait for each other; numbers may have gaps.
CREATE SEQUENCE IF NOT EXISTS registration_serial;
CREATE OR REPLACE VIEW awaiting AS
    SELECT notification_id, CASE WHEN dossier IS NULL THEN 'dossier' ELSE 'notification' END AS awaits,
        opened_at
    FROM birth WHERE notification IS NULL OR dossier IS NULL;
"""

_NOTE_NOTIFICATION = """
INSERT INTO birth (notification_id, notification) VALUES ($1, $2)
ON CONFLICT (notification_id) DO UPDATE SET notification = excluded.notification
RETURNING dossier
"""
_NOTE_DOSSIER = """
INSERT INTO birth (notification_id, dossier) VALUES ($1, $2)
ON CONFLICT (notification_id) DO UPDATE SET dossier = coalesce(birth.dossier, excluded.dossier)
RETURNING notification, dossier ->> 'dossier_code' AS first_code
"""
_ENTER = """
INSERT INTO registration (registration_number, notification_id, dossier_code, registered_at, entry)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT (notification_id) DO NOTHING RETURNING registration_number
"""


async def note_notification(db: Connection, notification: BirthNotified) -> DossierSubmitted | None:
    """Keep a notification; gives its dossier, if that came first."""
    dossier = await db.fetchval(
        _NOTE_NOTIFICATION,
        notification.notification_id,
        notification.model_dump(mode="json", exclude_none=True),
    )
    return DossierSubmitted.model_validate(dossier) if dossier else None


async def note_dossier(db: Connection, dossier: DossierSubmitted) -> tuple[str, BirthNotified | None]:
    """Keep a birth's first dossier; gives that one's code, and the notification, if it has come."""
    row = await db.fetchrow(
        _NOTE_DOSSIER, dossier.notification_id, dossier.model_dump(mode="json", exclude_none=True)
    )
    assert row is not None  # an upsert always returns its row
    notification = row["notification"]
    return row["first_code"], BirthNotified.model_validate(notification) if notification else None


async def number(db: Connection, unit_code: str, registered_at: datetime) -> str:
    """Draw the next registration number."""
    serial = await db.fetchval("SELECT nextval('registration_serial')")
    return f"{unit_code}-{registered_at.year}-{serial:06d}"


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
