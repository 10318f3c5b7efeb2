"""Facts that leave the department: each ward and commune and what it was before, and the city's agencies."""

from datetime import datetime, timedelta, timezone
from typing import Any

from lienthong import Connection, Refused
from services.science import science, store
from services.science.events import Agency, Unit

HANOI = timezone(timedelta(hours=7))


class UnitUnknown(Refused):
    """There is no such unit to end."""

    code = "unit-unknown"
    remedy = "Look up the code."


@science.takes("unit")
async def publish_unit(record: dict[str, Any], db: Connection) -> None:
    """Publish one line of the official list as today's state of that unit."""
    await science.publish(db, record, topic=Unit.TOPIC, happened_at=_began(record.get("effective_on")))
    await store.enter(db, Unit.model_validate(record))


@science.takes("unit-end")
async def retract_unit(record: dict[str, Any], db: Connection) -> None:
    """Retract a unit that was merged or divided; today's units name it among their former ones."""
    code = str(record.get("unit_code"))
    if not await store.strike(db, code):
        raise UnitUnknown(reason="there is no unit of this code")
    await science.retract(db, Unit, code, happened_at=_began(record.get("ended_on")))


@science.takes("agency")
async def publish_agency(record: dict[str, Any], db: Connection) -> None:
    """Publish one line of the list of agencies; an ended one stays, so that its old facts keep their name."""
    await science.publish(db, record, topic=Agency.TOPIC, happened_at=_began(record.get("effective_on")))
    await store.enter_agency(db, Agency.model_validate(record))


def _began(day: object) -> datetime | None:
    """Tell when a unit began; what is no date the gate is about to refuse."""
    try:
        return datetime.fromisoformat(str(day)).replace(tzinfo=HANOI)
    except ValueError:
        return None
