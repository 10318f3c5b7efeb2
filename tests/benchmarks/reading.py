"""Reading with an effect: one INSERT an event, ours once in effect, the peers' as they can."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer
from faststream import AckPolicy
from faststream.kafka import KafkaMessage

from lienthong import Connection, Department, Event, metrics
from lienthong.testing import running
from tests.benchmarks.figures import Balance, Figure
from tests.benchmarks.publishing import faststream_broker
from tests.benchmarks.stage import Stage, facts, fill, ids
from tests.broker.scratch import Pair, Thing

SECTION = "Reading: an INSERT for each event of 500 bytes"
TABLES = (
    "CREATE TABLE IF NOT EXISTS counted (way text NOT NULL, thing_id text NOT NULL, amount integer NOT NULL)"
)
COUNT = "INSERT INTO counted (way, thing_id, amount) VALUES ($1, $2, $3)"
OURS = "ours: inbox, effect, dead letters"
CUT_OFF_SECONDS = 20.0


class Progress:
    """Counts what a way has committed, between its first event and its last."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.count = 0
        self.first = 0.0
        self.done = asyncio.Event()
        self.last = 0.0
        self._cpu_first = self._cpu_last = 0.0

    def begun(self) -> None:
        if not self.first:
            self.first, self._cpu_first = time.perf_counter(), time.process_time()

    def add(self, committed: int) -> None:
        self.count += committed
        self.last, self._cpu_last = time.perf_counter(), time.process_time()
        if self.count >= self.expected:
            self.done.set()

    async def finish(self) -> None:
        try:
            await asyncio.wait_for(self.done.wait(), CUT_OFF_SECONDS)
        except TimeoutError:
            return

    @property
    def rate(self) -> float:
        return self.count / max(self.last - self.first, 1e-9)

    @property
    def cpu_us(self) -> float:
        return (self._cpu_last - self._cpu_first) / max(self.count, 1) * 1e6


Way = Callable[[Stage, Pair, Progress, asyncpg.Pool], Awaitable[None]]


async def measure(stage: Stage, pair: Pair, scale: float) -> list[Figure]:
    """Fill a topic once, and let each way read all of it in a group of its own."""
    rows = facts("reading", max(1_000, int(15_000 * scale)))
    await fill(stage, pair, rows)
    figures = []
    async with stage.pool(pair.reader) as pool:
        await pool.execute(TABLES)
        for name, (act, note) in WAYS.items():
            progress = Progress(len(rows))
            await act(stage, pair, progress, pool)
            seen = [
                r["thing_id"] for r in await pool.fetch("SELECT thing_id FROM counted WHERE way = $1", name)
            ]
            balance = Balance.of(ids(rows), seen) if progress.done.is_set() else None
            if balance is None:
                note += f"; cut off after {CUT_OFF_SECONDS:.0f} s"  # noqa: PLW2901
            beside = None if name == OURS else OURS
            figures.append(
                Figure(SECTION, name, progress.rate, "per second", balance, beside, note, progress.cpu_us)
            )
    return figures


async def _ours(stage: Stage, pair: Pair, progress: Progress, pool: asyncpg.Pool) -> None:
    reader = Department(pair.reader)

    @reader.reads(pair.thing.TOPIC, purpose="counting")
    async def count(event: Event[Thing], db: Connection) -> None:
        progress.begun()
        await db.execute(COUNT, OURS, event.data.thing_id, event.data.amount)

    def handled() -> int:
        return int(metrics.EVENTS_HANDLED.labels(pair.thing.TOPIC, pair.group)._value.get())

    before = handled()
    async with running(reader, data=pair.data, root=pair.root, log_level="warning"):
        finished = asyncio.create_task(progress.finish())
        while not finished.done():
            if (now := handled() - before) > progress.count:
                progress.add(now - progress.count)
            await asyncio.sleep(0.005)


async def _bare(stage: Stage, pair: Pair, progress: Progress, pool: asyncpg.Pool) -> None:
    """A transaction and a commit of offsets a batch; what is redelivered after a crash is counted twice."""
    async with AIOKafkaConsumer(
        pair.thing.TOPIC,
        **stage.kafka(pair.reader),
        group_id=f"{pair.reader}.bare-{time.monotonic_ns()}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    ) as consumer:
        finished = asyncio.create_task(progress.finish())
        while not finished.done():
            batches = await consumer.getmany(timeout_ms=200, max_records=200)
            progress.begun() if batches else None
            for records in batches.values():
                async with pool.acquire() as db, db.transaction():
                    for record in records:
                        fact = orjson.loads(record.value)
                        await db.execute(COUNT, BARE, fact["thing_id"], fact["amount"])
                progress.add(len(records))
            if batches:
                await consumer.commit()


@asynccontextmanager
async def _faststream(
    stage: Stage, pair: Pair, handle: Callable[..., Awaitable[None]], **settings: Any
) -> AsyncIterator[None]:
    broker = faststream_broker(stage, pair.reader)
    group = f"{pair.reader}.faststream-{time.monotonic_ns()}"
    broker.subscriber(pair.thing.TOPIC, group_id=group, auto_offset_reset="earliest", **settings)(handle)
    async with broker:
        await broker.start()
        yield


async def _faststream_default(stage: Stage, pair: Pair, progress: Progress, pool: asyncpg.Pool) -> None:
    async def handle(event: Thing) -> None:
        progress.begun()
        await pool.execute(COUNT, DEFAULT, event.thing_id, event.amount)
        progress.add(1)

    async with _faststream(stage, pair, handle):
        await progress.finish()


async def _faststream_manual(stage: Stage, pair: Pair, progress: Progress, pool: asyncpg.Pool) -> None:
    async def handle(event: Thing, record: KafkaMessage) -> None:
        progress.begun()
        async with pool.acquire() as db, db.transaction():
            await db.execute(COUNT, MANUAL, event.thing_id, event.amount)
        await record.ack()
        progress.add(1)

    async with _faststream(stage, pair, handle, ack_policy=AckPolicy.MANUAL):
        await progress.finish()


async def _faststream_batch(stage: Stage, pair: Pair, progress: Progress, pool: asyncpg.Pool) -> None:
    async def handle(events: list[Thing], records: KafkaMessage) -> None:
        progress.begun()
        async with pool.acquire() as db, db.transaction():
            for event in events:
                await db.execute(COUNT, BATCH, event.thing_id, event.amount)
        await records.ack()
        progress.add(len(events))

    async with _faststream(stage, pair, handle, ack_policy=AckPolicy.MANUAL, batch=True, max_records=200):
        await progress.finish()


DEFAULT = "FastStream, its default"
MANUAL = "FastStream, MANUAL, a transaction an event"
BATCH = "FastStream, MANUAL, a transaction a batch"
BARE = "aiokafka getmany, a transaction a batch"
WAYS: dict[str, tuple[Way, str]] = {
    OURS: (_ours, ""),
    DEFAULT: (_faststream_default, "at most once"),
    MANUAL: (_faststream_manual, "twice after a crash"),
    BATCH: (_faststream_batch, "twice after a crash; one bad record stops all"),
    BARE: (_bare, "twice after a crash; nothing checked"),
}
