"""A turn: records handled in one transaction with their inbox marks, whatever some of them raise (hop 6)."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from lienthong import complaints, dead_letters, inbox, metrics
from lienthong.bound import Bound
from lienthong.database import Connection, Pool, borrow, is_closed, is_gone, transaction_is_held
from lienthong.dead_letters import Reason
from lienthong.ending import is_from_callee
from lienthong.errors import LienThongError, Problem
from lienthong.event import RawEvent
from lienthong.gate import Gate
from lienthong.inbox import BY_SIBLING, Dealt, Identity, Mark
from lienthong.lane import Fate, Order, Taken
from lienthong.logs import describe, get_log
from lienthong.patience import NONE_OF_ITS_OWN, Patience
from lienthong.settings import Settings


@dataclass(frozen=True, slots=True)
class Reading:
    """One topic that a group reads, and what is done with its events."""

    topic: str
    group: str
    handle: Callable[[RawEvent, Any, Connection], Awaitable[None]]
    former: str | None = None
    """The former major's topic: what the group dealt with there is not handled again here."""
    reads_former: bool = False
    """Whether a contract lets the group read there still: what is dealt with here is marked there too."""
    patience: Patience = NONE_OF_ITS_OWN
    """How long a retriable failure of its handler is tried again."""


LASTING: Final = 2
"""A turn that was undone once is made again at once, as a rule; from so many on, something is amiss."""


TURN_SECONDS: Final = 2.0
"""A turn that has taken so long ends with the record it is at, and the rest waits for the next one.

While its transaction is open, the relays of this PostgreSQL hold back whatever was written since it began, a
stop waits, and a partition cannot be given away.
"""


class Interrupted(Exception):
    """The database went away in the middle of a turn: nothing of it took effect."""


class Spoilt(Exception):
    """A handler raised in a transaction that it shares: nothing of that took effect."""


