"""A client that receives nothing is believed only when the broker has nothing."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka import errors as kafka_errors

from lienthong.silence import Silence, SilentReader

ONE, OTHER = TopicPartition("health.birth-notified.v1", 0), TopicPartition("health.birth-notified.v1", 1)


class Client:
    """A consumer that stands where it stands, on a broker that has what it has."""

    def __init__(self, places: dict[TopicPartition, int], ends: dict[TopicPartition, int]) -> None:
        self.places, self.ends = places, ends
        self.asked = 0

    async def position(self, partition: TopicPartition) -> int:
        if partition not in self.places:
            raise kafka_errors.IllegalStateError(partition)
        return self.places[partition]

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked += 1
        return {partition: self.ends[partition] for partition in partitions}


async def look(silence: Silence, client: Any, *moments: float) -> None:
    for now in moments:
        await silence.look(client, {ONE, OTHER}, now)


async def test_who_misses_something_twice_is_silent() -> None:
    client = Client({ONE: 5, OTHER: 9}, {ONE: 7, OTHER: 9})
    silence = Silence(60.0, 0.0)
    await look(silence, client, 30.0, 60.0, 61.0)
    assert client.asked == 1, "not asked before it is time"
    with pytest.raises(SilentReader):
        await look(silence, client, 62.0)


async def test_what_has_come_meanwhile_was_on_its_way() -> None:
    client = Client({ONE: 5, OTHER: 9}, {ONE: 7, OTHER: 9})
    silence = Silence(60.0, 0.0)
    await look(silence, client, 60.0)
    client.places[ONE], client.ends[ONE] = 7, 9
    await look(silence, client, 62.0)
    assert client.asked == 2
    with pytest.raises(SilentReader):
        await look(silence, client, 64.0)


async def test_who_hears_something_is_not_asked_for_long() -> None:
    client = Client({ONE: 5, OTHER: 9}, {ONE: 7, OTHER: 9})
    silence = Silence(60.0, 0.0)
    await look(silence, client, 60.0)
    silence.broken(61.0)
    await look(silence, client, 62.0, 120.0)
    assert client.asked == 1


async def test_who_is_at_the_end_everywhere_is_not_silent() -> None:
    client = Client({ONE: 7, OTHER: 9}, {ONE: 7, OTHER: 9})
    await look(Silence(60.0, 0.0), client, 60.0, 120.0, 180.0)
    assert client.asked == 3


async def test_a_partition_that_is_given_away_meanwhile_is_anothers_to_miss() -> None:
    client = Client({ONE: 5}, {ONE: 7})
    await look(Silence(60.0, 0.0), client, 60.0, 62.0, 64.0)
    assert client.asked == 0
