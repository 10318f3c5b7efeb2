"""Three outcomes, never two: acknowledged, not written, unknown."""

import json
import os
import signal
from pathlib import Path

from lienthong.producer import Acknowledged, NotWritten, OutgoingRecord, Producer, Unknown
from lienthong.settings import Settings, embedded_environment
from lienthong.testing import until
from tests.broker.scratch import City


def settings_of(data: Path, department: str, **changed: object) -> Settings:
    found = {
        k.removeprefix("LIENTHONG_").lower(): v for k, v in embedded_environment(data, department).items()
    }
    return Settings(**{**found, **changed})


def record(topic: str, value: bytes = b"{}") -> OutgoingRecord:
    return OutgoingRecord(topic, b"vat", value, [("ce_id", b"1")])


async def test_what_the_broker_has_is_acknowledged_with_its_place(scratch: City) -> None:
    pair = scratch.take()
    producer = Producer(settings_of(scratch.data, pair.publisher))
    first, second = await producer.send([record(pair.thing.TOPIC), record(pair.thing.TOPIC)])
    assert isinstance(first, Acknowledged)
    assert isinstance(second, Acknowledged)
    assert second.offset == first.offset + 1
    await producer.stop()


async def test_a_topic_that_may_not_be_written_holds_back_its_own_records_only(scratch: City) -> None:
    pair = scratch.take()
    producer = Producer(settings_of(scratch.data, pair.publisher))
    sent = [record(pair.counted.TOPIC), record(f"{pair.publisher}.missing.v1"), record(pair.thing.TOPIC)]
    foreign, missing, own = await producer.send(sent)
    assert isinstance(foreign, NotWritten)
    assert not foreign.lasting
    assert isinstance(missing, NotWritten)
    assert not missing.lasting
    assert isinstance(own, Acknowledged)
    await producer.stop()


async def test_a_record_that_is_too_large_is_surely_not_written_and_will_never_be(scratch: City) -> None:
    pair = scratch.take()
    producer = Producer(settings_of(scratch.data, pair.publisher))
    large, small = await producer.send(
        [record(pair.thing.TOPIC, os.urandom(2_000_000)), record(pair.thing.TOPIC)]
    )
    assert isinstance(large, NotWritten)
    assert large.lasting
    assert isinstance(small, Acknowledged)
    await producer.stop()


async def test_a_broker_that_does_not_answer_makes_the_outcome_unknown(scratch: City) -> None:
    pair = scratch.take()
    producer = Producer(settings_of(scratch.data, pair.publisher, delivery_seconds=2.0))
    (first,) = await producer.send([record(pair.thing.TOPIC)])
    assert isinstance(first, Acknowledged)
    broker = _broker(scratch.data)
    os.kill(broker, signal.SIGSTOP)
    try:
        (outcome,) = await producer.send([record(pair.thing.TOPIC)])
    finally:
        os.kill(broker, signal.SIGCONT)
    assert isinstance(outcome, Unknown)

    async def works_again() -> bool:
        (again,) = await producer.send([record(pair.thing.TOPIC)])
        return isinstance(again, Acknowledged)

    await until(works_again, within=30)
    await producer.stop()


def _broker(data: Path) -> int:
    found: int = json.loads((data / "children.json").read_text())["kafka-1"]["pid"]
    return found
