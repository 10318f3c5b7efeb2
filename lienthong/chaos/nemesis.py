"""Throw the dice over faults: which, whom, when, how long; all of it from a seed."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from lienthong.chaos.fault import City, Fault
from lienthong.chaos.history import Struck

PAUSE_SECONDS: Final = (1.0, 6.0)
BESIDE: Final = 0.3
"""How often the next fault does not wait until the last one is healed."""
HEALED_SECONDS: Final = 90.0
"""A fault that is not healed by then, after the time is over, is a defect of the fault."""


class Nemesis:
    """Injects faults until the time is over, and says what it did."""

    def __init__(
        self,
        city: City,
        faults: Sequence[Fault],
        seed: int,
        note: Callable[[Struck], None],
        pause_seconds: tuple[float, float] = PAUSE_SECONDS,
        beside: float = BESIDE,
    ) -> None:
        self._city = city
        self._faults = faults
        self._seed = seed
        self._note = note
        self._pause = pause_seconds
        self._beside = beside
        self._began = time.monotonic()

    async def haunt(self, over: asyncio.Event) -> None:
        """Strike again and again; returns when everything is healed."""
        dice = random.Random(f"{self._seed}/nemesis")  # noqa: S311 - to be repeatable is the point
        under_way: set[asyncio.Task[None]] = set()
        number = 0
        while self._faults and not await _is_over(over, dice.uniform(*self._pause)):
            number += 1
            fault, beside = dice.choice(self._faults), dice.random() < self._beside
            strike = asyncio.create_task(self._strike(fault, number, over))
            under_way = {task for task in under_way if not task.done()} | {strike}
            if not beside:
                await asyncio.wait({strike})
        if under_way:
            _, stuck = await asyncio.wait(under_way, timeout=HEALED_SECONDS)
            for task in stuck:
                task.cancel()
            await asyncio.gather(*under_way)

    async def _strike(self, fault: Fault, number: int, over: asyncio.Event) -> None:
        began = time.monotonic() - self._began
        dice = random.Random(f"{self._seed}/{number}/{fault.name}")  # noqa: S311
        try:
            done = await fault.strike(self._city, dice, over)
        except asyncio.CancelledError:
            done = {"error": "it was not healed in time"}
        except Exception as error:  # a fault that could not be injected says nothing about the city
            done = {"error": f"{type(error).__name__}: {error}"}
        ended = time.monotonic() - self._began
        self._note(Struck(fault.name, round(began, 2), round(ended, 2), done))


async def _is_over(over: asyncio.Event, within: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), within)
    return over.is_set()
