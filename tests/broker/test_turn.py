"""A turn: many records in one transaction, and whoever spoils it is set aside alone."""

import asyncio
from typing import Any

import asyncpg
import pytest

from lienthong import Connection, Department, Event, NotHandled, consumer
from lienthong.testing import running, until
from tests.broker.scratch import City, Pair, Thing

# Looked at when the transaction commits: the handler hears nothing of it.
TABLES = """
CREATE TABLE IF NOT EXISTS counted (
    thing_id text NOT NULL, amount integer NOT NULL,
    CONSTRAINT once UNIQUE (amount) DEFERRABLE INITIALLY DEFERRED
)
"""
COUNT = "INSERT INTO counted (thing_id, amount) VALUES ($1, $2)"


async def _what_became(pair: Pair, handler: Any, amounts: dict[str, int]) -> tuple[list[str], dict[str, str]]:
    """Publish things in one transaction; tell which were counted, and the codes of those set aside."""
    publisher, reader = Department(pair.publisher), Department(pair.reader)
    reader.reads(pair.thing.TOPIC, purpose="counting")(handler)
    async with running(publisher, data=pair.data, root=pair.root) as source:
        async with source.pool.acquire() as db, db.transaction():
            ids = {
                await publisher.publish(db, pair.thing(thing_id=thing, amount=amount)): thing
                for thing, amount in amounts.items()
            }
        await until(lambda: source.pool.fetchval("SELECT count(*) = $1 FROM lienthong.published", len(ids)))
    # Only now, so that they are all there at once.
    async with running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink:
        await until(lambda: sink.pool.fetchval("SELECT count(*) = $1 FROM lienthong.inbox", len(ids)))
        counted = await sink.pool.fetch("SELECT thing_id FROM counted ORDER BY thing_id")
        marks = await sink.pool.fetch("SELECT id, code FROM lienthong.inbox WHERE outcome = 'set aside'")
    return [row["thing_id"] for row in counted], {ids[row["id"]]: row["code"] for row in marks}


@pytest.mark.parametrize("position", [0, 7, 14])
async def test_what_was_done_before_and_after_a_failure_takes_effect_once(
    scratch: City, position: int
) -> None:
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute(COUNT, event.data.thing_id, event.data.amount)
        if event.data.thing_id == f"thing-{position:02d}":
            raise NotHandled(reason="The thing is not ours to count.")

    things = {f"thing-{number:02d}": number + 100 for number in range(15)}
    counted, set_aside = await _what_became(scratch.take(), count, things)
    assert set_aside == {f"thing-{position:02d}": "not-handled"}
    assert counted == sorted(things.keys() - set_aside.keys())


async def test_a_record_that_spoils_the_commit_of_all_is_set_aside_alone(scratch: City) -> None:
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute(COUNT, event.data.thing_id, event.data.amount)

    things = {"first": 1, "second": 1, **{f"thing-{number}": number + 100 for number in range(5)}}
    counted, set_aside = await _what_became(scratch.take(), count, things)
    # Which of the two comes first depends on their partitions.
    assert list(set_aside.values()) == ["handler-failed"]
    assert set_aside.keys() < {"first", "second"}
    assert counted == sorted(things.keys() - set_aside.keys())


async def test_a_handler_that_hides_an_error_of_the_database_is_not_anothers_fault(scratch: City) -> None:
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute(COUNT, event.data.thing_id, event.data.amount)
        if event.data.amount == 100:
            try:
                await db.execute("SELECT 1 / 0")
            except asyncpg.DivisionByZeroError:
                return

    things = {f"thing-{number}": number + 100 for number in range(9)}
    counted, set_aside = await _what_became(scratch.take(), count, things)
    assert set_aside == {"thing-0": "handler-failed"}
    assert counted == sorted(things.keys() - set_aside.keys())


@pytest.mark.parametrize("cuts", [1, 3])
async def test_a_connection_that_is_cut_in_the_middle_is_no_records_fault(scratch: City, cuts: int) -> None:
    left = cuts

    async def count(event: Event[Thing], db: Connection) -> None:
        nonlocal left
        await db.execute(COUNT, event.data.thing_id, event.data.amount)
        if left:
            left -= 1
            try:
                await db.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            except asyncpg.PostgresError as error:
                # Not the database's own word for it: what a handler may make of a connection that is gone.
                await db.execute("SELECT 1")
                raise AssertionError from error

    things = {f"thing-{number}": number + 100 for number in range(5)}
    counted, set_aside = await _what_became(scratch.take(), count, things)
    assert left == 0
    assert set_aside == {}
    assert counted == sorted(things)


async def test_a_turn_that_breaks_while_its_partitions_are_taken_away_loses_no_record(
    scratch: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a turn had begun was no part of the lane any more, so its offset was committed."""
    taken_away: list[asyncio.Task[None]] = []
    make_turn, stop_consumer = consumer.Reader._make_turn, consumer.stop_consumer

    async def break_once(self: consumer.Reader, pool: Any, now: float) -> None:
        async def broken(*_: Any) -> Any:
            taken_away.append(asyncio.create_task(self.on_partitions_revoked([*self._lanes])))
            await asyncio.sleep(0)  # It waits for the turn, as a rebalance does.
            raise RuntimeError("a defect of ours")

        with monkeypatch.context() as patched:
            if not taken_away:
                patched.setattr(self._turn, "make", broken)
            await make_turn(self, pool, now)

    async def stop_when_taken_away(*told: Any) -> None:
        await asyncio.wait(taken_away)
        await stop_consumer(*told)

    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute(COUNT, event.data.thing_id, event.data.amount)

    monkeypatch.setattr(consumer.Reader, "_make_turn", break_once)
    monkeypatch.setattr(consumer, "stop_consumer", stop_when_taken_away)
    things = {f"thing-{number:02d}": number + 100 for number in range(15)}
    assert await _what_became(scratch.take(), count, things) == (sorted(things), {})
    assert taken_away
