"""What a reader bears: another's id, bad records, handlers that wait, a client that falls silent."""

import asyncio
import contextlib
import uuid
from datetime import timedelta
from typing import Any

import orjson
import pytest
from aiokafka import TopicPartition
from aiokafka.protocol.group import LeaveGroupRequest
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient

from lienthong import Connection, Department, Event, NotHandled, NotYet
from lienthong.cluster.connection import department_connection
from lienthong.consumer import Reader
from lienthong.testing import running, until
from tests.broker.scratch import City, Pair, Thing
from tests.broker.test_bad_records import SOUND, TABLES, headers_of, read_all, write

NOT_OURS = 666


def counting(pair: Pair, **limits: Any) -> Department:
    """A reader that counts; `slow` things wait for something, and some are not ours."""
    reader = Department(pair.reader)

    @reader.reads(pair.thing.TOPIC, purpose="counting", **limits)
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute("INSERT INTO counted VALUES ($1, $2)", event.data.thing_id, event.data.amount)
        if event.data.thing_id == "slow":
            raise NotYet(reason="Its place is not known yet.")
        if event.data.amount == NOT_OURS:
            raise NotHandled(reason="The thing is not ours to count.")

    return reader


def thing(name: str, amount: int) -> bytes:
    return orjson.dumps({"thing_id": name, "amount": amount})


def rewind(pair: Pair) -> None:
    """Let a group that nobody serves begin again at the beginning."""
    admin = AdminClient(department_connection(pair.data, pair.reader).for_confluent())
    places = [Place(pair.thing.TOPIC, number, 0) for number in range(2)]
    asked = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(pair.group, places)])
    asked[pair.group].result(10)


async def test_an_id_that_comes_with_another_content_is_set_aside_and_told_to_the_owner(
    scratch: City,
) -> None:
    pair = scratch.take()
    known = str(uuid.uuid4()).encode()
    first = (b"vat", thing("vat", 1), headers_of(pair, ce_id=known))
    other = (b"vat", thing("vat", 2), headers_of(pair, ce_id=known))
    where = "SELECT count(*) = $1 FROM lienthong.inbox"
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        write(pair, [first, other, first])
        await until(lambda: sink.pool.fetchval(where, 2))
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.outbox)"))
    rewind(pair)
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        write(pair, [(b"vat", thing("vat", 3), headers_of(pair))])
        await until(lambda: sink.pool.fetchval(where, 3))
        assert [row["amount"] for row in await sink.pool.fetch("SELECT amount FROM counted")] == [1, 3]
        marked = "SELECT id, record_offset FROM lienthong.inbox WHERE code = 'id-conflict'"
        (mark,) = await sink.pool.fetch(marked)
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.dead_letter)"))
    assert mark["id"].endswith(f"/{mark['record_offset']}"), "it is known by its place"
    (notice,) = read_all(pair, pair.publisher, f"{pair.reader}.refusals", 1)
    told = orjson.loads(notice.value())
    assert (told["refused_id"], told["refused_topic"]) == (known.decode(), pair.thing.TOPIC)
    assert (told["code"], told["found_by"], told["offset"]) == (
        "id-conflict",
        pair.group,
        mark["record_offset"],
    )
    assert f"@{mark['record_offset'] - 1}" in told["problems"][0]["message"], "where the first one is"
    (letter,) = read_all(pair, pair.reader, f"{pair.group}.dlt", 1)
    assert letter.value() == thing("vat", 2)


async def test_events_that_were_dealt_with_before_digests_were_taken_are_no_conflict(scratch: City) -> None:
    pair = scratch.take()
    known = str(uuid.uuid4()).encode()
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        write(pair, [(b"vat", thing("vat", 1), headers_of(pair, ce_id=known))])
        await until(lambda: sink.pool.fetchval("SELECT count(*) FROM lienthong.inbox"))
        await sink.pool.execute("ALTER TABLE lienthong.inbox DROP COLUMN digest")
    # As a folder of an older library is found.
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        again = (b"vat", thing("vat", 2), headers_of(pair, ce_id=known))
        write(pair, [again, (b"vat", thing("vat", 3), headers_of(pair))])
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 2 FROM lienthong.inbox"))
        assert [row["amount"] for row in await sink.pool.fetch("SELECT amount FROM counted")] == [1, 3]


@pytest.mark.parametrize(("value", "code"), [(b"{", "unreadable"), (thing("vat", NOT_OURS), "not-handled")])
async def test_a_reader_that_sets_too_much_aside_stops_and_the_rest_stays_where_it_is(
    scratch: City, value: bytes, code: str
) -> None:
    pair = scratch.take()
    sound = [(b"vat", SOUND, headers_of(pair)) for _ in range(20)]
    bad = [(b"vat", value, headers_of(pair)) for _ in range(20)]
    async with running(
        counting(pair), data=pair.data, root=pair.root, tables=TABLES, set_aside_most=5, set_aside_window=10
    ) as sink:
        write(pair, [*sound[:10], *bad, *sound[10:]])
        (reader,) = sink.readers
        await until(lambda: reader.state.startswith("stopped"))
        assert reader.state == f"stopped: 5 of the last 10 set aside, for `{code}`"
        assert sink.health()[f"reader {pair.group}"] == reader.state
        marks = "SELECT count(*) FROM lienthong.inbox WHERE outcome = 'set aside'"
        assert await sink.pool.fetchval(marks) == 5, "not the whole batch"
        assert await sink.pool.fetchval("SELECT count(*) FROM counted") == 10
    async with running(
        counting(pair), data=pair.data, root=pair.root, tables=TABLES, set_aside_most=0
    ) as sink:
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 40 FROM lienthong.inbox"))
        assert await sink.pool.fetchval(marks) == 20
        assert await sink.pool.fetchval("SELECT count(*) FROM counted") == 20


