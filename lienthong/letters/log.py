"""Walk parts of topics from outside any group, as far as they reach now (hop 7)."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition

from lienthong import names
from lienthong.dead_letters import Record
from lienthong.odd_headers import read_odd_headers
from lienthong.producer import connection_arguments
from lienthong.settings import Settings

Span = tuple[int, int]
"""From this offset, up to and without that one."""

Show = Callable[[str, int, int], None]
"""Hear how far something is: what, done, of how many."""


def silent(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""


@asynccontextmanager
async def open_log(settings: Settings, purpose: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Connect as the department, for reading by hand; no group is joined and no offset committed."""
    # Whoever may write a topic can write a header name at which aiokafka stops.
    read_odd_headers()
    consumer = AIOKafkaConsumer(
        **connection_arguments(settings),
        client_id=f"{settings.username}.{purpose}.{settings.instance}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=100,
        fetch_max_bytes=8_388_608,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def find_partitions(
    consumer: AIOKafkaConsumer, topics: Iterable[str]
) -> dict[str, list[TopicPartition]]:
    """Find the partitions of those topics that are there and open to us."""
    # The consumer itself knows the partitions of what it reads only.
    cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001
    known = cluster.topics()
    return {
        topic: [TopicPartition(topic, number) for number in sorted(cluster.partitions_for_topic(topic) or ())]
        for topic in topics
        if topic in known
    }


async def find_letter_topics(consumer: AIOKafkaConsumer, department: str) -> dict[str, TopicPartition]:
    """Find a department's dead-letter topics, by group; each has one partition."""
    cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001
    return {
        topic.removesuffix(names.dead_letter_topic("")): TopicPartition(topic, 0)
        for topic in sorted(cluster.topics())
        if topic.startswith(f"{department}.") and topic.endswith(names.dead_letter_topic(""))
    }


async def find_reach(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, Span]:
    """Find what each partition holds now."""
    # Assigned, because of others the client knows nothing; paused, because nothing is to be fetched yet.
    consumer.assign(partitions)
    consumer.pause(*partitions)
    begins = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    return {one: (begins[one], ends[one]) for one in partitions}


async def iter_records(
    consumer: AIOKafkaConsumer,
    spans: Mapping[TopicPartition, Span],
    show: Show = silent,
    what: str = "",
) -> AsyncIterator[Record]:
    """Walk the records of some spans; each partition's in order."""
    left = {one: span for one, span in spans.items() if span[0] < span[1]}
    if not left:
        return
    consumer.assign(list(left))
    for one, (begin, _) in left.items():
        consumer.seek(one, begin)
    total = sum(end - begin for begin, end in left.values())
    at = {one: begin for one, (begin, _) in left.items()}
    while left:
        for partition, fetched in (await consumer.getmany(*left, timeout_ms=200)).items():
            end = left[partition][1]
            for record in fetched:
                if record.offset < end:
                    yield Record(
                        partition.topic,
                        partition.partition,
                        record.offset,
                        record.timestamp,
                        record.key,
                        record.value,
                        record.headers,
                    )
        for one, (_, end) in list(left.items()):
            # Not the last record's offset: records may have been compacted away.
            at[one] = min(await consumer.position(one), end)
            if at[one] >= end:
                del left[one]
        show(what, sum(at[one] - spans[one][0] for one in at), total)
