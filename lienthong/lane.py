"""One partition's records on their way to handlers: order per key, retries, batches (hops 5, 6)."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import asyncpg

from lienthong import dead_letters, inbox, metrics
from lienthong.database import Connection, Pool, is_gone
from lienthong.dead_letters import Reason, Record
from lienthong.errors import LienThongError, Problem, Unreadable
from lienthong.event import RawEvent, read_record
from lienthong.gate import Gate
from lienthong.inbox import Identity, Mark
from lienthong.logs import describe, get_log
from lienthong.settings import Settings


@dataclass(frozen=True, slots=True)
class Reading:
    """One topic that a group reads, and what is done with its events."""

    topic: str
    group: str
    handle: Callable[[RawEvent, Any, Connection], Awaitable[None]]


class Fate(Enum):
    """What one pass made of a record."""

    HANDLED = "handled"
    REPEATED = "repeated"
    SET_ASIDE = "set aside"
    AGAIN = "again"
    BEHIND = "behind"


@dataclass(slots=True)
class Taken:
    """A record in the lane, with the story of its tries."""

    record: Record
    key: bytes
    identity: Identity
    event: RawEvent | None
    unreadable: Reason | None = None
    attempts: int = 0
    first_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    due: float = 0.0
    reason: Reason | None = None


class Interrupted(Exception):
    """The database went away in the middle of a pass: nothing of it took effect."""


def _is_passing(error: Exception) -> bool:
    """Whether a failed transaction says nothing about its records: do the same again, later."""
    if isinstance(error, asyncpg.UniqueViolationError):
        # Another process of the group marked one of them first (a rebalance under way).
        return error.schema_name == "lienthong" and error.table_name == "inbox"
    return isinstance(error, (Interrupted, OSError, TimeoutError)) or is_gone(error)


class Lane:
    """The records of one partition in one group.

    A record that is to be tried again parks its key: later records of that key queue behind it, those of
    other keys go on. The offset to commit never passes a record that is waiting or parked; what was handled
    beyond it is known to the inbox.
    """

    def __init__(
        self, partition: int, readings: Mapping[str, Reading], group: str, gate: Gate, settings: Settings
    ) -> None:
        self.partition = partition
        self.next_offset: int | None = None
        self.blocked_until = 0.0
        self._readings = readings
        self._group = group
        self._gate = gate
        self._settings = settings
        self._waiting: deque[Taken] = deque()
        self._parked: dict[bytes, deque[Taken]] = {}
        self._interruptions = 0
        self._log = get_log(group=group, partition=partition)

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
        unfinished = [queue[0].record.offset for queue in self._parked.values()]
        if self._waiting:
            unfinished.append(self._waiting[0].record.offset)
        return min(unfinished, default=self.next_offset)

    def is_due(self, now: float) -> bool:
        """Whether a pass would have something to do."""
        if now < self.blocked_until:
            return False
        return bool(self._waiting) or any(queue[0].due <= now for queue in self._parked.values())

    def wakes_at(self) -> float:
        """Tell when the next retry is due (loop time); infinity when nothing waits."""
        first = min((queue[0].due for queue in self._parked.values()), default=float("inf"))
        return max(self.blocked_until, 0.0 if self._waiting else first)

    def take(self, records: Iterable[Record]) -> None:
        """Line up records as they come from the broker, in order of their offsets."""
        for record in records:
            self._waiting.append(_take(record))
            self.next_offset = record.offset + 1

    async def work(self, pool: Pool, now: float) -> None:
        """Make one pass: every retry that is due and a batch of new records, in one transaction."""
        retried, fresh = self._select(now)
        batch = retried + fresh
        if not batch:
            return
        try:
            fates = await self._pass(pool, batch)
        except Exception as error:
            if _is_passing(error):
                self._wait_for_database(error, fresh, now)
                return
            fates = await self._one_by_one(pool, batch, fresh, now)
        self._interruptions = 0
        self._settle(fates, asyncio.get_running_loop().time())

    async def _one_by_one(
        self, pool: Pool, batch: list[Taken], fresh: list[Taken], now: float
    ) -> list[tuple[Taken, Fate]]:
        """Make a transaction of each record: one of them spoils the commit of all (a deferred constraint)."""
        fates: list[tuple[Taken, Fate]] = []
        for number, taken in enumerate(batch):
            try:
                fates += await self._pass(pool, [taken])
            except Exception as error:
                if _is_passing(error):
                    settled = set(map(id, batch[:number]))
                    self._wait_for_database(error, [late for late in fresh if id(late) not in settled], now)
                    break
                taken.reason, _ = _reason_of(error)
                taken.unreadable = taken.reason
                fates += await self._pass(pool, [taken])
        return fates

    def _wait_for_database(self, error: Exception, fresh: list[Taken], now: float) -> None:
        """Put what took no effect back in line, in the old order, and wait: no record is to blame."""
        self._waiting.extendleft(reversed(fresh))
        self._interruptions += 1
        wait = min(self._settings.back_off_seconds * 2 ** min(self._interruptions, 10), 5.0)
        self.blocked_until = now + wait
        self._log.warning(
            "pass_interrupted", error=error.__cause__ or error, records=len(fresh), wait_seconds=wait
        )

    def _select(self, now: float) -> tuple[list[Taken], list[Taken]]:
        retried = [queue[0] for queue in self._parked.values() if queue[0].due <= now]
        fresh: list[Taken] = []
        while self._waiting and len(retried) + len(fresh) < self._settings.batch_records:
            taken = self._waiting.popleft()
            if taken.key in self._parked:
                self._parked[taken.key].append(taken)
            else:
                fresh.append(taken)
        return retried, fresh

    async def _pass(self, pool: Pool, batch: list[Taken]) -> list[tuple[Taken, Fate]]:
        fates: list[tuple[Taken, Fate]] = []
        marks: list[Mark] = []
        held: set[bytes] = set()
        async with pool.acquire() as db, db.transaction():
            seen = await inbox.find_seen(db, self._group, [taken.identity for taken in batch])
            for taken in batch:
                if taken.key in held:
                    fates.append((taken, Fate.BEHIND))
                    continue
                if taken.identity in seen:
                    fates.append((taken, Fate.REPEATED))
                    continue
                fate = await self._attempt(db, taken)
                fates.append((taken, fate))
                if fate is Fate.AGAIN:
                    held.add(taken.key)
                else:
                    seen.add(taken.identity)
                    marks.append(_mark(taken, fate))
            await inbox.mark(db, self._group, marks)
        return fates

    async def _attempt(self, db: Connection, taken: Taken) -> Fate:
        """Try one record; what its handler wrote is undone unless it succeeds."""
        reason = taken.unreadable
        retriable = False
        if reason is None:
            assert taken.event is not None
            try:
                async with db.transaction():
                    data = self._gate.recheck(taken.record.topic, taken.event)
                    async with asyncio.timeout(self._settings.handler_seconds):
                        await self._readings[taken.record.topic].handle(taken.event, data, db)
            except Exception as error:
                if is_gone(error, db):
                    raise Interrupted from error
                reason, retriable = _reason_of(error)
            else:
                return Fate.HANDLED
        taken.reason = reason
        now = datetime.now(UTC)
        if retriable and taken.attempts + 1 < self._settings.attempts:
            return Fate.AGAIN
        await dead_letters.put(db, taken.record, self._group, reason, taken.attempts + 1, taken.first_at, now)
        return Fate.SET_ASIDE

    def _settle(self, fates: list[tuple[Taken, Fate]], now: float) -> None:
        """Take note of what was committed: unpark, park, count, log."""
        behind: dict[bytes, list[Taken]] = {}
        back_in_line: list[Taken] = []
        handled_at = datetime.now(UTC)
        for taken, fate in fates:
            if fate is Fate.AGAIN:
                taken.attempts += 1
                taken.due = now + self._back_off(taken.attempts)
                self._parked.setdefault(taken.key, deque([taken]))
            elif fate is Fate.BEHIND:
                behind.setdefault(taken.key, []).append(taken)
            elif (queue := self._parked.get(taken.key)) is not None and queue[0] is taken:
                queue.popleft()
                del self._parked[taken.key]
                back_in_line.extend(queue)
            self._tell(taken, fate, handled_at)
        for key, late in behind.items():
            self._parked[key].extend(late)
        self._waiting.extendleft(reversed(back_in_line))

    def _back_off(self, attempts: int) -> float:
        wait = self._settings.back_off_seconds * 2.0 ** (attempts - 1)
        return min(wait, self._settings.back_off_most_seconds) * random.uniform(0.5, 1.0)  # noqa: S311

    def _tell(self, taken: Taken, fate: Fate, handled_at: datetime) -> None:
        labels = (taken.record.topic, self._group)
        if fate is Fate.HANDLED:
            metrics.EVENTS_HANDLED.labels(*labels).inc()
            assert taken.event is not None
            seconds = (handled_at - taken.event.recorded_at).total_seconds()
            metrics.EVENT_HANDLED_SECONDS.labels(*labels).observe(max(seconds, 0.0))
            self._log.debug("event_handled", topic=taken.record.topic, event_id=taken.identity[1])
        elif fate is Fate.REPEATED:
            metrics.EVENTS_REPEATED.labels(*labels).inc()
        elif fate is Fate.AGAIN:
            metrics.EVENTS_RETRIED.labels(*labels).inc()
            assert taken.reason is not None
            self._log.info(
                "event_parked",
                topic=taken.record.topic,
                offset=taken.record.offset,
                attempts=taken.attempts,
                code=taken.reason.code,
            )
        elif fate is Fate.SET_ASIDE:
            assert taken.reason is not None
            metrics.EVENTS_SET_ASIDE.labels(*labels, taken.reason.code).inc()
            self._log.warning(
                "event_set_aside",
                topic=taken.record.topic,
                offset=taken.record.offset,
                code=taken.reason.code,
                reason=taken.reason.sentence,
            )


def _take(record: Record) -> Taken:
    """Read a record's envelope; one that has none is known by its place in the log."""
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
        place = (f"kafka:{record.topic}", f"{record.partition}/{record.offset}")
        key = record.key if record.key is not None else place[1].encode()
        return Taken(record, key, place, None, Reason(error.code, str(error), error.problems))
    return Taken(
        record, record.key if record.key is not None else event.key.encode(), (event.source, event.id), event
    )


def _mark(taken: Taken, fate: Fate) -> Mark:
    return Mark(
        taken.identity,
        taken.record.topic,
        taken.record.partition,
        taken.record.offset,
        "handled" if fate is Fate.HANDLED else "set aside",
        None if fate is Fate.HANDLED or taken.reason is None else taken.reason.code,
        taken.event.recorded_at if taken.event is not None else None,
    )


def _reason_of(error: Exception) -> tuple[Reason, bool]:
    """Tell why a handler failed, without data values, and whether time may heal it."""
    if isinstance(error, LienThongError):
        problems: tuple[Problem, ...] = tuple(error.fields.get("problems", ()))
        return Reason(error.code, str(error), problems), bool(error.fields.get("retriable", error.retriable))
    if isinstance(error, TimeoutError):
        return Reason("handler-too-slow", "The handler took too long and was stopped."), True
    told = describe(error)
    sentence = (
        f"The handler raised {told['error']} at {told.get('error_at', 'an unknown place')}; this is a defect."
    )
    return Reason("handler-failed", sentence), False
