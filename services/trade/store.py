"""The department's own tables: the register of licences."""

from datetime import date

from lienthong import Connection, Refused
from services.trade.events import RetailLicenceEnded, RetailLicenceGranted, Unit

TABLES = """
CREATE TABLE IF NOT EXISTS licence (
    licence_number text PRIMARY KEY,
    unit_code      text NOT NULL,
    granted_on     date NOT NULL,
    entry          jsonb NOT NULL,
    ended_on       date
);
-- What the department did about every fact that it reads; the ledger holds it against the bus.
CREATE OR REPLACE VIEW effect (consumer_group, topic, key, times) AS
    SELECT 'trade.reference', topic, key, 1::bigint FROM lienthong.state WHERE topic = 'science.unit.v1';
"""

_ADD = """
INSERT INTO licence (licence_number, unit_code, granted_on, entry) VALUES ($1, $2, $3, $4)
ON CONFLICT (licence_number) DO NOTHING RETURNING licence_number
"""
_SUCCESSORS = """
SELECT data FROM lienthong.state WHERE topic = $1
AND jsonb_path_exists(data, '$.former_units[*] ? (@.former_code == $code)',
    jsonb_build_object('code', $2::text))
ORDER BY key
"""


class Repeated(Refused):
    """The same licence came before."""

    code = "repeated"
    remedy = "Nothing to do, unless two licences were given one number: then give the second its own."


class LicenceUnknown(Refused):
    """There is no such licence to end."""

    code = "licence-unknown"
    remedy = "Look up the number of the licence."


class EndedAlready(Refused):
    """The licence ended before."""

    code = "ended-already"
    remedy = "Nothing to do."


class EndedBeforeGranted(Refused):
    """The licence would end before it was granted."""

    code = "ended-before-granted"
    remedy = "Correct the day."


async def add(db: Connection, licence: RetailLicenceGranted) -> None:
    """Enter a licence in the register."""
    entry = licence.model_dump(mode="json")
    added = await db.fetchval(_ADD, licence.licence_number, licence.unit_code, licence.granted_on, entry)
    if added is None:
        raise Repeated(reason=f"licence {licence.licence_number} is in the register already")


async def end(db: Connection, ended: RetailLicenceEnded) -> None:
    """Note that a licence ended."""
    row = await db.fetchrow(
        "SELECT granted_on, ended_on FROM licence WHERE licence_number = $1 FOR UPDATE", ended.licence_number
    )
    if row is None:
        raise LicenceUnknown(reason=f"there is no licence {ended.licence_number}")
    if row["ended_on"] is not None:
        raise EndedAlready(reason=f"licence {ended.licence_number} ended before")
    granted_on: date = row["granted_on"]
    if ended.ended_on < granted_on:
        raise EndedBeforeGranted(reason=f"licence {ended.licence_number} would end before it was granted")
    await db.execute(
        "UPDATE licence SET ended_on = $2 WHERE licence_number = $1", ended.licence_number, ended.ended_on
    )


async def find_successors(db: Connection, code: str) -> list[Unit]:
    """Find today's units that hold what an ended unit was."""
    return [Unit.model_validate(row["data"]) for row in await db.fetch(_SUCCESSORS, Unit.TOPIC, code)]


async def licences_wait(db: Connection) -> bool:
    """Tell whether licences are still to be taken in."""
    return bool(await db.fetchval("SELECT EXISTS (SELECT FROM lienthong.intake WHERE kind = 'licence')"))
