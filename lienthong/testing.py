"""For the tests of departments and of the library: wait for a condition, start a service in this process."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson

from lienthong import names
from lienthong.contracts import Contract, load_contracts
from lienthong.department import Department
from lienthong.event import RawEvent, uuid7
from lienthong.gate import Gate
from lienthong.service import Service, grant_readings
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


class Notebook:
    """A connection that remembers what it is told to write, and holds nothing."""

    def __init__(self) -> None:
        self.written: list[tuple[str, tuple[Any, ...]]] = []

    async def execute(self, sql: str, *values: Any) -> None:
        self.written.append((sql, values))

    async def fetch(self, *_: Any) -> list[Any]:
        return []

    async def fetchrow(self, *_: Any) -> None:
        return None

    async def fetchval(self, *_: Any) -> None:
        return None

    def facts(self) -> list[str]:
        """List the topics of the events that were put into the outbox, in order."""
        return [str(values[1]) for sql, values in self.written if "lienthong.outbox " in sql]


def opened(department: Department, root: Path) -> Department:
    """Let a department publish in a test: with the real gate, and nobody behind it."""
    department.open(Gate.load(root / "schemas"), lambda: None, None)
    return department


async def deliver(
    department: Department, root: Path, group: str, contract: Contract, data: dict[str, Any], db: Any
) -> None:
    """Hand an event to a department's handler as its grant narrows it."""
    topic = contract.topic
    at = datetime.now(UTC)
    event = RawEvent(
        id=uuid7(at, os.urandom),
        source=names.source(topic.department),
        type=topic.type,
        subject=None,
        time=at,
        recorded_at=at,
        dataschema="",
        key="|".join(str(data[name]) for name in contract.key),
        classification=contract.classification,
        correlation_id="",
        causation_id=None,
        traceparent=None,
        value=orjson.dumps(data),
    )
    readings = grant_readings(department, load_contracts(root))
    await readings[group][str(topic)].handle(event, data, db)
