"""From a committed fact to a committed effect, on a real Kafka and a real PostgreSQL."""

import asyncio
import json
import os
import signal
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from lienthong import Connection, Department, Event, NotHandled, NotValid, NotYet, Refused
from lienthong.testing import running, until
from tests.broker.scratch import City, Counted, Pair, Thing

TABLES = """
CREATE TABLE IF NOT EXISTS counted
    (thing_id text, amount integer, seen_at timestamptz DEFAULT clock_timestamp())
"""


def reader_of(pair: Pair, **behaviour: Any) -> tuple[Department, dict[str, int]]:
    """A department that counts what it reads; `behaviour` maps a thing's id to an error to raise."""
    reader = Department(pair.reader)
    calls: dict[str, int] = {}

    @reader.reads(pair.thing.TOPIC, purpose="counting")
    async def count(event: Event[Thing], db: Connection) -> None:
        calls[event.data.thing_id] = calls.get(event.data.thing_id, 0) + 1
        await db.execute(
            "INSERT INTO counted (thing_id, amount) VALUES ($1, $2)", event.data.thing_id, event.data.amount
        )
        failing = behaviour.get(event.data.thing_id.replace("-", "_"))
        if failing is not None and (error := failing(calls[event.data.thing_id])) is not None:
            raise error

    return reader, calls


async def publish(service: Any, department: Department, *facts: Any) -> list[str]:
    async with service.pool.acquire() as db, db.transaction():
        return [await department.publish(db, fact) for fact in facts]


async def test_a_fact_takes_effect_once_with_the_data_it_was_published_with(scratch: City) -> None:
    pair = scratch.take()
    publisher, (reader, _) = Department(pair.publisher), reader_of(pair)
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink,
    ):
        things = {f"vat-{n}": n * 100 for n in range(20)}
        ids = await publish(source, publisher, *(pair.thing(thing_id=i, amount=n) for i, n in things.items()))
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 20 FROM lienthong.inbox"))
        rows = await sink.pool.fetch("SELECT thing_id, amount FROM counted")
        assert sorted((row["thing_id"], row["amount"]) for row in rows) == sorted(things.items())
        seen = {row["id"] for row in await sink.pool.fetch("SELECT id FROM lienthong.inbox")}
        assert seen == set(ids)


async def test_a_fact_whose_transaction_is_undone_never_reaches_the_bus(scratch: City) -> None:
    pair = scratch.take()
    publisher, (reader, calls) = Department(pair.publisher), reader_of(pair)
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink,
    ):
        async with source.pool.acquire() as db:
            transaction = db.transaction()
            await transaction.start()
            await publisher.publish(db, pair.thing(thing_id="undone", amount=1))
            await transaction.rollback()
        await publish(source, publisher, pair.thing(thing_id="done", amount=1))
        await until(lambda: sink.pool.fetchval("SELECT count(*) FROM lienthong.inbox"))
        assert calls == {"done": 1}


async def test_a_refused_fact_is_told_to_the_caller_and_noticed_without_its_data(scratch: City) -> None:
    pair = scratch.take()
    publisher = Department(pair.publisher)
    async with running(publisher, data=pair.data, root=pair.root) as source:
        with pytest.raises(NotValid) as refused:
            await _publish_mapping(source, publisher, pair)
        assert {p.path for p in refused.value.problems} >= {"/thing_id", "/amount"}
        assert "Bí Mật" not in str(refused.value)
        assert await until(
            lambda: source.pool.fetchval(
                "SELECT count(*) FROM lienthong.published WHERE topic LIKE '%refusals'"
            )
        )
        assert await source.pool.fetchval("SELECT count(*) FROM lienthong.outbox") == 0


async def _publish_mapping(source: Any, publisher: Department, pair: Pair) -> None:
    async with source.pool.acquire() as db, db.transaction():
        await publisher.publish(
            db, {"thing_id": "KHÔNG", "amount": -1, "full_name": "Trần Thị Bí Mật"}, topic=pair.thing.TOPIC
        )


