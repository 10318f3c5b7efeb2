"""Records that no gate has seen, written with a plain client: each is set aside whole, and stops nobody."""

import uuid
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, Producer
from kafka import KafkaProducer

from lienthong import Connection, Department, Event
from lienthong.cluster.connection import department_connection
from lienthong.testing import running, until
from tests.broker.scratch import City, Pair, Thing

TABLES = "CREATE TABLE IF NOT EXISTS counted (thing_id text, amount integer)"
SOUND = b'{"thing_id":"vat","amount":1}'


def headers_of(pair: Pair, **changed: bytes | None) -> list[tuple[str, bytes]]:
    """The headers of a sound event; a value of None leaves one out."""
    sound: dict[str, bytes | None] = {
        "ce_specversion": b"1.0",
        "ce_id": str(uuid.uuid4()).encode(),
        "ce_source": f"/vn.gov.hanoi/{pair.publisher}".encode(),
        "ce_type": f"vn.gov.hanoi.{pair.publisher}.thing-noted".encode(),
        "ce_time": b"2025-11-14T20:55:00+07:00",
        "ce_dataschema": f"urn:vn.gov.hanoi:{pair.publisher}:thing-noted:1.0.0".encode(),
        "content-type": b"application/json",
    }
    return [(name, value) for name, value in {**sound, **changed}.items() if value is not None]


BAD: dict[str, tuple[bytes | None, dict[str, bytes | None]]] = {
    "not-json": (b"{", {}),
    "not-an-object": (b"[1]", {}),
    "empty": (b"", {}),
    "tombstone-of-an-event": (None, {}),
    "not-utf-8": (b'{"thing_id":"vat","amount":1,"full_name":"\xff\xfe"}', {}),
    "not-nfc": ('{"thing_id":"vat","amount":1,"full_name":"Nguye\u0302\u0303n"}'.encode(), {}),
    "control-character": (b'{"thing_id":"vat","amount":1,"full_name":"A\\u0000B"}', {}),
    "lone-surrogate": (b'{"thing_id":"vat","amount":1,"full_name":"\\ud800"}', {}),
    "23-digit-integer": (b'{"thing_id":"vat","amount":12345678901234567890123}', {}),
    "repeated-key": (b'{"thing_id":"vat","amount":1,"amount":2}', {}),
    "100000-brackets": (b"[" * 100_000, {}),
    "not-a-number": (b'{"thing_id":"vat","amount":NaN}', {}),
    "unknown-field": (b'{"thing_id":"vat","amount":1,"odd":1}', {}),
    "wrong-type": (b'{"thing_id":"vat","amount":"1"}', {}),
    "rule-broken": (b'{"thing_id":"vat","amount":13}', {}),
    "oversized": (b'{"thing_id":"vat","amount":1,"full_name":"' + b"a" * 300_000 + b'"}', {}),
    "no-id": (SOUND, {"ce_id": None}),
    "no-type": (SOUND, {"ce_type": None}),
    "header-not-utf-8": (SOUND, {"ce_subject": b"\xff\xfe"}),
    "unknown-type": (SOUND, {"ce_type": b"vn.gov.hanoi.other.thing-noted"}),
    "wrong-department": (SOUND, {"ce_source": b"/vn.gov.hanoi/other"}),
    "wrong-major": (SOUND, {"ce_dataschema": b"urn:vn.gov.hanoi:other:thing-noted:2.0.0"}),
    "misdated": (SOUND, {"ce_time": b"yesterday"}),
    "wrong-content-type": (SOUND, {"content-type": b"text/plain"}),
    "wrong-key": (b'{"thing_id":"another","amount":1}', {}),
}


@pytest.fixture
def counting() -> Any:
    def declare(pair: Pair) -> Department:
        reader = Department(pair.reader)

        @reader.reads(pair.thing.TOPIC, purpose="counting")
        async def count(event: Event[Thing], db: Connection) -> None:
            await db.execute("INSERT INTO counted VALUES ($1, $2)", event.data.thing_id, event.data.amount)

        return reader

    return declare


