"""Carry outbox or spool to the broker: in order, by one relay, nothing deleted unconfirmed (hops 1–4)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, Protocol
from uuid import uuid4

import asyncpg
from aiokafka import errors as kafka_errors

from lienthong import dead_letters, metrics, names, outbox
from lienthong.database import CROSSED, GONE, Connection, Pool, borrow, check_writable, is_closed
from lienthong.errors import Refused, SpoolFull, SpoolNotUsable, listed
from lienthong.event import RawEvent, to_headers
from lienthong.gate import Gate
from lienthong.logs import get_log
from lienthong.outbox import OutboxRow
from lienthong.overlap import NONE, Fact, Headers, Overlaps
from lienthong.producer import Acknowledged, NotWritten, Outcome, OutgoingRecord, Producer
from lienthong.settings import Settings

# Session-level: the server lets go of it when the connection ends, however the process died.
_ONE_RELAY: Final = "SELECT pg_try_advisory_lock(hashtext('lienthong.relay'))"


AWAKE_SECONDS: Final = 3.0
"""How often the database is told, while the broker keeps us waiting, that this relay is not frozen."""

LOOK_AGAIN_SECONDS: Final = 0.002
"""A row is committed a moment after the hint: the relay looks this soon, then half as often each time."""

GATHER_SECONDS: Final = 0.005
"""Rest between two sendings: a few rows at once cost the database and the broker little more than one."""

INTERRUPTED: Final = (
    *GONE,
    *CROSSED,
    kafka_errors.KafkaError,
    OSError,
    TimeoutError,
    SpoolFull,
    SpoolNotUsable,
)
"""Store or broker is away: what waits goes on waiting."""


class Store(Protocol):
    """Where records wait for the relay, in the order in which they were committed."""

    async def take(self) -> bool:
        """Become its one relay; False while another process is."""

    async def stay_awake(self) -> None:
        """Tell, while the broker keeps us waiting, that this relay is not frozen."""

    async def let_go(self) -> None:
        """Let another process relay."""

    async def fetch(self, most: int) -> tuple[Sequence[OutboxRow], Sequence[tuple[int, OutgoingRecord]]]:
        """Fetch so many rows that may be sent now, oldest first, and so many dead letters."""

    async def tell_both(self, seq: int, event: RawEvent, former_topic: str, former: RawEvent) -> None:
        """Give a row its sibling on the former major's topic; both or neither."""

    async def settle(
        self,
        confirmed: Sequence[tuple[int, int, int]],
        refused: Sequence[tuple[int, str]],
        letters: Sequence[int],
    ) -> None:
        """Delete rows (seq, partition, offset) and letters that are in the log; keep refused ones apart."""

    async def measure(self, now: datetime) -> int:
        """Tell the metrics how many wait, and how long; gives how many."""


class OutboxStore:
    """The outbox of a department's database, with the dead letters beside it."""

    def __init__(self, db: Connection, department: str) -> None:
        self._db = db
        self._source = names.source(department)

    @classmethod
    @asynccontextmanager
    async def borrowed(cls, pool: Pool, department: str, settings: Settings) -> AsyncIterator["OutboxStore"]:
        """Borrow a connection of the pool for as long as the relay works, and not frozen."""
        # Or a relay that is frozen, or whose machine is gone, would keep the others from relaying.
        silent = settings.session_seconds + settings.idle_seconds + settings.back_off_seconds
        async with borrow(pool) as db:
            await db.execute(f"SET idle_session_timeout = {int(silent * 1_000)}")
            if db.get_server_version().major >= 17:
                # Between two messages of one statement a session is not idle, but may be frozen too.
                await db.execute(f"SET transaction_timeout = {int((silent + AWAKE_SECONDS) * 1_000)}")
            yield cls(db, department)

    async def take(self) -> bool:
        await check_writable(self._db)
        return bool(await self._db.fetchval(_ONE_RELAY))

    async def stay_awake(self) -> None:
        # That it is gone is found when the outcomes are to be noted; what is under way ends first.
        with contextlib.suppress(*GONE, asyncpg.InterfaceError, OSError, TimeoutError):
            await self._db.execute("SELECT")

    async def let_go(self) -> None:
        if not is_closed(self._db):
            await self._db.execute("SELECT pg_advisory_unlock_all()")

    async def fetch(self, most: int) -> tuple[list[OutboxRow], list[tuple[int, OutgoingRecord]]]:
        return await outbox.fetch(self._db, most, self._source), await dead_letters.fetch(self._db, most)

    async def tell_both(self, seq: int, event: RawEvent, former_topic: str, former: RawEvent) -> None:
        await outbox.tell_both(self._db, seq, event, former_topic, former)

    async def settle(
        self,
        confirmed: Sequence[tuple[int, int, int]],
        refused: Sequence[tuple[int, str]],
        letters: Sequence[int],
    ) -> None:
        await outbox.set_refused_aside(self._db, refused)
        await outbox.acknowledge(self._db, confirmed)
        await dead_letters.acknowledge(self._db, letters)

    async def measure(self, now: datetime) -> int:
        # An empty outbox is only looked at: what is written may be in another server's by now.
        await check_writable(self._db)
        waiting, age = await outbox.measure(self._db, now)
        metrics.OUTBOX_RECORDS.set(waiting)
        metrics.OUTBOX_AGE_SECONDS.set(age)
        return waiting


