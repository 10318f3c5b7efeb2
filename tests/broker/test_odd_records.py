"""What a plain client can put on a topic beside bad data: bombs, giants, odd times, records without a key."""

import os
from typing import Any

import psutil
from confluent_kafka import Producer
from kafka import KafkaProducer, errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from lienthong import Connection, Department, Event
from lienthong.cluster.connection import admin_connection, department_connection
from lienthong.sizes import LETTER_BYTES
from lienthong.testing import running, until
from tests.broker.scratch import City, Pair, Thing
from tests.broker.test_bad_records import SOUND, TABLES, headers_of, read_all, write

MANY_BYTES = 400 * 2**20
HEADROOM_BYTES = 100 * 2**20


def counting(pair: Pair) -> Department:
    reader = Department(pair.reader)

    @reader.reads(pair.thing.TOPIC, purpose="counting")
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute("INSERT INTO counted VALUES ($1, $2)", event.data.thing_id, event.data.amount)

    return reader


def drop_bomb(pair: Pair, codec: str) -> None:
    """Write a record that is small on the wire and in the broker, and large in whoever unfolds it."""
    producer = Producer(
        department_connection(pair.data, pair.publisher).for_confluent()
        | {"compression.type": codec, "message.max.bytes": 500_000_000, "compression.level": 1}
    )
    failed: list[Any] = []
    producer.produce(
        pair.thing.TOPIC,
        b" " * MANY_BYTES,
        b"vat",
        headers=headers_of(pair),
        on_delivery=lambda error, _: failed.append(error) if error else None,
    )
    producer.flush(60)
    assert not failed


async def test_a_batch_that_unfolds_to_gigabytes_is_set_aside_as_it_came(scratch: City) -> None:
    pair = scratch.take()
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        write(pair, [(b"vat", SOUND, headers_of(pair))])
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 1 FROM counted"))
        drop_bomb(pair, "zstd")
        write(pair, [(b"vat", SOUND, headers_of(pair))])
        before = psutil.Process().memory_info().rss
        most = before

        async def is_over() -> bool:
            nonlocal most
            most = max(most, psutil.Process().memory_info().rss)
            return bool(await sink.pool.fetchval("SELECT count(*) = 3 FROM lienthong.inbox"))

        await until(is_over, within=20)
        assert most - before < HEADROOM_BYTES
        assert await sink.pool.fetchval("SELECT count(*) FROM counted") == 2
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.dead_letter)"))
    (letter,) = read_all(pair, pair.reader, f"{pair.group}.dlt", 1)
    told = dict(letter.headers())
    assert b"unfolds to more than 8 MB" in told["lt_reason"]
    assert told["lt_offset"] == b"1"
    assert len(letter.value()) < 2**20, "as it came, not as it unfolds"


async def test_a_record_as_large_as_its_topic_takes_reaches_the_dead_letters_whole(scratch: City) -> None:
    pair = scratch.take()
    large = os.urandom(2**20 - 1_000)
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        producer = KafkaProducer(
            **department_connection(pair.data, pair.publisher).for_kafka_python(), max_request_size=2**21
        )
        producer.send(pair.thing.TOPIC, large, b"vat", headers=headers_of(pair)).get(10)
        producer.close()
        write(pair, [(b"vat", SOUND, headers_of(pair))])
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 2 FROM lienthong.inbox"))
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.dead_letter)"))
        assert await sink.pool.fetchval("SELECT count(*) FROM counted") == 1
    (letter,) = read_all(pair, pair.reader, f"{pair.group}.dlt", 1)
    assert letter.value() == large


async def test_a_record_over_the_topics_limit_is_refused_by_the_broker(scratch: City) -> None:
    pair = scratch.take()
    producer = KafkaProducer(
        **department_connection(pair.data, pair.publisher).for_kafka_python(), max_request_size=2**22
    )
    refused = producer.send(pair.thing.TOPIC, os.urandom(2**20 + 1), b"vat", headers=headers_of(pair))
    assert isinstance(await until(lambda: refused.exception), errors.MessageSizeTooLargeError)
    producer.close()


