"""Topics as any Kafka client reads them, without our library."""

from collections.abc import Iterable
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition


def read(settings: dict[str, Any], topics: Iterable[str], group: str) -> dict[str, list[Any]]:
    """Read whole topics, all at once: what is on each.

    Raises:
        KafkaException: one of them is not there, or not to be read by this user.
    """
    consumer = Consumer(
        settings | {"group.id": group, "enable.auto.commit": False, "enable.partition.eof": True}
    )
    found: dict[str, list[Any]] = {topic: [] for topic in topics}
    try:
        left = {(topic, number) for topic in found for number in _partitions(consumer, topic)}
        consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in left])
        while left:
            record = consumer.poll(10)
            assert record is not None
            if record.error() is None:
                found[record.topic()].append(record)
            elif record.error().code() == KafkaError._PARTITION_EOF:
                left.discard((record.topic(), record.partition()))
            else:
                raise KafkaException(record.error())
    finally:
        consumer.close()
    return found


def _partitions(consumer: Consumer, topic: str) -> Iterable[int]:
    known = consumer.list_topics(topic, 10).topics[topic]
    if known.error is not None:
        raise KafkaException(known.error)
    return known.partitions
