"""One partition's records on their way to handlers: order per key, retries, what may be committed (hop 5)."""

import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, Final

from lienthong import names
from lienthong.dead_letters import Reason, Record
from lienthong.errors import Unreadable
from lienthong.event import RawEvent, read_record
from lienthong.inbox import Identity, digest_of
from lienthong.settings import Settings
from lienthong.unfolding import FOLDED, Folded

Order = tuple[str, int, bytes]
"""Topic, partition and key: records that have these in common are handled one after the other."""

RECORD_BYTES: Final = 1_750
HEADER_BYTES: Final = 140
"""What a record and a header take in memory beside their own bytes, weighed with fourteen headers."""

LONGEST_DOUBLING: Final = 30
"""So often a wait is doubled; far beyond any longest wait, and a number still."""


class Fate(Enum):
    """What one turn made of a record."""

    HANDLED = "handled"
    REPEATED = "repeated"
    SET_ASIDE = "set aside"
    AGAIN = "again"
    BEHIND = "behind"


_DONE: Final = frozenset({Fate.HANDLED, Fate.REPEATED, Fate.SET_ASIDE})


@dataclass(slots=True, eq=False)
class Taken:
    """A record in the lane, with the story of its tries."""

    record: Record
    key: bytes
    identity: Identity
    event: RawEvent | None
    unreadable: Reason | None = None
    digest: bytes | None = None
    """Of the event's content, where the event is its owner's."""
    conflict: Reason | None = None
    """Why this is another event than the one whose id it bears."""
    attempts: int = 0
    first_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    due: float = 0.0
    reason: Reason | None = None
    earlier_attempts: int = 0
    """Tries before it was set aside, where it was sent again."""
    tried_since: datetime | None = None
    """The first of them."""
    weight: int = field(init=False)
    """About how many bytes it takes in memory."""

    def __post_init__(self) -> None:
        record = self.record
        own = len(record.key or b"") + len(record.value or b"")
        headers = sum(HEADER_BYTES + len(name) + len(value or b"") for name, value in record.headers)
        self.weight = RECORD_BYTES + own + headers

    @property
    def order(self) -> Order:
        """Say what it keeps its order in."""
        return (self.record.topic, self.record.partition, self.key)

    @property
    def mark(self) -> Identity:
        """Say under which name the inbox knows it: its own, or its place where the name is another's."""
        return place_of(self.record) if self.conflict is not None else self.identity


