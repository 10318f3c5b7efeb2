"""What goes wrong with servers and rights while services run; what needs three brokers is in tests/chaos."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from kafka.structs import TopicPartition

from lienthong import Department, metrics
from lienthong.cluster.admin import Admin, open_admin
from lienthong.cluster.connection import admin_connection
from lienthong.embedded.secret import load_or_generate
from lienthong.producer import (
    Acknowledged,
    NotWritten,
    Outcome,
    Producer,
    Unknown,
)
from lienthong.service import Service
from lienthong.settings import load_bus
from lienthong.testing import running, until
from tests.broker.scratch import City, Pair
from tests.broker.test_delivery import TABLES, publish, reader_of
from tests.broker.test_producer import record, settings_of


@asynccontextmanager
async def superuser(pair: Pair, database: str = "postgres") -> AsyncIterator[asyncpg.Connection]:
    postgres = load_bus(pair.data)["postgres"]
    db = await asyncpg.connect(
        host=postgres["host"],
        port=postgres["port"],
        user=postgres["superuser"],
        password=load_or_generate(pair.data / "secrets" / "postgres.password"),
        database=database,
    )
    try:
        yield db
    finally:
        await db.close()


async def counted(sink: Any) -> list[tuple[str, int]]:
    rows = await sink.pool.fetch("SELECT thing_id, amount FROM counted ORDER BY seen_at")
    return [(row["thing_id"], row["amount"]) for row in rows]


def rights(admin: Admin, pair: Pair, operation: str) -> list[Any]:
    return [
        right
        for right in admin.fetch_access()
        if (right.principal, right.resource, right.operation)
        == (f"User:{pair.publisher}", "topic", operation)
    ]


async def test_connections_to_a_server_that_takes_no_writes_any_more_are_given_up(scratch: City) -> None:
    pair = scratch.take()
    publisher, (reader, _) = Department(pair.publisher), reader_of(pair)
    settings = {"tables": TABLES, "back_off_seconds": 0.05, "database_connections": 2}
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        running(reader, data=pair.data, root=pair.root, **settings) as sink,
        superuser(pair, pair.reader) as db,
    ):
        # The connections that a pool opens now stay as they are: healthy, and of no use for writing.
        await db.execute(f"ALTER ROLE {pair.reader} SET default_transaction_read_only = on")
        await db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", pair.reader
        )
        facts = [pair.thing(thing_id=f"vat-{n}", amount=n) for n in range(5)]
        await publish(source, publisher, *facts)
        await until(lambda: sink.readers[0]._turn._interruptions >= 3, within=10)
        await db.execute(f"ALTER ROLE {pair.reader} RESET default_transaction_read_only")
        await until(lambda: db.fetchval("SELECT count(*) = 5 FROM counted"), within=20)
        assert await db.fetchval("SELECT count(*) FROM lienthong.inbox WHERE outcome = 'set aside'") == 0


async def test_who_only_looks_finds_out_too_that_the_server_takes_no_writes_any_more(scratch: City) -> None:
    """A relay whose outbox stays empty would look at the server before the fail-over for ever."""
    pair = scratch.take()
    publisher = Department(pair.publisher)
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        superuser(pair, pair.publisher) as db,
    ):
        await until(lambda: source.health()["relay"] == "ok")
        await db.execute("SET default_transaction_read_only = off")
        await db.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await db.execute("SELECT pg_reload_conf()")
        try:
            await until(lambda: {"relay", "database"} <= _not_written(source), within=20)
        finally:
            await db.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await db.execute("SELECT pg_reload_conf()")
        await until(lambda: set(source.health().values()) == {"ok"})
        await publish(source, publisher, pair.thing(thing_id="vat", amount=1))
        await until(lambda: db.fetchval("SELECT count(*) = 1 FROM lienthong.published"))


def _not_written(source: Service) -> set[str]:
    return {part for part, state in source.health().items() if "ReadOnlySQLTransactionError" in state}


async def test_a_lock_on_the_outbox_makes_facts_wait_and_loses_none(scratch: City) -> None:
    pair = scratch.take()
    publisher, (reader, _) = Department(pair.publisher), reader_of(pair)
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink,
        superuser(pair, pair.publisher) as rival,
    ):
        async with rival.transaction():
            await rival.execute("LOCK TABLE lienthong.outbox IN ACCESS EXCLUSIVE MODE")
            writing = asyncio.create_task(publish(source, publisher, pair.thing(thing_id="vat", amount=1)))
            await until(
                lambda: rival.fetchval(
                    "SELECT count(*) >= 2 FROM pg_locks WHERE NOT granted AND relation = "
                    "'lienthong.outbox'::regclass"
                )
            )
            assert not writing.done()
        await writing
        await until(lambda: sink.pool.fetchval("SELECT count(*) FROM counted"))
        assert await counted(sink) == [("vat", 1)]


async def test_a_relay_that_loses_its_lock_while_it_sends_is_followed_by_another_and_no_order_breaks(
    scratch: City,
) -> None:
    pair = scratch.take()
    (reader, _), told = reader_of(pair), Department(pair.publisher)
    async with (
        running(told, data=pair.data, root=pair.root, relay_records=20) as source,
        running(Department(pair.publisher), data=pair.data, root=pair.root, relay_records=20),
        running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink,
        superuser(pair) as db,
    ):
        cut = 0
        for round_number in range(10):
            facts = [
                pair.thing(thing_id=f"vat-{n % 4}", amount=100 + round_number * 40 + n) for n in range(40)
            ]
            await publish(source, told, *facts)
            cut += await db.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity a JOIN pg_locks l USING (pid)"
                " WHERE a.datname = $1 AND l.locktype = 'advisory' AND l.granted",
                pair.publisher,
            )
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 400 FROM lienthong.inbox"), within=60)
        assert cut > 0
        effects = await counted(sink)
        assert sorted(amount for _, amount in effects) == list(range(100, 500)), "each once"
        for key in range(4):
            of_key = [amount for thing, amount in effects if thing == f"vat-{key}"]
            assert of_key == sorted(of_key)


async def test_records_that_retention_deleted_unread_are_told_and_the_rest_is_read(scratch: City) -> None:
    pair = scratch.take()
    publisher, (reader, _) = Department(pair.publisher), reader_of(pair)
    labels = (pair.thing.TOPIC, pair.group)
    async with running(publisher, data=pair.data, root=pair.root) as source:
        async with running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink:
            await publish(source, publisher, pair.thing(thing_id="vat", amount=1))
            await until(lambda: sink.pool.fetchval("SELECT count(*) FROM counted"))
        await publish(source, publisher, *(pair.thing(thing_id="vat", amount=n) for n in (2, 3, 4)))
        await until(lambda: source.pool.fetchval("SELECT count(*) = 4 FROM lienthong.published"))
        number = await source.pool.fetchval("SELECT DISTINCT record_partition FROM lienthong.published")
        with open_admin(admin_connection(pair.data)) as admin:
            admin._client.delete_records({TopicPartition(pair.thing.TOPIC, number): 3})
        before = metrics.RECORDS_MISSED.labels(*labels)._value.get()
        again, _ = reader_of(pair)
        async with running(again, data=pair.data, root=pair.root, tables=TABLES) as sink:
            await until(lambda: sink.pool.fetchval("SELECT count(*) = 2 FROM counted"))
            assert await counted(sink) == [("vat", 1), ("vat", 4)]
            assert metrics.RECORDS_MISSED.labels(*labels)._value.get() - before == 2


async def test_a_group_whose_offsets_expired_reads_all_again_and_nothing_takes_effect_twice(
    scratch: City,
) -> None:
    pair = scratch.take()
    publisher, (reader, calls) = Department(pair.publisher), reader_of(pair)
    async with running(publisher, data=pair.data, root=pair.root) as source:
        async with running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink:
            await publish(source, publisher, *(pair.thing(thing_id=f"vat-{n}", amount=n) for n in range(9)))
            await until(lambda: sink.pool.fetchval("SELECT count(*) = 9 FROM counted"))
        with open_admin(admin_connection(pair.data)) as admin:
            admin._client.delete_groups([pair.group])
        repeated = metrics.EVENTS_REPEATED.labels(pair.thing.TOPIC, pair.group)._value
        before = repeated.get()
        again, called = reader_of(pair)
        async with running(again, data=pair.data, root=pair.root, tables=TABLES) as sink:
            await publish(source, publisher, pair.thing(thing_id="new", amount=10))
            await until(lambda: sink.pool.fetchval("SELECT count(*) = 10 FROM counted"))
            await until(lambda: repeated.get() - before == 9)
        assert Counter(calls) + Counter(called) == Counter([*(f"vat-{n}" for n in range(9)), "new"])


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(minutes=50)], ids=["back", "forward"])
async def test_a_clock_that_jumps_changes_neither_order_nor_delivery(scratch: City, jump: timedelta) -> None:
    pair = scratch.take()
    ahead = [timedelta(0)]
    publisher = Department(pair.publisher, clock=lambda: datetime.now(UTC) + ahead[0])
    reader, _ = reader_of(pair)
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink,
    ):
        for number in range(6):
            ahead[0] = jump if number in {2, 3} else timedelta(0)
            await publish(source, publisher, pair.thing(thing_id="vat", amount=number))
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 6 FROM lienthong.inbox"))
        assert await counted(sink) == [("vat", number) for number in range(6)]


async def test_a_producer_that_lost_its_place_in_the_sequence_is_replaced_and_nothing_is_lost_or_doubled(
    scratch: City,
) -> None:
    pair = scratch.take()
    topic = pair.thing.TOPIC
    producer = Producer(settings_of(scratch.data, pair.publisher))
    heard: dict[bytes, list[Outcome]] = {b"1": [], b"2": [], b"3": []}

    async def send(value: bytes) -> Outcome:
        (outcome,) = await producer.send([record(topic, value)])
        heard[value].append(outcome)
        return outcome

    assert isinstance(await send(b"1"), Acknowledged)
    with open_admin(admin_connection(scratch.data)) as admin:
        theirs = rights(admin, pair, "write")
        admin.revoke(theirs)
        await until(lambda: _has_failed(send, b"2"), within=10)
        admin.grant(theirs)
    # The client counted what the broker refused: of this client the broker misses a number, for ever.
    await until(lambda: _has_arrived(send, b"2"), within=20)
    assert isinstance(await send(b"3"), Acknowledged)
    assert any(isinstance(outcome, Unknown) for outcome in heard[b"2"]), "the gap was met"
    await producer.stop()
    outcomes = [outcome for value in sorted(heard) for outcome in heard[value]]
    assert [outcome.offset for outcome in outcomes if isinstance(outcome, Acknowledged)] == [0, 1, 2]


async def _has_failed(send: Any, value: bytes) -> bool:
    return isinstance(await send(value), NotWritten)


async def _has_arrived(send: Any, value: bytes) -> bool:
    return isinstance(await send(value), Acknowledged)
