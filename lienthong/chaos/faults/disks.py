"""What goes wrong with a broker's disk: it takes nothing more.

A small disk of its own needs the right to mount one; the tests do that where they may. Here the process is
forbidden to let any file grow, which to the broker is the same: a write fails, it gives its records folder up
and ends, and what its supervisor starts in its place is under no such limit.
"""

import asyncio
import random
import resource
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from lienthong.chaos.fault import City, Fault
from lienthong.chaos.faults.network import hold

UNLIMITED: Final = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


async def fill_disk(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Let a broker's files grow no further for a while."""
    name = dice.choice(list(city.brokers))
    pid = city.pids().get(name)
    if pid is None or not hasattr(resource, "prlimit"):
        return {}
    limit = dice.choice((1, 4_096, 65_536))
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        seconds = await hold(dice, over, 3.0, 15.0)
    except (ProcessLookupError, PermissionError):
        return {}
    finally:
        with suppress(ProcessLookupError, PermissionError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, UNLIMITED)
    return {"broker": name, "bytes": limit, "seconds": seconds}


FAULTS: Final[Sequence[Fault]] = (Fault("broker-disk-full", "a broker can write nothing more", fill_disk),)
