"""A department moves to a new major while everything runs: nobody misses a fact, nobody gets one twice."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from lienthong import Department, NotValid
from lienthong.cluster.apply import open_cluster
from lienthong.cluster.connection import admin_connection
from lienthong.errors import BusNotUsable
from lienthong.service import Service
from lienthong.testing import running, until
from tests.broker.majors import AFTER_THE_END, END, TABLES, Moving, counted, new_moving, note


@pytest.fixture
def moving(data: Path, tmp_path: Path) -> Moving:
    return new_moving(tmp_path, data)


def things(first: int, last: int) -> list[str]:
    return [f"vat-{number:03d}" for number in range(first, last)]


def service(moving: Moving, department: Department) -> Any:
    return running(department, data=moving.data, root=moving.root, tables=TABLES)


async def has_counted(sink: Service, expected: list[str]) -> bool:
    return await counted(sink) == expected


async def records_of(moving: Moving, topic: str, count: int) -> list[dict[str, str]]:
    """Read so many records of a topic, and give their headers."""
    consumer = AIOKafkaConsumer(
        topic, **admin_connection(moving.data).for_aiokafka(), auto_offset_reset="earliest"
    )
    await consumer.start()
    found: list[dict[str, str]] = []

    async def all_there() -> bool:
        for batch in (await consumer.getmany(timeout_ms=100)).values():
            found.extend({name: value.decode() for name, value in record.headers} for record in batch)
        return len(found) >= count

    try:
        await until(all_there, within=20)
    finally:
        await consumer.stop()
    return found


async def test_both_topics_carry_each_fact_under_its_own_id_and_one_correlation(moving: Moving) -> None:
    """Promise: during the overlap both topics carry each fact, and the old one says when it ends."""
    moving.move()
    async with service(moving, Department(moving.publisher)) as source:
        await note(source, moving, *things(0, 5), major=2)
        newer = {one["ce_id"]: one for one in await records_of(moving, moving.second, 5)}
        former = {one["ce_id"]: one for one in await records_of(moving, moving.first, 5)}
    assert len(newer) == len(former) == 5
    assert not newer.keys() & former.keys()
    for own_id, told in newer.items():
        sibling = former[told["ce_siblingid"]]
        assert sibling["ce_siblingid"] == own_id
        for same in ("ce_correlationid", "ce_type", "ce_source", "ce_time", "ce_subject"):
            assert sibling[same] == told[same]
        assert "ce_deprecated" not in told
        assert sibling["ce_deprecated"] == "true"
        assert sibling["ce_deprecationsunset"] == f"{END}T23:59:59+07:00"
        assert sibling["ce_deprecationmigration"] == told["ce_dataschema"]


async def test_a_fact_that_one_of_the_two_gates_refuses_is_on_neither_topic(moving: Moving) -> None:
    """Promise: the outbox guarantees both or neither."""
    moving.move()
    async with service(moving, Department(moving.publisher)) as source:
        assert source.pool is not None
        async with source.pool.acquire() as db, db.transaction():
            with pytest.raises(NotValid):
                await source.department.publish(
                    db, {"thing_id": "vat-1", "quantity": 13, "unit_name": "chiếc"}, topic=moving.second
                )
        async with source.pool.acquire() as db:
            transaction = db.transaction()
            await transaction.start()
            fact = {"thing_id": "undone", "quantity": 3, "unit_name": "chiếc"}
            await source.department.publish(db, fact, topic=moving.second)
            await transaction.rollback()
        await note(source, moving, "vat-2", major=2)
        assert [one["ce_subject"] for one in await records_of(moving, moving.second, 1)] == ["vat-2"]
        assert [one["ce_subject"] for one in await records_of(moving, moving.first, 1)] == ["vat-2"]


async def test_a_row_that_another_program_wrote_is_told_on_both_topics(moving: Moving) -> None:
    """Promise: a department that writes its outbox itself moves like the others."""
    moving.move()
    async with service(moving, Department(moving.publisher)) as source:
        assert source.pool is not None
        await source.pool.execute(
            "INSERT INTO lienthong.outbox (id, aggregatetype, aggregateid, type, payload)"
            " VALUES (gen_random_uuid(), $1, 'vat-1', $2, $3)",
            moving.second,
            f"vn.gov.hanoi.{moving.publisher}.thing-noted",
            '{"thing_id":"vat-1","quantity":3,"unit_name":"chiếc"}'.encode(),
        )
        (newer,) = await records_of(moving, moving.second, 1)
        (former,) = await records_of(moving, moving.first, 1)
    assert (newer["ce_siblingid"], former["ce_siblingid"]) == (former["ce_id"], newer["ce_id"])


async def test_a_reader_of_the_former_major_goes_on_untouched(moving: Moving) -> None:
    """Promise: who reads v1 notices nothing when the publisher moves to v2."""
    async with service(moving, moving.counter(1)) as sink:
        async with service(moving, Department(moving.publisher)) as before:
            await note(before, moving, *things(0, 5), major=1)
        moving.move()
        async with service(moving, Department(moving.publisher)) as after:
            await note(after, moving, *things(5, 10), major=2)
            await until(lambda: has_counted(sink, things(0, 10)), within=20)


async def test_a_reader_goes_over_while_both_topics_move(moving: Moving) -> None:
    """Promise: a v1 reader that upgrades handles no fact twice and misses none."""
    async with service(moving, Department(moving.publisher)) as before, service(moving, moving.counter(1)):
        await note(before, moving, *things(0, 20), major=1)
    moving.move()
    publisher = Department(moving.publisher)
    async with service(moving, publisher) as source:
        published = asyncio.create_task(note(source, moving, *things(20, 220), major=2))
        async with service(moving, moving.counter(1)) as old:
            await until(lambda: _many(old, 40), within=20)
            # A rolling update: for a while a process of each runs, in one group.
            async with service(moving, moving.counter(2)) as new:
                await until(lambda: _many(old, 80), within=20)
                await old.stop()
                await published
                await until(lambda: has_counted(new, things(0, 220)), within=30)
                majors = await new.pool.fetch("SELECT major, count(*) FROM counted GROUP BY 1")
                assert {row["major"] for row in majors} == {1, 2}
                marks = "SELECT count(*) FROM lienthong.inbox WHERE topic = $1"
                await until(lambda: _is(new, marks, moving.second, 200), within=20)
        # Should the old process have to come back, it finds nothing left to do twice.
        async with service(moving, moving.counter(1)) as old_again:
            await note(source, moving, "vat-999", major=2)
            await until(lambda: has_counted(old_again, [*things(0, 220), "vat-999"]), within=20)


async def _many(sink: Service, least: int) -> bool:
    return len(await counted(sink)) >= least


async def _is(sink: Service, sql: str, value: str, expected: int) -> bool:
    assert sink.pool is not None
    return bool(await sink.pool.fetchval(sql, value) == expected)


async def test_a_reader_does_not_go_over_before_older_facts_are_handled(moving: Moving) -> None:
    """Promise: what only v1 tells, because it is older than v2, is not left behind."""
    async with service(moving, Department(moving.publisher)) as before:
        async with service(moving, moving.counter(1)) as sink:
            await note(before, moving, *things(0, 3), major=1)
            await until(lambda: has_counted(sink, things(0, 3)), within=20)
        await note(before, moving, *things(3, 6), major=1)
    moving.move()
    async with service(moving, Department(moving.publisher)) as source:
        await note(source, moving, *things(6, 9), major=2)
        async with service(moving, moving.counter(2)) as early:
            held = await until(lambda: _state(early, "not gone over"), within=20)
            assert f"3 facts of {moving.first} are not told on {moving.second}" in held
            assert await counted(early) == things(0, 3)
            async with service(moving, moving.counter(1)) as old:
                await until(lambda: has_counted(old, things(0, 9)), within=20)
            await until(lambda: _state(early, "ok"), within=20)
            await note(source, moving, "vat-010", major=2)
            await until(lambda: has_counted(early, [*things(0, 9), "vat-010"]), within=20)


async def test_a_reader_waits_for_a_publisher_that_has_not_moved(moving: Moving) -> None:
    """Promise: an upgrade that comes too early stands still and says why."""
    async with (
        service(moving, Department(moving.publisher)) as before,
        service(moving, moving.counter(1)) as sink,
    ):
        await note(before, moving, "vat-000", major=1)
        await until(lambda: has_counted(sink, ["vat-000"]), within=20)
    moving.move()
    async with service(moving, moving.counter(2)) as early:
        held = await until(lambda: _state(early, "not gone over"), within=20)
        assert f"nobody has published on {moving.second} yet" in held


def _state(service: Service, word: str) -> str:
    (state,) = [state for part, state in service.health().items() if part.startswith("reader")]
    return state if state.startswith(word) else ""


async def test_a_topic_is_removed_only_when_its_end_has_come_and_nobody_reads_it(moving: Moving) -> None:
    """Promise: an old version ends on the day that everybody saw coming, and not under a reader's feet."""
    moving.move()
    async with service(moving, Department(moving.publisher)) as source:
        async with service(moving, moving.counter(1)) as sink:
            await note(source, moving, *things(0, 3), major=2)
            await until(lambda: has_counted(sink, things(0, 3)), within=20)
            retired = moving.retire_the_first()
            with open_cluster(moving.data) as cluster:
                with pytest.raises(BusNotUsable, match=f"promised until {END}"):
                    await asyncio.to_thread(cluster.remove, retired, _last_day(), [moving.first])
                with pytest.raises(BusNotUsable, match=f"{moving.group} reads it and commits"):
                    await asyncio.to_thread(cluster.remove, retired, AFTER_THE_END, [moving.first])
        not_yet = pytest.raises(BusNotUsable, match=f"{moving.group} has not gone over to {moving.second}")
        with open_cluster(moving.data) as cluster, not_yet:
            cluster.remove(retired, AFTER_THE_END, [moving.first])
        async with service(moving, moving.counter(2)) as sink:
            await note(source, moving, "vat-003", major=2)
            await until(lambda: has_counted(sink, things(0, 4)), within=20)
    with open_cluster(moving.data) as cluster:
        assert moving.first in cluster.admin.fetch_topics()
        cluster.remove(retired, AFTER_THE_END, [moving.first])
        left = cluster.admin.fetch_topics()
    assert moving.first not in left
    assert moving.second in left


def _last_day() -> Any:
    return AFTER_THE_END.replace(month=6, day=30)
