"""What a reader may hold in memory, however far it is behind: so many bytes, waiting and parked (hop 5)."""

from collections.abc import Iterable, Mapping
from typing import Final

from aiokafka import TopicPartition

from lienthong.dead_letters import Record
from lienthong.lane import Lane
from lienthong.settings import Settings

SHARES_AHEAD: Final = 32
"""What is fetched ahead for one partition is at most such a part of what may be held."""

MOST_AHEAD: Final = 1_048_576
LEAST_AHEAD: Final = 16_384
"""Bounds of what is fetched ahead for one partition; a batch that is larger comes whole all the same."""


def bytes_ahead(settings: Settings, partitions: int = 0) -> int:
    """Tell how much may be fetched ahead for each of so many partitions: in all, what may be held."""
    share = settings.held_bytes // max(partitions, SHARES_AHEAD)
    return max(LEAST_AHEAD, min(share, MOST_AHEAD))


class Held:
    """Says which lanes must wait, and how many records may come, so that a bound in bytes is kept.

    Once half of it is taken, a lane waits that holds more than its share of that half; those below their
    share go on until all of it is taken. A lane that waits begins again when it holds half as much: what was
    fetched ahead for it is dropped meanwhile, and fetched again.

    Args:
        settings: The bound, and how many records a turn takes.
        largest_bytes: What a record may weigh: so large they are thought to be, until they have come.
    """

    def __init__(self, settings: Settings, largest_bytes: int) -> None:
        self._settings = settings
        self._usual_bytes = float(largest_bytes)
        self._waits: set[TopicPartition] = set()

    def take(self, lane: Lane, records: Iterable[Record]) -> None:
        """Line records up in their lane, and take note of how large they are."""
        before = lane.held_bytes
        if count := lane.take(records):
            self._usual_bytes = max((lane.held_bytes - before) / count, self._usual_bytes * 0.9)

    def find_full(self, lanes: Mapping[TopicPartition, Lane]) -> set[TopicPartition]:
        """Find the partitions that should not be read any further for now."""
        most = self._settings.held_bytes / 2
        share = most / max(len(lanes), 1)
        held = sum(lane.held_bytes for lane in lanes.values())
        self._waits = {
            partition
            for partition, lane in lanes.items()
            if lane.held_bytes >= (share / 2 if partition in self._waits else share)
            and (held >= most or partition in self._waits)
        }
        if held >= self._settings.held_bytes:
            return set(lanes)
        return self._waits | {partition for partition, lane in lanes.items() if lane.is_full}

    def most_records(self, lanes: Mapping[TopicPartition, Lane]) -> int:
        """Tell how many records may come at once."""
        room = self._settings.held_bytes - sum(lane.held_bytes for lane in lanes.values())
        return max(1, min(int(room / self._usual_bytes), self._settings.batch_records))
