"""A cluster is changed while it serves: a reader is cut off, changes are told, a stop loses nothing."""

import asyncio
import dataclasses
import json
import time
from contextlib import asynccontextmanager
from datetime import date

import asyncpg
import orjson
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from lienthong import contracts as citys
from lienthong.cluster.apply import open_cluster
from lienthong.cluster.changes import Journal
from lienthong.cluster.connection import admin_connection, department_connection
from lienthong.consumer import Reader
from lienthong.database import open_pool, set_up_tables
from lienthong.errors import BusNotUsable
from lienthong.gate import Gate
from lienthong.settings import embedded_environment, load_settings
from lienthong.testing import running, until
from lienthong.turn import Reading
from tests.broker.test_apply import TODAY, Town
from tests.broker.test_delivery import Department, publish
from tests.paper import contract, contracts


@pytest.fixture
def town(data):
    return Town(data)


def following(town, department):
    """Open a client of the reader's group, as any program would, and read one record with it."""
    client = department_connection(town.data, department).for_confluent() | {"log_level": 0}
    options = {
        "group.id": f"{department}.filing",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    consumer = Consumer(client | options)
    consumer.subscribe([town.topic])
    record = poll(consumer)
    assert record.error() is None, record.error()
    consumer.commit(record, asynchronous=False)
    return consumer, record.value()


def poll(consumer, within=20):
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        record = consumer.poll(0.2)
        if record is not None:
            return record
    raise AssertionError(f"nothing within {within} s")


def test_a_reader_with_an_open_connection_is_cut_off_within_seconds_and_its_group_is_kept(
    town, record_property
):
    town.apply()
    town.write(town.writer, b"one")
    consumer, first = following(town, town.reader)
    assert first == b"one"
    town.apply(grants=())
    began = time.monotonic()
    refusal = poll(consumer)
    record_property("cut_off_seconds", round(time.monotonic() - began, 2))
    assert refusal.error().code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    consumer.close()
    town.write(town.writer, b"two")
    town.apply()
    again, second = following(town, town.reader)
    assert second == b"two"
    again.close()


def their_contracts(pair):
    """The contracts of a pair, as if the city had no others."""
    both = citys.load_contracts(pair.root).contracts
    ours = {pair.publisher, pair.reader}
    return {name: one for name, one in both.items() if one.topic.department in ours}


def apply_to(pair, those):
    with open_cluster(pair.data) as cluster:
        return cluster.apply(contracts(*those.values(), departments=[pair.publisher, pair.reader]), TODAY)


@asynccontextmanager
async def reading_both(pair):
    """One group of the pair's reader that reads two topics; gives its `Reader`, and what it has handled."""
    seen = []

    async def handle(event, data, _):
        seen.append(event.key)

    found = embedded_environment(pair.data, pair.reader).items()
    told = {name.removeprefix("LIENTHONG_").lower(): value for name, value in found}
    settings = load_settings(pair.reader, **told)
    group = f"{pair.reader}.counting"
    readings = {kind.TOPIC: Reading(kind.TOPIC, group, handle) for kind in (pair.thing, pair.place)}
    reader = Reader(group, readings, Gate.load(pair.root / "schemas"), settings)
    stopping = asyncio.Event()
    async with await open_pool(settings.read_database_url, 2, "reader") as pool:
        await set_up_tables(pool, "")
        task = asyncio.create_task(reader.run(pool, stopping))
        try:
            yield reader, seen
        finally:
            stopping.set()
            await task


async def test_a_group_reads_on_where_one_of_its_topics_was_closed_and_all_when_it_is_open_again(scratch):
    pair = scratch.take()
    publisher, theirs = Department(pair.publisher), their_contracts(pair)
    topic = pair.thing.TOPIC
    closed = {**theirs, topic: dataclasses.replace(theirs[topic], grants=())}
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        reading_both(pair) as (reader, seen),
    ):
        await publish(source, publisher, pair.thing(thing_id="a", amount=1))
        await until(lambda: seen == ["a"], within=20)
        await asyncio.to_thread(apply_to, pair, closed)
        await until(lambda: reader.state == f"not granted: {topic}", within=20)
        things = [pair.thing(thing_id="b", amount=1), pair.place(place_code="x", label="X")]
        await publish(source, publisher, *things)
        await until(lambda: seen == ["a", "x"], within=20)
        await asyncio.to_thread(apply_to, pair, theirs)
        await until(lambda: seen == ["a", "x", "b"], within=30)
        assert reader.state == "ok"


async def test_partitions_are_added_while_a_service_writes_and_another_reads(scratch):
    pair = scratch.take()
    publisher, theirs = Department(pair.publisher), their_contracts(pair)
    topic = pair.thing.TOPIC
    more = {**theirs, topic: dataclasses.replace(theirs[topic], partitions=6)}
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        reading_both(pair) as (reader, seen),
    ):
        before = [f"before-{number}" for number in range(20)]
        await publish(source, publisher, *(pair.thing(thing_id=one, amount=1) for one in before))
        done = await asyncio.to_thread(apply_to, pair, more)
        assert [(change.before, change.after) for change in done.changes] == [("2", "6")]
        await source._relay._producer._client.client.force_metadata_update()
        after = [f"after-{number}" for number in range(40)]
        await publish(source, publisher, *(pair.thing(thing_id=one, amount=1) for one in after))
        await until(lambda: source.pool.fetchval("SELECT count(*) = 0 FROM lienthong.outbox"), within=20)
        await reader._consumer._client.force_metadata_update()
        await until(lambda: len(seen) == 60, within=30)
        assert sorted(seen) == sorted(before + after)
        used = "SELECT count(DISTINCT record_partition) FROM lienthong.published WHERE topic = $1"
        assert await source.pool.fetchval(used, topic) > 2


