"""Once in effect: a mark for every event dealt with, in the transaction of its effect (hop 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from lienthong.database import Connection

Identity = tuple[str, str]
"""CloudEvents source and id: what makes two deliveries the same event."""

Outcome = Literal["handled", "set aside"]
Dealt = tuple[Outcome, str | None]
"""What became of an event, and why it was set aside."""

BY_SIBLING: Final = -1
"""Partition and offset of a mark that was made because the same fact was dealt with on the other major."""

_SEEN: Final = """
SELECT i.source, i.id, i.outcome, i.code FROM lienthong.inbox i
JOIN unnest($2::text[], $3::text[]) AS d(source, id) ON i.source = d.source AND i.id = d.id
WHERE i.consumer_group = $1
"""

# No ON CONFLICT: should another process have dealt with one of these meanwhile, everything of ours is undone.
_MARK: Final = """
INSERT INTO lienthong.inbox
    (consumer_group, source, id, topic, record_partition, record_offset, outcome, code, recorded)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::bigint[], $7::text[], $8::text[],
    $9::timestamptz[])
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of one event in one consumer group."""

    identity: Identity
    topic: str
    partition: int
    offset: int
    outcome: Outcome
    code: str | None
    recorded_at: datetime | None


async def find_seen(db: Connection, group: str, identities: Sequence[Identity]) -> dict[Identity, Dealt]:
    """Find which of these events the group has dealt with before, and how."""
    sources, ids = [source for source, _ in identities], [event_id for _, event_id in identities]
    rows = await db.fetch(_SEEN, group, sources, ids)
    return {(row["source"], row["id"]): (row["outcome"], row["code"]) for row in rows}


async def mark(db: Connection, group: str, marks: Sequence[Mark]) -> None:
    """Mark events as dealt with.

    Raises:
        asyncpg.UniqueViolationError: another process of the group was first; the transaction must be undone.
    """
    if marks:
        await db.execute(
            _MARK,
            group,
            [m.identity[0] for m in marks],
            [m.identity[1] for m in marks],
            [m.topic for m in marks],
            [m.partition for m in marks],
            [m.offset for m in marks],
            [m.outcome for m in marks],
            [m.code for m in marks],
            [m.recorded_at for m in marks],
        )
