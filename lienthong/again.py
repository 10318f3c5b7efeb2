"""Handle what was sent again: a record that was set aside takes effect after all, once (hops 6, 7)."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka import errors as kafka_errors

from lienthong import inbox, metrics
from lienthong.database import Connection, Pool, borrow
from lienthong.dead_letters import Reason, Record
from lienthong.inbox import Identity
from lienthong.lane import Fate, Taken, draw_back_off, take_up
from lienthong.letters.later import Later, find_handled
from lienthong.letters.letter import Place
from lienthong.letters.log import open_log
from lienthong.logs import get_log
from lienthong.odd_headers import read_odd_headers
from lienthong.settings import Settings
from lienthong.turn import Reading, Turn

LOOK_SECONDS: Final = 1.0
"""How often a reader looks whether anything was sent again."""

AT_ONCE: Final = 100
"""Records taken between two looks."""

BETWEEN_SECONDS: Final = 0.2
"""For so long records are taken between two turns, the last one to its end."""

HOLD_UP_SECONDS: Final = 5.0
"""For so long, at most, turns wait while it is looked whether a record has become stale."""

END_SECONDS: Final = 2.0
"""So long is waited for what was begun to be undone."""

# Of each key in order: behind one that is to be tried again, the later ones wait.
_DUE: Final = """
SELECT s.topic, s.record_partition, s.record_offset, s.order_key, s.even_if_stale, s.looked_to
FROM lienthong.sent_again s
JOIN unnest($2::text[], $3::int[]) AS o(topic, record_partition) USING (topic, record_partition)
WHERE s.consumer_group = $1 AND s.due <= now() AND NOT EXISTS (
    SELECT FROM lienthong.sent_again e WHERE e.consumer_group = s.consumer_group AND e.topic = s.topic
    AND e.record_partition = s.record_partition AND e.order_key = s.order_key
    AND e.record_offset < s.record_offset AND e.due > now()
)
ORDER BY s.topic, s.record_partition, s.record_offset LIMIT $4
"""
_TAKE: Final = """
SELECT s.* FROM lienthong.sent_again s
WHERE s.consumer_group = $1 AND s.topic = $2 AND s.record_partition = $3 AND s.record_offset = $4
AND s.due <= now() AND NOT EXISTS (
    SELECT FROM lienthong.sent_again e WHERE e.consumer_group = s.consumer_group AND e.topic = s.topic
    AND e.record_partition = s.record_partition AND e.order_key = s.order_key
    AND e.record_offset < s.record_offset
)
FOR UPDATE OF s SKIP LOCKED
"""
_GONE_FROM_HERE: Final = """
DELETE FROM lienthong.sent_again
WHERE consumer_group = $1 AND topic = $2 AND record_partition = $3 AND record_offset = $4
"""
_TRY_LATER: Final = """
UPDATE lienthong.sent_again
SET attempts = attempts + 1, tried_at = coalesce(tried_at, $5), due = now() + make_interval(secs => $6)
WHERE consumer_group = $1 AND topic = $2 AND record_partition = $3 AND record_offset = $4
"""
_MARKS: Final = """
SELECT i.source, i.id, i.outcome FROM lienthong.inbox i
JOIN unnest($2::text[], $3::text[]) AS d(source, id) ON i.source = d.source AND i.id = d.id
WHERE i.consumer_group = $1 FOR UPDATE OF i
"""
_MARK_ANEW: Final = """
UPDATE lienthong.inbox i SET outcome = $4, code = $5, handled_at = clock_timestamp()
FROM unnest($2::text[], $3::text[]) AS d(source, id)
WHERE i.consumer_group = $1 AND i.source = d.source AND i.id = d.id AND i.outcome = 'set aside'
"""
_END: Final = """
UPDATE lienthong.letter_decision SET outcome = $2, code = $3, ended_at = clock_timestamp() WHERE id = $1
"""

STALE: Final = "stale"
"""A later record of the key was handled since it was decided: nothing is done, the letter stays."""

_OUTCOMES: Final = {Fate.HANDLED: "handled", Fate.REPEATED: "repeated", Fate.SET_ASIDE: "set aside"}


class Again:
    """What was sent again to one group, in this process.

    Only rows of partitions that this process reads are taken, between two turns: so a key is handled in one
    place at a time, as ever. Each has a transaction of its own, in which its mark turns from "set aside" to
    "handled" together with the effect; so the inbox protects it like any other.
    """

    def __init__(self, group: str, readings: Mapping[str, Reading], turn: Turn, settings: Settings) -> None:
        self._group = group
        self._turn = turn
        self._settings = settings
        self._told_twice = {name for r in readings.values() if r.former for name in (r.topic, r.former)}
        """Topics whose facts the group may have met under their siblings' names."""
        self._log = get_log(group=group)

    @asynccontextmanager
    async def going(
        self, pool: Pool, at_work: asyncio.Lock, lanes: Collection[TopicPartition]
    ) -> AsyncIterator[None]:
        """Take what was sent again, as long as the reader reads."""
        over = asyncio.Event()
        task = asyncio.create_task(self._run(pool, at_work, lanes, over), name=f"sent again {self._group}")
        try:
            yield
        finally:
            # Cancelled in the middle, a record stays as it is. aiokafka may swallow the cancellation.
            over.set()
            task.cancel()
            await asyncio.wait([task], timeout=END_SECONDS)

    async def _run(
        self, pool: Pool, at_work: asyncio.Lock, lanes: Collection[TopicPartition], over: asyncio.Event
    ) -> None:
        while not over.is_set():
            taken = 0
            try:
                taken = await self._look(pool, at_work, lanes)
            except UnicodeDecodeError:
                read_odd_headers()
            except Exception as error:  # the rows stay, and the reader reads on
                if isinstance(error, kafka_errors.KafkaError) or self._turn.blame(error) is None:
                    self._log.warning("sending_again_interrupted", error=error)
                else:  # a defect of ours
                    self._log.error("sending_again_failed", error=error)
            if not taken:
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, pool: Pool, at_work: asyncio.Lock, lanes: Collection[TopicPartition]) -> int:
        """Take what is due; gives how many were taken."""
        ours = list(lanes)
        async with borrow(pool) as db:
            due = await db.fetch(
                _DUE, self._group, [one.topic for one in ours], [one.partition for one in ours], AT_ONCE
            )
        if not due:
            return 0
        taken = 0
        async with contextlib.AsyncExitStack() as stack:
            later: Later | None = None
            if wary := [row for row in due if not row["even_if_stale"]]:
                later = Later(await stack.enter_async_context(open_log(self._settings, self._group)))
                for row in wary:
                    later.watch(_place(row), row["order_key"], row["looked_to"])
                # The most of it now, while the reader goes on; the rest between two turns.
                await later.look()
            left = deque(due)
            while left:
                async with at_work:
                    taken += await self._between_turns(pool, left, later, lanes)
        return taken

    async def _between_turns(
        self, pool: Pool, left: deque[Any], later: Later | None, lanes: Collection[TopicPartition]
    ) -> int:
        """Take the first of what is left, for a short while in which no turn is made."""
        wary = {_partition(row) for row in left if not row["even_if_stale"]}
        if later is not None and (asked := [one for one in wary if one in lanes]):
            async with asyncio.timeout(HOLD_UP_SECONDS):
                await later.look(only=asked)
        taken, clock = 0, asyncio.get_running_loop().time
        until = clock() + BETWEEN_SECONDS
        while left and clock() < until:
            row = left.popleft()
            # Given away meanwhile, it is another's to take.
            if _partition(row) in lanes:
                taken += await self._take(pool, _place(row), later)
        return taken

    async def _take(self, pool: Pool, place: Place, later: Later | None) -> bool:
        """Take one record in a transaction of its own; one that spoils its commit is set aside again."""
        try:
            return await self._in_one(pool, place, later, None)
        except Exception as error:
            if (blamed := self._turn.blame(error)) is None:
                raise
            return await self._in_one(pool, place, later, blamed)

    async def _in_one(self, pool: Pool, place: Place, later: Later | None, blamed: Reason | None) -> bool:
        async with borrow(pool) as db, db.transaction():
            row = await db.fetchrow(_TAKE, self._group, *place)
            if row is None:
                return False  # another process has it, or an earlier one of its key comes first
            taken = _taken(place, row)
            taken.unreadable = blamed or taken.unreadable
            fate = await self._settle(db, row, taken, later)
        self._tell(taken, fate)
        return True

    async def _settle(self, db: Connection, row: Any, taken: Taken, later: Later | None) -> Fate | None:
        """Try a record, and note in its transaction what came of it; None where it is stale by now."""
        place = _place(row)
        names = self._names_of(taken, place)
        marks = await db.fetch(_MARKS, self._group, *_columns(names))
        if any(mark["outcome"] == "handled" for mark in marks):
            fate: Fate | None = Fate.REPEATED
        elif later is not None and not row["even_if_stale"] and await self._is_stale(db, row, later):
            fate = None
        else:
            fate = await self._turn.attempt(db, taken)
        if fate is Fate.AGAIN:
            wait = draw_back_off(self._settings, taken.attempts + 1)
            await db.execute(_TRY_LATER, self._group, *place, taken.first_at, wait)
            return fate
        if fate in {Fate.HANDLED, Fate.SET_ASIDE}:
            outcome = "handled" if fate is Fate.HANDLED else "set aside"
            await db.execute(_MARK_ANEW, self._group, *_columns(names), outcome, _code(taken, fate))
            known = {(mark["source"], mark["id"]) for mark in marks}
            # Known by its place only, until now; or forgotten.
            if taken.identity not in known and (fate is Fate.HANDLED or not known):
                await inbox.mark(db, self._group, [self._turn.mark(taken, fate)])
        await db.execute(_GONE_FROM_HERE, self._group, *place)
        await db.execute(_END, row["decision"], _outcome(fate), _code(taken, fate))
        return fate

    def _names_of(self, taken: Taken, place: Place) -> list[Identity]:
        """List the names under which the group may have marked a record."""
        names = [taken.identity, place.identity]
        event = taken.event
        if event is not None and event.sibling_id is not None and place.topic in self._told_twice:
            names.append((event.source, event.sibling_id))
        return list(dict.fromkeys(names))

    async def _is_stale(self, db: Connection, row: Any, later: Later) -> bool:
        """Tell whether a later record of the key was handled since it was decided."""
        behind = [identity for _, identity in later.after(_place(row), row["order_key"])]
        behind += zip(row["later_sources"], row["later_ids"], strict=True)
        return bool(await find_handled(db, self._group, dict.fromkeys(behind)))

    def _tell(self, taken: Taken, fate: Fate | None) -> None:
        """Count and log what was committed."""
        if fate is not None:
            self._turn.tell(taken, fate)
        if fate is Fate.AGAIN:
            return
        record = taken.record
        metrics.LETTERS_SENT_AGAIN.labels(record.topic, self._group, _outcome(fate)).inc()
        self._log.info(
            "dead_letter_sent_again",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            outcome=_outcome(fate),
        )


def _taken(place: Place, row: Any) -> Taken:
    headers = list(zip(row["header_names"], row["header_values"], strict=True))
    taken = take_up(Record(*place, row["record_timestamp_ms"], row["key"], row["value"], headers))
    taken.attempts, taken.earlier_attempts = row["attempts"], row["earlier_attempts"]
    taken.first_at, taken.tried_since = row["tried_at"] or taken.first_at, row["first_at"]
    return taken


def _place(row: Any) -> Place:
    return Place(row["topic"], row["record_partition"], row["record_offset"])


def _partition(row: Any) -> TopicPartition:
    return TopicPartition(row["topic"], row["record_partition"])


def _columns(identities: Collection[Identity]) -> tuple[list[str], list[str]]:
    return [source for source, _ in identities], [name for _, name in identities]


def _outcome(fate: Fate | None) -> str:
    return STALE if fate is None else _OUTCOMES[fate]


def _code(taken: Taken, fate: Fate | None) -> str | None:
    return taken.reason.code if fate is Fate.SET_ASIDE and taken.reason is not None else None
