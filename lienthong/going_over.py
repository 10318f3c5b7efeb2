"""Go over to a newer major: not before all that only the former one tells has been dealt with (hop 5)."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from lienthong import inbox
from lienthong.database import Connection, Pool, borrow
from lienthong.ending import stop_consumer
from lienthong.errors import LienThongError, Unreadable
from lienthong.event import read_record
from lienthong.inbox import Identity
from lienthong.lane import is_forged, place_of
from lienthong.producer import connection_arguments
from lienthong.settings import Settings
from lienthong.turn import Reading

Offsets = dict[TopicPartition, int]

_VERIFIED: Final = """
SELECT record_partition, record_offset FROM lienthong.gone_over WHERE consumer_group = $1 AND topic = $2
"""
_VERIFY: Final = """
INSERT INTO lienthong.gone_over (consumer_group, topic, record_partition, record_offset)
SELECT $1, $2, * FROM unnest($3::int[], $4::bigint[])
ON CONFLICT (consumer_group, topic, record_partition) DO UPDATE
SET record_offset = greatest(gone_over.record_offset, excluded.record_offset)
"""


class NotGoneOver(LienThongError):
    """A group may not begin with a newer major yet. Fields: `reason`, `remedy`."""

    code = "not-gone-over"
    retriable = True


async def go_over(
    settings: Settings, group: str, readings: Mapping[str, Reading], pool: Pool, stopping: asyncio.Event
) -> None:
    """Make sure that a group which begins with a newer major leaves nothing behind on the former one.

    A fact that the former major tells alone, because it is older than the overlap, would never reach a group
    that no longer reads there. Where the former topic is still read beside the newer one, nothing can be.

    Raises:
        NotGoneOver: there are such facts, or nobody publishes on the newer major yet.
    """
    for reading in readings.values():
        if reading.former is None or not reading.reads_former or reading.former in readings:
            continue
        consumer = AIOKafkaConsumer(
            **connection_arguments(settings),
            client_id=f"{group}.{settings.instance}.going-over",
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            await _verify(consumer, group, reading.topic, reading.former, pool, stopping)
        finally:
            await stop_consumer(consumer)


async def _verify(
    consumer: AIOKafkaConsumer, group: str, newer: str, former: str, pool: Pool, stopping: asyncio.Event
) -> None:
    partitions = await _partitions(consumer, former)
    # Assigned by hand: the group's processes keep their own partitions, and their offsets can be asked for.
    consumer.assign(partitions)
    committed = {one: await consumer.committed(one) for one in partitions}
    if all(offset is None for offset in committed.values()):
        return  # it never read the former major, so there is nothing to go over from
    ends = await consumer.end_offsets(partitions)
    begins = await consumer.beginning_offsets(partitions)
    async with borrow(pool) as db:
        rows = await db.fetch(_VERIFIED, group, former)
        verified = {TopicPartition(former, row["record_partition"]): row["record_offset"] for row in rows}
        starts = {one: max(begins[one], committed[one] or 0, verified.get(one, 0)) for one in partitions}
        alone = await _find_told_alone(consumer, starts, ends, stopping)
        left = await _count_unhandled(db, group, alone)
        if left:
            raise NotGoneOver(
                reason=f"{left} facts of {former} are not told on {newer}, and {group} has not handled them",
                remedy=f"Run the handler of {former} until they are, then go over.",
            )
        if not await _is_published(consumer, newer):
            raise NotGoneOver(
                reason=f"nobody has published on {newer} yet", remedy=f"Read {former} until its owner does."
            )
        numbers = [one.partition for one in partitions]
        await db.execute(_VERIFY, group, former, numbers, [ends[one] for one in partitions])


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    # The consumer itself knows the partitions of what it reads only, and this decides what it is to read.
    cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001
    return [TopicPartition(topic, number) for number in sorted(cluster.partitions_for_topic(topic) or ())]


async def _is_published(consumer: AIOKafkaConsumer, topic: str) -> bool:
    partitions = await _partitions(consumer, topic)
    return any((await consumer.end_offsets(partitions)).values()) if partitions else False


async def _find_told_alone(
    consumer: AIOKafkaConsumer,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    stopping: asyncio.Event,
) -> list[Identity]:
    """Find the events of a former topic that have no sibling on the newer one."""
    left = {one for one in starts if starts[one] < ends[one]}
    for one in left:
        consumer.seek(one, starts[one])
    alone: list[Identity] = []
    while left:
        if stopping.is_set():
            raise NotGoneOver(reason="told to stop before it was known", remedy="Start it again.")
        for partition, records in (await consumer.getmany(*left, timeout_ms=200)).items():
            alone += _told_alone([record for record in records if record.offset < ends[partition]])
        for one in list(left):
            if await consumer.position(one) >= ends[one]:
                left.discard(one)
    return alone


def _told_alone(records: Sequence[Any]) -> list[Identity]:
    found: list[Identity] = []
    for record in records:
        place = (record.topic, record.partition, record.offset, record.timestamp)
        try:
            event = read_record(*place, record.key, record.value, record.headers)
        except Unreadable:
            # Known to the inbox by its place, like every record that is no event.
            found.append(place_of(record))
            continue
        if is_forged(event, record.topic):
            found.append(place_of(record))
        elif event.sibling_id is None:
            found.append((event.source, event.id))
    return found


async def _count_unhandled(db: Connection, group: str, alone: Sequence[Identity]) -> int:
    seen = await inbox.find_seen(db, group, alone) if alone else {}
    return len(set(alone) - seen.keys())
