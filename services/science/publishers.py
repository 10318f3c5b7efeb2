"""Facts that leave the department: each ward and commune, and what it was before."""

from datetime import datetime, timedelta, timezone
from typing import Any

from lienthong import Connection
from services.science import science, store
from services.science.events import Unit

HANOI = timezone(timedelta(hours=7))


@science.takes("unit")
async def publish_unit(record: dict[str, Any], db: Connection) -> None:
    """Publish one line of the official list as today's state of that unit."""
    await science.publish(db, record, topic=Unit.TOPIC, happened_at=_began(record.get("effective_on")))
    await store.enter(db, Unit.model_validate(record))


def _began(day: object) -> datetime | None:
    """Tell when a unit began; what is no date the gate is about to refuse."""
    try:
        return datetime.fromisoformat(str(day)).replace(tzinfo=HANOI)
    except ValueError:
        return None