class Relay:
    """The one task of a department that writes to Kafka."""

    def __init__(
        self,
        department: str,
        gate: Gate,
        producer: Producer,
        settings: Settings,
        overlaps: Overlaps = NONE,
        announced: Mapping[str, Headers] = MappingProxyType({}),
    ) -> None:
        self._department = department
        self._overlaps = overlaps
        self._announced = announced
        self._gate = gate
        self._producer = producer
        self._settings = settings
        self._nudged = asyncio.Event()
        self._log = get_log(department=department)
        self.state = "starting"
        self._idle_since: float | None = None
        """Since when rows wait of which none can be taken."""

    def nudge(self) -> None:
        """Hint that a row was written; it may not be committed yet."""
        self._nudged.set()

    async def run(self, pool: Pool, stopping: asyncio.Event) -> None:
        """Relay the outbox of a database until told to stop, then once more."""
        await self.carry(lambda: OutboxStore.borrowed(pool, self._department, self._settings), stopping)

    async def carry(
        self, opened: Callable[[], AbstractAsyncContextManager[Store]], stopping: asyncio.Event
    ) -> None:
        """Relay a store until told to stop, then once more; survives store and broker going away."""
        wait = self._settings.back_off_seconds
        while not stopping.is_set():
            try:
                async with opened() as store:
                    await self._run_on(store, stopping)
                wait = self._settings.back_off_seconds
            except INTERRUPTED as error:
                self.state = _away(error)
                self._log.warning("relay_interrupted", error=error, wait_seconds=wait)
                await _pause(wait, stopping.wait)
                wait = min(wait * 2, self._settings.back_off_most_seconds)

    async def _run_on(self, store: Store, stopping: asyncio.Event) -> None:
        while not await store.take():
            self.state = "ok"  # another process of this department relays
            if await _pause(1.0, stopping.wait):
                return
        self.state = "ok"
        measured, wait = 0.0, LOOK_AGAIN_SECONDS
        clock = asyncio.get_running_loop().time
        try:
            while True:
                last = stopping.is_set()
                self._nudged.clear()
                began = clock()
                sent = await self.send_waiting(store)
                if not sent and last:
                    return
                if clock() - measured > 1.0:
                    measured = clock()
                    self._note(await store.measure(datetime.now(UTC)), is_idle=not sent)
                if sent:
                    wait = LOOK_AGAIN_SECONDS
                    if sent < self._settings.relay_records:
                        await asyncio.sleep(max(GATHER_SECONDS, clock() - began))
                elif await _pause(wait, self._nudged.wait):
                    wait = LOOK_AGAIN_SECONDS
                    await asyncio.sleep(wait)
                else:
                    wait = min(wait * 2, self._settings.idle_seconds)
        finally:
            await store.let_go()

    def _note(self, waiting: int, *, is_idle: bool) -> None:
        """Notice that nothing leaves though something waits."""
        now = asyncio.get_running_loop().time()
        self._idle_since = self._idle_since or now if is_idle and waiting else None
        is_stuck = self._idle_since is not None and now - self._idle_since > self._settings.stuck_seconds
        if is_stuck and self.state == "ok":
            self.state = f"held: a transaction that does not end keeps {waiting} in the outbox"
        elif self._idle_since is None and self.state.startswith("held"):
            self.state = "ok"

    async def send_waiting(self, store: Store) -> int:
        """Send what waits, once; returns how many rows left the store."""
        rows, letters = await store.fetch(self._settings.relay_records)
        if not rows and not letters:
            return 0
        told_twice = 0
        refused: list[tuple[int, str]] = []
        sendable: list[tuple[int, OutgoingRecord]] = []
        for row in rows:
            try:
                if (record := await self._record(store, row)) is None:
                    told_twice += 1
                    continue
                sendable.append((row.seq, record))
            except Refused as refusal:
                refused.append((row.seq, listed(refusal.problems) or str(refusal)))
                metrics.EVENTS_REFUSED.labels(row.topic, refusal.code).inc()
                self._log.warning(
                    "event_refused", topic=row.topic, event_id=row.event.id, reason=str(refusal)
                )
        outcomes = await self._send(store, [record for _, record in (*sendable, *letters)])
        confirmed: list[tuple[int, int, int]] = []
        for (seq, record), outcome in zip(sendable, outcomes, strict=False):
            match outcome:
                case Acknowledged(partition, offset):
                    confirmed.append((seq, partition, offset))
                case NotWritten(reason, lasting=True):
                    refused.append((seq, reason))
                    self._log.error("event_refused", topic=record.topic, reason=reason)
        of_letters = outcomes[len(sendable) :]
        sent_letters = [
            seq
            for (seq, _), outcome in zip(letters, of_letters, strict=True)
            if isinstance(outcome, Acknowledged)
        ]
        await store.settle(confirmed, refused, sent_letters)
        await self._report(outcomes[: len(sendable)], of_letters)
        return len(confirmed) + len(refused) + len(sent_letters) + told_twice

    async def _send(self, store: Store, records: list[OutgoingRecord]) -> list[Outcome]:
        """Send records, and keep the lock of the one relay however long the broker takes."""
        sending = asyncio.ensure_future(self._producer.send(records))
        try:
            while not (await asyncio.wait([sending], timeout=AWAKE_SECONDS))[0]:
                await store.stay_awake()
            return await sending
        finally:
            sending.cancel()

    async def _report(self, of_events: list[Outcome], of_letters: list[Outcome]) -> None:
        """Say what the broker did not take, and wait a little before the next try."""
        held = [o for o in of_events if not (isinstance(o, NotWritten) and o.lasting)]
        # What may never be sent has been moved aside; a dead letter has nowhere else to go.
        kept = [o for o in held + of_letters if not isinstance(o, Acknowledged)]
        self._log.debug("events_sent", count=len(of_events) + len(of_letters), kept=len(kept))
        if kept:
            self.state = f"undelivered: {kept[0].reason}"
            self._log.warning("events_undelivered", count=len(kept), reason=kept[0].reason)
            await asyncio.sleep(self._settings.back_off_seconds)
        else:
            self.state = "ok"

    async def _record(self, store: Store, row: OutboxRow) -> OutgoingRecord | None:
        """Make the record of a row; None where it is to be sent the next time, together with its sibling.

        Raises:
            Refused: the row may never be sent.
        """
        event = row.event
        if not row.admitted:
            # Another program wrote the row, with the Debezium columns perhaps and no more.
            event = event._replace(
                dataschema=event.dataschema or self._gate.dataschema(row.topic),
                classification=event.classification or self._gate.classification(row.topic),
                subject=event.subject or event.key,
            )
            self._overlaps.check_newest(row.topic, event.id)
            fact = Fact(row.topic, event, self._gate.admit(self._department, event, row.topic))
            if (overlap := self._overlaps.find(row.topic)) is not None:
                newer, former = overlap.tell(self._gate, self._department, fact, None, lambda: str(uuid4()))
                await store.tell_both(row.seq, newer.event, former.topic, former.event)
                return None
        headers = [*to_headers(event), *self._announced.get(row.topic, ())]
        return OutgoingRecord(row.topic, event.key.encode(), event.value, headers)


def _away(error: BaseException) -> str:
    if isinstance(error, SpoolFull | SpoolNotUsable):
        return str(error)
    where = "broker" if isinstance(error, kafka_errors.KafkaError) else "database"
    return f"the {where} is away: {type(error).__name__}"


async def _pause(seconds: float, wake: Callable[[], Awaitable[object]]) -> bool:
    """Wait so long, or until woken; True when woken."""
    try:
        await asyncio.wait_for(wake(), seconds)
    except TimeoutError:
        return False
    return True
