"""A stage for all rooms: real databases, the real gate, and events carried by hand in the place of Kafka."""

import contextlib
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import orjson

from lienthong import NotYet
from lienthong.database import Connection, open_pool
from lienthong.errors import LienThongError
from lienthong.event import RawEvent
from lienthong.gate import Gate
from lienthong.logs import describe
from tests.contracts.grants.rooms import Room

_TAKE = "DELETE FROM lienthong.outbox RETURNING *"
_BOOKS = """
SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) AS columns
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
    -- Whole facts that a room keeps until their other half comes are kept, not used.
    AND (data_type <> 'jsonb' OR column_name = 'entry')
GROUP BY table_name ORDER BY table_name
"""
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)")

_EVENT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass
class Outcome:
    """What a played city came to, as people and other departments see it."""

    published: dict[str, list[Any]] = field(default_factory=dict)
    aside: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    books: dict[str, list[str]] = field(default_factory=dict)
    said: str = ""

    def lines(self, began: datetime) -> list[str]:
        """Write it down so that two runs can be compared: what happened now happened "now"."""
        told = [
            *(f"published {topic}: {fact}" for topic, facts in self.published.items() for fact in facts),
            *(f"set aside {line}" for line in self.aside),
            *(f"refused {line}" for line in self.problems),
            *(f"told {code}: {line}" for code, lines in self.answers.items() for line in lines),
            *(f"book {book}: {row}" for book, rows in self.books.items() for row in rows),
            *(f"said {line}" for line in self.said.splitlines()),
        ]
        until = datetime.now(UTC) + timedelta(seconds=1)
        return [
            _INSTANT.sub(lambda found: _now(found[0], began, until), _EVENT_ID.sub("id", line))
            for line in told
        ]


def _now(text: str, began: datetime, until: datetime) -> str:
    """Write the present as "now"; other instants as they are."""
    instant = datetime.fromisoformat(text)
    return "now" if began - timedelta(seconds=1) <= instant <= until else instant.astimezone(UTC).isoformat()


@dataclass
class Delivery:
    """One event on its way to one group."""

    room: Room
    group: str
    topic: str
    event: RawEvent


class Stage:
    """Rooms with a connection each; everything they do is undone in the end."""

    def __init__(self, rooms: Mapping[str, Room], gate: Gate, databases: Mapping[str, Connection]) -> None:
        self.outcome = Outcome()
        self.rooms = rooms
        self.databases = databases
        self._gate = gate
        self._waiting: deque[Delivery] = deque()
        self._parked: list[Delivery] = []
        self._spoke: set[str] = set()
        for room in rooms.values():
            numbers = count(1)
            room.department.random = lambda size, numbers=numbers: next(numbers).to_bytes(16, "big")[-size:]
            room.department.open(gate, partial(self._spoke.add, room.name), None)

    async def hand_in(self, department: str, kind: str, record: Mapping[str, Any]) -> None:
        """Hand a raw record in, and carry everything that comes of it to its end."""
        take, _ = self.rooms[department].department.intakes[kind]
        db = self.databases[department]
        try:
            async with db.transaction():
                await take(dict(record), db)
        except LienThongError as error:
            self.outcome.problems.append(f"{department} {kind}: {error.code}: {error}")
        except Exception as error:
            self.outcome.problems.append(f"{department} {kind}: handler-failed: {describe(error)['error']}")
        await self.carry()

    async def carry(self) -> None:
        """Carry events until nothing moves any more; what may heal with time is tried again after others."""
        while await self._collect() or self._waiting:
            while self._waiting:
                await self._deliver(self._waiting.popleft())
        if self._parked:
            again, self._parked = self._parked, []
            self._waiting.extend(again)
            while self._waiting:
                await self._deliver(self._waiting.popleft())
            if len(self._parked) < len(again):
                await self.carry()

    async def _collect(self) -> bool:
        """Take what the departments have published since, and line it up for whoever reads it."""
        found = False
        spoke = sorted(self._spoke)
        self._spoke.clear()
        for name in spoke:
            rows = await self.databases[name].fetch(_TAKE)
            for row in sorted(rows, key=lambda row: row["seq"]):
                found = True
                topic, event = row["aggregatetype"], _event(row)
                fact = None if event.value is None else orjson.loads(event.value)
                told = orjson.dumps(fact, option=orjson.OPT_SORT_KEYS).decode()
                self.outcome.published.setdefault(topic, []).append(f"{event.key} {told}")
                self._waiting.extend(
                    Delivery(room, group, topic, event)
                    for room in self.rooms.values()
                    for group, topics in room.readings.items()
                    if topic in topics
                )
        return found

    async def _deliver(self, due: Delivery) -> None:
        db = self.databases[due.room.name]
        try:
            data = self._gate.recheck(due.topic, due.event)
            async with db.transaction():
                await due.room.readings[due.group][due.topic].handle(due.event, data, db)
        except NotYet:
            self._parked.append(due)
        except LienThongError as error:
            self._set_aside(due, error.code)
        except Exception as error:
            self._set_aside(due, f"handler-failed {describe(error)['error']}")

    def _set_aside(self, due: Delivery, code: str) -> None:
        self.outcome.aside.append(f"{due.group} {due.topic} {due.event.key}: {code}")

    async def look(self, began: datetime) -> list[str]:
        """Write down what the city ends with."""
        for due in self._parked:
            self._set_aside(due, "not-yet")
        for name, db in self.databases.items():
            for table, columns in await db.fetch(_BOOKS):
                listed = ", ".join(f'"{column}"' for column in columns)
                rows = await db.fetch(f"SELECT to_jsonb(r) AS row FROM (SELECT {listed} FROM {table}) r")
                told = (orjson.dumps(row["row"], option=orjson.OPT_SORT_KEYS).decode() for row in rows)
                self.outcome.books[f"{name}.{table}"] = sorted(told)
        return self.outcome.lines(began)


def _event(row: Any) -> RawEvent:
    return RawEvent(
        id=str(row["id"]),
        source=row["source"],
        type=row["type"],
        subject=row["subject"],
        time=row["time"],
        recorded_at=row["recorded"],
        dataschema=row["dataschema"],
        key=row["aggregateid"],
        classification=row["dataclassification"],
        correlation_id=row["correlationid"],
        causation_id=row["causationid"],
        traceparent=row["traceparent"],
        value=row["payload"],
    )


@contextlib.asynccontextmanager
async def open_stage(rooms: Mapping[str, Room], gate: Gate, urls: Mapping[str, str]) -> AsyncIterator[Stage]:
    """Give every room a transaction that is undone."""
    async with contextlib.AsyncExitStack() as stack:
        databases = {}
        for name in sorted(rooms):
            pool = await stack.enter_async_context(await open_pool(urls[name], 1, "grants"))
            databases[name] = db = await stack.enter_async_context(pool.acquire())
            undone = db.transaction()
            await undone.start()
            stack.push_async_callback(undone.rollback)
            await _restart_sequences(db)
        yield Stage({name: rooms[name] for name in sorted(rooms)}, gate, databases)


async def _restart_sequences(db: Connection) -> None:
    """Let numbers begin at one in every run."""
    names = await db.fetch("SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'")
    for row in names:
        await db.execute(f"ALTER SEQUENCE {row['sequencename']} RESTART")
