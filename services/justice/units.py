"""Wards and communes as the register names them, through mergers: a code may end between fact and dossier."""

from dataclasses import dataclass

from lienthong import Connection, NotYet
from services.justice import justice
from services.justice.events import Unit

_SUCCESSORS = """
SELECT data FROM lienthong.state WHERE topic = $1
AND jsonb_path_exists(data, '$.former_units[*] ? (@.former_code == $code)',
    jsonb_build_object('code', $2::text))
ORDER BY key
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A unit to be named: as it was called, and today's units where that is another."""

    name: str
    today: tuple[Unit, ...]

    @property
    def one(self) -> Unit | None:
        """Today's unit, where it is one; None where the old one was divided."""
        return self.today[0] if len(self.today) == 1 else None

    def __str__(self) -> str:
        if self.name == self.today[0].name:
            return self.name
        return f"{self.name} (nay là {', '.join(unit.name for unit in self.today)})"


async def find_place(db: Connection, code: str) -> Place:
    """Find how to name a unit, whether it is one today or was merged.

    Raises:
        NotYet: neither it nor a successor has come.
    """
    unit = await justice.find_state(db, Unit, code)
    if unit is not None:
        return Place(unit.name, (unit,))
    today = tuple(Unit.model_validate(row["data"]) for row in await db.fetch(_SUCCESSORS, Unit.TOPIC, code))
    if not today:
        raise NotYet(reason="a unit that the entry must name has not come yet")
    names = [old.name for old in today[0].former_units if old.former_code == code]
    return Place(names[0], today)
