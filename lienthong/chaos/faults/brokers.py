"""What goes wrong with several brokers: most of them away, all restarted in turn, all killed at once."""

import asyncio
import os
import random
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from lienthong.chaos.fault import City, Fault
from lienthong.chaos.faults.network import hold

BACK_SECONDS: Final = 60.0
"""A broker that was ended is started again by its supervisor, within so long."""


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


async def _until_back(city: City, before: dict[str, int]) -> bool:
    """Wait until other processes run in the place of these."""
    deadline = asyncio.get_running_loop().time() + BACK_SECONDS
    while any(city.pids().get(name, pid) == pid for name, pid in before.items()):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True


def _running(city: City, names: Sequence[str]) -> dict[str, int]:
    pids = city.pids()
    return {name: pids[name] for name in names if name in pids}


async def freeze_most(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Freeze all brokers but one: what is written cannot be in two places, so nothing may be acknowledged."""
    if len(city.brokers) < 3:
        return {}
    frozen = _running(city, dice.sample(list(city.brokers), len(city.brokers) - 1))
    try:
        for pid in frozen.values():
            _signal(pid, signal.SIGSTOP)
        seconds = await hold(dice, over, 2.0, 20.0)
    finally:
        for pid in frozen.values():
            _signal(pid, signal.SIGCONT)
    return {"brokers": sorted(frozen), "seconds": seconds}


async def pause_shortly(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Freeze one broker for less than the others wait before they choose another leader."""
    frozen = _running(city, [dice.choice(list(city.brokers))])
    try:
        for pid in frozen.values():
            _signal(pid, signal.SIGSTOP)
        seconds = await hold(dice, over, 0.5, 3.0)
    finally:
        for pid in frozen.values():
            _signal(pid, signal.SIGCONT)
    return {"brokers": sorted(frozen), "seconds": seconds}


async def restart_in_turn(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Stop one broker after the other in order, as an upgrade does."""
    done: list[str] = []
    for name in dice.sample(list(city.brokers), len(city.brokers)):
        if over.is_set() and done:
            break
        ended = _running(city, [name])
        for pid in ended.values():
            _signal(pid, signal.SIGTERM)
        if ended and await _until_back(city, ended):
            done.append(name)
        await hold(dice, over, 3.0, 6.0)
    return {"brokers": done} if done else {}


async def kill_all(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Kill all brokers within a moment, as a power cut does but for what the system had not written yet."""
    killed = _running(city, list(city.brokers))
    for pid in killed.values():
        _signal(pid, signal.SIGKILL)
        await hold(dice, over, 0.0, 0.3)
    return {"brokers": sorted(killed), "back": await _until_back(city, killed)}


FAULTS: Final[Sequence[Fault]] = (
    Fault("most-brokers-frozen", "all brokers but one are frozen", freeze_most),
    Fault("broker-paused", "a broker is frozen for at most 3 s", pause_shortly),
    Fault("brokers-restarted-in-turn", "each broker is stopped in order and started again", restart_in_turn),
    Fault("all-brokers-killed", "all brokers are killed at once", kill_all),
)
