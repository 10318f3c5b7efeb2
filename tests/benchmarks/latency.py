"""Latency: from a fact's commit in one department to its effect's commit in another's, at a steady rate."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from lienthong import Department
from lienthong.testing import running, until
from tests.benchmarks.figures import Balance, Figure
from tests.benchmarks.publishing import NOTE, TABLES
from tests.benchmarks.stage import Stage, facts
from tests.broker.scratch import Pair

SECTION = "Latency: from the fact committed to the fact handled"
RATES = (100, 1_000)
WARM_UP = 200

Publish = Callable[[dict[str, Any]], Awaitable[None]]


async def measure(stage: Stage, pair: Pair, seconds: float) -> list[Figure]:
    """Publish at each rate; the reader is a process of its own, as departments are."""
    figures: list[Figure] = []
    log = pair.data / "reader.log"
    publisher = Department(pair.publisher)
    committed: dict[str, float] = {}
    async with (
        running(publisher, data=pair.data, root=pair.root, tables=TABLES, log_level="warning") as service,
        _reader(pair, log),
    ):

        async def publish(fact: dict[str, Any]) -> None:
            async with service.pool.acquire() as db:
                async with db.transaction():
                    await db.execute(NOTE, fact["thing_id"], fact["amount"], fact["full_name"])
                    event_id = await publisher.publish(db, pair.thing(**fact))
                committed[event_id] = time.time()

        def all_handled() -> bool:
            return committed.keys() <= {event_id for event_id, _ in _read_log(log)}

        await _at_rate(publish, facts("warm", WARM_UP), WARM_UP)
        await until(all_handled, within=30)
        for rate in RATES:
            committed.clear()
            await _at_rate(publish, facts(f"rate-{rate}", int(rate * seconds)), rate)
            await until(all_handled, within=60)
            figures += _figures(f"ours, {rate:,} facts/s", committed, _read_log(log), None)
    # Only now: bare records are no events, and a reader that meets forty of them stops.
    for rate in RATES:
        figures += await _bare(stage, pair, rate, seconds)
    return figures


async def _at_rate(publish: Publish, made: list[dict[str, Any]], rate: int) -> None:
    """Begin each publication at its moment, whether or not the ones before it have ended."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number, fact in enumerate(made):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            tasks.create_task(publish(fact))


@asynccontextmanager
async def _reader(pair: Pair, log: Path) -> AsyncIterator[None]:
    with log.open("wb") as lines:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.benchmarks.reader",
            *(str(pair.data), str(pair.root), pair.reader, pair.thing.TOPIC),
            stdout=lines,
        )
        try:
            yield
        finally:
            process.terminate()
            await process.wait()


def _read_log(log: Path) -> list[tuple[str, float]]:
    """Take from the reader's log when it had committed each event."""
    whole, _, _ = log.read_bytes().rpartition(b"\n")
    lines = [orjson.loads(line) for line in whole.splitlines()]
    return [
        (line["event_id"], datetime.fromisoformat(line["timestamp"]).timestamp())
        for line in lines
        if line["event"] == "event_handled"
    ]


def _figures(
    name: str, begun: dict[str, float], ended: list[tuple[str, float]], beside: str | None, note: str = ""
) -> list[Figure]:
    balance = Balance.of(begun, [event_id for event_id, _ in ended])
    took = [(at - begun[event_id]) * 1_000 for event_id, at in ended if event_id in begun]
    quantiles = statistics.quantiles(took, n=100, method="inclusive")
    return [
        Figure(
            SECTION,
            f"{name}, p{point}",
            quantiles[point - 1],
            "ms",
            balance,
            f"{beside}, p{point}" if beside else None,
            note,
        )
        for point in (50, 95, 99)
    ]


async def _bare(stage: Stage, pair: Pair, rate: int, seconds: float) -> list[Figure]:
    """The floor: a record through the broker, no database on either side, one process for both ends."""
    sent: dict[str, float] = {}
    received: list[tuple[str, float]] = []
    made = facts(f"bare-{rate}", int(rate * seconds))
    consumer = AIOKafkaConsumer(
        pair.thing.TOPIC, **stage.kafka(pair.reader), group_id=f"{pair.reader}.bare-{rate}",
        enable_auto_commit=False,
    )  # fmt: skip
    async with (
        AIOKafkaProducer(**stage.kafka(pair.publisher), acks="all", enable_idempotence=True) as producer,
        consumer,
    ):
        await until(consumer.assignment, within=20)
        await consumer.seek_to_end()

        async def receive() -> None:
            while len(received) < len(made):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    received.extend((record.key.decode(), time.time()) for record in records)

        async def publish(fact: dict[str, Any]) -> None:
            sent[fact["thing_id"]] = time.time()
            await producer.send(pair.thing.TOPIC, key=fact["thing_id"].encode(), value=orjson.dumps(fact))

        receiving = asyncio.create_task(receive())
        await _at_rate(publish, made, rate)
        await asyncio.wait_for(receiving, 30)
    return _figures(
        f"aiokafka alone, {rate:,}/s",
        sent,
        received,
        f"ours, {rate:,} facts/s",
        "no database, no commit: the floor",
    )