class Lane:
    """The records of one partition in one group.

    A record that is to be tried again parks its key: later records of that key queue behind it, those of
    other keys go on. The offset to commit never passes a record that is waiting or parked; what was handled
    beyond it is known to the inbox.
    """

    def __init__(self, settings: Settings) -> None:
        self.next_offset: int | None = None
        self.held_bytes = 0
        """What its records take in memory, waiting and parked."""
        self._settings = settings
        self._waiting: deque[Taken] = deque()
        self._parked: dict[bytes, deque[Taken]] = {}
        self._chosen: list[Taken] = []

    @property
    def parked_records(self) -> int:
        """Count the records that wait for a retry, or behind one."""
        return sum(map(len, self._parked.values()))

    @property
    def is_full(self) -> bool:
        """Whether the partition should not be read any further for now."""
        return bool(self._waiting) or self.parked_records >= self._settings.parked_records

    @property
    def commit_offset(self) -> int | None:
        """The next offset to read, should this process die now; None before the first record."""
        # What a turn has begun too: should it never end, nobody settles that.
        unfinished = [taken.record.offset for taken in self._chosen]
        unfinished += [queue[0].record.offset for queue in self._parked.values()]
        if self._waiting:
            unfinished.append(self._waiting[0].record.offset)
        return min(unfinished, default=self.next_offset)

    def wakes_at(self) -> float:
        """Tell when there is something to do (loop time): the next retry is due; infinity for never."""
        if self._waiting:
            return 0.0
        return min((queue[0].due for queue in self._parked.values()), default=float("inf"))

    def take(self, records: Iterable[Record]) -> int:
        """Line up records as they come from the broker, in order of their offsets; tells how many."""
        before = len(self._waiting)
        for record in records:
            taken = take_up(record)
            self._waiting.append(taken)
            self.held_bytes += taken.weight
            self.next_offset = record.offset + 1
        return len(self._waiting) - before

    def choose(self, most: int, now: float) -> list[Taken]:
        """Choose what a turn is to try: every retry that is due, and so many records in all."""
        retried = [queue[0] for queue in self._parked.values() if queue[0].due <= now]
        fresh: list[Taken] = []
        while self._waiting and len(retried) + len(fresh) < most:
            taken = self._waiting.popleft()
            if taken.key in self._parked:
                self._parked[taken.key].append(taken)
            else:
                fresh.append(taken)
        self._chosen = retried + fresh
        return self._chosen

    def settle(self, fates: Sequence[Fate | None], now: float) -> None:
        """Take note of what became of the chosen records, one fate for each: unpark, park, line up again.

        None stands for a record that the turn did not come to, or to no effect.
        """
        behind: list[Taken] = []
        back_in_line: list[Taken] = []
        for taken, fate in zip(self._chosen, fates, strict=True):
            if fate in _DONE:
                self.held_bytes -= taken.weight
            queue = self._parked.get(taken.key)
            was_parked = queue is not None and queue[0] is taken
            if fate is Fate.AGAIN:
                taken.attempts += 1
                taken.due = now + draw_back_off(self._settings, taken.attempts)
                self._parked.setdefault(taken.key, deque([taken]))
            elif fate is Fate.BEHIND:
                behind.append(taken)
            elif fate is None and not was_parked:
                back_in_line.append(taken)
            elif fate is not None and was_parked:
                _, *later = self._parked.pop(taken.key)
                back_in_line += later
        for taken in behind:
            self._parked[taken.key].append(taken)
        self._chosen = []
        if back_in_line:
            # By offset: `commit_offset` looks at the first in line only.
            self._waiting = deque(sorted([*back_in_line, *self._waiting], key=lambda t: t.record.offset))


def draw_back_off(settings: Settings, attempts: int) -> float:
    """Draw the seconds until the next try: doubled each time, bounded, never quite the same."""
    wait = settings.back_off_seconds * 2.0 ** min(attempts - 1, LONGEST_DOUBLING)
    return min(wait, settings.back_off_most_seconds) * random.uniform(0.5, 1.0)  # noqa: S311


def place_of(record: Any) -> Identity:
    """Name a record by its place in the log: what has no name of its own, or bears another's."""
    return (f"kafka:{record.topic}", f"{record.partition}/{record.offset}")


@cache
def _owner(topic: str) -> str | None:
    """Name the source whose events a topic holds."""
    known = names.find_topic(topic)
    return names.source(known.department) if known is not None else None


def is_forged(event: RawEvent, topic: str) -> bool:
    """Tell whether an event says that it comes from another department than its topic's owner.

    It is known by its place too: a mark under the name it bears would keep the true event of that name from
    being handled.
    """
    return event.source != _owner(topic)


def take_up(record: Record) -> Taken:
    """Read a record's envelope; one that has none is known by its place in the log."""
    place = place_of(record)
    try:
        event = read_record(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp_ms,
            record.key,
            record.value,
            record.headers,
        )
    except Unreadable as error:
        key = record.key if record.key is not None else place[1].encode()
        return Taken(record, key, place, None, _reason(error, record))
    key = record.key if record.key is not None else event.key.encode()
    if is_forged(event, record.topic):
        return Taken(record, key, place, event)
    return Taken(record, key, (event.source, event.id), event, digest=digest_of(event))


def _reason(error: Unreadable, record: Record) -> Reason:
    if isinstance(record.value, Folded):
        fields = {name: getattr(record, name) for name in ("topic", "partition", "offset")}
        error = Unreadable(**fields, reason=FOLDED)
    return Reason(error.code, str(error), error.problems)
