"""Facts that go from one department to another while something breaks, and the account of them."""

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from lienthong import Connection, Department, Event
from lienthong.service import Service
from lienthong.testing import running, until
from tests.broker.scratch import Pair, Thing

NOTED = "CREATE TABLE IF NOT EXISTS noted (event_id text, amount integer)"
TABLES = """
CREATE TABLE IF NOT EXISTS counted
    (number bigint GENERATED ALWAYS AS IDENTITY, event_id text, thing_id text, amount integer)
"""
KEYS = 8
FIRST = 100
"""The first amount: one of the contract's rules is about thirteen."""


class Traffic:
    """A publisher that goes on publishing, and a reader that counts; amounts rise with each fact of a key."""

    def __init__(
        self, pair: Pair, source: Service, sink: Service, publisher: Department, earlier: dict[str, int]
    ) -> None:
        """Go on after `earlier`, which other tests of the same pair committed: the account is of all."""
        self.pair, self.source, self.sink = pair, source, sink
        self.committed = list(earlier)
        self.failures = 0
        self._publisher = publisher
        self._numbers = itertools.count(max(earlier.values(), default=FIRST) + 1)
        self._over = asyncio.Event()

    async def publish(self, count: int = 1) -> None:
        """Commit so many facts."""
        facts = [
            self.pair.thing(thing_id=f"vat-{number % KEYS}", amount=number)
            for number in itertools.islice(self._numbers, count)
        ]
        async with self.source.pool.acquire() as db, db.transaction():
            ids = [await self._publisher.publish(db, fact) for fact in facts]
            rows = [(event_id, fact.amount) for event_id, fact in zip(ids, facts, strict=True)]
            await db.executemany("INSERT INTO noted VALUES ($1, $2)", rows)
        self.committed += ids

    async def keep_publishing(self, pause: float = 0.02) -> None:
        while not self._over.is_set():
            try:
                await self.publish()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                # Perhaps committed, perhaps not: the department's own table says.
                self.failures += 1
            await asyncio.sleep(pause)

    def end(self) -> None:
        self._over.set()

    async def acknowledged(self) -> int:
        return int(await self.source.pool.fetchval("SELECT count(*) FROM lienthong.published"))

    async def acknowledged_since(self, before: int, count: int) -> bool:
        return await self.acknowledged() >= before + count

    async def acknowledged_all(self) -> bool:
        return await self.acknowledged() == len(self.committed)

    async def effects(self) -> list[Any]:
        return list(await self.sink.pool.fetch("SELECT * FROM counted ORDER BY number"))

    async def settle(self, within: float = 180.0) -> None:
        """Wait until every committed fact is dealt with; each once, in the order of its key."""
        wanted = {row["event_id"] for row in await self.source.pool.fetch("SELECT event_id FROM noted")}
        assert set(self.committed) <= wanted, "the database forgot what it had committed"
        marks = "SELECT count(*) >= $1 FROM lienthong.inbox"
        await until(lambda: self.sink.pool.fetchval(marks, len(wanted)), within=within)
        effects = await self.effects()
        times = Counter(row["event_id"] for row in effects)
        assert wanted - times.keys() == set(), "lost"
        assert [event_id for event_id, count in times.items() if count > 1] == [], "twice"
        assert times.keys() - wanted == set(), "of nobody"
        amounts = defaultdict(list)
        for row in effects:
            amounts[row["thing_id"]].append(row["amount"])
        assert [key for key, of_key in amounts.items() if of_key != sorted(of_key)] == [], "out of order"
        assert await self.sink.pool.fetch("SELECT * FROM lienthong.inbox WHERE outcome <> 'handled'") == []


@asynccontextmanager
async def traffic(
    pair: Pair, publisher_told: dict[str, Any] | None = None, **told: Any
) -> AsyncIterator[Traffic]:
    """Run two departments of a pair in this process, facts going from one to the other."""
    publisher, reader = Department(pair.publisher), Department(pair.reader)

    @reader.reads(pair.thing.TOPIC, purpose="counting")
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute(
            "INSERT INTO counted (event_id, thing_id, amount) VALUES ($1, $2, $3)",
            event.id,
            event.data.thing_id,
            event.data.amount,
        )

    quick = {"back_off_most_seconds": 1.0, "session_seconds": 6.0}
    async with (
        running(
            publisher, data=pair.data, root=pair.root, tables=NOTED, **quick, **(publisher_told or {})
        ) as source,
        running(reader, data=pair.data, root=pair.root, tables=TABLES, **quick, **told) as sink,
    ):
        earlier = dict(await source.pool.fetch("SELECT event_id, amount FROM noted"))
        flowing = Traffic(pair, source, sink, publisher, earlier)
        await flowing.publish()
        handled = "SELECT count(*) > $1 FROM counted"
        await until(lambda: sink.pool.fetchval(handled, len(earlier)), within=120)
        yield flowing


@asynccontextmanager
async def flowing(pair: Pair, **told: Any) -> AsyncIterator[Traffic]:
    """The same, publishing all the time; accounted for when the block is over."""
    async with traffic(pair, **told) as made:
        writing = asyncio.create_task(made.keep_publishing())
        try:
            yield made
        finally:
            made.end()
            await writing
        await made.settle()
