"""What goes wrong in a department's PostgreSQL: connections cut, long locks, rival transactions."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import asyncpg

from lienthong.chaos.fault import City, Fault
from lienthong.chaos.faults.network import departments, hold

_CUT: Final = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = $1 AND pid <> pg_backend_pid() AND application_name LIKE 'lienthong.%'
"""
_CUT_BUSY: Final = f"{_CUT} AND state LIKE 'idle in transaction%'"

GONE: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""The database may be under another fault at the same time."""


async def _connect(city: City, department: str) -> Any:
    return await asyncpg.connect(city.database_url(department), timeout=10, command_timeout=60)


async def cut_connections(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """End a department's connections again and again, at best in the middle of a transaction."""
    department, ended = dice.choice(departments(city)), 0
    with suppress(*GONE):
        db = await _connect(city, "postgres")
        try:
            for _ in range(dice.randint(5, 40)):
                if over.is_set():
                    break
                ended += await db.fetchval(_CUT if dice.random() < 0.2 else _CUT_BUSY, department)
                await hold(dice, over, 0.0, 0.3)
        finally:
            db.terminate()
    return {"department": department, "connections": ended}


async def _lock(
    city: City, dice: random.Random, over: asyncio.Event, statement: str, most: float
) -> dict[str, Any]:
    """Keep a transaction open that holds what a statement takes."""
    department, seconds = dice.choice(departments(city)), 0.0
    with suppress(*GONE):
        db = await _connect(city, department)
        try:
            async with db.transaction():
                await db.execute(statement)
                seconds = await hold(dice, over, 2.0, most)
        finally:
            db.terminate()
    return {"department": department, "seconds": seconds}


async def lock_outbox(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Lock the outbox against whoever writes or relays."""
    return await _lock(city, dice, over, "LOCK TABLE lienthong.outbox IN ACCESS EXCLUSIVE MODE", 15.0)


async def lock_inbox(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Lock the inbox against whoever reads or marks."""
    return await _lock(city, dice, over, "LOCK TABLE lienthong.inbox IN ACCESS EXCLUSIVE MODE", 10.0)


async def leave_open(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Leave a transaction open that has a number: the relay may not pass what is younger."""
    return await _lock(city, dice, over, "SELECT pg_current_xact_id()", 20.0)


async def cross(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Lock what turns write in the other order, so that some of them end in a deadlock."""
    department, made = dice.choice(departments(city)), 0
    with suppress(*GONE):
        db = await _connect(city, department)
        try:
            for _ in range(dice.randint(3, 12)):
                if over.is_set():
                    break
                with suppress(asyncpg.DeadlockDetectedError):
                    async with db.transaction():
                        # A turn writes caused events first and its marks last.
                        await db.execute("LOCK TABLE lienthong.inbox IN SHARE MODE")
                        await hold(dice, over, 0.05, 0.5)
                        await db.execute("LOCK TABLE lienthong.outbox IN SHARE MODE")
                made += 1
                await hold(dice, over, 0.05, 0.3)
        finally:
            db.terminate()
    return {"department": department, "rivals": made}


FAULTS: Final[Sequence[Fault]] = (
    Fault(
        "database-connections-cut", "a department's connections end, some in transactions", cut_connections
    ),
    Fault("outbox-locked", "somebody locks a department's outbox", lock_outbox),
    Fault("inbox-locked", "somebody locks a department's inbox", lock_inbox),
    Fault("transaction-left-open", "an old transaction holds the relay back", leave_open),
    Fault("transactions-cross", "a rival takes the same locks in another order", cross),
)
