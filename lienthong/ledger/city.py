"""Draw up the account of a bus that runs: each department's books as that department, the topics as admin."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg

from lienthong.cluster.connection import admin_connection
from lienthong.contracts import Contracts
from lienthong.database import Connection
from lienthong.ledger import books
from lienthong.ledger.account import Ledger
from lienthong.ledger.balance import balance
from lienthong.ledger.spools import read_spools
from lienthong.ledger.topics import Show
from lienthong.settings import embedded_environment, load_bus

QUIET_SECONDS: Final = 1.0
_MOVED: Final = """
SELECT (SELECT count(*) FROM lienthong.intake), (SELECT count(*) FROM lienthong.outbox),
    (SELECT count(*) FROM lienthong.dead_letter), (SELECT count(*) FROM lienthong.published),
    (SELECT count(*) FROM lienthong.inbox)
"""


async def draw_up(contracts: Contracts, data: Path, show: Show, patience_seconds: float = 0.0) -> Ledger:
    """Draw up the account of the embedded bus of a data folder.

    Args:
        contracts: What should be read by whom.
        data: The data folder.
        show: Told how far it is.
        patience_seconds: Wait so long at most until nothing moves: what is under way looks like lost.

    Raises:
        BusNotUsable: no bus runs on the folder.
    """
    load_bus(data)
    kafka = admin_connection(data).for_aiokafka()
    async with _open(contracts.departments, data) as databases:
        await _wait_for_quiet(databases.values(), patience_seconds, show)
        return await balance(contracts, databases, kafka, show, read_spools(data / "spool"))


@asynccontextmanager
async def _open(departments: Iterable[str], data: Path) -> AsyncIterator[dict[str, Connection]]:
    """Open the database of every department whose service has been here.

    As the department, not as the super user: its views run its own code.
    """
    async with AsyncExitStack() as stack:
        opened: dict[str, Connection] = {}
        for department in sorted(departments):
            secret = data / "secrets" / f"{department}.password"
            if not secret.exists():
                continue  # its contracts are not applied yet
            url = embedded_environment(data, department)["LIENTHONG_DATABASE_URL"]
            password = secret.read_text(encoding="utf-8").strip()
            db = await asyncpg.connect(url, password=password, timeout=10, command_timeout=600)
            stack.push_async_callback(db.close)
            if await books.is_there(db, "lienthong.inbox"):
                opened[department] = db
        yield opened


async def _wait_for_quiet(databases: Iterable[Connection], within: float, show: Show) -> None:
    deadline = time.monotonic() + within
    before = None
    while time.monotonic() < deadline:
        show("quiet", int(within - (deadline - time.monotonic())), int(within))
        now = [tuple((await db.fetch(_MOVED))[0]) for db in databases]
        if now == before and not any(any(row[:3]) for row in now):
            return
        before = now
        await asyncio.sleep(QUIET_SECONDS)
