"""One relay at a time in a department: until it is frozen, and for as long as it is not."""

import json
import os
import signal
from pathlib import Path

from lienthong import Department
from lienthong.testing import running, until
from tests.broker.scratch import City
from tests.broker.test_stopping import fetchval, slow_reader

RELAYING = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
    AND objid = (hashtext('lienthong.relay')::bigint & 4294967295)::oid
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
"""The connection that holds the lock."""


async def test_a_relay_whose_broker_takes_long_keeps_its_lock(scratch: City) -> None:
    pair = scratch.take()
    publisher = Department(pair.publisher)
    broker = json.loads((pair.data / "children.json").read_text())["kafka-1"]["pid"]
    settings = {"session_seconds": 6.0, "back_off_seconds": 0.05}
    async with (
        running(publisher, data=pair.data, root=pair.root, **settings) as first,
        running(Department(pair.publisher), data=pair.data, root=pair.root, **settings) as second,
    ):
        relaying = await until(lambda: first.pool.fetchval(RELAYING))
        os.kill(broker, signal.SIGSTOP)
        try:
            async with first.pool.acquire() as db, db.transaction():
                await publisher.publish(db, pair.thing(thing_id="vat", amount=1))
            idle = "SELECT now() - state_change > interval '6.5 s' FROM pg_stat_activity WHERE pid = $1"
            longest = "SELECT now() - $2 > interval '9 s' AND pid = $1 FROM pg_stat_activity WHERE pid = $1"
            began = await first.pool.fetchval("SELECT now()")
            await until(lambda: second.pool.fetchval(longest, relaying, began))
            assert not await second.pool.fetchval(idle, relaying)
        finally:
            os.kill(broker, signal.SIGCONT)
        await until(lambda: first.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.outbox)"))
        assert await second.pool.fetchval(RELAYING) == relaying


async def test_a_relay_that_is_frozen_is_replaced(scratch: City, tmp_path: Path) -> None:
    pair = scratch.take()
    reader = Department(pair.reader)
    environment = {"SCRATCH_SECONDS": "0", "LIENTHONG_SESSION_SECONDS": "6"}
    with slow_reader(pair, tmp_path / "said.txt", **environment) as process:
        frozen = await until(lambda: fetchval(pair, RELAYING))
        process.send_signal(signal.SIGSTOP)
        async with running(reader, data=pair.data, root=pair.root) as other:
            async with other.pool.acquire() as db, db.transaction():
                await reader.publish(db, pair.counted(thing_id="vat", amount=1))
            await until(lambda: other.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.outbox)"))
            relaying = await other.pool.fetchval(RELAYING)
            assert relaying not in {None, frozen}
            process.send_signal(signal.SIGCONT)
            async with other.pool.acquire() as db, db.transaction():
                await reader.publish(db, pair.counted(thing_id="vat", amount=2))
            await until(lambda: other.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.outbox)"))
            assert await other.pool.fetchval(RELAYING) == relaying
        assert process.poll() is None
