"""For the tests of departments and of the library: wait for a condition, start a service in this process."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from lienthong.department import Department
from lienthong.service import Service
from lienthong.settings import embedded_environment, load_settings

T = TypeVar("T")


async def until(condition: Callable[[], Awaitable[T] | T], *, within: float = 30.0) -> T:
    """Wait until a condition, asked again and again, gives something true, and give that.

    Raises:
        AssertionError: it did not within so many seconds.
    """
    deadline = time.monotonic() + within
    while True:
        found: Any = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found  # type: ignore[no-any-return]
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s; the last look found {found!r}")
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(
    department: Department, *, data: Path, root: Path, tables: str = "", **settings: Any
) -> AsyncIterator[Service]:
    """Run a department's service in this process, against the embedded bus of a data folder."""
    environment = {
        name.removeprefix("LIENTHONG_").lower(): value
        for name, value in embedded_environment(data, department.name).items()
    }
    service = Service(department, tables, root=root)
    service.prepare(load_settings(department.name, **{**environment, "log_level": "debug", **settings}))
    async with asyncio.timeout(60):
        await service.start()
    try:
        yield service
    finally:
        await service.stop()
