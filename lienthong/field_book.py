"""Enter in the department's database which granted fields its code reads, day by day (hop 6)."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final

from lienthong import metrics
from lienthong.database import Pool
from lienthong.fields_read import counts_of
from lienthong.moments import HANOI

FLUSH_SECONDS: Final = 20.0
KEPT_DAYS: Final = 400

_ADD: Final = """
INSERT INTO lienthong.field_read (topic, field, day, reads)
SELECT c.topic, c.field, $1, c.reads
FROM unnest($2::text[], $3::text[], $4::bigint[]) AS c(topic, field, reads)
ON CONFLICT (topic, field, day) DO UPDATE SET reads = lienthong.field_read.reads + excluded.reads
"""


class FieldBook:
    """Enters a department's counts into its database from time to time."""

    def __init__(self, kinds: Collection[tuple[str, type[Any]]], silent: Collection[str]) -> None:
        self._kinds = kinds
        self._silent = silent
        """Topics of which only what was surely read is entered."""
        self._entered: dict[tuple[str, str], int] = {}
        self._is_tidy = False

    async def enter(self, pool: Pool, now: datetime) -> None:
        """Enter what was read since the last time, by field and the city's day; 0 says: watched, and not."""
        day = now.astimezone(HANOI).date()
        found = {
            (topic, field): count
            for topic, kind in tuple(self._kinds)
            for field, count in counts_of(kind).items()
            if count or topic not in self._silent
        }
        fresh = {which: count - self._entered.get(which, 0) for which, count in found.items()}
        if not fresh:
            return
        topics, fields = zip(*fresh, strict=True)
        async with pool.acquire() as db:
            await db.execute(_ADD, day, topics, fields, list(fresh.values()))
            if not self._is_tidy:
                oldest = day - timedelta(days=KEPT_DAYS)
                await db.execute("DELETE FROM lienthong.field_read WHERE day < $1", oldest)
                self._is_tidy = True
        self._entered |= found
        for (topic, field), count in fresh.items():
            metrics.FIELDS_READ.labels(topic, field).inc(count)
