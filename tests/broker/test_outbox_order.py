"""The outbox gives its rows in the order in which transactions could see each other."""

from contextlib import AsyncExitStack
from uuid import uuid4

import asyncpg

from lienthong import names, outbox
from lienthong.database import open_pool, set_up_tables
from lienthong.settings import embedded_environment, load_settings
from tests.broker.scratch import City

ROW = """
INSERT INTO lienthong.outbox (id, aggregatetype, aggregateid, type, payload) VALUES ($1, 't', $2, 't', '')
"""


async def test_a_fact_that_saw_another_never_overtakes_it(scratch: City) -> None:
    """A transaction gets its number when it first writes anything: long before its fact, perhaps."""
    pair = scratch.take()
    told = embedded_environment(pair.data, pair.publisher)
    settings = load_settings(
        pair.publisher,
        **{name.removeprefix("LIENTHONG_").lower(): value for name, value in told.items()},
    )
    url = settings.read_database_url()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await open_pool(url, 2, "test"))
        await set_up_tables(pool, "")
        early, other, quick = [
            await asyncpg.connect(url, server_settings={"application_name": "test"}) for _ in range(3)
        ]
        for db in (early, other, quick):
            stack.push_async_callback(db.close)
        for db in (early, other):
            await db.execute("BEGIN")
            await db.fetchval("SELECT pg_current_xact_id()")
        await quick.execute(ROW, uuid4(), "first")
        # It begins to write now, with the older number, and could read what the first one said.
        await early.execute(ROW, uuid4(), "second")
        await early.execute("COMMIT")

        async def keys() -> list[str]:
            async with pool.acquire() as db:
                rows = await outbox.fetch(db, 10, names.source(pair.publisher))
            return [row.event.key for row in rows]

        assert await keys() == []
        await other.execute("COMMIT")
        assert await keys() == ["first", "second"]
