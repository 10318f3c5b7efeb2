"""Carry the outbox to the broker: in order, one relay at a time, nothing deleted unconfirmed (hops 1–4)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final
from uuid import uuid4

from aiokafka import errors as kafka_errors

from lienthong import dead_letters, metrics, names, outbox
from lienthong.database import GONE, Connection, Pool, borrow, is_closed
from lienthong.errors import Refused, listed
from lienthong.event import to_headers
from lienthong.gate import Gate
from lienthong.logs import get_log
from lienthong.outbox import OutboxRow
from lienthong.overlap import NONE, Fact, Headers, Overlaps
from lienthong.producer import Acknowledged, NotWritten, Outcome, OutgoingRecord, Producer
from lienthong.settings import Settings

# Session-level: the server lets go of it when the connection ends, however the process died.
_ONE_RELAY: Final = "SELECT pg_try_advisory_lock(hashtext('lienthong.relay'))"


LOOK_AGAIN_SECONDS: Final = 0.002
"""A row is committed a moment after the hint: the relay looks this soon, then half as often each time."""

GATHER_SECONDS: Final = 0.005
"""Rest between two sendings: a few rows at once cost the database and the broker little more than one."""


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
        """Relay until told to stop, then once more; survives the database and the broker going away."""
        wait = self._settings.back_off_seconds
        while not stopping.is_set():
            try:
                async with borrow(pool) as db:
                    await self._run_on(db, stopping)
                wait = self._settings.back_off_seconds
            except (*GONE, kafka_errors.KafkaError, OSError, TimeoutError) as error:
                kafka = isinstance(error, kafka_errors.KafkaError)
                self.state = f"the {'broker' if kafka else 'database'} is away: {type(error).__name__}"
                self._log.warning("relay_interrupted", error=error, wait_seconds=wait)
                await _pause(wait, stopping.wait)
                wait = min(wait * 2, self._settings.back_off_most_seconds)

    async def _run_on(self, db: Connection, stopping: asyncio.Event) -> None:
        while not await db.fetchval(_ONE_RELAY):
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
                sent = await self.send_waiting(db)
                if not sent and last:
                    return
                if clock() - measured > 1.0:
                    measured = clock()
                    await self._measure(db, is_idle=not sent)
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
            if not is_closed(db):
                await db.execute("SELECT pg_advisory_unlock_all()")

    async def _measure(self, db: Connection, *, is_idle: bool) -> None:
        waiting, age = await outbox.measure(db, datetime.now(UTC))
        metrics.OUTBOX_RECORDS.set(waiting)
        metrics.OUTBOX_AGE_SECONDS.set(age)
        now = asyncio.get_running_loop().time()
        self._idle_since = self._idle_since or now if is_idle and waiting else None
        is_stuck = self._idle_since is not None and now - self._idle_since > self._settings.stuck_seconds
        if is_stuck and self.state == "ok":
            self.state = f"held: a transaction that does not end keeps {waiting} in the outbox"
        elif self._idle_since is None and self.state.startswith("held"):
            self.state = "ok"

    async def send_waiting(self, db: Connection) -> int:
        """Send what waits, once; returns how many rows left the outbox."""
        rows = await outbox.fetch(db, self._settings.relay_records, names.source(self._department))
        letters = await dead_letters.fetch(db, self._settings.relay_records)
        if not rows and not letters:
            return 0
        told_twice = 0
        refused: list[tuple[int, str]] = []
        sendable: list[tuple[int, OutgoingRecord]] = []
        for row in rows:
            try:
                if (record := await self._record(db, row)) is None:
                    told_twice += 1
                    continue
                sendable.append((row.seq, record))
            except Refused as refusal:
                refused.append((row.seq, listed(refusal.problems) or str(refusal)))
                metrics.EVENTS_REFUSED.labels(row.topic, refusal.code).inc()
                self._log.warning(
                    "event_refused", topic=row.topic, event_id=row.event.id, reason=str(refusal)
                )
        outcomes = await self._producer.send([record for _, record in sendable + letters])
        confirmed: list[tuple[int, int, int]] = []
        for (seq, record), outcome in zip(sendable, outcomes, strict=False):
            match outcome:
                case Acknowledged(partition, offset):
                    confirmed.append((seq, partition, offset))
                case NotWritten(reason, lasting=True):
                    refused.append((seq, reason))
                    self._log.error("event_refused", topic=record.topic, reason=reason)
        sent_letters = [
            seq
            for (seq, _), outcome in zip(letters, outcomes[len(sendable) :], strict=True)
            if isinstance(outcome, Acknowledged)
        ]
        await outbox.set_refused_aside(db, refused)
        await outbox.acknowledge(db, confirmed)
        await dead_letters.acknowledge(db, sent_letters)
        await self._report(outcomes)
        return len(confirmed) + len(refused) + len(sent_letters) + told_twice

    async def _report(self, outcomes: list[Outcome]) -> None:
        """Say what the broker did not take, and wait a little before the next try."""
        held = [outcome for outcome in outcomes if not isinstance(outcome, Acknowledged)]
        kept = [o for o in held if not (isinstance(o, NotWritten) and o.lasting)]
        if outcomes:
            self._log.debug("events_sent", count=len(outcomes), kept=len(kept))
        if kept:
            self.state = f"undelivered: {kept[0].reason}"
            self._log.warning("events_undelivered", count=len(kept), reason=kept[0].reason)
            await asyncio.sleep(self._settings.back_off_seconds)
        else:
            self.state = "ok"

    async def _record(self, db: Connection, row: OutboxRow) -> OutgoingRecord | None:
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
                await outbox.tell_both(db, row.seq, newer.event, former.topic, former.event)
                return None
        headers = [*to_headers(event), *self._announced.get(row.topic, ())]
        return OutgoingRecord(row.topic, event.key.encode(), event.value, headers)


async def _pause(seconds: float, wake: Callable[[], Awaitable[object]]) -> bool:
    """Wait so long, or until woken; True when woken."""
    try:
        await asyncio.wait_for(wake(), seconds)
    except TimeoutError:
        return False
    return True
