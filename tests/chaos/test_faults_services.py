"""What goes wrong with a service's process: no memory left."""

import asyncio
import os
import resource
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from lienthong import Department
from lienthong.settings import Settings, embedded_environment
from lienthong.testing import running, until
from tests.broker.scratch import City, Pair
from tests.broker.test_delivery import publish

REPOSITORY = Path(__file__).parents[2]


@asynccontextmanager
async def reading(pair: Pair, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The reader of a pair, in a process of its own."""
    where = (str(pair.data), str(pair.root), pair.reader, pair.thing.TOPIC)
    with log.open("ab") as lines:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.benchmarks.reader", *where),
            stdout=lines,
            stderr=lines,
            cwd=REPOSITORY,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
async def test_a_service_without_memory_loses_and_doubles_nothing(scratch: City, tmp_path: Path) -> None:
    pair = scratch.take()
    publisher = Department(pair.publisher)
    name = f"Trần Thị Mẫu {'Đ' * 100}"
    facts = [pair.thing(thing_id=f"vat-{n}", amount=100 + n, full_name=name) for n in range(2_000)]
    told = {
        name.removeprefix("LIENTHONG_").lower(): value
        for name, value in embedded_environment(pair.data, pair.reader).items()
    }
    db = await asyncpg.connect(Settings(**told).read_database_url())
    try:
        async with running(publisher, data=pair.data, root=pair.root) as source:
            async with reading(pair, tmp_path / "first.log") as process:
                await publish(source, publisher, facts[0])
                await until(lambda: _counted(db), within=60)
                _take_memory(process.pid)
                await publish(source, publisher, *facts[1:])
                # It may die, hang or struggle on: how far it comes until it is replaced is not the point.
                sent = "SELECT count(*) = 2000 FROM lienthong.published"
                await until(lambda: source.pool.fetchval(sent), within=60)
            async with reading(pair, tmp_path / "second.log"):
                marks = "SELECT count(*) = 2000 FROM lienthong.inbox"
                await until(lambda: db.fetchval(marks), within=90)
        times = Counter(row["thing_id"] for row in await db.fetch("SELECT thing_id FROM counted"))
        assert times == {fact.thing_id: 1 for fact in facts}
    finally:
        await db.close()


def _take_memory(pid: int) -> None:
    """Let a process have what it has, and no more."""
    used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (used, used))


async def _counted(db: asyncpg.Connection) -> int:
    try:
        return int(await db.fetchval("SELECT count(*) FROM counted"))
    except asyncpg.UndefinedTableError:
        return 0