async def test_a_time_of_the_far_future_takes_no_effect_and_keeps_no_record(scratch: City) -> None:
    pair = scratch.take()
    far = b"9999-12-31T23:59:59+00:00"
    no_writing = b"9999-12-31T23:59:59-12:00"  # year 10000 in UTC
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        write(
            pair,
            [
                (b"vat", SOUND, headers_of(pair, ce_time=far)),
                (b"vat", SOUND, headers_of(pair, ce_time=no_writing)),
                (b"vat", SOUND, headers_of(pair, ce_recordedtime=no_writing)),
                (b"vat", SOUND, headers_of(pair, ce_time=far, ce_recordedtime=far)),
                (b"vat", SOUND, headers_of(pair)),
            ],
        )
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 5 FROM lienthong.inbox"))
        assert await sink.pool.fetchval("SELECT count(*) FROM counted") == 1
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.dead_letter)"))
    assert len(read_all(pair, pair.reader, f"{pair.group}.dlt", 4)) == 4


async def test_a_records_own_time_is_the_brokers_or_near_it(scratch: City) -> None:
    pair = scratch.take()
    year_9999 = 253_402_300_799_000
    producer = KafkaProducer(**department_connection(pair.data, pair.publisher).for_kafka_python())
    # Personal data: the broker's clock decides how long it stays, whatever is claimed.
    written = producer.send(pair.thing.TOPIC, SOUND, b"vat", headers=headers_of(pair), timestamp_ms=year_9999)
    assert written.get(10).timestamp < year_9999
    producer.close()
    other = KafkaProducer(**department_connection(pair.data, pair.reader).for_kafka_python())
    refused = other.send(pair.counted.TOPIC, SOUND, b"vat", headers=[], timestamp_ms=year_9999)
    assert isinstance(await until(lambda: refused.exception), errors.InvalidTimestampError)
    other.close()


async def test_a_record_without_a_key_is_known_by_its_partitionkey_or_set_aside(scratch: City) -> None:
    pair = scratch.take()
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        write(
            pair,
            [
                (None, SOUND, headers_of(pair, ce_partitionkey=b"vat")),
                (None, SOUND, headers_of(pair, ce_partitionkey=b"another")),
                (None, SOUND, headers_of(pair)),
                (b"", SOUND, headers_of(pair)),
            ],
        )
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 4 FROM lienthong.inbox"))
        assert await sink.pool.fetchval("SELECT count(*) FROM counted") == 1
        codes = await sink.pool.fetch("SELECT code FROM lienthong.inbox WHERE outcome = 'set aside'")
        assert [row["code"] for row in codes] == ["unreadable"] * 3


def let_take(pair: Pair, topic: str, size: int) -> None:
    """Change how large a record a topic takes."""
    admin = KafkaAdminClient(**admin_connection(pair.data).for_kafka_python())
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": str(size)})])
    admin.close()


async def test_a_dead_letter_that_its_topic_does_not_take_is_kept_and_shown(scratch: City) -> None:
    pair = scratch.take()
    letters = f"{pair.group}.dlt"
    large = b'{"amount":"' + os.urandom(50_000).hex().encode() + b'"}'
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        let_take(pair, letters, 10_000)
        write(pair, [(b"vat", large, headers_of(pair)), (b"vat", b"{", headers_of(pair))])
        await until(lambda: sink.health()["relay"].startswith("undelivered"))
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 2 FROM lienthong.dead_letter"))
        let_take(pair, letters, LETTER_BYTES)
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.dead_letter)"))
        await until(lambda: sink.health()["relay"] == "ok")
    assert {letter.value() for letter in read_all(pair, pair.reader, letters, 2)} == {large, b"{"}