async def _why_given_up(pair: Pair, **limits: Any) -> tuple[int, str]:
    """Give the tries and the words of a letter about a thing that was waited for in vain."""
    reader = counting(pair, **limits)
    async with running(
        reader, data=pair.data, root=pair.root, tables=TABLES, back_off_seconds=0.05, attempts=4
    ) as sink:
        write(pair, [(b"slow", thing("slow", 1), headers_of(pair))])
        await until(lambda: sink.pool.fetchval("SELECT code = 'not-yet' FROM lienthong.inbox"))
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.dead_letter)"))
    (letter,) = read_all(pair, pair.reader, f"{pair.group}.dlt", 1)
    told = dict(letter.headers())
    return int(told["lt_attempts"]), told["lt_reason"].decode()


async def test_a_handler_gives_up_after_its_own_number_of_tries(scratch: City) -> None:
    tries, reason = await _why_given_up(scratch.take(), attempts=2)
    assert tries == 2
    assert reason.endswith("Given up after 2 tries.")


async def test_a_handler_gives_up_after_its_own_time_however_often_it_tried(scratch: City) -> None:
    tries, reason = await _why_given_up(scratch.take(), give_up_after=timedelta(seconds=1))
    assert tries > 4, "more than the number set for all"
    assert reason.endswith(f"Given up 0:00:01 after the first of {tries} tries.")


async def test_a_reader_whose_client_falls_silent_starts_afresh(scratch: City) -> None:
    pair = scratch.take()
    async with running(
        counting(pair), data=pair.data, root=pair.root, tables=TABLES, silent_seconds=0.5
    ) as sink:
        write(pair, [(b"vat", thing("vat", 1), headers_of(pair))])
        await until(lambda: sink.pool.fetchval("SELECT count(*) FROM lienthong.inbox"))
        (reader,) = sink.readers
        silent = await _silenced(reader)
        write(pair, [(b"vat", thing("vat", 2), headers_of(pair))])
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 2 FROM lienthong.inbox"))
        assert reader._consumer is not silent
        assert reader.state == "ok"


async def _silenced(reader: Reader) -> Any:
    """End the tasks that fetch: as in aiokafka 1037, the client goes on as though nothing were there."""
    consumer: Any = reader._consumer
    fetching = [consumer._fetcher._fetch_task, *consumer._fetcher._pending_tasks]
    for task in fetching:
        task.cancel()
    await until(lambda: all(task.done() for task in fetching))
    return consumer


async def test_a_reader_that_was_thrown_out_in_the_middle_commits_nothing_and_comes_back(
    scratch: City,
) -> None:
    pair = scratch.take()
    begun, go_on = asyncio.Event(), asyncio.Event()
    reader = Department(pair.reader)

    @reader.reads(pair.thing.TOPIC, purpose="counting")
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute("INSERT INTO counted VALUES ($1, $2)", event.data.thing_id, event.data.amount)
        begun.set()
        await go_on.wait()

    async with running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink:
        write(pair, [(b"vat", thing("vat", 1), headers_of(pair))])
        await asyncio.wait_for(begun.wait(), 30)
        (one,) = sink.readers
        consumer: Any = one._consumer
        coordinator = consumer._coordinator
        member, generation = coordinator.member_id, coordinator.generation
        # aiokafka 929: the group goes on without us, while we handle what was ours.
        await coordinator._send_req(LeaveGroupRequest(pair.group, member))
        assert await _committed(consumer, pair) == {None}
        go_on.set()
        await until(lambda: coordinator.member_id not in {member, ""} or coordinator.generation > generation)
        write(pair, [(b"vat", thing("vat", 2), headers_of(pair))])
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 2 FROM lienthong.inbox"))
        await until(lambda: _has_committed(one, pair, 2))
        assert [row["amount"] for row in await sink.pool.fetch("SELECT amount FROM counted")] == [1, 2]


async def test_a_reader_that_cannot_commit_what_is_taken_from_it_handles_no_more_of_it(
    scratch: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = scratch.take()
    reader = Department(pair.reader)

    @reader.reads(pair.thing.TOPIC, purpose="counting")
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute("INSERT INTO counted VALUES ($1, $2)", event.data.thing_id, event.data.amount)

    async def no_answer(*_: object) -> None:
        raise TimeoutError

    async with running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink:
        (one,) = sink.readers
        await until(lambda: len(one._lanes) == 2)
        monkeypatch.setattr(one, "_commit", no_answer)
        with contextlib.suppress(TimeoutError):
            await one.on_partitions_revoked([*one._lanes])
        assert not one._lanes


async def _committed(consumer: Any, pair: Pair) -> set[int | None]:
    return {await consumer.committed(TopicPartition(pair.thing.TOPIC, number)) for number in range(2)}


async def _has_committed(reader: Reader, pair: Pair, offset: int) -> bool:
    consumer: Any = reader._consumer
    return consumer is not None and offset in await _committed(consumer, pair)
