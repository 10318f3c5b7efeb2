"""What goes wrong with services: strangers in their groups, two relays, no memory, rights that are gone."""

import asyncio
import random
import resource
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from lienthong.chaos.fault import City, Fault
from lienthong.chaos.faults.databases import GONE
from lienthong.chaos.faults.network import departments, hold
from lienthong.cluster.admin import open_admin
from lienthong.cluster.connection import admin_connection, department_connection
from lienthong.cluster.state import Access
from lienthong.errors import BusNotUsable

_GROUPS: Final = "SELECT DISTINCT consumer_group, topic FROM lienthong.inbox WHERE record_partition >= 0"
_CUT_RELAY: Final = """
SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
WHERE a.datname = $1 AND l.locktype = 'advisory' AND l.granted AND a.pid <> pg_backend_pid()
"""


async def storm(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Let strangers join a group of readers and leave it again, about every second."""
    department, joined, group = dice.choice(departments(city)), 0, ""
    with suppress(*GONE, KafkaError):
        db = await asyncpg.connect(city.database_url(department), timeout=10)
        try:
            found = await db.fetch(_GROUPS)
        finally:
            db.terminate()
        if not found:
            return {}
        group = dice.choice(sorted({row["consumer_group"] for row in found}))
        topics = [row["topic"] for row in found if row["consumer_group"] == group]
        for _ in range(dice.randint(3, 12)):
            if over.is_set():
                break
            await _visit(city, department, group, topics, dice, over)
            joined += 1
    return {"group": group, "members": joined} if joined else {}


async def _visit(
    city: City, department: str, group: str, topics: list[str], dice: random.Random, over: asyncio.Event
) -> None:
    """Be a member of a group for a moment, and handle nothing."""
    stranger = AIOKafkaConsumer(
        *topics,
        **department_connection(city.data, department).for_aiokafka(),
        client_id=f"{group}.stranger",
        group_id=group,
        enable_auto_commit=False,
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_000,
    )
    try:
        async with asyncio.timeout(15):
            await stranger.start()
        await hold(dice, over, 0.2, 1.5)
    except TimeoutError:
        pass
    finally:
        with suppress(TimeoutError, KafkaError):
            await asyncio.wait_for(stranger.stop(), 10)


async def cut_relay(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Take the lock of the one relay away while it sends: another process relays what is still under way."""
    department, ended = dice.choice(departments(city)), 0
    with suppress(*GONE):
        db = await asyncpg.connect(city.database_url("postgres"), timeout=10)
        try:
            for _ in range(dice.randint(3, 15)):
                if over.is_set():
                    break
                ended += await db.fetchval(_CUT_RELAY, department)
                await hold(dice, over, 0.1, 1.5)
        finally:
            db.terminate()
    return {"department": department, "connections": ended}


async def take_memory(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Let a service have hardly any more memory than it has; then start another in its place."""
    name = dice.choice(list(city.services))
    pid = city.pids().get(name)
    if pid is None or not hasattr(resource, "prlimit"):
        return {}
    more = dice.choice((0, 1, 8)) << 20
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:  # noqa: ASYNC230, PTH123 - not a disk
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.prlimit(pid, resource.RLIMIT_AS, (used + more, used + more))
        seconds = await hold(dice, over, 3.0, 10.0)
    except (OSError, ValueError):
        return {}
    await city.restart_service(name)
    return {"service": name, "bytes": more, "seconds": seconds}


async def take_rights(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Take a department's rights on topics away for a while, and give the same ones back."""
    department = dice.choice(departments(city))
    operation = dice.choice(("read", "write"))
    try:
        taken = await asyncio.to_thread(_take, city, department, operation)
    except BusNotUsable:
        return {}
    try:
        seconds = await hold(dice, over, 2.0, 12.0)
    finally:
        await _give_back(city, taken)
    return {"department": department, "operation": operation, "rights": len(taken), "seconds": seconds}


def _take(city: City, department: str, operation: str) -> list[Access]:
    """Take one kind of right on topics away; gives what was there."""
    with open_admin(admin_connection(city.data)) as admin:
        theirs = [
            right
            for right in admin.fetch_access()
            if right.principal == f"User:{department}"
            and right.resource == "topic"
            and right.operation.lower() == operation
        ]
        admin.revoke(theirs)
    return theirs


async def _give_back(city: City, rights: Sequence[Access]) -> None:
    """Give rights back, however often the brokers must be asked."""

    def give() -> bool:
        try:
            with open_admin(admin_connection(city.data)) as admin:
                admin.grant(rights)
        except BusNotUsable:
            return False
        return True

    while True:
        if await asyncio.to_thread(give):
            return
        await asyncio.sleep(0.5)


FAULTS: Final[Sequence[Fault]] = (
    Fault("rebalance-storm", "strangers join a group and leave it again", storm),
    Fault("relay-cut", "the relay loses its lock while it sends, another one begins", cut_relay),
    Fault("service-out-of-memory", "a service gets no more memory", take_memory),
    Fault("rights-withdrawn", "a department's rights on topics are gone for a while", take_rights),
)
