"""Facts that leave the department: dossiers that counters accepted."""

from datetime import datetime
from typing import Any

from lienthong import Connection
from services.onestop import onestop, store
from services.onestop.events import DossierSubmitted, Unit

UNITS_OF_THE_CITY = 126


async def units_are_known(db: Connection) -> bool:
    """Tell whether a counter's code can be checked yet: all of today's units have come."""
    return await onestop.count_state(db, Unit) >= UNITS_OF_THE_CITY


@onestop.takes("dossier", ready=units_are_known)
async def submit_dossier(record: dict[str, Any], db: Connection) -> None:
    """Submit a birth dossier as a counter entered it."""
    submitted_at = _instant(record.get("submitted_at"))
    await onestop.publish(db, record, topic=DossierSubmitted.TOPIC, happened_at=submitted_at)
    await store.open_dossier(db, DossierSubmitted.model_validate(record))


def _instant(text: object) -> datetime | None:
    """Read when it happened; what is no instant with an offset the gate is about to refuse."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