class Turn:
    """Makes the turns of one consumer group.

    Records are tried in the cheapest of three ways that holds: together; each in a savepoint of its own, so
    that what it wrote can be undone; each in a transaction of its own, where one spoils the commit of all (a
    deferred constraint). So a handler may be called again for an event that it has handled; what it wrote
    the first time is undone.
    """

    def __init__(self, group: str, readings: Mapping[str, Reading], gate: Gate, settings: Settings) -> None:
        self.rests_until = 0.0
        self._group = group
        self._readings = readings
        self._gate = gate
        self._settings = settings
        self._is_wary = False
        self._failed: tuple[Taken, BaseException] | None = None
        self._interruptions = 0
        self._interrupted_by = ""
        self._bound = Bound(settings.set_aside_most, settings.set_aside_window)
        self._log = get_log(group=group)

    @property
    def stopped(self) -> str | None:
        """Say why no further turn is made: too many of the last records had to be set aside."""
        return self._bound.told() if self._bound.is_reached() else None

    @property
    def resting(self) -> str | None:
        """Say why turns take no effect, where that is not passing by itself: the database is away, say."""
        return self._interrupted_by if self._interruptions >= LASTING else None

    async def make(self, pool: Pool, batch: Sequence[Taken]) -> list[Fate | None]:
        """Try records in order, and tell the fate of each.

        None where it was not its turn any more: the database went away before, the turn had taken long
        enough, or the bound of what may be set aside was reached.
        """
        self._failed = None
        interruptions = self._interruptions
        try:
            fates = await self._make(pool, batch)
        except Exception as error:
            if not _is_passing(error):
                raise
            fates = self._rest(error, batch)
        if self._interruptions == interruptions:
            self._interruptions = 0
        # Where one has just failed, another may soon.
        self._is_wary = Fate.AGAIN in fates or Fate.SET_ASIDE in fates
        self._tell(batch, fates)
        return fates

    async def _make(self, pool: Pool, batch: Sequence[Taken]) -> list[Fate | None]:
        for together in (False,) if self._is_wary else (True, False):
            try:
                return await self._pass(pool, batch, together=together)
            except Exception as error:
                if _is_passing(error):
                    raise
        return await self._one_by_one(pool, batch)

    async def _one_by_one(self, pool: Pool, batch: Sequence[Taken]) -> list[Fate | None]:
        fates: list[Fate | None] = []
        held: set[Order] = set()
        ends_at = _soon()
        for number, taken in enumerate(batch):
            if fates and _now() >= ends_at:
                return fates + [None] * (len(batch) - number)
            if taken.order in held:
                fates.append(Fate.BEHIND)
                continue
            try:
                try:
                    fates += await self._pass(pool, [taken], together=False)
                except Exception as error:
                    if _is_passing(error):
                        raise
                    taken.unreadable, _ = _reason_of(error)
                    fates += await self._pass(pool, [taken], together=False)
            except Exception as error:
                if _is_passing(error):
                    return fates + self._rest(error, batch[number:])
                raise
            if fates[-1] is Fate.AGAIN:
                held.add(taken.order)
        return fates

    async def _pass(self, pool: Pool, batch: Sequence[Taken], *, together: bool) -> list[Fate | None]:
        """Make one transaction of a batch."""
        fates: list[Fate | None] = []
        marks: list[Mark] = []
        codes: list[str | None] = []
        held: set[Order] = set()
        is_over = self._bound.is_reached()
        ends_at = _soon()
        async with borrow(pool) as db, db.transaction():
            seen = await self._find_seen(db, batch)
            for number, taken in enumerate(batch):
                if is_over or (fates and _now() >= ends_at):
                    fates += [None] * (len(batch) - number)
                    break
                if taken.order in held:
                    fates.append(Fate.BEHIND)
                    continue
                if await self._is_repeated(db, taken, seen):
                    fates.append(Fate.REPEATED)
                    continue
                sibling = self._sibling(taken)
                if sibling is not None and sibling in seen:
                    fates.append(Fate.REPEATED)
                    again = _mark_by_sibling(
                        taken, taken.identity, taken.record.topic, seen[sibling], taken.digest
                    )
                    marks.append(again)
                    seen[again.identity] = again.dealt
                    continue
                fate = await self._attempt(db, taken, together=together, first=not marks)
                fates.append(fate)
                if fate is Fate.AGAIN:
                    held.add(taken.order)
                    continue
                made = self._marks(taken, fate, sibling)
                marks += made
                seen |= {one.identity: one.dealt for one in made}
                codes.append(made[0].code)
                is_over = fate is Fate.SET_ASIDE and self._bound.is_reached(codes)
            await inbox.mark(db, self._group, marks)
        self._bound.note(codes)
        return fates

    async def _find_seen(self, db: Connection, batch: Sequence[Taken]) -> dict[Identity, Dealt]:
        siblings = [sibling for taken in batch if (sibling := self._sibling(taken)) is not None]
        return await inbox.find_seen(db, self._group, [*(taken.identity for taken in batch), *siblings])

    async def _is_repeated(self, db: Connection, taken: Taken, seen: dict[Identity, Dealt]) -> bool:
        """Tell whether an event was dealt with before: that event, and not another that bears its id."""
        taken.conflict = None
        if taken.identity not in seen:
            return False
        taken.conflict = complaints.find_conflict(taken, seen[taken.identity])
        if taken.conflict is None:
            return True
        return bool(await inbox.find_seen(db, self._group, [taken.mark]))

    def _sibling(self, taken: Taken) -> Identity | None:
        """Tell under which name the group may have dealt with the same fact on the former major's topic."""
        if taken.event is None or taken.event.sibling_id is None or taken.digest is None:
            return None
        reading = self._readings[taken.record.topic]
        return (taken.event.source, taken.event.sibling_id) if reading.former is not None else None

    def _marks(self, taken: Taken, fate: Fate, sibling: Identity | None) -> list[Mark]:
        """Mark a fact; under its sibling's name too, should a process that reads the former major meet it."""
        mark = _mark(taken, fate)
        reading = self._readings[taken.record.topic]
        if sibling is None or taken.conflict or reading.former is None or not reading.reads_former:
            return [mark]
        return [mark, _mark_by_sibling(taken, sibling, reading.former, mark.dealt, None)]

    async def _attempt(self, db: Connection, taken: Taken, *, together: bool, first: bool) -> Fate:
        """Try one record; apart, what its handler wrote is undone unless it succeeds."""
        reason, retriable = taken.unreadable or taken.conflict, False
        if not taken.attempts:
            taken.first_at = datetime.now(UTC)
        if reason is None:
            try:
                async with contextlib.nullcontext() if together else db.transaction():
                    await self._handle(db, taken)
            except BaseException as error:
                if not is_from_callee(error):
                    raise
                if _is_databases(error, db):
                    raise Interrupted from error
                if together:
                    # An error may be an earlier one's doing, but not where nothing came earlier.
                    self._failed = (taken, error) if first else None
                    raise Spoilt from error
                reason, retriable = _reason_of(error)
            else:
                return Fate.HANDLED
        taken.reason = reason
        now = datetime.now(UTC)
        if retriable:
            patience = self._readings[taken.record.topic].patience.or_of(self._settings)
            ended = patience.why_ended(taken.attempts + 1, taken.first_at, now)
            if ended is None:
                return Fate.AGAIN
            taken.reason = reason = replace(reason, sentence=f"{reason.sentence} {ended}")
        tries, since = taken.earlier_attempts + taken.attempts + 1, taken.tried_since or taken.first_at
        await dead_letters.put(db, taken.record, self._group, reason, tries, since, now)
        if reason.code in complaints.TOLD:
            await complaints.tell(db, self._group, taken, reason)
        return Fate.SET_ASIDE

    async def _handle(self, db: Connection, taken: Taken) -> None:
        if self._failed is not None and self._failed[0] is taken:
            raise self._failed[1]
        assert taken.event is not None
        data = self._gate.recheck(taken.record.topic, taken.event)
        async with asyncio.timeout(self._settings.handler_seconds):
            with transaction_is_held():
                await self._readings[taken.record.topic].handle(taken.event, data, db)

    # For a record that was sent again: its transaction is the caller's.

    async def attempt(self, db: Connection, taken: Taken) -> Fate:
        """Try one record; what its handler wrote is undone unless it succeeds."""
        self._failed = None
        return await self._attempt(db, taken, together=False, first=False)

    def blame(self, error: Exception) -> Reason | None:
        """Tell why the one record of a transaction spoilt its commit; None where it is no record's fault."""
        return None if _is_passing(error) else _reason_of(error)[0]

    def mark(self, taken: Taken, fate: Fate) -> Mark:
        """Compose the mark of a record that has none yet."""
        return _mark(taken, fate)

    def tell(self, taken: Taken, fate: Fate) -> None:
        """Count and log what was committed."""
        self._tell([taken], [fate])

    def _rest(self, error: Exception, batch: Sequence[Taken]) -> list[Fate | None]:
        """Rest until the database may be back: no record is to blame."""
        self._interruptions += 1
        self._interrupted_by = type(error.__cause__ or error).__name__
        wait = min(self._settings.back_off_seconds * 2 ** min(self._interruptions, 10), 5.0)
        self.rests_until = _now() + wait
        self._log.warning(
            "turn_interrupted", error=error.__cause__ or error, records=len(batch), wait_seconds=wait
        )
        return [None] * len(batch)

    def _tell(self, batch: Sequence[Taken], fates: Sequence[Fate | None]) -> None:
        """Count and log what was committed."""
        handled_at = datetime.now(UTC)
        for taken, fate in zip(batch, fates, strict=True):
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
                self._say("info", "event_parked", taken, attempts=taken.attempts + 1)
            elif fate is Fate.SET_ASIDE:
                assert taken.reason is not None
                metrics.EVENTS_SET_ASIDE.labels(*labels, taken.reason.code).inc()
                self._say("warning", "event_set_aside", taken, reason=taken.reason.sentence)

    def _say(self, level: str, happened: str, taken: Taken, **fields: Any) -> None:
        assert taken.reason is not None
        record = taken.record
        self._log.log(
            logging.getLevelName(level.upper()),
            happened,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            code=taken.reason.code,
            **fields,
        )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _soon() -> float:
    return _now() + TURN_SECONDS


