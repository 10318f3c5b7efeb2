"""Processes that die, stop answering, or are told to stop."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Sequence
from typing import Any, Final

from lienthong.chaos.fault import City, Fault

FROZEN_SECONDS: Final = (1.0, 12.0)
"""Shorter and longer than the sessions of readers and brokers: what thaws may find its place taken."""


async def kill_service(city: City, dice: random.Random, _: asyncio.Event) -> dict[str, Any]:
    """Kill a service process without warning."""
    return _kill(city, dice.choice(city.services))


async def kill_broker(city: City, dice: random.Random, _: asyncio.Event) -> dict[str, Any]:
    """Kill a broker; each leads some partitions, and one of them is the controller."""
    return _kill(city, dice.choice(city.brokers))


async def kill_postgres(city: City, _: random.Random, __: asyncio.Event) -> dict[str, Any]:
    """Kill the database server; its sessions end with it."""
    return _kill(city, "postgres")


async def freeze_service(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Stop a service process in its tracks, and let it go on as if nothing had happened."""
    return await _freeze(city, [dice.choice(city.services)], dice, over)


async def freeze_broker(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Stop a broker in its tracks; thawed, it may believe that it leads still."""
    return await _freeze(city, [dice.choice(city.brokers)], dice, over)


async def stop_in_order(city: City, dice: random.Random, _: asyncio.Event) -> dict[str, Any]:
    """Tell a service to stop while it works; another process takes its place."""
    name = dice.choice(city.services)
    if (pid := city.pids().get(name)) is None:
        return {}
    began = time.monotonic()
    replaced = asyncio.create_task(city.restart_service(name))
    stopped = None
    while not replaced.done():
        if stopped is None and city.pids().get(name) != pid:
            stopped = time.monotonic()
        await asyncio.wait({replaced}, timeout=0.05)
    await replaced
    return {"who": name, "seconds": round((stopped or time.monotonic()) - began, 1)}


def _kill(city: City, name: str) -> dict[str, Any]:
    pid = city.pids().get(name)
    return {"who": name, "pid": pid} if pid is not None and _signal(pid, signal.SIGKILL) else {}


async def _freeze(
    city: City, names: Sequence[str], dice: random.Random, over: asyncio.Event
) -> dict[str, Any]:
    seconds = dice.uniform(*FROZEN_SECONDS)
    pids = [pid for name in names if (pid := city.pids().get(name)) is not None]
    frozen = [pid for pid in pids if _signal(pid, signal.SIGSTOP)]
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), seconds)
    finally:
        for pid in frozen:
            _signal(pid, signal.SIGCONT)
    return {"who": " ".join(names), "seconds": round(seconds, 1)} if frozen else {}


def _signal(pid: int, sent: signal.Signals) -> bool:
    try:
        os.kill(pid, sent)
    except ProcessLookupError:
        return False
    return True


FAULTS: Final = (
    Fault("service-killed", "SIGKILL of one service process", kill_service),
    Fault("service-frozen", "SIGSTOP of one service process for 1 to 12 s", freeze_service),
    Fault("services-stopped-in-order", "SIGTERM of one service process under load", stop_in_order),
    Fault("broker-killed", "SIGKILL of one broker", kill_broker),
    Fault("broker-frozen", "SIGSTOP of one broker for 1 to 12 s", freeze_broker),
    Fault("postgres-killed", "SIGKILL of the database server", kill_postgres),
)
