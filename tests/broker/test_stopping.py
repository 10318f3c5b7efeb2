"""A service that is stopped in the middle of much work, and one that is frozen and wakes up among others."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from lienthong import Department, metrics
from lienthong.cluster.connection import department_connection
from lienthong.settings import embedded_environment
from lienthong.testing import running, until
from tests.broker.scratch import City, Pair
from tests.broker.steps import TABLES, reader_of

STOP_SECONDS = 10.0


async def publish(pair: Pair, facts: list[tuple[str, int]]) -> None:
    publisher = Department(pair.publisher)
    async with running(publisher, data=pair.data, root=pair.root) as source:
        async with source.pool.acquire() as db, db.transaction():
            for thing, amount in facts:
                await publisher.publish(db, pair.thing(thing_id=thing, amount=amount))
        await until(lambda: source.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.outbox)"))


@contextmanager
def slow_reader(pair: Pair, said: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the reader, as anybody starts one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "faststream", "run", "tests.broker.slow_reader:app", "--port", port],
            cwd=Path(__file__).parents[2],
            env=os.environ
            | {"LIENTHONG_DATA": str(pair.data), "LIENTHONG_ROOT": str(pair.root)}
            | {"SCRATCH_PAIR": f"{pair.publisher},{pair.reader}", **environment},
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def fetchval(pair: Pair, sql: str) -> Any:
    """Ask the reader's database; None while it has no such table."""
    environment = embedded_environment(pair.data, pair.reader)
    secret = department_connection(pair.data, pair.reader).password
    db = await asyncpg.connect(environment["LIENTHONG_DATABASE_URL"], password=secret)
    try:
        return await db.fetchval(sql)
    except asyncpg.UndefinedTableError:
        return None
    finally:
        await db.close()


def repeated(pair: Pair) -> float:
    labels = {"topic": pair.thing.TOPIC, "group": pair.group}
    return metrics.REGISTRY.get_sample_value("lienthong_events_repeated_total", labels) or 0.0


def committed(pair: Pair) -> dict[int, int]:
    """The offsets that the group has committed, as its department may see them."""
    admin = AdminClient(department_connection(pair.data, pair.reader).for_confluent())
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(pair.group)])
    return {at.partition: at.offset for at in asked[pair.group].result(10).topic_partitions}


async def test_a_stop_under_load_drains_in_seconds_and_nothing_is_delivered_again(
    scratch: City, tmp_path: Path
) -> None:
    pair = scratch.take()
    facts = [(f"thing-{number % 20}", number) for number in range(100, 400)]
    await publish(pair, facts)
    # A session that outlasts the test: the next one gets the partitions only if this one left its group.
    environment = {"SCRATCH_SECONDS": "0.05", "LIENTHONG_SESSION_SECONDS": "60"}
    with slow_reader(pair, tmp_path / "said.txt", **environment) as process:
        await until(lambda: fetchval(pair, "SELECT count(*) FROM counted"))
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        await until(lambda: process.poll() is not None, within=STOP_SECONDS)
        print(f"stopped in {time.monotonic() - began:.1f} s")  # noqa: T201 - the figure is the point
        # The server ends with the signal that ended it, once everything has been drained.
        assert process.returncode in {0, -signal.SIGTERM}
    handled = await fetchval(pair, "SELECT count(*) FROM counted")
    assert 0 < handled < len(facts), "it was stopped in the middle"
    assert sum(committed(pair).values()) == handled
    before = repeated(pair)
    async with running(reader_of(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        await until(
            lambda: sink.pool.fetchval("SELECT count(*) = $1 FROM lienthong.inbox", len(facts)), within=20
        )
        rows = await sink.pool.fetch("SELECT thing_id, amount FROM counted")
    assert sorted((row["thing_id"], row["amount"]) for row in rows) == sorted(facts)
    assert repeated(pair) == before


async def test_a_frozen_reader_wakes_up_among_others_and_changes_nothing(
    scratch: City, tmp_path: Path
) -> None:
    pair = scratch.take()
    first = [(f"thing-{number % 3}", number) for number in range(100, 112)]
    later = [(f"thing-{number % 3}", number) for number in range(112, 124)]
    await publish(pair, first)
    environment = {
        "SCRATCH_SECONDS": "0",
        "SCRATCH_FREEZES_AT": "105",
        "LIENTHONG_SESSION_SECONDS": "6",
    }
    seen: list[dict[int, int]] = []
    with slow_reader(pair, tmp_path / "said.txt", **environment) as process:
        frozen = psutil.Process(process.pid)
        await until(lambda: frozen.status() == psutil.STATUS_STOPPED)
        async with running(
            reader_of(pair), data=pair.data, root=pair.root, tables=TABLES, session_seconds=6.0
        ) as sink:
            # It has lost its partitions by then; what it wrote waits in an open transaction.
            await until(lambda: sink.pool.fetchval("SELECT count(*) = 12 FROM counted"))
            await until(lambda: sum(committed(pair).values()) == len(first))
            frozen.resume()
            await publish(pair, later)

            async def all_are_handled() -> bool:
                seen.append(committed(pair))
                return bool(await sink.pool.fetchval("SELECT count(*) = 24 FROM lienthong.inbox"))

            await until(all_are_handled)
            await until(lambda: sum(committed(pair).values()) == len(first) + len(later))
            rows = await sink.pool.fetch("SELECT thing_id, amount FROM counted ORDER BY seq")
        assert process.poll() is None, "it goes on"
    assert sorted((row["thing_id"], row["amount"]) for row in rows) == sorted(first + later)
    for thing in ("thing-0", "thing-1", "thing-2"):
        amounts = [row["amount"] for row in rows if row["thing_id"] == thing]
        assert amounts == sorted(amounts)
    back = [(a, b) for a, b in pairwise(seen) if any(b[p] < a[p] for p in a)]
    assert back == [], "no offset went back"
