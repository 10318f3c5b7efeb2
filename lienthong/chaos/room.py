"""What the made-up departments do: note facts, answer each other's, and fail in every way handlers do."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from lienthong import Connection, Department, Event, NotHandled, NotYet
from lienthong.chaos.departments import FOLLOWING, answers_of, facts_of, grants

TABLES: Final = """
-- What was done about facts. Nothing here is unique: what takes effect twice shall be seen twice.
CREATE TABLE IF NOT EXISTS nothing (number integer PRIMARY KEY);
CREATE TABLE IF NOT EXISTS effect (
    seq bigint GENERATED ALWAYS AS IDENTITY, consumer_group text NOT NULL, topic text NOT NULL,
    id text NOT NULL, key text NOT NULL, number bigint NOT NULL,
    spoilt_by integer REFERENCES nothing (number) DEFERRABLE INITIALLY DEFERRED,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(), at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- The department's own facts: a subject's are numbered as they are committed.
CREATE TABLE IF NOT EXISTS fact (
    subject_code text NOT NULL, number bigint NOT NULL, label text NOT NULL,
    PRIMARY KEY (subject_code, number)
);
"""

_NUMBER: Final = """
INSERT INTO fact SELECT $1, coalesce(max(number), 0) + 1, $2 FROM fact WHERE subject_code = $1
RETURNING number
"""

_EFFECT: Final = """
INSERT INTO effect (consumer_group, topic, id, key, number, spoilt_by) VALUES ($1, $2, $3, $4, $5, $6)
"""

SLOW_SECONDS: Final = 0.3


def furnish(name: str, names: Sequence[str]) -> Department:
    """Declare one department of a city; nothing is connected yet."""
    department = Department(name)

    @department.takes("fact")
    async def note(record: dict[str, Any], db: Connection) -> None:
        # One at a time, so that numbers are given in the order of the commits.
        await db.execute("SELECT pg_advisory_xact_lock(1)")
        record["ordinal"] = await db.fetchval(_NUMBER, record["subject_code"], record["label"])
        if record["does"] == "is-refused":
            record["ordinal"] = 0
        await department.publish(db, record, topic=facts_of(name))

    for grant in grants(names):
        if grant.department == name:
            _read(department, grant.topic, grant.purpose)
    return department


def _read(department: Department, topic: str, purpose: str) -> None:
    group = f"{department.name}.{purpose}"
    first_seen: dict[str, float] = {}

    @department.reads(topic, purpose=purpose)
    async def handle(event: Event[dict[str, Any]], db: Connection) -> None:
        """Take effect first and fail afterwards: what was written must not stay."""
        data = event.data
        key, number, does = data["subject_code"], data["ordinal"], data["does"]
        await db.execute(_EFFECT, group, topic, event.id, key, number, 1 if does == "spoils" else None)
        if purpose == FOLLOWING:
            answer = {"subject_code": key, "label": data["label"], "ordinal": number, "does": "passes"}
            await department.publish(db, answer, topic=answers_of(department.name))
        await fail(data, first_seen.setdefault(event.id, time.monotonic()))


async def fail(data: dict[str, Any], seen_at: float) -> None:
    """Do what a fact says that its handler does; `seen_at` is when this process first met it."""
    does = data["does"]
    if does == "is-slow":
        await asyncio.sleep(SLOW_SECONDS)
    elif does == "is-poison":
        raise NotHandled(reason="this fact is poison")
    elif does == "breaks":
        raise RuntimeError("a defect")
    elif does == "heals" and time.monotonic() - seen_at < data["heals_after_ms"] / 1_000:
        raise NotYet(reason="what it needs is not there yet")
