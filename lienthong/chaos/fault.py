"""What a fault is, and what of a city it may touch."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from lienthong.chaos.proxy import Proxy


class City(Protocol):
    """A running city as a fault sees it."""

    @property
    def data(self) -> Path:
        """The data folder of its bus."""

    @property
    def brokers(self) -> Sequence[str]:
        """Name its brokers: `kafka-1` and so on."""

    @property
    def services(self) -> Sequence[str]:
        """Name its service processes: `north-1` and so on."""

    def pids(self) -> Mapping[str, int]:
        """Give the process ids of brokers, services and `postgres`: of those that run now."""

    def database_url(self, department: str) -> str:
        """Give the address of a department's database with its password; for `postgres`, the super user's."""

    def proxy(self, broker: str) -> "Proxy | None":
        """Give what stands between a broker and its clients; None where nothing does."""

    async def restart_service(self, name: str) -> None:
        """Stop a service in order and wait until another process runs in its place."""


Strike = Callable[[City, random.Random, asyncio.Event], Awaitable[dict[str, Any]]]
"""Inject, hold, and heal whatever happens. The event is set when the time is over. Gives what was done, for
the history; {} where it could not."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong in a city."""

    name: str
    about: str
    strike: Strike
