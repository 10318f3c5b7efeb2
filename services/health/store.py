"""The department's own tables: the register of facilities, the books of births and of deaths."""

from lienthong import Connection, Refused
from services.health.events import BirthNoticeAnnulled, BirthNotified, DeathNotified, Facility, Unit

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
    notice          jsonb NOT NULL,
    annulled_at     timestamptz
);
CREATE TABLE IF NOT EXISTS death (
    notice_id     text PRIMARY KEY,
    facility_code text NOT NULL REFERENCES facility,
    died_at       timestamptz NOT NULL,
    notice        jsonb NOT NULL
);
-- Numbers of home births begin with 9, so that they never meet those of births at the station itself.
CREATE SEQUENCE IF NOT EXISTS home_birth_serial;
-- What the department did about every fact that it reads; the ledger holds it against the bus.
CREATE OR REPLACE VIEW effect (consumer_group, topic, key, times) AS
    SELECT 'health.reference', topic, key, 1::bigint FROM lienthong.state WHERE topic = 'science.unit.v1';
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
_FIND_STATION = """
SELECT facility_code FROM facility WHERE unit_code = $1 AND entry ->> 'kind' = 'health-station'
ORDER BY facility_code LIMIT 1
"""
_ADD_DEATH = """
INSERT INTO death (notice_id, facility_code, died_at, notice) VALUES ($1, $2, $3, $4)
ON CONFLICT (notice_id) DO NOTHING RETURNING notice_id
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


class NoStation(Refused):
    """A ward or commune without a health station on the list."""

    code = "no-station"
    remedy = "Ask the neighbouring station to verify the birth, or correct the list of facilities."


class NeverNotified(Refused):
    """There is no such notice to take back."""

    code = "never-notified"
    remedy = "Look up the number of the notice."


class AnnulledAlready(Refused):
    """The notice was taken back before."""

    code = "annulled-already"
    remedy = "Nothing to do."


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


async def find_station(db: Connection, unit_code: str) -> str:
    """Find the health station that verifies the home births of a ward or commune."""
    station: str | None = await db.fetchval(_FIND_STATION, unit_code)
    if station is None:
        raise NoStation(reason=f"no health station of the list is in unit {unit_code[:5]}")
    return station


async def number_home_birth(db: Connection, station: str, year: int) -> str:
    """Draw the number of a home birth's notice."""
    serial = await db.fetchval("SELECT nextval('home_birth_serial')")
    return f"{station}-{year}-9{serial:05d}"


async def annul_birth(db: Connection, annulled: BirthNoticeAnnulled) -> None:
    """Mark a notice as taken back."""
    row = await db.fetchrow(
        "SELECT annulled_at FROM birth WHERE notification_id = $1 FOR UPDATE", annulled.notification_id
    )
    if row is None:
        raise NeverNotified(reason=f"there is no notice {annulled.notification_id}")
    if row["annulled_at"] is not None:
        raise AnnulledAlready(reason=f"notice {annulled.notification_id} was taken back before")
    await db.execute(
        "UPDATE birth SET annulled_at = $2 WHERE notification_id = $1",
        annulled.notification_id,
        annulled.annulled_at,
    )


async def add_death(db: Connection, death: DeathNotified) -> None:
    """Enter a death in the book."""
    entry = death.model_dump(mode="json", exclude_none=True)
    added = await db.fetchval(_ADD_DEATH, death.notice_id, death.facility_code, death.died_at, entry)
    if added is None:
        raise Repeated(reason=f"notice {death.notice_id} is in the book already")


async def facilities_wait(db: Connection) -> bool:
    """Tell whether rows of the facility list are still to be taken in."""
    return bool(await db.fetchval(_FACILITIES_WAIT))
