"""Read the topics of procedures from end to end, and take up only the records that hold a code looked for."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from lienthong.errors import BusNotUsable
from lienthong.procedures.trail import Record, Trail

SECONDS: Final = 10.0
"""How long a broker may be silent."""
AT_ONCE: Final = 10_000
Progress = Callable[[int, int], None]
"""Is told how many records were read in a round, and how many there are."""


def follow(trail: Trail, client: dict[str, Any], progress: Progress) -> None:
    """Follow a dossier's trail over the bus.

    Args:
        trail: What is known of the dossier; its events are put into it.
        client: Properties of librdkafka of somebody who may read the procedures' topics.
        progress: Is told now and then how far it is.

    Raises:
        BusNotUsable: the brokers do not answer.
    """
    # No group is joined and nothing is committed; librdkafka wants a name all the same.
    unjoined = {"group.id": "procedure-show", "enable.auto.commit": False, "enable.partition.eof": True}
    consumer = Consumer(client | unjoined)
    try:
        there = consumer.list_topics(timeout=SECONDS).topics
        partitions = {name: sorted(topic.partitions) for name, topic in there.items()}
        for topics, codes in trail.rounds():
            known = [TopicPartition(topic, one) for topic in topics for one in partitions.get(topic, ())]
            for found in _holding(consumer, known, codes, progress):
                trail.take(found)
    except KafkaException as error:
        raise BusNotUsable(
            reason=f"The bus does not answer: {error.args[0].str()}.",
            remedy="`lienthong status` says whether it runs.",
        ) from None
    finally:
        consumer.close()


def _holding(
    consumer: Consumer, partitions: Sequence[TopicPartition], codes: Sequence[bytes], progress: Progress
) -> Iterator[Record]:
    """Give the records that hold one of the codes somewhere: only those are worth decoding."""
    left: dict[tuple[Any, Any], int] = {}
    assigned = []
    total = 0
    for one in partitions:
        low, high = consumer.get_watermark_offsets(one, timeout=SECONDS)
        if high > low:
            assigned.append(TopicPartition(one.topic, one.partition, low))
            left[one.topic, one.partition] = high
            total += high - low
    consumer.assign(assigned)
    read, heard = 0, time.monotonic()
    while left:
        record: Any
        for record in consumer.consume(AT_ONCE, timeout=0.1):
            heard = time.monotonic()
            place = record.topic(), record.partition()
            if record.error() is not None:
                if record.error().code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    raise KafkaException(record.error())
                left.pop(place, None)
                continue
            read += 1
            value = record.value()
            if value is not None and any(code in value for code in codes):
                yield _record(record, value)
            if record.offset() + 1 >= left.get(place, 0):
                left.pop(place, None)
        progress(min(read, total), total)
        if time.monotonic() - heard > SECONDS:
            raise BusNotUsable(
                reason=f"The bus gave nothing for {SECONDS:.0f} seconds.",
                remedy="`lienthong status` says whether it runs; then ask again.",
            )
    consumer.unassign()


def _record(record: Any, value: bytes) -> Record:
    return Record(
        record.topic(),
        record.partition(),
        record.offset(),
        record.timestamp()[1],
        record.key(),
        value,
        tuple(record.headers() or ()),
    )
