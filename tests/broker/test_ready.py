"""A service that cannot do its work is not ready, and says which part of it cannot."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from lienthong import Connection, Department, Event, intake
from lienthong.settings import embedded_environment
from lienthong.testing import running, until
from tests.broker.scratch import City, Pair, Thing
from tests.broker.test_bad_records import SOUND, TABLES, headers_of, write


@dataclass
class Gateway:
    """Stands before PostgreSQL; while it is shut, nobody gets through and nobody stays."""

    host: str
    port: int
    is_shut: bool = False
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def pass_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        try:
            if not self.is_shut:
                there, back = await asyncio.open_connection(self.host, self.port)
                self.open.add(back)
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            writer.close()

    def shut(self) -> None:
        self.is_shut = True
        for writer in self.open:
            writer.transport.abort()
        self.open.clear()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while said := await reader.read(65_536):
            writer.write(said)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def gateway(pair: Pair, department: str) -> AsyncIterator[tuple[Gateway, str]]:
    """Give a gateway to a department's database, and the URL that leads through it."""
    url = embedded_environment(pair.data, department)["LIENTHONG_DATABASE_URL"]
    parts = urlsplit(url)
    gate = Gateway(parts.hostname or "", parts.port or 0)
    server = await asyncio.start_server(gate.pass_through, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield gate, parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
    finally:
        gate.shut()
        server.close()


def unready(service: Any) -> set[str]:
    return {part for part, state in service.health().items() if state != "ok"}


async def test_each_part_that_waits_for_the_database_says_so_until_it_is_back(scratch: City) -> None:
    pair = scratch.take()
    reader = Department(pair.reader)

    @reader.reads(pair.thing.TOPIC, purpose="counting")
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute("INSERT INTO counted VALUES ($1, $2)", event.data.thing_id, event.data.amount)

    @reader.takes("thing")
    async def take(raw: dict[str, Any], db: Connection) -> None:
        await reader.publish(db, pair.counted(thing_id=raw["thing_id"], amount=1))

    async with (
        gateway(pair, pair.reader) as (gate, url),
        running(reader, data=pair.data, root=pair.root, tables=TABLES, database_url=url) as service,
    ):
        await until(lambda: unready(service) == set())
        gate.shut()
        write(pair, [(b"vat", SOUND, headers_of(pair))])
        every = {"database", "relay", "intake thing", f"reader {pair.group}"}
        await until(lambda: unready(service) == every)
        told = service.health()
        assert told["relay"].startswith("the database is away")
        assert told[f"reader {pair.group}"].startswith("resting: ")
        assert told["intake thing"].startswith("interrupted: ")
        gate.is_shut = False
        await until(lambda: unready(service) == set())
        async with service.pool.acquire() as db:
            await intake.put(db, [("thing", b'{"thing_id":"vat"}')])
        await until(lambda: service.pool.fetchval("SELECT count(*) = 1 FROM lienthong.published"))
        assert await service.pool.fetchval("SELECT count(*) FROM counted") == 1


async def test_a_relay_says_that_a_transaction_somebody_left_open_holds_it(scratch: City) -> None:
    pair = scratch.take()
    publisher = Department(pair.publisher)
    async with running(publisher, data=pair.data, root=pair.root, stuck_seconds=0.5) as source:
        async with source.pool.acquire() as left_open, left_open.transaction():
            await left_open.fetchval("SELECT pg_current_xact_id()")
            async with source.pool.acquire() as db, db.transaction():
                await publisher.publish(db, pair.thing(thing_id="vat", amount=1))
            await until(lambda: unready(source) == {"relay"})
            assert source.health()["relay"] == "held: a transaction that does not end keeps 1 in the outbox"
        await until(lambda: source.pool.fetchval("SELECT count(*) FROM lienthong.published"))
        await until(lambda: unready(source) == set())
