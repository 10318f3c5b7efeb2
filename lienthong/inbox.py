"""Once in effect: a mark for every event dealt with, in the transaction of its effect (hop 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Final, Literal, NamedTuple

from lienthong.database import Connection
from lienthong.event import RawEvent

Identity = tuple[str, str]
"""CloudEvents source and id: what makes two deliveries the same event."""

Outcome = Literal["handled", "set aside"]


class Dealt(NamedTuple):
    """What became of an event: its mark, as far as one who meets the event again wants to know."""

    outcome: Outcome
    code: str | None
    """Why it was set aside."""
    digest: bytes | None = None
    """Of its content; None where nobody took one."""
    topic: str = ""
    partition: int = -1
    offset: int = -1


BY_SIBLING: Final = -1
"""Partition and offset of a mark that was made because the same fact was dealt with on the other major."""

_SEEN: Final = """
SELECT i.source, i.id, i.outcome, i.code, i.digest, i.topic, i.record_partition, i.record_offset
FROM lienthong.inbox i
JOIN unnest($2::text[], $3::text[]) AS d(source, id) ON i.source = d.source AND i.id = d.id
WHERE i.consumer_group = $1
"""

# No ON CONFLICT: should another process have dealt with one of these meanwhile, everything of ours is undone.
_MARK: Final = """
INSERT INTO lienthong.inbox
    (consumer_group, source, id, topic, record_partition, record_offset, outcome, code, recorded,
    digest)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::bigint[], $7::text[], $8::text[],
    $9::timestamptz[], $10::bytea[])
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
    digest: bytes | None = None

    @property
    def dealt(self) -> Dealt:
        """What one who meets the event again will find."""
        return Dealt(self.outcome, self.code, self.digest, self.topic, self.partition, self.offset)


def digest_of(event: RawEvent) -> bytes:
    """Take the digest of an event's content: 16 bytes over what its source says of it.

    That is type, subject, key and data. Not when it happened or was recorded: a program that writes plain
    rows into an outbox gives each try of the same fact another time. Nor what the bus itself adds.
    """
    digest = blake2b(digest_size=16)
    for part in (event.type.encode(), (event.subject or "").encode(), event.key.encode(), event.value):
        # The length keeps two parts from being taken for one; a tombstone is not an empty value.
        digest.update(b"-" if part is None else b"%d:" % len(part))
        digest.update(part or b"")
    return digest.digest()


async def find_seen(db: Connection, group: str, identities: Sequence[Identity]) -> dict[Identity, Dealt]:
    """Find which of these events the group has dealt with before, and how."""
    sources, ids = [source for source, _ in identities], [event_id for _, event_id in identities]
    rows = await db.fetch(_SEEN, group, sources, ids)
    return {(source, event_id): Dealt(*dealt) for source, event_id, *dealt in rows}


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
            [m.digest for m in marks],
        )
