"""Look at a city from outside: triggers and plain SQL in the databases, a raw client on the bus.

Nothing of the library that delivers is imported here, so that no mistake of it is made twice.
"""

import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import asyncpg
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from lienthong.chaos.history import Commit, Effect, Entry, Fact, Letter, Record, TurnedAway

WITNESS: Final = """
CREATE SCHEMA IF NOT EXISTS witness;
CREATE TABLE IF NOT EXISTS witness.fact (
    seq bigint NOT NULL, topic text NOT NULL, id text NOT NULL, key text NOT NULL, cause text, payload bytea,
    xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint, saw text NOT NULL
);
CREATE OR REPLACE FUNCTION witness.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO witness.fact VALUES
        (new.seq, new.aggregatetype, new.id::text, new.aggregateid, new.causationid, new.payload, DEFAULT,
        pg_current_snapshot()::text);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER witness AFTER INSERT ON lienthong.outbox
    FOR EACH ROW EXECUTE FUNCTION witness.note();
"""
_FACTS: Final = """
SELECT seq, topic, id, key, coalesce(d ->> 'label', '') AS label, coalesce(d ->> 'does', '') AS does,
    coalesce((d ->> 'ordinal')::bigint, 0) AS number, cause, md5(payload) AS digest, xid, saw
FROM witness.fact, LATERAL (SELECT convert_from(payload, 'UTF8')::jsonb AS d) AS data ORDER BY seq
"""
_EFFECTS: Final = """
SELECT consumer_group AS "group", topic, id, key, number, seq, (extract(epoch FROM at) * 1000)::float8 AS at
FROM effect ORDER BY seq
"""
_TURNED_AWAY: Final = """
SELECT convert_from(raw, 'UTF8')::jsonb ->> 'label' AS label, code FROM lienthong.intake_problems
"""
_WAITING: Final = """
SELECT (SELECT count(*) FROM lienthong.intake) AS intake, (SELECT count(*) FROM lienthong.outbox) AS outbox,
    (SELECT count(*) FROM lienthong.dead_letter) AS letters
"""
_COUNTED: Final = "SELECT (SELECT count(*) FROM witness.fact), (SELECT count(*) FROM effect)"

OFFSETS_TOPIC: Final = "__consumer_offsets"
BusAway: Final = KafkaException
"""The bus does not answer, or not yet."""

PATIENCE: Final = 60.0
"""How long the bus may take to give what it holds, seconds without a record."""


async def install(url: str) -> None:
    """Install the witness in a department's database, before its first fact.

    Raises:
        asyncpg.PostgresError: the department's service has not made its tables yet.
    """
    db = await asyncpg.connect(url, timeout=10)
    try:
        async with db.transaction():
            await db.execute(WITNESS)
            await db.fetch("SELECT FROM effect LIMIT 1")  # the room's own tables come last
    finally:
        await db.close()


async def read_books(department: str, url: str) -> list[Entry]:
    """Read what a department's database says: its facts, what it turned away, its effects."""
    db = await asyncpg.connect(url, timeout=10)
    try:
        facts: list[Entry] = [Fact(**dict(row)) for row in await db.fetch(_FACTS)]
        away = [TurnedAway(row["label"], department, row["code"]) for row in await db.fetch(_TURNED_AWAY)]
        effects = [Effect(**dict(row)) for row in await db.fetch(_EFFECTS)]
    finally:
        await db.close()
    return facts + away + effects


async def count(url: str) -> tuple[int, int]:
    """Count a department's facts and effects so far."""
    db = await asyncpg.connect(url, timeout=5)
    try:
        ((facts, effects),) = await db.fetch(_COUNTED)
    finally:
        await db.close()
    return facts, effects


async def find_waiting(department: str, url: str) -> dict[str, int]:
    """Find what waits in a department's database for somebody to go on with it."""
    db = await asyncpg.connect(url, timeout=5)
    try:
        (row,) = await db.fetch(_WAITING)
    finally:
        await db.close()
    return {f"{department}, {name}": waiting for name, waiting in row.items() if waiting}


def raw_consumer(kafka: Mapping[str, Any]) -> Consumer:
    """Open a client that is in no group and commits nothing; whoever opens it closes it."""
    return Consumer(
        {
            **kafka,
            "group.id": "chaos.observer",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            "log_level": 0,
        }
    )


def partitions_of(consumer: Consumer, topics: Sequence[str]) -> list[TopicPartition]:
    """List the partitions of topics."""
    known = consumer.list_topics(timeout=PATIENCE).topics
    return [TopicPartition(topic, partition) for topic in topics for partition in known[topic].partitions]


