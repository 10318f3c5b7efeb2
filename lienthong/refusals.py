"""Tell what the gate refused, without a data value, on `<department>.refusals` (hop 3)."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import orjson

from lienthong import names, outbox
from lienthong.database import GONE, Connection
from lienthong.errors import Refused
from lienthong.event import RawEvent
from lienthong.logs import get_log

SCHEMA_VERSION: Final = "1.1.0"


class Refusals:
    """Writes refusals through the outbox, on a connection of its own.

    The caller's transaction usually ends with the refusal, and the notice must outlive it.
    """

    def __init__(self, department: str, url: Callable[[], str], new_id: Callable[[datetime], str]) -> None:
        self._department = department
        self._url = url
        self._new_id = new_id
        self._db: Connection | None = None
        self._turn = asyncio.Lock()
        self._log = get_log(department=department)

    async def tell(self, topic: str, event_id: str, refusal: Refused) -> None:
        """Commit one notice. With the database away the log line is all there is: the caller heard anyway."""
        self._log.warning(
            "event_refused", topic=topic, event_id=event_id, code=refusal.code, reason=refusal.what()
        )
        event = self._compose(topic, event_id, refusal)
        async with self._turn:
            try:
                if self._db is None or self._db.is_closed():
                    self._db = await asyncpg.connect(self._url(), timeout=5, command_timeout=10)
                await outbox.put(self._db, names.refusals_topic(self._department), event)
            except (*GONE, OSError, TimeoutError) as error:
                self._log.warning("refusal_not_published", topic=topic, event_id=event_id, error=error)

    async def stop(self) -> None:
        """Close the connection."""
        if self._db is not None:
            await self._db.close(timeout=2)

    def _compose(self, topic: str, event_id: str, refusal: Refused) -> RawEvent:
        now = datetime.now(UTC)
        return compose(self._department, about(topic, event_id, refusal), self._new_id(now), now)


def about(topic: str, event_id: str, refusal: Refused) -> dict[str, Any]:
    """Say what was refused and by which rules: identifiers, codes and paths only."""
    return {
        "refused_id": event_id,
        "refused_topic": topic[:200],
        "code": refusal.code,
        "schema_version": refusal.fields.get("schema_version"),
        "problems": [problem.as_json() for problem in refusal.problems[:50]],
    }


def compose(department: str, value: Mapping[str, Any], notice_id: str, now: datetime) -> RawEvent:
    """Compose a notice: an event of the department whose gate said no, about the event it said no to."""
    refused_id = str(value["refused_id"])
    return RawEvent(
        id=notice_id,
        source=names.source(department),
        type=names.event_type(department, names.REFUSAL),
        subject=refused_id,
        time=now,
        recorded_at=now,
        dataschema=names.schema_uri(department, names.REFUSAL, SCHEMA_VERSION),
        key=refused_id,
        classification="internal",
        correlation_id=notice_id,
        causation_id=None,
        traceparent=None,
        value=orjson.dumps(value),
    )
