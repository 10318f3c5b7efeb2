"""Hand facts in, as a city's own programs do: raw records, and rows of the outbox, at a rate, from a seed."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Self
from uuid import UUID

import asyncpg
import orjson

from lienthong.chaos.departments import facts_of
from lienthong.chaos.history import HandedIn

DOES: Final = {
    "passes": 100,
    "is-slow": 2,
    "heals": 3,
    "is-poison": 2,
    "breaks": 1,
    "spoils": 1,
    "is-refused": 2,
}
"""What facts do where they are handled, and how often, in parts."""

OWN_KEYS, OTHER_KEYS = 30, 6
TICK_SECONDS: Final = 0.25
HEALS_MS: Final = (300, 3_000)
LATE_SECONDS: Final = (0.1, 0.8)
AWAY: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection cut in the middle of a command
    OSError,
    TimeoutError,
)
"""The database is being restarted, or does not answer: whether it has committed is not known."""

_HAND_IN: Final = "INSERT INTO lienthong.intake (kind, raw) SELECT 'fact', unnest($1::bytea[])"
_PUT: Final = """
INSERT INTO lienthong.outbox (id, aggregatetype, aggregateid, type, payload) VALUES ($1, $2, $3, $4, $5)
"""


class Workload:
    """What is handed in at one department; whatever is acknowledged is noted."""

    def __init__(self, department: str, seed: int, note: Callable[[HandedIn], None]) -> None:
        self.department = department
        self._dice = random.Random(f"{seed}/{department}")  # noqa: S311 - to be repeatable is the point
        self._note = note
        self._made = 0
        self._numbers: Counter[str] = Counter()

    async def hand_in_records(self, url: str, rate: float, over: asyncio.Event) -> None:
        """Put raw records into the intake, so many a second."""
        most = max(1, round(rate * TICK_SECONDS))
        async with _Database(url) as database:
            while not await _is_set(over, TICK_SECONDS):
                drawn = [self._draw(f"own-{self._dice.randrange(OWN_KEYS):02}") for _ in range(most)]
                with _bearing_with(database):
                    db = await database.get()
                    await db.execute(_HAND_IN, [orjson.dumps(told) for told in drawn], timeout=10)
                    for told in drawn:
                        self._note(HandedIn(told["label"], self.department, "intake"))

    async def write_outbox(self, url: str, every_seconds: float, over: asyncio.Event) -> None:
        """Write rows of the outbox as another program does; some commit late, some not at all."""
        async with _Database(url) as early, _Database(url) as late, _Database(url) as idle:
            while not await _is_set(over, every_seconds):
                with _bearing_with(early, late, idle):
                    how = self._dice.choices(("at once", "late", "undone"), (6, 3, 1))[0]
                    key = f"other-{self._dice.randrange(OTHER_KEYS):02}"
                    if how == "at once":
                        await self._put(await early.get(), key)
                    else:
                        slow, open_still, quick = await late.get(), await idle.get(), await early.get()
                        await self._put_late(slow, open_still, quick, key, undone=how == "undone")

    async def _put(self, db: Any, key: str) -> None:
        label = await self._insert(db, key)
        self._note(HandedIn(label, self.department, "outbox"))

    async def _put_late(self, late: Any, idle: Any, early: Any, key: str, *, undone: bool) -> None:
        """Let a transaction that began first end last, and write again when it has seen a later one's row.

        What it wrote must not be overtaken unseen, nor overtake what it saw: not even while another that
        began between the two is open still.
        """
        transaction, between = late.transaction(), idle.transaction()
        await transaction.start()
        try:
            labels = [await self._insert(late, key)]
            await between.start()
            await idle.execute("SELECT pg_current_xact_id()")
            await self._put(early, key)
            labels.append(await self._insert(late, key))
            await asyncio.sleep(self._dice.uniform(*LATE_SECONDS))
        except BaseException:
            with contextlib.suppress(*AWAY):
                await transaction.rollback()
            raise
        if undone:
            await transaction.rollback()
        else:
            await transaction.commit()
            for label in labels:
                self._note(HandedIn(label, self.department, "outbox"))
        await asyncio.sleep(self._dice.uniform(*LATE_SECONDS))
        await between.rollback()

    async def _insert(self, db: Any, key: str) -> str:
        """Write one row; a number that is not used leaves a gap, never a second one."""
        told = self._draw(key, refusable=False)
        self._numbers[key] += 1
        told["ordinal"] = self._numbers[key]
        topic = facts_of(self.department)
        kind = f"vn.gov.hanoi.{topic.rpartition('.')[0]}"
        event = UUID(bytes=self._dice.randbytes(16), version=4)
        await db.execute(_PUT, event, topic, key, kind, orjson.dumps(told), timeout=10)
        return str(told["label"])

    def _draw(self, key: str, *, refusable: bool = True) -> dict[str, Any]:
        self._made += 1
        kinds = [does for does in DOES if refusable or does != "is-refused"]
        does = self._dice.choices(kinds, [DOES[kind] for kind in kinds])[0]
        told: dict[str, Any] = {
            "subject_code": key,
            "label": f"{self.department}-{self._made}",
            "does": does,
        }
        if does == "heals":
            told["heals_after_ms"] = self._dice.randint(*HEALS_MS)
        return told


class _Database:
    """A connection that is opened anew when it was lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._db: Any = None

    async def get(self) -> Any:
        if self._db is None or self._db.is_closed():
            self._db = await asyncpg.connect(self._url, timeout=5)
        return self._db

    def drop(self) -> None:
        if self._db is not None:
            self._db.terminate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.drop()


@contextlib.contextmanager
def _bearing_with(*databases: _Database) -> Iterator[None]:
    """Let a database be away; what is left of its connections is not used again."""
    try:
        yield
    except AWAY:
        for database in databases:
            database.drop()


async def hand_in(
    workloads: Sequence[Workload], url: Callable[[str], str], rate: float, over: asyncio.Event
) -> None:
    """Hand in at all departments, `rate` facts a second in all, until it is over."""
    each = rate / len(workloads)
    async with asyncio.TaskGroup() as work:
        for workload in workloads:
            address = url(workload.department)
            work.create_task(workload.hand_in_records(address, 0.9 * each, over))
            # A late fact comes with a second one, and is waited for.
            work.create_task(workload.write_outbox(address, 10 / each, over))


async def _is_set(over: asyncio.Event, within: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), within)
    return over.is_set()