async def test_another_departments_topic_is_refused_by_name(scratch: City) -> None:
    pair = scratch.take()
    publisher = Department(pair.publisher)
    async with running(publisher, data=pair.data, root=pair.root) as source:
        with pytest.raises(Refused, match=f"belongs to {pair.reader}"):
            await publish(source, publisher, pair.counted(thing_id="vat", amount=1))


async def test_a_poison_record_does_not_stop_the_ones_behind_it(scratch: City) -> None:
    pair = scratch.take()
    publisher = Department(pair.publisher)
    reader, calls = reader_of(pair, bad=lambda _: NotHandled(reason="The thing is not ours to count."))
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink,
    ):
        await publish(
            source,
            publisher,
            *(pair.thing(thing_id=i, amount=1) for i in ("one", "bad", "two", "bad", "three")),
        )
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 5 FROM lienthong.inbox"))
        counted = [row["thing_id"] for row in await sink.pool.fetch("SELECT thing_id FROM counted")]
        assert sorted(counted) == ["one", "three", "two"], "once in effect, however often they were called"
        assert calls.keys() == {"one", "bad", "two", "three"}
        codes = await sink.pool.fetch("SELECT code FROM lienthong.inbox WHERE outcome = 'set aside'")
        assert [row["code"] for row in codes] == ["not-handled", "not-handled"]
        assert await until(
            lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.dead_letter)")
        )


async def test_a_retried_key_keeps_its_order_and_other_keys_go_on(scratch: City) -> None:
    pair = scratch.take()
    publisher = Department(pair.publisher)
    reader, calls = reader_of(
        pair, slow=lambda tries: NotYet(reason="Its place is not known yet.") if tries < 3 else None
    )
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        running(reader, data=pair.data, root=pair.root, tables=TABLES, back_off_seconds=0.3) as sink,
    ):
        await publish(
            source,
            publisher,
            pair.thing(thing_id="slow", amount=1),
            pair.thing(thing_id="slow", amount=2),
            *(pair.thing(thing_id=f"quick-{n}", amount=n) for n in range(10)),
        )
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 12 FROM lienthong.inbox"))
        order = [
            r["thing_id"] + str(r["amount"])
            for r in await sink.pool.fetch("SELECT * FROM counted ORDER BY seen_at")
        ]
        assert [thing for thing in order if thing.startswith("slow")] == ["slow1", "slow2"]
        assert order[-2:] == ["slow1", "slow2"], "the other keys did not wait"
        assert calls["slow"] == 4


async def test_a_retriable_failure_that_never_heals_is_set_aside_after_its_tries(scratch: City) -> None:
    pair = scratch.take()
    publisher = Department(pair.publisher)
    reader, calls = reader_of(pair, never=lambda _: NotYet(reason="Its place is not known yet."))
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        running(
            reader, data=pair.data, root=pair.root, tables=TABLES, back_off_seconds=0.05, attempts=3
        ) as sink,
    ):
        await publish(
            source, publisher, pair.thing(thing_id="never", amount=1), pair.thing(thing_id="never", amount=2)
        )
        await until(
            lambda: sink.pool.fetchval("SELECT count(*) = 2 FROM lienthong.inbox WHERE code = 'not-yet'")
        )
        assert calls == {"never": 6}


async def test_a_caused_event_names_its_cause_and_is_committed_with_the_effect(scratch: City) -> None:
    pair = scratch.take()
    publisher, reader = Department(pair.publisher), Department(pair.reader)
    heard: list[Event[Counted]] = []

    @reader.reads(pair.thing.TOPIC, purpose="counting")
    async def count(event: Event[Thing], db: Connection) -> None:
        await reader.publish(db, pair.counted(thing_id=event.data.thing_id, amount=event.data.amount))

    @publisher.reads(pair.counted.TOPIC, purpose="follow-up")
    async def hear(event: Event[Counted]) -> None:
        heard.append(event)

    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        running(reader, data=pair.data, root=pair.root),
    ):
        (first,) = await publish(source, publisher, pair.thing(thing_id="vat", amount=7))
        await until(lambda: heard)
        assert heard[0].causation_id == first
        assert heard[0].correlation_id == first
        assert heard[0].data.amount == 7
        assert heard[0].recorded_at <= datetime.now(UTC)


