"""Read a department's own books for the ledger: its facts, its inbox, and what took effect in its tables."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from lienthong.database import Connection
from lienthong.ledger.account import Latency
from lienthong.ledger.identity import identity, spell
from lienthong.ledger.spools import Place, SpoolBooks

AT_ONCE: Final = 10_000

_WITNESSED: Final = "SELECT uuid_send(id) AS id, topic FROM witness.fact"
_PUBLISHED: Final = "SELECT uuid_send(id) AS id, topic FROM lienthong.published"
_TO_BE_PUBLISHED: Final = "SELECT uuid_send(id) AS id, aggregatetype AS topic FROM lienthong.outbox"
_WAITING: Final = """
SELECT (SELECT count(*) FROM lienthong.outbox) + (SELECT count(*) FROM lienthong.dead_letter)
"""
_PLACES: Final = """
SELECT uuid_send(id) AS id, record_partition, record_offset FROM lienthong.published
WHERE topic = $1 AND id = ANY (SELECT encode(packed, 'hex')::uuid FROM unnest($2::bytea[]) AS packed)
"""
_MARKS: Final = """
SELECT CASE WHEN length(id) = 36 AND pg_input_is_valid(id, 'uuid') THEN uuid_send(id::uuid)
        ELSE convert_to(id, 'UTF8') END AS id,
    CASE outcome WHEN 'handled' THEN NULL ELSE coalesce(code, outcome) END AS code,
    handled_at > now() - $3::float8 * interval '1 second' AS is_recent, record_offset < 0 AS by_sibling
FROM lienthong.inbox WHERE consumer_group = $1 AND topic = $2
"""
"""Ids are packed as `identity` packs them."""
_DEALT_WITH: Final = """
SELECT id FROM lienthong.inbox WHERE consumer_group = $1 AND id = ANY($2::text[])
"""
_EFFECTS: Final = "SELECT key, times FROM effect WHERE consumer_group = $1 AND topic = $2"
_HANDLED_AFTER: Final = """
SELECT topic, consumer_group, percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
    ORDER BY extract(epoch FROM handled_at - recorded) * 1000) AS ms
FROM lienthong.inbox WHERE outcome = 'handled' AND recorded IS NOT NULL GROUP BY 1, 2
"""
_PUBLISHED_AFTER: Final = """
SELECT topic, percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
    ORDER BY extract(epoch FROM acknowledged_at - recorded) * 1000) AS ms
FROM lienthong.published GROUP BY 1
"""


@dataclass(slots=True)
class Source:
    """What a department says that it committed."""

    facts: dict[str, set[bytes]] = field(default_factory=dict)
    noted: dict[str, set[bytes]] | None = None
    """What its list of the published holds, beside a witness; None where that list is the only word."""
    waiting: int = 0
    intake_problems: Counter[str] = field(default_factory=Counter)
    progress: dict[str, dict[str, int]] = field(default_factory=dict)
    published_after: dict[str, Latency] = field(default_factory=dict)
    handled_after: dict[tuple[str, str], Latency] = field(default_factory=dict)
    places: dict[str, dict[bytes, Place]] = field(default_factory=dict)
    """Where the broker confirmed what came through a spool."""

    def add(self, spool: SpoolBooks) -> None:
        """Add what the department published without its database."""
        for topic, facts in spool.facts():
            self.facts.setdefault(topic, set()).update(facts)
            self.waiting += len(spool.waiting.get(topic, ()))
            if self.noted is not None:
                self.noted.setdefault(topic, set()).update(spool.sent.get(topic, {}))
        self.places = spool.sent


async def fetch_source(db: Connection) -> Source:
    """Fetch a department's side of the account."""
    found = Source()
    witnessed = await is_there(db, "witness.fact")
    # One snapshot: rows move from the outbox to the list of what was published.
    async with db.transaction(isolation="repeatable_read", readonly=True):
        found.waiting = await db.fetchval(_WAITING)
        published = await _by_topic(db, _PUBLISHED)
        if witnessed:
            found.facts, found.noted = await _by_topic(db, _WITNESSED), published
        else:
            found.facts = published
            for topic, ids in (await _by_topic(db, _TO_BE_PUBLISHED)).items():
                found.facts.setdefault(topic, set()).update(ids)
        kept_back = {
            row["id"] for row in await db.fetch("SELECT uuid_send(id) AS id FROM lienthong.outbox_refused")
        }
        counts = await db.fetch("SELECT code, count(*) FROM lienthong.intake_problems GROUP BY 1")
    if kept_back:
        for ids in found.facts.values():
            ids.difference_update(kept_back)
    found.intake_problems = Counter({row["code"]: row["count"] for row in counts})
    if await is_there(db, "public.progress"):
        for row in await db.fetch("SELECT procedure, status, dossiers FROM progress ORDER BY 1, 2"):
            found.progress.setdefault(row["procedure"], {})[row["status"]] = row["dossiers"]
    for row in await db.fetch(_PUBLISHED_AFTER):
        found.published_after[row["topic"]] = _rounded(row["ms"])
    for row in await db.fetch(_HANDLED_AFTER):
        found.handled_after[row["topic"], row["consumer_group"]] = _rounded(row["ms"])
    return found


async def is_there(db: Connection, relation: str) -> bool:
    """Tell whether a table or view exists."""
    return await db.fetchval("SELECT to_regclass($1) IS NOT NULL", relation) is True


async def iter_marks(
    db: Connection, group: str, topic: str, seconds: float
) -> AsyncIterator[tuple[bytes, str | None, bool, bool]]:
    """Walk what a group's inbox says of a topic.

    Yields:
        The event's identity; None where it was handled, else why it was set aside; whether that was in the
        last so many seconds; whether it was dealt with as its sibling on another major's topic.
    """
    async with db.transaction(readonly=True):
        async for packed, code, is_recent, by_sibling in db.cursor(
            _MARKS, group, topic, seconds, prefetch=AT_ONCE
        ):
            yield packed, code, is_recent, by_sibling


async def fetch_dealt_with(db: Connection, group: str, events: Iterable[bytes]) -> set[bytes]:
    """Tell which of some events a group has dealt with, on whatever topic."""
    rows = await db.fetch(_DEALT_WITH, group, [spell(event) for event in events])
    return {identity(row["id"].encode()) for row in rows}


async def iter_effects(db: Connection, group: str, topic: str) -> AsyncIterator[tuple[bytes, int]]:
    """Walk what the department's own tables say of a topic: (record key, how many effects are there)."""
    async with db.transaction(readonly=True):
        async for row in db.cursor(_EFFECTS, group, topic, prefetch=AT_ONCE):
            yield (row["key"] or "").encode(), int(row["times"])


async def fetch_places(db: Connection, topic: str, ids: Collection[bytes]) -> dict[bytes, tuple[int, int]]:
    """Fetch where on a topic the broker confirmed facts: (partition, offset) by identity."""
    packed = [one for one in ids if len(one) == 16]
    rows = await db.fetch(_PLACES, topic, packed)
    return {row["id"]: (row["record_partition"], row["record_offset"]) for row in rows}


async def _by_topic(db: Connection, sql: str) -> dict[str, set[bytes]]:
    found: dict[str, set[bytes]] = {}
    async for row in db.cursor(sql, prefetch=AT_ONCE):
        packed, topic = row
        if (ids := found.get(topic)) is None:
            ids = found[topic] = set()
        ids.add(packed)
    return found


def _rounded(ms: Any) -> Latency:
    return Latency(*(round(one, 1) for one in ms))
