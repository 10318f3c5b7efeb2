"""Whatever a handler does, its effect is there once or not at all, and no other record pays for it."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from lienthong import Connection, Department, Event, NotHandled, NotYet, intake
from lienthong.testing import running, until
from lienthong.turn import TURN_SECONDS
from tests.broker.connection_cutter import cutting
from tests.broker.scratch import City, Pair, Thing

TABLES = """
CREATE TABLE IF NOT EXISTS counted (
    seq bigint GENERATED ALWAYS AS IDENTITY, thing_id text, amount integer,
    xid xid8 DEFAULT pg_current_xact_id()
);
CREATE TABLE IF NOT EXISTS place (place_code text PRIMARY KEY, label text);
"""
COUNT = "INSERT INTO counted (thing_id, amount) VALUES ($1, $2)"

Handle = Callable[[Event[Thing], Connection], Awaitable[None]]


@asynccontextmanager
async def handled(pair: Pair, handle: Handle, *things: str, **settings: Any) -> AsyncIterator[Any]:
    """Let a handler have things that are all there at once; gives its service once all are dealt with."""
    async with reading(pair, handle, *things, **settings) as sink:
        await until(lambda: sink.pool.fetchval("SELECT count(*) = $1 FROM lienthong.inbox", len(things)))
        yield sink


@asynccontextmanager
async def reading(pair: Pair, handle: Handle, *things: str, **settings: Any) -> AsyncIterator[Any]:
    """Let a handler read what was published before it began."""
    reader = Department(pair.reader)
    reader.reads(pair.thing.TOPIC, purpose="counting")(handle)
    await publish(pair, *things)
    async with running(reader, data=pair.data, root=pair.root, tables=TABLES, **settings) as sink:
        yield sink


async def publish(pair: Pair, *things: str) -> None:
    """Publish things in one transaction; their amounts are their numbers."""
    publisher = Department(pair.publisher)
    async with running(publisher, data=pair.data, root=pair.root) as source:
        async with source.pool.acquire() as db, db.transaction():
            for number, thing in enumerate(things):
                await publisher.publish(db, pair.thing(thing_id=thing, amount=number))
        await until(lambda: source.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.outbox)"))


async def counted(sink: Any) -> list[str]:
    return [row["thing_id"] for row in await sink.pool.fetch("SELECT thing_id FROM counted ORDER BY seq")]


async def codes(sink: Any) -> Counter[str | None]:
    return Counter(row["code"] for row in await sink.pool.fetch("SELECT code FROM lienthong.inbox"))


async def test_a_handler_that_raises_once_is_called_again_and_takes_effect_once(scratch: City) -> None:
    calls: Counter[str] = Counter()

    async def count(event: Event[Thing], db: Connection) -> None:
        thing = event.data.thing_id
        calls[thing] += 1
        await db.execute(COUNT, thing, event.data.amount)
        if thing == "once" and calls[thing] == 1:
            raise NotYet(reason="Its place is not known yet.")

    async with handled(scratch.take(), count, "a", "once", "b", back_off_seconds=0.05) as sink:
        assert sorted(await counted(sink)) == ["a", "b", "once"]
        assert await codes(sink) == {None: 3}
    assert calls["once"] == 2, "kept for the try apart, tried again once"


async def test_a_defect_of_a_handler_is_set_aside_at_once_with_its_place(scratch: City) -> None:
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute(COUNT, event.data.thing_id, event.data.amount)
        if event.data.thing_id == "defect":
            raise ZeroDivisionError(event.data.thing_id)

    async with handled(scratch.take(), count, "a", "defect", "b") as sink:
        assert sorted(await counted(sink)) == ["a", "b"]
        assert await codes(sink) == {None: 2, "handler-failed": 1}


@pytest.mark.parametrize("leaves", [SystemExit, asyncio.CancelledError])
async def test_a_handler_that_would_end_its_process_or_its_reader_ends_neither(
    scratch: City, leaves: type[BaseException]
) -> None:
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute(COUNT, event.data.thing_id, event.data.amount)
        if event.data.thing_id == "leaves":
            raise leaves

    async with handled(scratch.take(), count, "a", "leaves", "b") as sink:
        assert sorted(await counted(sink)) == ["a", "b"]
        assert await codes(sink) == {None: 2, "handler-failed": 1}
        assert set(sink.health().values()) == {"ok"}


@pytest.mark.parametrize("leaves", [SystemExit, asyncio.CancelledError])
async def test_whoever_takes_raw_records_ends_neither_process_nor_intake(
    scratch: City, leaves: type[BaseException]
) -> None:
    pair = scratch.take()
    reader = Department(pair.reader)

    @reader.takes("thing")
    async def take(raw: dict[str, Any], db: Connection) -> None:
        if raw["thing_id"] == "leaves":
            raise leaves
        await reader.publish(db, pair.counted(thing_id=raw["thing_id"], amount=1))

    async with running(reader, data=pair.data, root=pair.root) as source:
        async with source.pool.acquire() as db:
            await intake.put(db, [("thing", b'{"thing_id":"%s"}' % one) for one in (b"a", b"leaves", b"b")])
        await until(lambda: source.pool.fetchval("SELECT count(*) = 2 FROM lienthong.published"))
        problems = await source.pool.fetch("SELECT code, raw FROM lienthong.intake_problems")
        assert [tuple(problem) for problem in problems] == [("handler-failed", b'{"thing_id":"leaves"}')]
        assert set(source.health().values()) == {"ok"}


async def test_what_fails_for_as_long_as_its_tries_reach_takes_effect_when_it_heals(scratch: City) -> None:
    clock = asyncio.get_running_loop().time
    heals_at = 0.0

    async def count(event: Event[Thing], db: Connection) -> None:
        nonlocal heals_at
        await db.execute(COUNT, event.data.thing_id, event.data.amount)
        if event.data.thing_id == "ill":
            heals_at = heals_at or clock() + 1.5
            if clock() < heals_at:
                raise NotYet(reason="The register is closed.")

    things = ("ill", "ill", "a", "b")
    async with handled(
        scratch.take(), count, *things, attempts=60, back_off_seconds=0.05, back_off_most_seconds=0.2
    ) as sink:
        assert sorted(await counted(sink)) == sorted(things)
        rows = await sink.pool.fetch("SELECT amount FROM counted WHERE thing_id = 'ill' ORDER BY seq")
        assert [row["amount"] for row in rows] == [0, 1], "the later one waited for the first"


async def _hang(_: Connection) -> None:
    await asyncio.Event().wait()


async def _hang_in_the_database(db: Connection) -> None:
    await db.execute("SELECT pg_sleep(3600)")


@pytest.mark.parametrize("hang", [_hang, _hang_in_the_database])
async def test_a_handler_that_hangs_is_stopped_and_the_others_go_on(
    scratch: City, hang: Callable[[Connection], Awaitable[None]]
) -> None:
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute(COUNT, event.data.thing_id, event.data.amount)
        if event.data.thing_id == "hangs":
            await hang(db)

    things = ("a", "hangs", "b", "hangs", "c")
    async with handled(
        scratch.take(), count, *things, handler_seconds=0.3, attempts=2, back_off_seconds=0.05
    ) as sink:
        assert sorted(await counted(sink)) == ["a", "b", "c"]
        assert await codes(sink) == {None: 3, "handler-too-slow": 2}


async def test_a_handler_is_given_the_time_that_is_set_by_the_database_too(scratch: City) -> None:
    """Or its connection would be closed under it, for no fault of its record, again and again."""

    async def count(event: Event[Thing], db: Connection) -> None:
        rows = await db.fetch("SHOW idle_in_transaction_session_timeout")
        await db.execute(COUNT, rows[0][0], event.data.amount)

    async with handled(scratch.take(), count, "a", handler_seconds=600.0) as sink:
        assert await counted(sink) == ["630s"]


async def test_slow_handlers_share_no_longer_a_transaction_than_a_turn_may_last(scratch: City) -> None:
    seconds = 0.25

    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute(COUNT, event.data.thing_id, event.data.amount)
        await asyncio.sleep(seconds)  # what a slow handler does

    things = [f"{letter}" for letter in "abababababab"]
    async with handled(scratch.take(), count, *things) as sink:
        assert sorted(await counted(sink)) == sorted(things)
        turns = await sink.pool.fetch("SELECT count(*) AS records FROM counted GROUP BY xid")
        assert len(turns) > 1
        assert max(row["records"] for row in turns) <= TURN_SECONDS / seconds + 1
        for letter in "ab":
            rows = await sink.pool.fetch(
                "SELECT amount FROM counted WHERE thing_id = $1 ORDER BY seq", letter
            )
            assert [row["amount"] for row in rows] == sorted(row["amount"] for row in rows)


async def test_what_a_handler_published_before_it_raised_is_never_told(scratch: City) -> None:
    pair = scratch.take()
    reader = Department(pair.reader)
    tried: set[str] = set()

    @reader.reads(pair.thing.TOPIC, purpose="counting")
    async def count(event: Event[Thing], db: Connection) -> None:
        thing = event.data.thing_id
        await reader.publish(db, pair.counted(thing_id=thing, amount=event.data.amount))
        if thing == "never":
            raise NotHandled(reason="The thing is not ours to count.")
        if thing == "later" and thing not in tried:
            tried.add(thing)
            raise NotYet(reason="Its place is not known yet.")

    publisher = Department(pair.publisher)
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        running(reader, data=pair.data, root=pair.root, tables=TABLES, back_off_seconds=0.05) as sink,
    ):
        async with source.pool.acquire() as db, db.transaction():
            for thing in ("a", "never", "later", "b"):
                await publisher.publish(db, pair.thing(thing_id=thing, amount=1))
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 4 FROM lienthong.inbox"))
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.outbox)"))
        told = "SELECT count(*) FROM lienthong.published WHERE topic = $1"
        assert await sink.pool.fetchval(told, pair.counted.TOPIC) == 3


async def test_a_connection_of_the_handlers_own_that_fails_is_its_records_affair(scratch: City) -> None:
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute(COUNT, event.data.thing_id, event.data.amount)
        if event.data.thing_id == "asks-elsewhere":
            raise ConnectionRefusedError("an office that has closed")

    things = ("a", "asks-elsewhere", "b")
    async with handled(scratch.take(), count, *things, attempts=3, back_off_seconds=0.05) as sink:
        assert sorted(await counted(sink)) == ["a", "b"]
        assert await codes(sink) == {None: 2, "handler-cut-off": 1}


async def test_a_deadlock_with_another_program_is_no_records_fault(scratch: City) -> None:
    rival_has_one = asyncio.Event()
    met = 0

    async def count(event: Event[Thing], db: Connection) -> None:
        nonlocal met
        await rival_has_one.wait()
        await db.execute(COUNT, event.data.thing_id, event.data.amount)
        await db.execute("UPDATE place SET label = 'tên mới' WHERE place_code = 'first'")
        try:
            await db.execute("UPDATE place SET label = 'tên mới' WHERE place_code = 'second'")
        except asyncpg.DeadlockDetectedError:
            met += 1
            raise

    async with reading(scratch.take(), count, "a", attempts=1) as sink:
        await sink.pool.execute("INSERT INTO place VALUES ('first', 'tên'), ('second', 'tên')")
        async with sink.pool.acquire() as rival, rival.transaction():
            await rival.execute("UPDATE place SET label = 'tên khác' WHERE place_code = 'second'")
            rival_has_one.set()
            await until(
                lambda: sink.pool.fetchval(
                    "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid')"
                )
            )
            # Whoever has waited for a second looks whether it waits in a circle: the handler, it was first.
            await rival.execute("UPDATE place SET label = 'tên khác' WHERE place_code = 'first'")
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 1 FROM lienthong.inbox"))
        assert met == 1
        assert await counted(sink) == ["a"]
        assert await codes(sink) == {None: 1}


async def test_what_the_database_cannot_do_now_is_done_again(scratch: City) -> None:
    states = {
        "not-serialized": "40001",
        "locked": "55P03",
        "disk-full": "53100",
        "memory-short": "53200",
        "shut-down": "57P01",
    }
    met: Counter[str] = Counter()

    async def count(event: Event[Thing], db: Connection) -> None:
        thing = event.data.thing_id
        await db.execute(COUNT, thing, event.data.amount)
        if thing in states and not met[thing]:
            met[thing] += 1
            await db.execute(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{states[thing]}'; END $$")

    things = ["a", *states, "b"]
    async with handled(scratch.take(), count, *things, attempts=1, back_off_seconds=0.02) as sink:
        assert sorted(await counted(sink)) == sorted(things)
        assert await codes(sink) == {None: len(things)}
    assert met.keys() == states.keys()


async def test_a_commit_that_was_done_and_never_heard_of_is_not_done_again(scratch: City) -> None:
    """What raises after the commit is the connection: the handler has returned by then."""
    pair = scratch.take()
    calls: Counter[str] = Counter()

    async def count(event: Event[Thing], db: Connection) -> None:
        calls[event.data.thing_id] += 1
        await db.execute(COUNT, event.data.thing_id, event.data.amount)

    async with (
        cutting(pair, after=b"COMMIT") as (database_url, cut),
        handled(pair, count, "a", "b", database_url=database_url) as sink,
    ):
        assert cut.is_set()
        assert sorted(await counted(sink)) == ["a", "b"]
        assert await codes(sink) == {None: 2}
    assert calls == {"a": 1, "b": 1}


async def test_a_handler_cannot_end_the_transaction_that_others_share(scratch: City) -> None:
    ends = {"1": "COMMIT", "2": "rollback;", "3": "UPDATE place SET label = ''; COMMIT", "4": "END"}

    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute(COUNT, event.data.thing_id, event.data.amount)
        if event.data.thing_id in ends:
            await db.execute(ends[event.data.thing_id])
        # A part that may fail is the handler's own affair.
        with contextlib.suppress(asyncpg.DivisionByZeroError):
            async with db.transaction():
                await db.execute("DO $$ BEGIN PERFORM 1 / 0; END $$")

    async with handled(scratch.take(), count, "a", *ends, "b") as sink:
        assert sorted(await counted(sink)) == ["a", "b"]
        assert await codes(sink) == {None: 2, "not-handled": len(ends)}


async def test_a_service_starts_while_somebody_has_its_tables_open(scratch: City) -> None:
    """A backup, or a transaction that lasts: neither keeps it, nor others who would wait behind it."""

    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute(COUNT, event.data.thing_id, event.data.amount)

    pair = scratch.take()
    tables = "lienthong.outbox, lienthong.inbox, lienthong.intake, lienthong.dead_letter"
    async with handled(pair, count, "a") as sink, sink.pool.acquire() as db, db.transaction():
        await db.execute(f"LOCK TABLE {tables} IN ROW EXCLUSIVE MODE")
        async with running(Department(pair.reader), data=pair.data, root=pair.root) as other:
            assert other.health()["service"] == "ok"