async def test_a_state_is_kept_checked_and_retracted(scratch: City) -> None:
    pair = scratch.take()
    publisher, reader = Department(pair.publisher), Department(pair.reader)
    reader.keeps(pair.place.TOPIC, purpose="reference")
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        running(reader, data=pair.data, root=pair.root) as sink,
    ):
        with pytest.raises(NotValid) as refused:
            await publish(source, publisher, pair.thing(thing_id="vat", amount=1, place_code="noi-1"))
        assert [(p.path, p.rule) for p in refused.value.problems] == [("/place_code", "reference")]
        await publish(source, publisher, pair.place(place_code="noi-1", label="Nơi một"))
        await publish(source, publisher, pair.thing(thing_id="vat", amount=1, place_code="noi-1"))
        async with sink.pool.acquire() as db:
            place = await until(lambda: reader.find_state(db, pair.place, "noi-1"))
            assert place.label == "Nơi một"
            async with source.pool.acquire() as own, own.transaction():
                await publisher.retract(own, pair.place, "noi-1")
            await until(lambda: _is_gone(reader, db, pair))


async def _is_gone(reader: Department, db: Connection, pair: Pair) -> bool:
    return await reader.count_state(db, pair.place) == 0


async def test_a_redelivered_event_is_recognised(scratch: City) -> None:
    pair = scratch.take()
    publisher = Department(pair.publisher)
    reader, calls = reader_of(pair)
    async with running(publisher, data=pair.data, root=pair.root) as source:
        async with running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink:
            (event_id,) = await publish(source, publisher, pair.thing(thing_id="vat", amount=1))
            await until(lambda: sink.pool.fetchval("SELECT count(*) FROM lienthong.inbox"))
        # The relay died after the broker's confirmation and before its own: the row is there again.
        async with source.pool.acquire() as db:
            await db.execute(
                "INSERT INTO lienthong.outbox (id, aggregatetype, aggregateid, type, payload)"
                " SELECT id, topic, 'vat', $2, $3 FROM lienthong.published WHERE id = $1",
                UUID(event_id),
                f"vn.gov.hanoi.{pair.publisher}.thing-noted",
                b'{"thing_id":"vat","amount":1}',
            )
        async with running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink:
            await publish(source, publisher, pair.thing(thing_id="vat", amount=2))
            await until(lambda: sink.pool.fetchval("SELECT count(*) = 2 FROM lienthong.inbox"))
            assert await sink.pool.fetchval("SELECT count(*) FROM counted") == 2
        assert calls == {"vat": 2}


async def test_a_service_ends_though_its_broker_does_not_answer_and_another_goes_on(scratch: City) -> None:
    pair = scratch.take()
    publisher, (reader, calls) = Department(pair.publisher), reader_of(pair)
    broker = json.loads((pair.data / "children.json").read_text())["kafka-1"]["pid"]
    async with running(publisher, data=pair.data, root=pair.root) as source:
        async with running(
            reader, data=pair.data, root=pair.root, tables=TABLES, stop_seconds=1.0, session_seconds=6.0
        ) as sink:
            await publish(source, publisher, pair.thing(thing_id="before", amount=1))
            await until(lambda: calls.get("before"))
            os.kill(broker, signal.SIGSTOP)
            try:
                async with asyncio.timeout(30):
                    await sink.stop()
            finally:
                os.kill(broker, signal.SIGCONT)
        await publish(source, publisher, pair.thing(thing_id="after", amount=1))
        other, heard = reader_of(pair)
        async with running(other, data=pair.data, root=pair.root, tables=TABLES):
            await until(lambda: heard.get("after"))
        assert calls == {"before": 1}
