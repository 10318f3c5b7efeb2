"""Notice a client that receives nothing although there is something, and says nothing of it (hop 5)."""

import asyncio
from collections.abc import Collection
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka_errors

LOOK_SECONDS: Final = 10.0
"""Longest wait for an answer; a client that cannot even ask begins afresh too."""

SURE_SECONDS: Final = 2.0
"""A record that was written just now is on its way for less."""


class SilentReader(Exception):
    """There is something to read, and nothing arrives."""


class Silence:
    """Watches one consumer of aiokafka, whose fetching may end without a word (issues 1037, 983, 712).

    The client's own idea of where a partition ends comes with what it fetches, so that one which fetches
    nothing believes itself at the end: the broker is asked.
    """

    def __init__(self, seconds: float, now: float) -> None:
        self._seconds = seconds
        self._looks_at = now + seconds
        self._missed: dict[TopicPartition, int] = {}

    def broken(self, now: float) -> None:
        """Take note that something arrived."""
        self._looks_at = now + self._seconds
        self._missed = {}

    async def look(self, consumer: AIOKafkaConsumer, wanted: Collection[TopicPartition], now: float) -> None:
        """Ask the broker, when nothing has come for long, whether there is anything on what we want to read.

        Raises:
            SilentReader: there was, at the look before this one, and it has not come since.
        """
        if now < self._looks_at:
            return
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                places = {partition: await consumer.position(partition) for partition in wanted}
                ends = await consumer.end_offsets(list(places)) if places else {}
        except kafka_errors.IllegalStateError:
            return  # a partition was given away meanwhile
        if any(places[partition] < end for partition, end in self._missed.items() if partition in places):
            raise SilentReader
        self._missed = {
            partition: ends[partition] for partition in places if places[partition] < ends[partition]
        }
        self._looks_at = now + (min(SURE_SECONDS, self._seconds) if self._missed else self._seconds)
