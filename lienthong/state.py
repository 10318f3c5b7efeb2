"""Local copies of states, one's own and others': what a code means, and whether it exists (hops 3, 6)."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from lienthong.database import Connection
from lienthong.errors import Problem

_KEEP: Final = """
INSERT INTO lienthong.state (topic, key, data) VALUES ($1, $2, $3)
ON CONFLICT (topic, key) DO UPDATE SET data = excluded.data
"""


async def keep(db: Connection, topic: str, key: str, data: Mapping[str, Any] | bytes | None) -> None:
    """Keep the newest data of a key; None forgets it (a tombstone)."""
    if data is None:
        await db.execute("DELETE FROM lienthong.state WHERE topic = $1 AND key = $2", topic, key)
    else:
        await db.execute(_KEEP, topic, key, data)


async def find(db: Connection, topic: str, key: str) -> dict[str, Any] | None:
    """Find the newest data of a key."""
    found: dict[str, Any] | None = await db.fetchval(
        "SELECT data FROM lienthong.state WHERE topic = $1 AND key = $2", topic, key
    )
    return found


async def count(db: Connection, topic: str) -> int:
    """Count the keys of a state."""
    return int(await db.fetchval("SELECT count(*) FROM lienthong.state WHERE topic = $1", topic))


async def check_references(db: Connection, references: Iterable[tuple[str, str, str]]) -> list[Problem]:
    """Check codes, each (path, topic, code), against the states kept here; a problem names the path only."""
    asked = list(references)
    if not asked:
        return []
    rows = await db.fetch(
        "SELECT a.place FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS a(topic, key, place)"
        " WHERE NOT EXISTS (SELECT FROM lienthong.state s WHERE s.topic = a.topic AND s.key = a.key)",
        [topic for _, topic, _ in asked],
        [code for _, _, code in asked],
    )
    unknown = [asked[row["place"] - 1] for row in rows]
    return [Problem(path, "reference", f"no such code in {topic}") for path, topic, _ in unknown]