def write(pair: Pair, records: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]) -> None:
    """Write records as the publisher, past its library."""
    producer = Producer(department_connection(pair.data, pair.publisher).for_confluent())
    failed: list[Any] = []
    for key, value, headers in records:
        producer.produce(
            pair.thing.TOPIC,
            value,
            key,
            headers=headers,
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
    producer.flush(10)
    assert not failed


def read_all(pair: Pair, department: str, topic: str, count: int) -> list[Any]:
    """Read so many records with a plain client."""
    consumer = Consumer(
        department_connection(pair.data, department).for_confluent()
        | {"group.id": f"{department}.reading", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    consumer.subscribe([topic])
    found: list[Any] = []
    while len(found) < count:
        record = consumer.poll(10)
        assert record is not None, f"only {len(found)} of {count} records came"
        assert record.error() is None, record.error()
        found.append(record)
    consumer.close()
    return found


async def test_every_bad_record_is_set_aside_whole_and_the_good_ones_go_on(
    scratch: City, counting: Any
) -> None:
    pair = scratch.take()
    records = [(b"vat", value, headers_of(pair, **changed)) for value, changed in BAD.values()]
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        write(pair, [(b"vat", SOUND, headers_of(pair)), *records, (b"vat", SOUND, headers_of(pair))])
        await until(
            lambda: sink.pool.fetchval("SELECT count(*) = $1 FROM lienthong.inbox", len(BAD) + 2), within=20
        )
        assert await sink.pool.fetchval("SELECT count(*) FROM counted") == 2
        outcomes = await sink.pool.fetch("SELECT code FROM lienthong.inbox WHERE outcome = 'set aside'")
        assert len(outcomes) == len(BAD)
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.dead_letter)"))
    letters = read_all(pair, pair.reader, f"{pair.group}.dlt", len(BAD))
    written = [(value, dict(headers)) for _, value, headers in records]
    for letter in letters:
        kept = {name: value for name, value in letter.headers() if not name.startswith("lt_")}
        assert letter.key() == b"vat"
        assert (letter.value(), kept) in written, "a dead letter is the record, byte for byte"
        told = dict(letter.headers())
        assert told["lt_topic"] == pair.thing.TOPIC.encode()
        assert told["lt_code"]
        assert told["lt_reason"]


async def test_a_record_of_nothing_is_set_aside_and_holds_no_other_letter_up(
    scratch: City, counting: Any
) -> None:
    pair = scratch.take()
    unkeyed = (None, b"{", headers_of(pair))
    nothing = [(None, None, []), (None, None, headers_of(pair)), unkeyed]
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        write(pair, [*nothing, (b"vat", SOUND, headers_of(pair))])
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 4 FROM lienthong.inbox"))
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.dead_letter)"))
    letters = read_all(pair, pair.reader, f"{pair.group}.dlt", len(nothing))
    assert {(letter.key(), letter.value()) for letter in letters} == {(b"", None), (None, b"{")}


async def test_a_structured_event_is_read_like_a_binary_one(scratch: City, counting: Any) -> None:
    pair = scratch.take()
    document = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": f"/vn.gov.hanoi/{pair.publisher}",
        "type": f"vn.gov.hanoi.{pair.publisher}.thing-noted",
        "time": "2025-11-14T20:55:00+07:00",
        "dataschema": f"urn:vn.gov.hanoi:{pair.publisher}:thing-noted:1.0.0",
        "datacontenttype": "application/json",
        "data": {"thing_id": "vat", "amount": 7},
    }
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        write(pair, [(b"vat", orjson.dumps(document), [("content-type", b"application/cloudevents+json")])])
        await until(lambda: sink.pool.fetchval("SELECT count(*) FROM lienthong.inbox"))
        assert await sink.pool.fetchval("SELECT amount FROM counted") == 7


async def test_an_unknown_schema_version_is_tried_again_before_it_is_set_aside(
    scratch: City, counting: Any
) -> None:
    pair = scratch.take()
    later = f"urn:vn.gov.hanoi:{pair.publisher}:thing-noted:1.7.0".encode()
    async with running(
        counting(pair), data=pair.data, root=pair.root, tables=TABLES, attempts=3, back_off_seconds=0.05
    ) as sink:
        write(pair, [(b"vat", SOUND, headers_of(pair, ce_dataschema=later))])
        await until(
            lambda: sink.pool.fetchval("SELECT count(*) FROM lienthong.inbox WHERE code = 'unknown-version'")
        )
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.dead_letter)"))
    (letter,) = read_all(pair, pair.reader, f"{pair.group}.dlt", 1)
    assert dict(letter.headers())["lt_attempts"] == b"3"


async def test_reasons_in_headers_of_another_are_not_believed(scratch: City, counting: Any) -> None:
    pair = scratch.take()
    forged = [*headers_of(pair, ce_id=None), ("lt_attempts", b"-1"), ("lt_code", b"fine")]
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        write(pair, [(b"vat", SOUND, forged)])
        await until(lambda: sink.pool.fetchval("SELECT count(*) FROM lienthong.inbox"))
        await until(lambda: sink.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.dead_letter)"))
    (letter,) = read_all(pair, pair.reader, f"{pair.group}.dlt", 1)
    assert [value for name, value in letter.headers() if name == "lt_code"] == [b"unreadable"]
    assert [value for name, value in letter.headers() if name == "lt_attempts"] == [b"1"]


async def test_a_row_that_another_program_wrote_passes_the_gate_or_is_moved_aside(scratch: City) -> None:
    pair = scratch.take()
    publisher = Department(pair.publisher)
    row = (
        "INSERT INTO lienthong.outbox (id, aggregatetype, aggregateid, type, payload)"
        " VALUES (gen_random_uuid(), $1, 'vat', $2, $3)"
    )
    kind = f"vn.gov.hanoi.{pair.publisher}.thing-noted"
    async with running(publisher, data=pair.data, root=pair.root) as source:
        await source.pool.execute(
            row, pair.thing.TOPIC, kind, b'{"thing_id":"vat","amount":-1,"full_name":"Bi Mat"}'
        )
        await source.pool.execute(row, pair.thing.TOPIC, kind, SOUND)
        await until(lambda: source.pool.fetchval("SELECT count(*) FROM lienthong.published"))
        reason = await source.pool.fetchval("SELECT reason FROM lienthong.outbox_refused")
        assert "/amount" in reason
        assert "Bi Mat" not in reason
        assert await source.pool.fetchval("SELECT count(*) FROM lienthong.outbox") == 0


class OddName(str):
    """A header name that goes out as bytes that are not UTF-8."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


async def test_a_header_name_that_is_not_utf_8_stops_nobody(scratch: City, counting: Any) -> None:
    pair = scratch.take()
    async with running(counting(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        producer = KafkaProducer(**department_connection(pair.data, pair.publisher).for_kafka_python())
        odd = [(OddName("odd"), b"1"), *headers_of(pair)]
        producer.send(pair.thing.TOPIC, SOUND, b"vat", headers=odd).get(10)
        producer.close()
        write(pair, [(b"vat", SOUND, headers_of(pair))])
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 2 FROM lienthong.inbox"), within=20)
        assert await sink.pool.fetchval("SELECT count(*) FROM counted") == 2
