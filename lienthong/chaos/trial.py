"""One run of the checker: start a city, load it, break it, let it settle, write its history, judge it."""

import asyncio
import contextlib
import hashlib
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from lienthong.chaos import departments, history, observer, verdict
from lienthong.chaos.city import RunningCity
from lienthong.chaos.faults import FAULTS, network
from lienthong.chaos.history import Entry, Left, Struck
from lienthong.chaos.nemesis import BESIDE, PAUSE_SECONDS, Nemesis
from lienthong.chaos.verdict import Verdict
from lienthong.chaos.workload import AWAY, Workload, hand_in
from lienthong.embedded.jars import Progress
from lienthong.errors import BusNotUsable

HISTORY, PLAN, VERDICT = "history.jsonl", "run.json", "verdict.json"
SETTLE_SECONDS: Final = 120.0
"""Nothing moves for so long: it never will."""
TELL_SECONDS: Final = 10.0
READY_SECONDS: Final = 120.0
READ_TIMES: Final = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is: with the same plan its dice fall alike."""

    seed: int
    minutes: float
    faults: tuple[str, ...]
    departments: int = 4
    processes: int = 2
    brokers: int = 3
    rate: float = 100.0
    """Facts handed in, a second."""
    planted: str = ""
    pause_seconds: tuple[float, float] = PAUSE_SECONDS
    beside: float = BESIDE
    settle_seconds: float = SETTLE_SECONDS

    @property
    def names(self) -> Sequence[str]:
        return departments.NAMES[: self.departments]


class Trial:
    """One run, in a folder of its own."""

    def __init__(self, plan: Plan, folder: Path, progress: Progress) -> None:
        self.plan = plan
        self._folder = folder
        self._progress = progress
        self._entries: list[Entry] = []
        self._city = RunningCity(folder, plan.names, plan.processes, plan.brokers)
        self._began = time.monotonic()

    async def run(self, *, keep: bool = False) -> Verdict:
        """Run it, and leave plan, history and verdict in the folder; the city's own data goes if it is sound.

        Raises:
            BusNotUsable: the folder holds something already, or the city does not start.
        """
        if self._folder.exists() and any(self._folder.iterdir()):
            raise BusNotUsable(
                reason=f"{self._folder} is not empty.", remedy="Name another folder: --data DIR."
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o711)  # the database server may run as another user
        told = asdict(self.plan) | {
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "library": version("lienthong"),
            "python": platform.python_version(),
        }
        _write(self._folder / PLAN, told)
        fronted = any(fault.name in self.plan.faults for fault in network.FAULTS)
        async with self._city.running(self.plan.planted, self._progress, fronted=fronted):
            await self._prepare()
            await self._break()
            await self._settle_and_read()
        history.save(self._folder / HISTORY, self._entries)
        found = verdict.judge(history.History.of(self._entries), self.plan.names)
        _write(self._folder / VERDICT, found.as_json())
        if found.is_sound and not keep:
            for name in ("bus", "city", "logs"):
                shutil.rmtree(self._folder / name)
        return found

    def _say(self, sentence: str) -> None:
        self._progress.step(f"{time.monotonic() - self._began:6.1f} s  {sentence}")

    async def _prepare(self) -> None:
        """Put the witness into every database as soon as its department has made its tables."""
        deadline = time.monotonic() + READY_SECONDS
        for name in self.plan.names:
            while True:
                try:
                    await observer.install(self._city.database_url(name))
                    break
                except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
                    if time.monotonic() > deadline:
                        raise BusNotUsable(
                            reason=f"The service of {name} made no tables within {READY_SECONDS:.0f} s.",
                            remedy=f"Its log says why: {self._folder / 'logs'}.",
                        ) from None
                    await asyncio.sleep(0.1)

    async def _break(self) -> None:
        """Load the city and break it until the time is over; then everything is healed."""
        plan, over = self.plan, asyncio.Event()
        workloads = [Workload(name, plan.seed, self._entries.append) for name in plan.names]
        chosen = [FAULTS[name] for name in plan.faults]
        nemesis = Nemesis(self._city, chosen, plan.seed, self._note, plan.pause_seconds, plan.beside)
        self._say(f"{len(self._city.services)} services run; facts come in, faults begin.")
        async with asyncio.TaskGroup() as work:
            work.create_task(hand_in(workloads, self._city.database_url, plan.rate, over))
            work.create_task(nemesis.haunt(over))
            work.create_task(self._tell(over))
            await asyncio.sleep(plan.minutes * 60)
            over.set()
        self._say("The faults are over and healed.")

    def _note(self, struck: Struck) -> None:
        self._entries.append(struck)
        what = ", ".join(f"{name} {value}" for name, value in struck.done.items())
        self._say(f"{struck.fault}: {what or 'could not'}")

    async def _tell(self, over: asyncio.Event) -> None:
        """Say from time to time how much was done."""
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), TELL_SECONDS)
            with contextlib.suppress(*AWAY):
                counts = [await observer.count(self._city.database_url(name)) for name in self.plan.names]
                facts, effects = (sum(column) for column in zip(*counts, strict=True))
                self._say(f"{facts} facts, {effects} effects")

    async def _settle_and_read(self) -> None:
        """Wait until nothing is under way any more, then write down all there is to see."""
        names, kafka = self.plan.names, self._city.kafka()
        consumer = observer.raw_consumer(kafka)
        try:
            offsets = observer.Offsets(consumer, departments.groups(names))
            if left := await self._settle(consumer, offsets):
                self._entries.append(Left(left))
            self._say("It has settled; all is read." if not left else "It has not settled; all is read.")
            for name in names:
                self._entries += await observer.read_books(name, self._city.database_url(name))
            self._entries += await self._read_bus(consumer)
            self._entries += offsets.commits
        finally:
            await asyncio.to_thread(consumer.close)

    async def _read_bus(self, consumer: Any) -> list[Entry]:
        """Read the bus whole; where a broker is still on its way back, once more.

        Raises:
            BusNotUsable: it gives not all that it holds.
        """
        why = ""
        for _ in range(READ_TIMES):
            try:
                return await asyncio.to_thread(_take_in, consumer, self.plan.names)
            except (TimeoutError, observer.BusAway) as error:
                why = str(error)
                await asyncio.sleep(TELL_SECONDS)
        raise BusNotUsable(
            reason=f"The bus could not be read: {why}.",
            remedy=f"The brokers' logs say why: {self._city.data}.",
        )

    async def _settle(self, consumer: Any, offsets: observer.Offsets) -> dict[str, int]:
        """Wait until nothing is under way, or nothing of it has moved for so long; give what still is."""
        before: dict[str, int] = {}
        moved, told = time.monotonic(), 0.0
        while left := await self._find_left(consumer, offsets):
            now = time.monotonic()
            if left != before:
                before, moved = left, now
            if now - moved > self.plan.settle_seconds:
                break
            if now - told > TELL_SECONDS / 5:
                told = now
                self._say(f"Under way: {', '.join(f'{where} {count}' for where, count in left.items())}")
            await asyncio.sleep(0.5)
        return left

    async def _find_left(self, consumer: Any, offsets: observer.Offsets) -> dict[str, int]:
        """Find what is still under way: in the databases, or on the bus."""
        left: dict[str, int] = {}
        try:
            for name in self.plan.names:
                left |= await observer.find_waiting(name, self._city.database_url(name))
            if not left:
                readings = [(grant.group, grant.topic) for grant in departments.grants(self.plan.names)]
                await asyncio.to_thread(offsets.read)
                left = await asyncio.to_thread(observer.find_lag, consumer, offsets, readings)
        except (*AWAY, observer.BusAway) as error:
            left[f"no answer: {type(error).__name__}"] = 1
        return left


def _take_in(consumer: Any, names: Sequence[str]) -> list[Entry]:
    """Read all topics and all dead letters."""
    entries: list[Entry] = [
        observer.as_record(found, _digest)
        for found in observer.iter_records(consumer, departments.topics(names))
    ]
    letters = [f"{group}.dlt" for group in departments.groups(names)]
    return entries + [
        observer.as_letter(found, _digest) for found in observer.iter_records(consumer, letters)
    ]


def _digest(value: bytes | None) -> str:
    return hashlib.md5(value or b"", usedforsecurity=False).hexdigest()


def judge_again(folder: Path) -> Verdict:
    """Judge the history that an earlier run left in a folder.

    Raises:
        BusNotUsable: the folder holds no history, or one that cannot be read.
    """
    try:
        plan = orjson.loads((folder / PLAN).read_bytes())
        found = history.load(folder / HISTORY)
        names = departments.NAMES[: plan["departments"]]
    except (OSError, ValueError, KeyError) as error:
        raise BusNotUsable(
            reason=f"{folder} holds no history of a run: {error}.",
            remedy="Name a folder that `lienthong chaos` has left.",
        ) from None
    return verdict.judge(found, names)


def _write(file: Path, told: Any) -> None:
    file.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")
