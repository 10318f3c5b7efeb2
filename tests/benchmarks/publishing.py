"""Publishing: a fact committed with its event and carried to the broker, against less work done by others."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer
from faststream.kafka import KafkaBroker
from faststream.security import SASLScram512

from lienthong import Department
from lienthong.testing import running, until
from tests.benchmarks.figures import Balance, Figure
from tests.benchmarks.stage import WRITERS, Stage, facts, ids, read_keys
from tests.broker.scratch import Pair

SECTION = "Publishing: facts of 500 bytes until the broker has confirmed them all"

TABLES = """
CREATE TABLE IF NOT EXISTS noted (
    thing_id text PRIMARY KEY, amount integer NOT NULL, full_name text NOT NULL);
CREATE TABLE IF NOT EXISTS hand_outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid NOT NULL, topic text NOT NULL,
    key text NOT NULL, value bytea NOT NULL, recorded timestamptz NOT NULL DEFAULT clock_timestamp());
"""
NOTE = "INSERT INTO noted (thing_id, amount, full_name) VALUES ($1, $2, $3)"
HAND_OUT = "INSERT INTO hand_outbox (id, topic, key, value) VALUES ($1, $2, $3, $4)"

Facts = list[dict[str, Any]]
Write = Callable[[asyncpg.Connection, dict[str, Any]], Awaitable[Any]]


async def measure(stage: Stage, pair: Pair, scale: float) -> list[Figure]:
    """Measure each way once, then read the topic back and count what each of them left there."""
    made: dict[str, Facts] = {}
    seconds: dict[str, float] = {}
    cpu: dict[str, float] = {}
    run = uuid4().hex[:6]

    async def timed(label: str, count: float, act: Callable[[Facts], Awaitable[None]]) -> None:
        made[label] = facts(f"{run}-{label}", max(200, int(count * scale)))
        began, worked = time.perf_counter(), time.process_time()
        await act(made[label])
        seconds[label], cpu[label] = time.perf_counter() - began, time.process_time() - worked

    async with _our_service(stage, pair) as (publisher, service):

        async def ours(rows: Facts, size: int) -> None:
            async def write(db: asyncpg.Connection, fact: dict[str, Any]) -> None:
                await _note(db, fact)
                await publisher.publish(db, pair.thing(**fact))

            before = await service.pool.fetchval("SELECT count(*) FROM lienthong.published")
            await _commit(service.pool, rows, size, write)
            await until(lambda: _published(service.pool, before + len(rows)), within=120)

        for size, count in ((1, 3_000), (10, 6_000), (100, 6_000)):
            await timed(f"ours-{size}", count, lambda rows, size=size: ours(rows, size))
    async with stage.pool(pair.publisher) as pool:
        for size, count in ((1, 3_000), (10, 6_000), (100, 6_000)):
            await timed(
                f"hand-{size}", count, lambda rows, size=size: _by_hand(stage, pair, pool, rows, size)
            )
        await timed("faststream-insert", 3_000, lambda rows: _faststream_insert(stage, pair, pool, rows))
    await timed("faststream", 10_000, lambda rows: _faststream(stage, pair, rows))
    await timed("aiokafka", 20_000, lambda rows: _aiokafka(stage, pair, rows))
    await timed("confluent", 20_000, lambda rows: _confluent(stage, pair, rows))
    keys = await read_keys(stage, pair)
    return [
        Figure(
            SECTION,
            name,
            len(made[label]) / seconds[label],
            "per second",
            Balance.of(ids(made[label]), keys),
            NAMES[beside][0] if beside else None,
            note,
            cpu[label] / len(made[label]) * 1e6,
        )
        for label, (name, beside, note) in NAMES.items()
    ]


NAMES: dict[str, tuple[str, str | None, str]] = {
    "ours-1": ("ours, a transaction a fact", None, "row, gate, outbox, relay; 4 writers"),
    "ours-10": ("ours, 10 facts a transaction", None, ""),
    "ours-100": ("ours, 100 facts a transaction", None, ""),
    "hand-1": ("by hand, a transaction a fact", "ours-1", "row, outbox, relay; no gate, no envelope"),
    "hand-10": ("by hand, 10 facts a transaction", "ours-10", ""),
    "hand-100": ("by hand, 100 facts a transaction", "ours-100", ""),
    "faststream-insert": (
        "FastStream publish in the row's transaction",
        "ours-1",
        "unsafe: sent, then perhaps undone",
    ),
    "faststream": ("FastStream publish", "ours-100", "no row: a crash loses what was not sent"),
    "aiokafka": ("aiokafka send", "ours-100", "no row"),
    "confluent": ("confluent-kafka, callbacks", "ours-100", "no row"),
}


@asynccontextmanager
async def _our_service(stage: Stage, pair: Pair) -> AsyncIterator[tuple[Department, Any]]:
    publisher = Department(pair.publisher)
    async with running(
        publisher, data=pair.data, root=pair.root, tables=TABLES, log_level="warning"
    ) as service:
        yield publisher, service


async def _note(db: asyncpg.Connection, fact: dict[str, Any]) -> None:
    await db.execute(NOTE, fact["thing_id"], fact["amount"], fact["full_name"])


async def _published(pool: Any, rows: int) -> bool:
    # Cheap enough to ask often: what is in the outbox is little.
    if await pool.fetchval("SELECT EXISTS (SELECT FROM lienthong.outbox)"):
        return False
    return bool(await pool.fetchval("SELECT count(*) = $1 FROM lienthong.published", rows))


async def _commit(pool: Any, rows: Facts, size: int, write: Write) -> None:
    """Commit facts, so many in a transaction, by a few writers at once."""
    batches = iter([rows[at : at + size] for at in range(0, len(rows), size)])

    async def keep_writing() -> None:
        for batch in batches:
            async with pool.acquire() as db, db.transaction():
                for fact in batch:
                    await write(db, fact)

    await asyncio.gather(*(keep_writing() for _ in range(WRITERS)))


async def _by_hand(stage: Stage, pair: Pair, pool: asyncpg.Pool, rows: Facts, size: int) -> None:
    """What a careful department writes without the library: row and outbox row, and a relay beside."""

    async def write(db: asyncpg.Connection, fact: dict[str, Any]) -> None:
        await _note(db, fact)
        await db.execute(HAND_OUT, uuid4(), pair.thing.TOPIC, fact["thing_id"], orjson.dumps(fact))

    async with AIOKafkaProducer(**_sure(stage, pair)) as producer, pool.acquire() as db:
        relay = asyncio.create_task(_relay_by_hand(producer, db, len(rows)))
        await _commit(pool, rows, size, write)
        await relay


async def _relay_by_hand(producer: AIOKafkaProducer, db: asyncpg.Connection, left: int) -> None:
    while left:
        waiting = await db.fetch("SELECT seq, topic, key, value FROM hand_outbox ORDER BY seq LIMIT 1000")
        if not waiting:
            await asyncio.sleep(0.005)
            continue
        await asyncio.gather(
            *[
                await producer.send(row["topic"], key=row["key"].encode(), value=row["value"])
                for row in waiting
            ]
        )
        await db.execute("DELETE FROM hand_outbox WHERE seq = ANY($1::bigint[])", [r["seq"] for r in waiting])
        left -= len(waiting)


async def _aiokafka(stage: Stage, pair: Pair, rows: Facts) -> None:
    async with AIOKafkaProducer(**_sure(stage, pair)) as producer:
        waiting = [
            await producer.send(pair.thing.TOPIC, key=fact["thing_id"].encode(), value=orjson.dumps(fact))
            for fact in rows
        ]
        await asyncio.gather(*waiting)


def _sure(stage: Stage, pair: Pair) -> dict[str, Any]:
    return {**stage.kafka(pair.publisher), "acks": "all", "enable_idempotence": True, "linger_ms": 5,
            "max_batch_size": 131_072, "compression_type": "lz4"}  # fmt: skip


def faststream_broker(stage: Stage, department: str, **settings: Any) -> KafkaBroker:
    """FastStream's broker with a department's credentials."""
    kafka = stage.kafka(department)
    security = SASLScram512(kafka["sasl_plain_username"], kafka["sasl_plain_password"], use_ssl=False)
    return KafkaBroker(kafka["bootstrap_servers"], security=security, logger=None, **settings)


def _sure_broker(stage: Stage, pair: Pair) -> KafkaBroker:
    return faststream_broker(
        stage, pair.publisher, acks="all", enable_idempotence=True, linger_ms=5, compression_type="lz4"
    )


async def _faststream(stage: Stage, pair: Pair, rows: Facts) -> None:
    async with _sure_broker(stage, pair) as broker:
        waiting = [
            await broker.publish(fact, pair.thing.TOPIC, key=fact["thing_id"].encode(), no_confirm=True)
            for fact in rows
        ]
        await asyncio.gather(*waiting)


async def _faststream_insert(stage: Stage, pair: Pair, pool: asyncpg.Pool, rows: Facts) -> None:
    """The usual way without an outbox: publish while the transaction is open, and hope for the commit."""
    async with _sure_broker(stage, pair) as broker:

        async def write(db: asyncpg.Connection, fact: dict[str, Any]) -> None:
            await _note(db, fact)
            await broker.publish(fact, pair.thing.TOPIC, key=fact["thing_id"].encode())

        await _commit(pool, rows, 1, write)


async def _confluent(stage: Stage, pair: Pair, rows: Facts) -> None:
    def produce() -> None:
        kafka = stage.kafka(pair.publisher)
        producer = Producer(
            {
                "bootstrap.servers": kafka["bootstrap_servers"],
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": kafka["sasl_plain_username"],
                "sasl.password": kafka["sasl_plain_password"],
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "compression.type": "lz4",
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        confirmed: list[Any] = []
        for fact in rows:
            producer.produce(
                pair.thing.TOPIC,
                key=fact["thing_id"].encode(),
                value=orjson.dumps(fact),
                on_delivery=lambda error, _: confirmed.append(error),
            )
            producer.poll(0)
        producer.flush()
        assert len(confirmed) == len(rows)
        assert not any(confirmed)

    await asyncio.to_thread(produce)
