"""What a reader holds stays within a bound in bytes, whichever partition it came from."""

import random

import pytest
from aiokafka import TopicPartition

from lienthong.dead_letters import Record
from lienthong.held import MOST_AHEAD, Held, bytes_ahead
from lienthong.lane import Fate, Lane
from lienthong.settings import Settings

BOUND = 8 * 2**20
LARGEST = 262_144


@pytest.fixture
def settings() -> Settings:
    return Settings(
        bootstrap_servers="127.0.0.1:9092",
        username="health",
        password="secret",
        database_url="postgresql://health@127.0.0.1/health",
        security_protocol="SASL_PLAINTEXT",
        held_bytes=BOUND,
        parked_records=100_000,
    )


def make_lanes(settings: Settings, partitions: int) -> dict[TopicPartition, Lane]:
    return {TopicPartition("health.birth-notified.v1", n): Lane(settings) for n in range(partitions)}


def records(partition: TopicPartition, count: int, size: int, begin: int = 0) -> list[Record]:
    return [
        Record(partition.topic, partition.partition, begin + n, 0, b"vat", bytes(size), [])
        for n in range(count)
    ]


def park(lane: Lane) -> None:
    """Let everything that came wait behind the first."""
    chosen = lane.choose(10_000, now=0.0)
    lane.settle([Fate.AGAIN, *[Fate.BEHIND] * (len(chosen) - 1)] if chosen else [], now=0.0)


@pytest.mark.parametrize("partitions", [1, 6, 54])
@pytest.mark.parametrize("size", [100, 100_000, 250_000])
def test_whatever_comes_no_more_is_held_than_the_bound_and_one_record(
    settings: Settings, partitions: int, size: int
):
    held, lanes, dice = Held(settings, LARGEST), make_lanes(settings, partitions), random.Random(63)
    most = 0
    while open_ones := [p for p in lanes if p not in held.find_full(lanes)]:
        partition = dice.choice(open_ones)
        held.take(lanes[partition], records(partition, held.most_records(lanes), size))
        park(lanes[partition])
        most = max(most, sum(lane.held_bytes for lane in lanes.values()))
    assert BOUND / 2 < most < BOUND + size + 2_000


def test_a_partition_that_holds_much_waits_and_one_that_holds_little_goes_on(settings: Settings):
    held, lanes = Held(settings, LARGEST), make_lanes(settings, 2)
    first, second = lanes
    held.take(lanes[first], records(first, 50, 100_000))
    park(lanes[first])
    assert held.find_full(lanes) == {first}
    held.take(lanes[second], records(second, 1, 100_000))
    park(lanes[second])
    assert held.find_full(lanes) == {first}


def test_a_partition_that_waited_begins_again_when_half_is_dealt_with(settings: Settings):
    held, lanes = Held(settings, LARGEST), make_lanes(settings, 1)
    (only,) = lanes
    held.take(lanes[only], own_keys(only, 50))
    lane = lanes[only]
    chosen = lane.choose(10_000, now=0.0)
    lane.settle([Fate.AGAIN] * len(chosen), now=0.0)
    assert held.find_full(lanes) == {only}
    waits = []
    for _ in range(50):
        if not (due := lane.choose(1, now=1e9)):
            break
        lane.settle([Fate.HANDLED, *[None] * (len(due) - 1)], now=1e9)
        waits.append(bool(held.find_full(lanes)))
    assert waits == sorted(waits, reverse=True), "it waits, then it does not, and never wavers"
    assert 20 < waits.count(True) < 40
    assert lane.held_bytes == 0


def own_keys(partition: TopicPartition, count: int) -> list[Record]:
    return [
        Record(partition.topic, partition.partition, n, 0, b"vat-%d" % n, bytes(100_000), [])
        for n in range(count)
    ]


def test_records_that_turn_out_large_come_fewer_at_a_time(settings: Settings):
    held, lanes = Held(settings, LARGEST), make_lanes(settings, 1)
    (only,) = lanes
    for _ in range(50):
        held.take(lanes[only], records(only, 1, 100))
    assert held.most_records(lanes) == 200
    held.take(lanes[only], records(only, 1, 250_000))
    assert held.most_records(lanes) < 35


def test_what_is_fetched_ahead_is_shared_among_many_partitions(settings: Settings):
    assert bytes_ahead(settings) == bytes_ahead(settings, 6)
    assert bytes_ahead(settings, 54) * 54 <= BOUND
    assert bytes_ahead(settings.model_copy(update={"held_bytes": 2**30})) == MOST_AHEAD
