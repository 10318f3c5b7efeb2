"""A fact and its event are committed together: the outbox row is in the department's transaction (hop 1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from lienthong.database import Connection
from lienthong.event import RawEvent

_PUT: Final = """
INSERT INTO lienthong.outbox (id, aggregatetype, aggregateid, type, payload, source, subject, time, recorded,
    dataschema, correlationid, causationid, traceparent, dataclassification, siblingid, admitted)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, true)
"""

# A transaction that began earlier and has not ended may still write a row with a smaller seq: everything from
# the oldest running transaction on waits, and so does everything behind a row that waits (a transaction may
# get its number long before it writes). So no row is overtaken or skipped unseen.
_FETCH: Final = """
SELECT seq, id, aggregatetype, aggregateid, type, payload, source, subject, time, recorded, dataschema,
    correlationid, causationid, traceparent, dataclassification, siblingid, admitted,
    xid < pg_snapshot_xmin(pg_current_snapshot()) AS settled
FROM lienthong.outbox ORDER BY seq LIMIT $1
"""

_COMPLETE: Final = """
UPDATE lienthong.outbox
SET dataschema = $2, dataclassification = $3, subject = $4, siblingid = $5, admitted = true WHERE seq = $1
"""

_ACKNOWLEDGE: Final = """
WITH confirmed AS (
    SELECT * FROM unnest($1::bigint[], $2::int[], $3::bigint[]) AS c(seq, record_partition, record_offset)
), gone AS (
    DELETE FROM lienthong.outbox o USING confirmed c WHERE o.seq = c.seq
    RETURNING o.id, o.aggregatetype, o.recorded, c.record_partition, c.record_offset
)
INSERT INTO lienthong.published (id, topic, record_partition, record_offset, recorded)
SELECT id, aggregatetype, record_partition, record_offset, recorded FROM gone
ON CONFLICT (id) DO NOTHING
"""

_SET_REFUSED_ASIDE: Final = """
WITH refused AS (
    SELECT * FROM unnest($1::bigint[], $2::text[]) AS r(seq, reason)
), gone AS (
    DELETE FROM lienthong.outbox o USING refused r WHERE o.seq = r.seq
    RETURNING o.id, o.aggregatetype, o.aggregateid, o.type, o.payload, o.recorded, r.reason
)
INSERT INTO lienthong.outbox_refused (id, aggregatetype, aggregateid, type, payload, recorded, reason)
SELECT id, aggregatetype, aggregateid, type, payload, recorded, reason FROM gone
"""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A row that waits for the broker. `admitted`: our own `publish` wrote it, the gate has said yes."""

    seq: int
    topic: str
    event: RawEvent
    admitted: bool


async def put(db: Connection, topic: str, event: RawEvent) -> None:
    """Write an admitted event into the outbox, in the caller's transaction."""
    await db.execute(_PUT, *_columns(topic, event))


async def put_both(db: Connection, *events: tuple[str, RawEvent]) -> None:
    """Write (topic, event) of two majors in one statement: both or neither, whatever the caller does."""
    await db.executemany(_PUT, [_columns(topic, event) for topic, event in events])


def _columns(topic: str, event: RawEvent) -> tuple[Any, ...]:
    return (
        UUID(event.id),
        topic,
        event.key,
        event.type,
        event.value,
        event.source,
        event.subject,
        event.time,
        event.recorded_at,
        event.dataschema,
        event.correlation_id,
        event.causation_id,
        event.traceparent,
        event.classification,
        event.sibling_id,
    )


async def tell_both(db: Connection, seq: int, event: RawEvent, former_topic: str, former: RawEvent) -> None:
    """Give a row that another program wrote its sibling on the former major's topic; both or neither."""
    async with db.transaction():
        await db.execute(
            _COMPLETE, seq, event.dataschema, event.classification, event.subject, event.sibling_id
        )
        await put(db, former_topic, former)


async def fetch(db: Connection, most: int, source: str) -> list[OutboxRow]:
    """Fetch the rows that may be sent now, in order; `source` completes rows that other programs wrote."""
    rows = await db.fetch(_FETCH, most)
    return [_row(row, source) for row in takewhile(itemgetter("settled"), rows)]


def _row(row: Any, source: str) -> OutboxRow:
    event_id = str(row["id"])
    event = RawEvent(
        id=event_id,
        source=row["source"] or source,
        type=row["type"],
        subject=row["subject"],
        time=row["time"],
        recorded_at=row["recorded"],
        dataschema=row["dataschema"] or "",
        key=row["aggregateid"],
        classification=row["dataclassification"] or "",
        correlation_id=row["correlationid"] or event_id,
        causation_id=row["causationid"],
        traceparent=row["traceparent"],
        value=row["payload"],
        position=None,
        sibling_id=row["siblingid"],
    )
    return OutboxRow(row["seq"], row["aggregatetype"], event, row["admitted"])


async def acknowledge(db: Connection, confirmed: Sequence[tuple[int, int, int]]) -> None:
    """Move confirmed rows (seq, partition, offset) from the outbox to the list of what was published."""
    if confirmed:
        await db.execute(_ACKNOWLEDGE, *(list(column) for column in zip(*confirmed, strict=True)))


async def set_refused_aside(db: Connection, refused: Sequence[tuple[int, str]]) -> None:
    """Move rows (seq, reason) that may never be sent out of the way of the ones behind them."""
    if refused:
        await db.execute(_SET_REFUSED_ASIDE, *(list(column) for column in zip(*refused, strict=True)))


async def measure(db: Connection, now: datetime) -> tuple[int, float]:
    """Measure the outbox: rows waiting, and the age of the oldest in seconds."""
    (row,) = await db.fetch("SELECT count(*) AS rows, min(recorded) AS oldest FROM lienthong.outbox")
    oldest = row["oldest"]
    return row["rows"], (now - oldest).total_seconds() if oldest else 0.0