def test_on_its_day_a_grant_is_closed_and_nothing_else_is_touched(town):
    town.apply()
    longer = contracts(
        dataclasses.replace(town.contract, retention_seconds=180 * 86_400),
        departments=[town.writer, town.reader],
    )
    with open_cluster(town.data) as cluster:
        plan = cluster.apply(longer, date(2028, 1, 1), only_by_date=True)
        assert {(c.kind, c.after, c.reason) for c in plan.changes} == {
            ("access", "nothing", "the grant's last day was 2027-12-31"),
            ("access", "nothing", "its readers' last day is over"),
        }
        left = cluster.plan(longer, date(2028, 1, 1))
    assert [change.kind for change in left.changes] == ["topic settings"]
    with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
        town.read(town.reader)


class Stopping:
    """An administrator who is struck down just before, or just after, one of his acts."""

    def __init__(self, admin, act, *, after):
        self._admin, self._act, self._after = admin, act, after

    def __getattr__(self, name):
        act = getattr(self._admin, name)
        if name != self._act:
            return act

        def struck(*arguments):
            if self._after:
                act(*arguments)
            raise StruckError

        return struck


class StruckError(Exception):
    """The power went out."""


STRUCK = {"create_topics": "after", "set_quotas": "before", "set_passwords": "after", "grant": "before"}
"""What is going on when it ends, and whether the cluster did it."""


@pytest.fixture
def own(town, tmp_path, data):
    """A folder of the town's own beside the bus, so that its journal is nobody else's."""
    (tmp_path / "secrets").mkdir()
    for name in ("kafka-admin", "postgres"):
        (tmp_path / "secrets" / f"{name}.password").write_text(
            (data / "secrets" / f"{name}.password").read_text()
        )
    (tmp_path / "bus.json").write_bytes((data / "bus.json").read_bytes())
    town.data = tmp_path
    return town


@pytest.mark.parametrize("act", STRUCK)
def test_struck_down_in_the_middle_and_run_again_all_is_done_and_each_change_is_told_once(own, act):
    with open_cluster(own.data) as cluster:
        asked = cluster.plan(own.contracts(), TODAY).changes
        failing = dataclasses.replace(
            cluster, admin=Stopping(cluster.admin, act, after=STRUCK[act] == "after")
        )
        with pytest.raises(StruckError):
            failing.apply(own.contracts(), TODAY)
        cluster.apply(own.contracts(), TODAY)
        assert cluster.plan(own.contracts(), TODAY).changes == ()
    told = [(one["kind"], one["name"]) for one in Journal(own.data, "x", "x").waiting]
    # A user whose password was made and not yet written down gets another one: told twice, as it was two.
    twice = {(kind, name) for kind, name in told if told.count((kind, name)) > 1}
    assert {kind for kind, _ in twice} <= {"user", "database"}
    assert set(told) == {(change.kind.replace(" ", "-"), change.name) for change in asked}
    own.write(own.writer)
    assert own.read(own.reader) == b"{}"


async def test_what_was_changed_is_told_through_the_outbox_once_whatever_stops_it(own):
    tells = contract(f"{own.writer}.change-applied.v1")
    known = contracts(own.contract, tells, departments=[own.writer, own.reader])
    with open_cluster(own.data, by="Chị Lê") as cluster:
        done = cluster.apply(known, TODAY).changes
        before = (own.data / "changes.json").read_bytes()
        assert cluster.tell(known) == ""
        (own.data / "changes.json").write_bytes(before)  # struck down before it could note what it told
        assert cluster.tell(known) == ""
    assert Journal(own.data, "x", "x").waiting == []
    db = await asyncpg.connect(**database(own, own.writer))
    rows = await db.fetch("SELECT aggregatetype, aggregateid, payload, correlationid FROM lienthong.outbox")
    owner = await db.fetchval("SELECT tableowner FROM pg_tables WHERE tablename = 'outbox'")
    await db.close()
    assert {row["aggregatetype"] for row in rows} == {f"{own.writer}.change-applied.v1"}
    told = [orjson.loads(row["payload"]) for row in rows]
    assert sorted(one["name"] for one in told) == sorted(change.name for change in done)
    assert {one["applied_by"] for one in told} == {"Ch__L_"}
    assert {row["correlationid"] for row in rows} == {told[0]["run_id"]}
    assert owner == own.writer


def database(town, department):
    place = orjson.loads((town.data / "bus.json").read_bytes())["postgres"]
    secret = (town.data / "secrets" / f"{department}.password").read_text()
    where = {"host": place["host"], "port": place["port"]}
    return where | {"user": department, "password": secret, "database": department}


def test_no_change_is_lost_while_nobody_can_be_told(town, tmp_path):
    tells = contract(f"{town.writer}.change-applied.v1")
    known = contracts(town.contract, tells, departments=[town.writer, town.reader])
    with open_cluster(tmp_path, admin_connection(town.data)) as cluster:
        done = cluster.apply(known, TODAY).changes
        assert f"the database of {town.writer} is not known" in cluster.tell(known)
    assert len(Journal(tmp_path, "x", "x").waiting) == len(done)


def test_a_broker_of_another_city_is_left_alone(town, tmp_path):
    connection = admin_connection(town.data)
    with open_cluster(tmp_path, connection) as cluster:
        cluster.apply(town.contracts(), TODAY)
    recorded = tmp_path / "applied-to.json"
    assert json.loads(recorded.read_text()).keys() == {"cluster_id"}
    recorded.write_text('{"cluster_id": "another-city"}')
    with (
        pytest.raises(BusNotUsable, match="belongs to cluster another-city"),
        open_cluster(tmp_path, connection),
    ):
        pass
