"""What came after a record under its key: a stale state must not overwrite a newer one (hop 7)."""

from collections.abc import Iterable, Mapping
from typing import Final

from aiokafka import TopicPartition

from lienthong.database import Connection
from lienthong.dead_letters import Record
from lienthong.inbox import Identity
from lienthong.lane import take_up
from lienthong.letters.letter import Place, digest
from lienthong.letters.log import Log, Show, Span, silent

_HANDLED: Final = """
SELECT i.source, i.id FROM lienthong.inbox i
JOIN unnest($2::text[], $3::text[]) AS d(source, id) ON i.source = d.source AND i.id = d.id
WHERE i.consumer_group = $1 AND i.outcome = 'handled'
"""

Order = tuple[TopicPartition, bytes]
"""Partition and digest of the key."""


class Later:
    """The later records of some keys, read from the topics as far as they reach.

    Args:
        log: Open, and holding nothing yet.
        most: Read at most so many records of a partition.
    """

    def __init__(self, log: Log, most: int | None = None) -> None:
        self._log = log
        self._holds = False
        self._most = most
        self._first: dict[TopicPartition, int] = {}
        self._at: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._found: dict[Order, list[tuple[int, Identity]]] = {}

    def watch(self, place: Place, order_key: bytes, begin: int) -> None:
        """Look out for a key from this offset on; all of them before the first look."""
        partition = TopicPartition(place.topic, place.partition)
        self._first[partition] = min(begin, self._first.get(partition, begin))
        self._found.setdefault((partition, order_key), [])

    async def look(
        self, show: Show = silent, what: str = "", only: Iterable[TopicPartition] | None = None
    ) -> None:
        """Read on, as far as the partitions reach now."""
        if not self._first:
            return
        if not self._holds:
            self._log.hold(list(self._first))
            self._holds = True
        partitions = list(self._first if only is None else only)
        reach = await self._log.find_reach(partitions)
        spans = {one: self._span(one, reach[one]) for one in partitions}
        async for record in self._log.iter_records(spans, show, what):
            self._note(record)
        for one, (_, end) in spans.items():
            self._at[one] = max(end, self._at.get(one, 0))

    def _span(self, partition: TopicPartition, reach: Span) -> Span:
        begin, self._ends[partition] = reach
        first = max(self._first[partition], begin)
        end = reach[1] if self._most is None else min(reach[1], first + self._most)
        return max(first, self._at.get(partition, 0)), end

    def _note(self, record: Record) -> None:
        partition = TopicPartition(record.topic, record.partition)
        if record.key is not None:
            found = self._found.get((partition, digest(record.key)))
            if found is not None:
                found.append((record.offset, take_up(record).identity))
            return
        taken = take_up(record)
        if (found := self._found.get((partition, digest(taken.key)))) is not None:
            found.append((record.offset, taken.identity))

    def after(self, place: Place, order_key: bytes) -> list[tuple[int, Identity]]:
        """List the later records of a key: offset and identity."""
        partition = TopicPartition(place.topic, place.partition)
        return [one for one in self._found[partition, order_key] if one[0] > place.offset]

    def looked_to(self, place: Place) -> int:
        """Tell how far the record's partition was read."""
        return self._at[TopicPartition(place.topic, place.partition)]

    def is_complete(self, place: Place) -> bool:
        """Tell whether it was read to its end."""
        partition = TopicPartition(place.topic, place.partition)
        return self._at[partition] >= self._ends[partition]


async def find_handled(db: Connection, group: str, identities: Iterable[Identity]) -> set[Identity]:
    """Find which of some events the group has handled."""
    asked = list(identities)
    found: set[Identity] = set()
    for number in range(0, len(asked), 5_000):
        some = asked[number : number + 5_000]
        rows = await db.fetch(_HANDLED, group, [one[0] for one in some], [one[1] for one in some])
        found |= {(row["source"], row["id"]) for row in rows}
    return found


def first_handled(
    later: Iterable[tuple[int, Identity]], handled: Mapping[Identity, object] | set[Identity]
) -> int | None:
    """Find the offset of the first later record that was handled."""
    return next((offset for offset, identity in later if identity in handled), None)
