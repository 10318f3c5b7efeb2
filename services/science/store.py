"""The department's own tables: the register of wards and communes."""

from lienthong import Connection
from services.science.events import Unit

TABLES = """
CREATE TABLE IF NOT EXISTS unit (
    unit_code text PRIMARY KEY,
    entry     jsonb NOT NULL
);
"""

_ENTER = """
INSERT INTO unit (unit_code, entry) VALUES ($1, $2)
ON CONFLICT (unit_code) DO UPDATE SET entry = excluded.entry
"""


async def enter(db: Connection, unit: Unit) -> None:
    """Enter a unit, or what is new about it."""
    await db.execute(_ENTER, unit.unit_code, unit.model_dump(mode="json", exclude_none=True))
