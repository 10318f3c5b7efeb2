"""The department's own tables: the dossiers, and how far each has come."""

from lienthong import Connection, Refused
from services.onestop.events import BirthRegistered, DossierSubmitted

TABLES = """
CREATE TABLE IF NOT EXISTS dossier (
    dossier_code        text PRIMARY KEY,
    unit_code           text NOT NULL,
    submitted_at        timestamptz NOT NULL,
    declaration         jsonb NOT NULL,
    registration_number text,
    done_at             timestamptz
);
CREATE INDEX IF NOT EXISTS dossier_open ON dossier (submitted_at) WHERE done_at IS NULL;
"""

_OPEN = """
INSERT INTO dossier (dossier_code, unit_code, submitted_at, declaration) VALUES ($1, $2, $3, $4)
ON CONFLICT (dossier_code) DO NOTHING RETURNING dossier_code
"""
_CLOSE = """
UPDATE dossier SET registration_number = $2, done_at = $3 WHERE dossier_code = $1 RETURNING dossier_code
"""


class Repeated(Refused):
    """The same dossier came before."""

    code = "repeated"
    remedy = "Nothing to do, unless two dossiers were given one code: then give the second its own."


async def open_dossier(db: Connection, dossier: DossierSubmitted) -> None:
    """Open a dossier under its code."""
    declaration = dossier.model_dump(mode="json", exclude_none=True)
    opened = await db.fetchval(
        _OPEN, dossier.dossier_code, dossier.unit_code, dossier.submitted_at, declaration
    )
    if opened is None:
        raise Repeated(reason=f"dossier {dossier.dossier_code} is open already")


async def close_dossier(db: Connection, done: BirthRegistered) -> bool:
    """Close a dossier with the number it earned; False where no counter opened it."""
    return (
        await db.fetchval(_CLOSE, done.dossier_code, done.registration_number, done.registered_at) is not None
    )
