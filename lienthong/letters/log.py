"""Walk parts of topics from outside any group, as far as they reach now (hop 7)."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from lienthong import names
from lienthong.dead_letters import Record
from lienthong.ending import stop_consumer
from lienthong.producer import connection_arguments
from lienthong.settings import Settings

Span = tuple[int, int]
"""From this offset, up to and without that one."""

Show = Callable[[str, int, int], None]
"""Hear how far something is: what, done, of how many."""


def silent(_what: str, _done: int, _total: int) -> None:
    """Show nothing."""


class Log:
    """Some partitions, read by hand; no group is joined and no offset committed.

    They are assigned once: aiokafka 0.14 may never stop where its assignment was changed just before. A
    partition is fetched from only while a span of it is walked.
    """

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    async def find_partitions(self, wanted: Callable[[str], bool]) -> dict[str, list[TopicPartition]]:
        """Find the partitions of those topics that are wanted, there, and open to us."""
        # The consumer itself knows the partitions of what it reads only.
        cluster = await self._consumer._client.fetch_all_metadata()  # noqa: SLF001
        return {
            topic: [TopicPartition(topic, n) for n in sorted(cluster.partitions_for_topic(topic) or ())]
            for topic in sorted(cluster.topics())
            if wanted(topic)
        }

    async def find_letter_topics(self, department: str) -> dict[str, TopicPartition]:
        """Find a department's dead-letter topics, by group; each has one partition."""
        ending = names.dead_letter_topic("")
        found = await self.find_partitions(lambda t: t.startswith(f"{department}.") and t.endswith(ending))
        return {topic.removesuffix(ending): TopicPartition(topic, 0) for topic in found}

    def hold(self, partitions: Collection[TopicPartition]) -> None:
        """Name all partitions that are going to be read, before the first of them is."""
        self._consumer.assign(list(partitions))
        for one in partitions:
            # Else the client would look for an offset by itself, and fetch what nobody asked for.
            self._consumer.seek(one, 0)
        self._consumer.pause(*partitions)

    async def find_reach(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Span]:
        """Find what each partition holds now."""
        asked = list(partitions)
        if not asked:
            return {}
        begins = await self._consumer.beginning_offsets(asked)
        ends = await self._consumer.end_offsets(asked)
        return {one: (begins[one], ends[one]) for one in asked}

    async def iter_records(
        self, spans: Mapping[TopicPartition, Span], show: Show = silent, what: str = ""
    ) -> AsyncIterator[Record]:
        """Walk the records of some spans; each partition's in order."""
        left = {one: span for one, span in spans.items() if span[0] < span[1]}
        for one, (begin, _) in left.items():
            self._consumer.seek(one, begin)
        self._consumer.resume(*left)
        total = sum(end - begin for begin, end in left.values())
        at = {one: begin for one, (begin, _) in left.items()}
        while left:
            for partition, fetched in (await self._consumer.getmany(*left, timeout_ms=200)).items():
                for record in fetched:
                    if record.offset < left[partition][1]:
                        yield _record(partition, record)
            for one, (_, end) in list(left.items()):
                # Not the last record's offset: records may have been compacted away.
                at[one] = min(await self._consumer.position(one), end)
                if at[one] >= end:
                    self._consumer.pause(one)
                    del left[one]
            show(what, sum(at[one] - spans[one][0] for one in at), total)


@asynccontextmanager
async def open_log(settings: Settings, purpose: str) -> AsyncIterator[Log]:
    """Connect as the department."""
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
        yield Log(consumer)
    finally:
        await stop_consumer(consumer)


def _record(partition: TopicPartition, fetched: Any) -> Record:
    return Record(
        partition.topic,
        partition.partition,
        fetched.offset,
        fetched.timestamp,
        fetched.key,
        fetched.value,
        fetched.headers,
    )
