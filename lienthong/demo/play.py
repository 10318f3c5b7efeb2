"""Play a city from nothing to a balanced ledger: bus, contracts, services, input, account."""

import asyncio
import contextlib
import os
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson
import psutil
from aiokafka import AIOKafkaConsumer

from lienthong import intake, names
from lienthong.cluster.apply import apply_contracts, tell_changes
from lienthong.cluster.connection import admin_connection
from lienthong.contracts import Contracts, load_contracts
from lienthong.database import GONE, Connection
from lienthong.declare_once import Sums, load_forms, sums
from lienthong.demo import Scale, witness
from lienthong.demo.rooms import TURNS, Rooms, draw_input, find_rooms, in_turns
from lienthong.embedded import folder
from lienthong.embedded.bus import Bus
from lienthong.embedded.jars import Progress
from lienthong.embedded.ports import HOST
from lienthong.ending import stop_consumer
from lienthong.errors import BusNotUsable, LienThongError
from lienthong.ledger import Ledger, draw_up
from lienthong.ledger.topics import Show
from lienthong.settings import load_bus

MARK: Final = "demo"
"""A file of this name says that a data folder holds a demo's data and nothing else."""

LOOK_SECONDS, LOOKS_LEAVE = (0.5, 10.0), 5
"""Between two looks, at least and at most; a long look is followed by a rest so many times as long."""
STALL_SECONDS: Final = 60.0
"""Nothing moves for so long: the account is drawn up as it stands."""


AWAY: Final = (*GONE, asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, OSError, TimeoutError)
"""A database is being restarted, or its service has not made its tables yet: look again."""


@dataclass(slots=True)
class Story:
    """How the demo goes: for the live table, and for the report."""

    began: float = field(default_factory=time.monotonic)
    fed: dict[str, dict[str, int]] = field(default_factory=dict)
    first_event_seconds: float | None = None
    settled_seconds: float | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    peak_mb: dict[str, float] = field(default_factory=dict)
    """Greatest resident memory seen of each process, megabytes; of PostgreSQL with its sessions."""
    disk_mb: float = 0.0
    """What the whole city takes on the disk at its account, megabytes."""
    refused: dict[str, int] = field(default_factory=dict)
    """Refused facts by the topic they were meant for."""

    def seconds(self) -> float:
        return round(time.monotonic() - self.began, 1)


def take_folder(data: Path) -> None:
    """Take a data folder for a demo: a new one, or an earlier demo's, whose synthetic data is thrown away.

    Raises:
        BusNotUsable: the folder holds somebody's bus, or a demo that is running.
    """
    if data.exists() and any(data.iterdir()):
        if not (data / MARK).exists():
            raise BusNotUsable(
                reason=f"{data} holds a bus that no demo made; a demo would mix synthetic data into it.",
                remedy="Name another folder: make demo ARGS='--data DIR'.",
            )
        lock = folder.take(data)
        try:
            folder.end_strays(data)
            for found in data.iterdir():
                if found.is_dir():
                    shutil.rmtree(found)
                elif found.name != folder.LOCK:
                    found.unlink()
        finally:
            lock.close()
    data.mkdir(parents=True, exist_ok=True)
    (data / MARK).write_text("This folder is a demo's: its next run throws everything here away.\n")


