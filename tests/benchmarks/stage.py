"""What every measurement stands on: a bus of the run's own, scratch departments, facts of 500 bytes."""

import random
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from lienthong import contracts, names
from lienthong.cluster.apply import apply_contracts
from lienthong.contracts.release import release
from lienthong.embedded.bus import Bus
from lienthong.event import RawEvent, to_headers, uuid7
from lienthong.gate import Gate
from lienthong.producer import connection_arguments
from lienthong.settings import Settings, embedded_environment, load_settings
from tests.broker.scratch import City, Pair, add_pair

PARTITIONS = 6
WRITERS = 4
"""Transactions open at once wherever facts are committed, ours and the peers'."""

SYLLABLES = ("Đặng", "Nguyễn", "Trần", "Thị", "Ngọc", "Ánh", "Phượng", "Hằng", "Quỳnh", "Thuỳ", "Dương")
NAME = 270
"""Characters of a fact's longest text: Vietnamese, so a third more bytes."""

NOTED_AT = datetime(2025, 11, 14, 13, 55, tzinfo=UTC)


@dataclass(frozen=True)
class Stage:
    """A running bus and a city of scratch departments on it."""

    city: City

    def settings(self, department: str) -> Settings:
        found = embedded_environment(self.city.data, department)
        return load_settings(
            department, **{k.removeprefix("LIENTHONG_").lower(): v for k, v in found.items()}
        )

    def kafka(self, department: str) -> dict[str, Any]:
        return connection_arguments(self.settings(department))

    @asynccontextmanager
    async def pool(self, department: str) -> AsyncIterator[asyncpg.Pool]:
        url = self.settings(department).read_database_url()
        async with asyncpg.create_pool(url, min_size=WRITERS, max_size=8) as pool:
            yield pool


@contextmanager
def set_up(pairs: int) -> Iterator[Stage]:
    """Start a bus in a folder of its own, and apply the contracts of so many pairs of departments."""
    with TemporaryDirectory(prefix="lienthong-bench-") as folder:
        root, data = Path(folder) / "city", Path(folder) / "bus"
        root.mkdir()
        data.mkdir()
        city = _write_wide_city(root, data, pairs)
        with Bus(data):
            apply_contracts(contracts.load_contracts(root), data, date(2026, 1, 1))
            yield Stage(city)


def _write_wide_city(root: Path, data: Path, pairs: int) -> City:
    """Write scratch contracts as the broker's tests do, with longer texts and as many partitions as usual."""
    (root / "services").mkdir()
    for number in range(pairs):
        add_pair(root, number)
    for file in root.glob("contracts/*/*.v1.yaml"):
        text = file.read_text().replace("partitions, value: 2", f"partitions, value: {PARTITIONS}")
        file.write_text(text.replace("maxLength: 120", "maxLength: 400"))
    release(root)
    return City(root, data, list(range(pairs)))


def facts(label: str, count: int) -> list[dict[str, Any]]:
    """Make facts of about 500 bytes of JSON; each has its own key, which begins with the label."""
    chance = random.Random(label)
    return [_fact(f"{label}-{number:07d}", chance) for number in range(count)]


def _fact(thing_id: str, chance: random.Random) -> dict[str, Any]:
    name = ""
    while len(name) < NAME:
        name = f"{name} {chance.choice(SYLLABLES)}".strip()
    return {
        "thing_id": thing_id.ljust(60, "0"),
        "amount": chance.randrange(100, 1_000_000),
        "noted_at": NOTED_AT.isoformat(),
        "full_name": name,
    }


def ids(made: Iterable[dict[str, Any]]) -> list[str]:
    return [fact["thing_id"] for fact in made]


def sound_records(stage: Stage, pair: Pair, made: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Write facts as records that the reader's gate admits, past the outbox: only reading is measured."""
    topic, gate = pair.thing.TOPIC, Gate.load(pair.root / "schemas")
    known = names.find_topic(topic)
    assert known is not None
    for fact in made:
        now = datetime.now(UTC)
        event_id = uuid7(now, random.randbytes)
        event = RawEvent(
            id=event_id,
            source=names.source(pair.publisher),
            type=known.type,
            subject=fact["thing_id"],
            time=now,
            recorded_at=now,
            dataschema=gate.dataschema(topic),
            key=fact["thing_id"],
            classification=gate.classification(topic),
            correlation_id=event_id,
            causation_id=None,
            traceparent=None,
            value=orjson.dumps(fact),
        )
        yield {"key": event.key.encode(), "value": event.value, "headers": to_headers(event)}


async def fill(stage: Stage, pair: Pair, made: list[dict[str, Any]]) -> None:
    """Put sound records into the pair's topic."""
    async with AIOKafkaProducer(
        **stage.kafka(pair.publisher), acks="all", enable_idempotence=True, linger_ms=5
    ) as producer:
        waiting = [
            await producer.send(pair.thing.TOPIC, **record) for record in sound_records(stage, pair, made)
        ]
        for future in waiting:
            await future


async def read_keys(stage: Stage, pair: Pair) -> list[str]:
    """Read the whole topic of a pair back, by a plain client."""
    async with AIOKafkaConsumer(
        **stage.kafka(pair.publisher), enable_auto_commit=False, auto_offset_reset="earliest"
    ) as consumer:
        partitions = [TopicPartition(pair.thing.TOPIC, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        keys: list[str] = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                keys += [record.key.decode() for record in records]
        return keys
