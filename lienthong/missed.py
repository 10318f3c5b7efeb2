"""Notice records that were deleted before a group had read them: retention passed it by (hop 5).

The client goes on with the oldest record that is left, and says nothing. Nobody can bring the others back
from here, but somebody must hear that they are gone, while their owner still has them.
"""

from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from lienthong import metrics
from lienthong.logs import get_log

LOOK_AGAIN_SECONDS: Final = 10.0
"""A partition with gaps of its own (a compacted one) is not asked about more often."""


class Missed:
    """Watches the offsets of one group's partitions for records that are no longer there."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._asked: dict[TopicPartition, float] = {}
        self._log = get_log(group=group)

    async def look(
        self,
        consumer: AIOKafkaConsumer,
        partition: TopicPartition,
        awaited: int | None,
        came: int,
        now: float,
    ) -> int:
        """Where a record other than the next one came, tell how many before it were deleted unread.

        Args:
            consumer: Whom to ask where the partition begins.
            partition: Where the record came from.
            awaited: The offset that should have come; None for the first record since the partition is ours.
            came: The offset that came.
            now: Loop time.
        """
        if awaited == came or now - self._asked.get(partition, float("-inf")) < LOOK_AGAIN_SECONDS:
            return 0
        self._asked[partition] = now
        if awaited is None and (awaited := await consumer.committed(partition)) is None:
            return 0  # a group that begins
        if came <= awaited:
            return 0
        begins = (await consumer.beginning_offsets([partition]))[partition]
        gone: int = max(0, min(begins, came) - awaited)
        if gone:
            metrics.RECORDS_MISSED.labels(partition.topic, self._group).inc(gone)
            self._log.error(
                "records_missed",
                topic=partition.topic,
                partition=partition.partition,
                from_offset=awaited,
                to_offset=awaited + gone - 1,
                count=gone,
                remedy="Retention deleted them unread: ask the topic's owner to publish these facts again.",
            )
        return gone
