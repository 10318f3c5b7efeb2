"""The department's own tables: the register of facilities and the book of births."""

from lienthong import Connection, Refused
from services.health.events import BirthNotified, Facility, Unit

TABLES = """
CREATE TABLE IF NOT EXISTS facility (
    facility_code text PRIMARY KEY,
    unit_code     text NOT NULL,
    entry         jsonb NOT NULL
);
CREATE TABLE IF NOT EXISTS birth (
    notification_id text PRIMARY KEY,
    facility_code   text NOT NULL REFERENCES facility,
    born_at         timestamptz NOT NULL,
    notice          jsonb NOT NULL
);
"""

_FIND_UNITS = """
SELECT data FROM lienthong.state WHERE topic = $1
AND jsonb_path_exists(data, '$.former_units[*] ? (@.district == $name)', jsonb_build_object('name', $2::text))
"""
_ADD_FACILITY = """
INSERT INTO facility (facility_code, unit_code, entry) VALUES ($1, $2, $3)
ON CONFLICT (facility_code) DO NOTHING RETURNING facility_code
"""
_ADD_BIRTH = """
INSERT INTO birth (notification_id, facility_code, born_at, notice) VALUES ($1, $2, $3, $4)
ON CONFLICT (notification_id) DO NOTHING RETURNING notification_id
"""
_FACILITIES_WAIT = "SELECT EXISTS (SELECT FROM lienthong.intake WHERE kind = 'facility')"


class Repeated(Refused):
    """The same record came before."""

    code = "repeated"
    remedy = "Nothing to do, unless the first one was wrong."


class CodeTaken(Refused):
    """Another facility holds the code."""

    code = "code-taken"
    remedy = "Find out whose code it is, and correct the other row."


async def find_units_of(db: Connection, district: str) -> list[Unit]:
    """Find today's units that hold a part of a former district."""
    return [Unit.model_validate(row["data"]) for row in await db.fetch(_FIND_UNITS, Unit.TOPIC, district)]


async def add_facility(db: Connection, facility: Facility) -> None:
    """Add a facility: the first sound row with a code holds it; people decide about a later one."""
    entry = facility.model_dump(mode="json", exclude_none=True)
    if await db.fetchval(_ADD_FACILITY, facility.facility_code, facility.unit_code, entry) is not None:
        return
    holder = await db.fetchval("SELECT entry FROM facility WHERE facility_code = $1", facility.facility_code)
    if holder == entry:
        raise Repeated(reason=f"the row of facility {facility.facility_code} is there twice")
    raise CodeTaken(
        reason=f"the code {facility.facility_code} belongs to {holder['name']}, in unit {holder['unit_code']}"
    )


async def add_birth(db: Connection, birth: BirthNotified) -> None:
    """Enter a birth in the book."""
    entry = birth.model_dump(mode="json", exclude_none=True)
    added = await db.fetchval(_ADD_BIRTH, birth.notification_id, birth.facility_code, birth.born_at, entry)
    if added is None:
        raise Repeated(reason=f"notification {birth.notification_id} is in the book already")


async def facilities_wait(db: Connection) -> bool:
    """Tell whether rows of the facility list are still to be taken in."""
    return bool(await db.fetchval(_FACILITIES_WAIT))
