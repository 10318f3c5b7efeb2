"""A reading department in a process of its own: `… -m tests.benchmarks.reader DATA ROOT DEPARTMENT TOPIC`."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

from lienthong import Connection, Department, Event
from lienthong.testing import running
from tests.benchmarks.reading import COUNT, OURS, TABLES


async def main(data: str, root: str, department: str, topic: str) -> None:
    reader = Department(department)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)

    @reader.reads(topic, purpose="counting")
    async def count(event: Event[dict[str, Any]], db: Connection) -> None:
        await db.execute(COUNT, OURS, event.data["thing_id"], event.data["amount"])

    async with running(reader, data=Path(data), root=Path(root), tables=TABLES, log_level="debug"):
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
