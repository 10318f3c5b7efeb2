"""Read topics from end to end for the ledger, keeping no more of a record than is compared."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from lienthong.ending import stop_consumer
from lienthong.ledger.identity import identity
from lienthong.unfolding import bound_unfolding

Show = Callable[[str, int, int], None]
"""Told how far the account is: what is being read, so many done, of so many."""

STRUCTURED: Final = b"application/cloudevents"


@dataclass(slots=True)
class Log:
    """What one topic holds."""

    keys: dict[bytes, bytes] = field(default_factory=dict)
    """The record key of each event, by its identity; an event that was sent twice is here once."""
    siblings: dict[bytes, bytes] = field(default_factory=dict)
    """Of an event that two majors tell: the other one's identity."""
    history: dict[bytes, list[tuple[bytes, bool]]] | None = None
    """Of a state: each key's events in order, with whether it is alive after it."""
    letters: set[tuple[str, bytes]] | None = None
    """Of a dead-letter topic: origin, and identity or place there."""
    values: list[bytes] | None = None
    """Of refusals: the notices."""
    records: int = 0
    begins: dict[int, int] = field(default_factory=dict)
    """The first offset that retention has left, by partition."""

    def add(self, record: Any) -> None:
        self.records += 1
        if self.values is not None:
            self.values.append(record.value or b"{}")
            return
        headers = dict(record.headers)
        if self.letters is not None:
            origin = headers.get("lt_topic", b"").decode(errors="replace")
            place = headers.get("lt_partition", b"") + b"/" + headers.get("lt_offset", b"")
            self.letters.add((origin, place))
            self.letters.add((origin, _identify(headers, record.value, place)))
            return
        place = b"%d/%d" % (record.partition, record.offset)
        event, key = _identify(headers, record.value, place), record.key or b""
        if self.history is not None and event not in self.keys:
            self.history.setdefault(key, []).append((event, record.value is not None))
        self.keys.setdefault(event, key)
        if (sibling := headers.get("ce_siblingid")) is not None:
            self.siblings[event] = identity(sibling)


async def read_topics(kafka: Mapping[str, Any], logs: Mapping[str, Log], show: Show) -> None:
    """Read every record that topics hold now into their logs.

    Args:
        kafka: aiokafka arguments of a user that may read them.
        logs: What to keep, by topic.
        show: Told how far it is.
    """
    bound_unfolding()
    # Without a group every partition is ours.
    consumer = AIOKafkaConsumer(
        *logs, **kafka, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_bytes=8_388_608
    )
    await consumer.start()
    try:
        partitions: Collection[TopicPartition] = list(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        for partition in partitions:
            logs[partition.topic].begins[partition.partition] = begins[partition]
        left = {partition for partition in partitions if ends[partition] > begins[partition]}
        total = sum(ends[partition] - begins[partition] for partition in left)
        while left:
            for partition, records in (await consumer.getmany(*left, timeout_ms=200)).items():
                add = logs[partition.topic].add
                for record in records:
                    add(record)
            for partition in list(left):
                if await consumer.position(partition) >= ends[partition]:
                    left.discard(partition)
            show("topics", sum(log.records for log in logs.values()), total)
    finally:
        await stop_consumer(consumer)


def _identify(headers: Mapping[str, bytes], value: bytes | None, place: bytes) -> bytes:
    """Identify a record's event; by its place on the topic where it has no id."""
    found = headers.get("ce_id")
    if found is None and headers.get("content-type", b"").startswith(STRUCTURED):
        found = _id_within(value)
    return identity(found) if found else place


def _id_within(value: bytes | None) -> bytes | None:
    try:
        told = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    found = told.get("id") if isinstance(told, dict) else None
    return found.encode() if isinstance(found, str) else None


def make_logs(
    plain: Iterable[str], states: Iterable[str], told: Iterable[str], dlts: Iterable[str]
) -> dict[str, Log]:
    """Make an empty log for each topic: facts, states, refusals, dead letters."""
    logs = {topic: Log() for topic in plain}
    logs |= {topic: Log(history={}) for topic in states}
    logs |= {topic: Log(values=[]) for topic in told}
    return logs | {topic: Log(letters=set()) for topic in dlts}