def _is_databases(error: BaseException, db: Connection) -> bool:
    """Whether the database is the reason of a handler's error, not a connection of the handler's own."""
    return is_gone(error, db) and (not isinstance(error, ConnectionError) or is_closed(db))


def _is_passing(error: Exception) -> bool:
    """Whether a failed transaction says nothing about its records: do the same again, later."""
    if isinstance(error, asyncpg.UniqueViolationError):
        # Another process of the group marked one of them first (a rebalance under way).
        return error.schema_name == "lienthong" and error.table_name == "inbox"
    return isinstance(error, (Interrupted, OSError, TimeoutError)) or is_gone(error)


def _mark(taken: Taken, fate: Fate) -> Mark:
    return Mark(
        taken.mark,
        taken.record.topic,
        taken.record.partition,
        taken.record.offset,
        "handled" if fate is Fate.HANDLED else "set aside",
        None if fate is Fate.HANDLED or taken.reason is None else taken.reason.code,
        taken.event.recorded_at if taken.event is not None else None,
        None if taken.conflict is not None else taken.digest,
    )


def _mark_by_sibling(
    taken: Taken, identity: Identity, topic: str, dealt: Dealt, digest: bytes | None
) -> Mark:
    """Mark what was dealt with under its sibling's name; it has no place of its own."""
    recorded_at = taken.event.recorded_at if taken.event is not None else None
    return Mark(identity, topic, BY_SIBLING, BY_SIBLING, dealt.outcome, dealt.code, recorded_at, digest)


def _reason_of(error: BaseException) -> tuple[Reason, bool]:
    """Tell why a handler failed, without data values, and whether time may heal it."""
    if isinstance(error, LienThongError):
        problems: tuple[Problem, ...] = tuple(error.fields.get("problems", ()))
        return Reason(error.code, str(error), problems), bool(error.fields.get("retriable", error.retriable))
    if isinstance(error, TimeoutError):
        return Reason("handler-too-slow", "The handler took too long and was stopped."), True
    if isinstance(error, ConnectionError):
        return Reason("handler-cut-off", "The handler lost, or did not get, a connection of its own."), True
    if isinstance(error, MemoryError):
        return Reason("out-of-memory", "The process had no memory left for the handler."), True
    told = describe(error)
    sentence = (
        f"The handler raised {told['error']} at {told.get('error_at', 'an unknown place')}; this is a defect."
    )
    return Reason("handler-failed", sentence), False
