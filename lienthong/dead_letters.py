"""Set aside what cannot be read or handled, with the reason, in the inbox mark's transaction (hop 7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final

import orjson

from lienthong import names
from lienthong.database import Connection
from lienthong.errors import Problem
from lienthong.producer import OutgoingRecord
from lienthong.sizes import LETTER_BYTES

PREFIX: Final = "lt_"
"""Prefix of the headers that say where a dead letter came from and why; the original's own headers stay."""

NO_KEY: Final = "none"
"""What `lt_key` says where the record had no key, and its letter has to have one."""

_VERSION: Final = version("lienthong")
_PUT: Final = """
INSERT INTO lienthong.dead_letter (topic, key, value, header_names, header_values) VALUES ($1, $2, $3, $4, $5)
"""

# The length of a value is known without reading it; the first letter is taken whatever its size.
_FETCH: Final = """
SELECT letter.* FROM (
    SELECT seq, sum(bytes) OVER (ORDER BY seq) - bytes AS before FROM (
        SELECT seq, coalesce(octet_length(value), 0) AS bytes
        FROM lienthong.dead_letter ORDER BY seq LIMIT $1
    ) AS oldest
) AS waiting JOIN lienthong.dead_letter AS letter USING (seq)
WHERE waiting.before <= $2 ORDER BY seq
"""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a record is set aside: the error's stable code, one sentence without data values, the problems."""

    code: str
    sentence: str
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A record as the broker gave it, bytes untouched."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def provenance(
    record: Record, group: str, reason: Reason, attempts: int, first: datetime, last: datetime
) -> list[tuple[str, bytes]]:
    """Compose the `lt_` headers of a dead letter; times are ISO 8601 in UTC."""
    told: dict[str, Any] = {
        "group": group,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "code": reason.code,
        "reason": reason.sentence,
        "attempts": attempts,
        "first_at": first.isoformat(),
        "last_at": last.isoformat(),
        "library": f"lienthong {_VERSION}",
    }
    if record.key is None and record.value is None:
        told["key"] = NO_KEY
    headers = [(f"{PREFIX}{name}", str(value).encode()) for name, value in told.items()]
    if reason.problems:
        headers.append((f"{PREFIX}problems", orjson.dumps([p.as_json() for p in reason.problems[:50]])))
    return headers


def key_of(record: Record) -> bytes | None:
    """Give a dead letter its record's key; an empty one where the record has neither key nor value.

    Kafka holds such records, but our client sends none, and the letters behind it would wait for ever.
    """
    return b"" if record.key is None and record.value is None else record.key


async def put(
    db: Connection, record: Record, group: str, reason: Reason, attempts: int, first: datetime, last: datetime
) -> None:
    """Write a dead letter beside the inbox mark: the original bytes and headers, then ours.

    Headers of the original that begin with our prefix are dropped: another's claim, or an earlier story.
    """
    kept = [(name, value) for name, value in record.headers if not name.startswith(PREFIX)]
    headers = kept + provenance(record, group, reason, attempts, first, last)
    await db.execute(
        _PUT,
        names.dead_letter_topic(group),
        key_of(record),
        record.value,
        # A header name is UTF-8 on the wire, but not every client keeps to text that PostgreSQL can hold.
        [name.replace("\x00", "\\0") for name, _ in headers],
        [value for _, value in headers],
    )


async def fetch(db: Connection, most: int) -> list[tuple[int, OutgoingRecord]]:
    """Fetch dead letters that wait for the broker, oldest first, no more than there is room for."""
    rows = await db.fetch(_FETCH, most, LETTER_BYTES)
    return [
        (
            row["seq"],
            OutgoingRecord(
                row["topic"],
                row["key"],
                row["value"],
                list(zip(row["header_names"], row["header_values"], strict=True)),
            ),
        )
        for row in rows
    ]


async def acknowledge(db: Connection, seqs: Sequence[int]) -> None:
    """Delete what the broker confirmed."""
    if seqs:
        await db.execute("DELETE FROM lienthong.dead_letter WHERE seq = ANY($1::bigint[])", list(seqs))