def iter_records(
    consumer: Consumer, topics: Sequence[str], begin: Mapping[tuple[str, int], int] = MappingProxyType({})
) -> Iterator[Any]:
    """Read topics from their first record, or from where one is told to begin, to their last one of now.

    Raises:
        TimeoutError: the bus gives nothing for a minute, though it holds more.
    """
    left: dict[tuple[str, int], int] = {}
    for place in partitions_of(consumer, topics):
        first, end = consumer.get_watermark_offsets(place, timeout=PATIENCE)
        if end > max(first, begin.get((place.topic, place.partition), 0)):
            left[place.topic, place.partition] = end
    consumer.assign([TopicPartition(*place, begin.get(place, OFFSET_BEGINNING)) for place in left])
    heard = time.monotonic()
    while left:
        for found in consumer.consume(1_000, 0.5):
            at, error = (str(found.topic()), int(found.partition() or 0)), found.error()
            heard = time.monotonic()
            if error is None:
                yield found
                if int(found.offset() or 0) + 1 >= left.get(at, 0):
                    left.pop(at, None)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                left.pop(at, None)
            elif not error.retriable():
                raise KafkaException(error)
        if time.monotonic() - heard > PATIENCE:
            raise TimeoutError(f"the bus gives no more of {sorted(left)}")


def as_record(found: Any, digest: Callable[[bytes | None], str]) -> Record:
    """Note a record of a topic."""
    headers = dict(found.headers() or ())
    return Record(
        found.topic(),
        found.partition(),
        found.offset(),
        _text(headers, "ce_id"),
        _key(found),
        digest(found.value()),
    )


def as_letter(found: Any, digest: Callable[[bytes | None], str]) -> Letter:
    """Note a record of a dead-letter topic."""
    headers = dict(found.headers() or ())
    return Letter(
        group=found.topic().removesuffix(".dlt"),
        topic=_text(headers, "lt_topic"),
        partition=int(_text(headers, "lt_partition") or -1),
        offset=int(_text(headers, "lt_offset") or -1),
        id=_text(headers, "ce_id"),
        key=_key(found),
        digest=digest(found.value()),
        code=_text(headers, "lt_code"),
        reason=_text(headers, "lt_reason"),
        first_at=_text(headers, "lt_first_at"),
        last_at=_text(headers, "lt_last_at"),
    )


def as_commit(found: Any) -> Commit | None:
    """Note a record of the broker's own log of offsets; None for what else it holds there.

    Key: version 0 or 1, group, topic, partition; value: version, offset, and more (Kafka's
    OffsetCommitKey and OffsetCommitValue).
    """
    key, value = found.key() or b"", found.value()
    if len(key) < 2 or value is None or struct.unpack_from(">h", key)[0] not in {0, 1}:
        return None
    group, at = _string(key, 2)
    topic, at = _string(key, at)
    (partition,) = struct.unpack_from(">i", key, at)
    (offset,) = struct.unpack_from(">q", value, 2)
    return Commit(group, topic, partition, offset, float(found.timestamp()[1]))


def _string(raw: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", raw, at)
    return raw[at + 2 : at + 2 + length].decode(), at + 2 + length


def _text(headers: Mapping[str, bytes], name: str) -> str:
    return (headers.get(name) or b"").decode("utf-8", "replace")


def _key(found: Any) -> str:
    return (found.key() or b"").decode("utf-8", "replace")


class Offsets:
    """Follow the broker's own log of offsets, which keeps every commit of every group in order."""

    def __init__(self, consumer: Consumer, groups: Sequence[str]) -> None:
        self.commits: list[Commit] = []
        self.newest: dict[tuple[str, str, int], int] = {}
        self._consumer = consumer
        self._groups = frozenset(groups)
        self._read: dict[tuple[str, int], int] = {}

    def read(self) -> None:
        """Read on from where the last look ended."""
        for found in iter_records(self._consumer, [OFFSETS_TOPIC], self._read):
            self._read[found.topic(), found.partition()] = found.offset() + 1
            commit = as_commit(found)
            if commit is not None and commit.group in self._groups:
                self.commits.append(commit)
                self.newest[commit.group, commit.topic, commit.partition] = commit.offset


def find_lag(consumer: Consumer, offsets: Offsets, readings: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Find which groups have not committed all of a topic, and how many records they lag behind."""
    lag: dict[str, int] = {}
    for place in partitions_of(consumer, sorted({topic for _, topic in readings})):
        _, end = consumer.get_watermark_offsets(place, timeout=10)
        for group, topic in readings:
            if topic == place.topic:
                behind = end - offsets.newest.get((group, topic, place.partition), 0)
                if behind > 0:
                    lag[f"{group}, {topic}"] = lag.get(f"{group}, {topic}", 0) + behind
    return lag