class Play:
    """One demo."""

    def __init__(self, root: Path, data: Path, scale: Scale) -> None:
        self.root = root
        self.data = data
        self.scale = scale
        self.story = Story()
        self.contracts: Contracts = load_contracts(root)
        self._played: list[str] = []
        """The rooms that were there when it began: a city may be joined while it is played."""
        self._witnessed: set[str] = set()
        self._databases: dict[tuple[str, str], Connection] = {}

    @asynccontextmanager
    async def running(self, progress: Progress) -> AsyncIterator[None]:
        """Start bus and services, hand the city over, and end everything in order."""
        take_folder(self.data)
        with _importable(self.root):
            self._bus = bus = Bus(self.data)
            await asyncio.to_thread(bus.start, progress)
            try:
                progress.step("Contracts are applied: topics, users, access, databases …")
                today = datetime.now(timezone(timedelta(hours=7))).date()
                await asyncio.to_thread(apply_contracts, self.contracts, self.data, today)
                found = find_rooms(self.root)
                self._played = [room.name for room in found]
                self._rooms = rooms = Rooms(
                    found, self.root, self.data, _free_ports([room.name for room in found])
                )
                progress.step(f"Services start: {', '.join(room.name for room in found)} …")
                await asyncio.to_thread(rooms.start)
                try:
                    self._input = draw_input(found, self.scale)
                    yield
                finally:
                    for db in self._databases.values():
                        db.terminate()
                    await asyncio.to_thread(rooms.stop)
            finally:
                await asyncio.to_thread(bus.stop)

    async def feed(self) -> None:
        """Hand each room's raw records in, side by side, over the pace."""
        for name in self._played:
            await self._hand_in(name, [])  # the witness is there before the first fact of anybody
        began = time.monotonic()
        for number, turn in enumerate(in_turns(self._input), 1):
            for name, records in turn:
                if records:
                    await self._hand_in(name, records)
                counts = self.story.fed.setdefault(name, {})
                for kind, _ in records:
                    counts[kind] = counts.get(kind, 0) + 1
            await asyncio.sleep(max(0.0, began + self.scale.seconds * number / TURNS - time.monotonic()))
        # What was changed before the first fact, told behind the last; if not now, the next `apply` tells it.
        with contextlib.suppress(LienThongError):
            await asyncio.to_thread(tell_changes, self.contracts, self.data)

    async def _hand_in(self, name: str, records: list[tuple[str, bytes]]) -> None:
        """Put raw records into a department's intake, whenever its service has made the table."""
        while True:
            try:
                db = await self._database(name, "feed")
                if name not in self._witnessed:
                    await witness.install(db)
                    self._witnessed.add(name)
                await intake.put(db, records)
            except AWAY:
                await asyncio.sleep(0.1)
            else:
                return

    async def watch(self, on_look: Callable[[Story], None]) -> None:
        """Look until all that was handed in has been dealt with, or nothing moves any more."""
        seen: Any = None
        moved = time.monotonic()
        fed = asyncio.create_task(self.feed())
        listening = asyncio.create_task(self._hear_refusals())
        try:
            while True:
                began = time.monotonic()
                try:
                    state = await self._look()
                except AWAY:
                    state = None  # a database is being restarted, or not there yet
                self._weigh()
                on_look(self.story)
                if fed.done():
                    fed.result()
                if state is not None and state != seen:
                    seen, moved = state, time.monotonic()
                if state is not None and fed.done() and self._is_settled(state):
                    self.story.settled_seconds = self.story.seconds()
                    return
                if time.monotonic() - moved > STALL_SECONDS:
                    return
                least, most = LOOK_SECONDS
                rest = least if state is None else LOOKS_LEAVE * (time.monotonic() - began)
                await asyncio.sleep(min(max(least, rest), most))
        finally:
            fed.cancel()
            listening.cancel()

    async def _hear_refusals(self) -> None:
        """Count the refusals as the departments tell them, for the live table."""
        topics = [names.refusals_topic(name) for name in self._played]
        consumer = AIOKafkaConsumer(
            *topics, **admin_connection(self.data).for_aiokafka(), auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            async for record in consumer:
                notice = orjson.loads(record.value)
                if "found_by" in notice:
                    continue  # a reader's word on what was published
                topic = notice["refused_topic"]
                self.story.refused[topic] = self.story.refused.get(topic, 0) + 1
        finally:
            await stop_consumer(consumer)

    def _weigh(self) -> None:
        """Note the memory of every process, where it is more than before."""
        for name, pid in {**self._bus.children, **self._rooms.pids, "demo": os.getpid()}.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                used = process.memory_info().rss
                if name == "postgres":
                    used += sum(_own_memory(session) for session in process.children())
                self.story.peak_mb[name] = max(round(used / 1e6, 1), self.story.peak_mb.get(name, 0.0))

    def _measure_disk(self) -> float:
        """Measure what the whole city takes on the disk, megabytes; files may go meanwhile."""
        used = 0
        for file in self.data.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                used += file.lstat().st_blocks * 512
        return round(used / 1e6, 1)

    def _is_settled(self, state: tuple[Any, ...]) -> bool:
        waiting, rows = state
        return waiting == 0 and all(row[2] == 0 for row in rows)

    async def _look(self) -> tuple[Any, ...]:
        """Count, from the departments' own books: what came in, what was made of it, what waits."""
        waiting = 0
        published: dict[str, int] = {}
        first: datetime | None = None
        dealt: dict[tuple[str, str], Any] = {}
        for name in self._played:
            db = await self._database(name)
            waiting += await db.fetchval(
                "SELECT (SELECT count(*) FROM lienthong.intake) + (SELECT count(*) FROM lienthong.outbox)"
                " + (SELECT count(*) FROM lienthong.dead_letter)"
            )
            for row in await db.fetch(
                "SELECT topic, count(*), min(acknowledged_at) AS first FROM lienthong.published GROUP BY 1"
            ):
                published[row["topic"]] = row["count"]
                first = min(first or row["first"], row["first"])
            for row in await db.fetch(
                "SELECT topic, consumer_group, count(*) FILTER (WHERE outcome = 'handled') AS handled,"
                " count(*) FILTER (WHERE outcome <> 'handled') AS set_aside,"
                " percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY"
                " extract(epoch FROM handled_at - recorded)) AS latency FROM lienthong.inbox GROUP BY 1, 2"
            ):
                dealt[row["topic"], row["consumer_group"]] = row
        if first is not None and self.story.first_event_seconds is None:
            ago = (datetime.now(UTC) - first).total_seconds()
            self.story.first_event_seconds = round(self.story.seconds() - ago, 1)
        self.story.rows = [*self._rows(published, dealt)]
        return waiting, tuple((row["topic"], row["group"], row["lag"], row["in"]) for row in self.story.rows)

    def _rows(self, published: dict[str, int], dealt: dict[tuple[str, str], Any]) -> Iterator[dict[str, Any]]:
        for topic, contract in sorted(self.contracts.contracts.items()):
            for grant in contract.grants:
                if grant.department not in self._played:
                    continue  # granted, and its service is yet to come
                row = dealt.get((topic, grant.group))
                handled, aside = (row["handled"], row["set_aside"]) if row else (0, 0)
                latency = row["latency"] if row and row["latency"] else [None, None]
                yield {
                    "topic": topic,
                    "title": contract.title,
                    "group": grant.group,
                    "in": published.get(topic, 0),
                    "handled": handled,
                    "set_aside": aside,
                    "lag": max(0, published.get(topic, 0) - handled - aside),
                    "p50": latency[0],
                    "p99": latency[1],
                }

    async def account(self, show: Show) -> Ledger:
        """Balance the ledger by the contracts of now, and measure what the city takes on the disk."""
        self.contracts = await asyncio.to_thread(load_contracts, self.root)
        self.story.disk_mb = await asyncio.to_thread(self._measure_disk)
        return await draw_up(self.contracts, self.data, show)

    async def declared_once(self) -> list[Sums]:
        """Sum what citizens were asked, and were not, over the dossiers on the bus."""
        return await sums(load_forms(self.contracts), admin_connection(self.data).for_aiokafka())

    async def _database(self, name: str, purpose: str = "look") -> Connection:
        """Open a department's database as the super user, who looks and hands in, no more."""
        db = self._databases.get((name, purpose))
        if db is None or db.is_closed():
            where = load_bus(self.data)["postgres"]
            secret = (self.data / "secrets" / "postgres.password").read_text(encoding="utf-8").strip()
            db = self._databases[name, purpose] = await asyncpg.connect(
                host=where["host"],
                port=where["port"],
                user=where["superuser"],
                password=secret,
                database=name,
                timeout=5,
            )
        return db


def _own_memory(process: psutil.Process) -> int:
    """Tell what a process holds for itself alone, bytes; 0 where it has ended."""
    try:
        memory = process.memory_info()
    except psutil.NoSuchProcess:
        return 0
    return int(memory.rss - getattr(memory, "shared", 0))


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    """Make `services.<department>` importable while the demo runs."""
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))


def _free_ports(names: list[str]) -> dict[str, int]:
    sockets = [socket.create_server((HOST, 0)) for _ in names]
    ports = {name: found.getsockname()[1] for name, found in zip(names, sockets, strict=True)}
    for found in sockets:
        found.close()
    return ports
