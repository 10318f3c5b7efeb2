"""The lane: what may be committed, and in which order records are tried."""

from collections.abc import Sequence
from typing import Any

import pytest

from lienthong.dead_letters import Record
from lienthong.lane import Fate, Lane
from lienthong.settings import Settings


@pytest.fixture
def lane() -> Lane:
    return Lane(
        Settings(
            bootstrap_servers="127.0.0.1:9092",
            username="health",
            password="secret",
            database_url="postgresql://health@127.0.0.1/health",
            security_protocol="SASL_PLAINTEXT",
        )
    )


def test_twelve_tries_reach_beyond_a_minute() -> None:
    """However the dice of the waits fall: what is away for a minute is no reason to set a record aside."""
    settings = Settings(
        bootstrap_servers="127.0.0.1:9092",
        username="health",
        password="secret",
        database_url="postgresql://health@127.0.0.1/health",
        security_protocol="SASL_PLAINTEXT",
        attempts=12,
    )
    lane = Lane(settings)
    lane.take(records("a"))
    now = 0.0
    for _ in range(settings.attempts - 1):
        assert offsets(lane.choose(10, now)) == [0]
        lane.settle([Fate.AGAIN], now)
        now = lane.wakes_at()
    assert now > 60.0


def records(*keys: str) -> list[Record]:
    """Records without an envelope: a lane does not care, a key is enough."""
    return [
        Record("health.birth-notified.v1", 0, n, 0, key.encode(), b"{}", []) for n, key in enumerate(keys)
    ]


def offsets(chosen: Sequence[Any]) -> list[int]:
    return [taken.record.offset for taken in chosen]


def test_the_offset_to_commit_never_passes_a_parked_record(lane: Lane) -> None:
    lane.take(records("a", "b", "a"))
    lane.choose(10, now=0.0)
    lane.settle([Fate.AGAIN, Fate.HANDLED, Fate.BEHIND], now=0.0)
    assert lane.commit_offset == 0
    assert offsets(lane.choose(10, now=100.0)) == [0]
    lane.settle([Fate.HANDLED], now=100.0)
    assert lane.commit_offset == 2


def test_records_that_waited_behind_a_retry_line_up_by_offset_again(lane: Lane) -> None:
    lane.take(records("a", "b", "c", "a", "b", "d"))
    lane.choose(10, now=0.0)
    lane.settle([Fate.AGAIN, Fate.AGAIN, Fate.HANDLED, Fate.BEHIND, Fate.BEHIND, None], now=0.0)
    assert lane.commit_offset == 0
    assert offsets(lane.choose(3, now=100.0)) == [0, 1, 5]
    # The database went away before the fresh one; both retries had been handled.
    lane.settle([Fate.HANDLED, Fate.HANDLED, None], now=100.0)
    assert lane.commit_offset == 3
    assert offsets(lane.choose(10, now=100.0)) == [3, 4, 5]


def test_a_turn_that_took_no_effect_leaves_everything_as_it_was(lane: Lane) -> None:
    lane.take(records("a", "b"))
    lane.choose(10, now=0.0)
    lane.settle([None, None], now=0.0)
    assert lane.commit_offset == 0
    assert offsets(lane.choose(10, now=0.0)) == [0, 1]


def test_what_a_turn_has_begun_is_not_committed_before_it_ends(lane: Lane) -> None:
    lane.take(records("a", "b", "c"))
    lane.choose(2, now=0.0)
    assert lane.commit_offset == 0
    lane.settle([Fate.HANDLED, Fate.AGAIN], now=0.0)
    assert lane.commit_offset == 1
    lane.choose(2, now=100.0)
    assert lane.commit_offset == 1
    lane.settle([Fate.HANDLED, Fate.HANDLED], now=100.0)
    assert lane.commit_offset == 3


def test_a_key_that_is_parked_keeps_its_later_records_behind_it(lane: Lane) -> None:
    first, *later = records("a", "b", "a")
    lane.take([first])
    lane.choose(10, now=0.0)
    lane.settle([Fate.AGAIN], now=0.0)
    lane.take(later)
    assert offsets(lane.choose(10, now=0.0)) == [1]
    assert lane.parked_records == 2


def test_what_a_lane_holds_is_what_is_neither_handled_nor_set_aside(lane: Lane) -> None:
    lane.take(records("a", "b", "a", "c"))
    whole = lane.held_bytes
    assert whole > 4 * 1_000
    lane.choose(10, now=0.0)
    lane.settle([Fate.AGAIN, Fate.HANDLED, Fate.BEHIND, None], now=0.0)
    assert lane.held_bytes == whole * 3 / 4
    lane.choose(10, now=100.0)
    lane.settle([Fate.SET_ASIDE, Fate.HANDLED], now=100.0)
    lane.choose(10, now=100.0)
    lane.settle([Fate.REPEATED], now=100.0)
    assert lane.held_bytes == 0
    assert lane.commit_offset == 4


def test_a_record_is_tried_again_however_often_it_was(lane: Lane) -> None:
    lane.take(records("a"))
    lane.choose(10, now=0.0)[0].attempts = 100_000
    lane.settle([Fate.AGAIN], now=0.0)
    assert 0 < lane.wakes_at() <= 30
