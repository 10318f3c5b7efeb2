"""The checker's own parts: its dice, its faults on processes, its bugs, its command."""

import asyncio
import json
import random
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from lienthong.chaos import observer, planted
from lienthong.chaos.detection import targeted
from lienthong.chaos.fault import City, Fault
from lienthong.chaos.faults import FAULTS, processes
from lienthong.chaos.history import Commit, HandedIn, Left, Struck, save
from lienthong.chaos.nemesis import Nemesis
from lienthong.chaos.trial import HISTORY, PLAN, Plan, Trial
from lienthong.commands import assemble
from lienthong.embedded.jars import Silent
from lienthong.errors import BusNotUsable
from lienthong.testing import until

SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]


class Village:
    """A city of processes that do nothing."""

    brokers = ("kafka-1",)
    services = ("north-1",)

    def __init__(self, data: Path) -> None:
        self.data = data
        self.running = {name: subprocess.Popen(SLEEPER) for name in ("kafka-1", "north-1", "postgres")}

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self.running.items() if process.poll() is None}

    def database_url(self, department: str) -> str:
        raise NotImplementedError

    def proxy(self, broker: str) -> None:
        return None

    async def restart_service(self, name: str) -> None:
        old = self.running[name]
        old.terminate()
        await until(lambda: old.poll() is not None)
        self.running[name] = await asyncio.to_thread(subprocess.Popen, SLEEPER)

    def end(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()


@pytest.fixture
def village(tmp_path: Path) -> Iterator[Village]:
    built = Village(tmp_path)
    yield built
    built.end()


def strike(village: Village, name: str, over: asyncio.Event | None = None) -> Any:
    return FAULTS[name].strike(village, random.Random(1), over or asyncio.Event())


@pytest.mark.parametrize(
    ("name", "who"),
    [("service-killed", "north-1"), ("broker-killed", "kafka-1"), ("postgres-killed", "postgres")],
)
async def test_what_is_killed_is_gone_and_named(village: Village, name: str, who: str) -> None:
    pid = village.pids()[who]
    assert await strike(village, name) == {"who": who, "pid": pid}
    await until(lambda: who not in village.pids())
    assert await strike(village, name) == {}


@pytest.mark.parametrize(("name", "who"), [("service-frozen", "north-1"), ("broker-frozen", "kafka-1")])
async def test_what_is_frozen_goes_on_when_the_time_is_over(village: Village, name: str, who: str) -> None:
    over = asyncio.Event()
    process = psutil.Process(village.pids()[who])
    freezing = asyncio.create_task(strike(village, name, over))
    await until(lambda: process.status() == psutil.STATUS_STOPPED)
    over.set()
    done = await freezing
    assert done["who"] == who
    assert done["seconds"] > 0
    await until(lambda: process.status() != psutil.STATUS_STOPPED)


async def test_a_stop_in_order_is_timed_and_another_process_takes_the_place(village: Village) -> None:
    before = village.pids()["north-1"]
    done = await strike(village, "services-stopped-in-order")
    assert done["who"] == "north-1"
    assert 0 <= done["seconds"] < 10
    assert village.pids()["north-1"] != before


def test_every_fault_says_what_it_does() -> None:
    assert {fault.name for fault in processes.FAULTS} <= FAULTS.keys()
    assert all(fault.name == name and fault.about for name, fault in FAULTS.items())


class Diary:
    """A fault that notes what it was given, and may fail or take as long as there is."""

    def __init__(self, *, fails: bool = False, lasts: bool = False) -> None:
        self.dice: list[float] = []
        self._fails, self._lasts = fails, lasts

    async def strike(self, _: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
        self.dice.append(dice.random())
        if self._fails:
            raise OSError("no such process")
        if self._lasts:
            await over.wait()
        return {"who": "nobody"}


async def haunted(village: Village, diary: Diary, strikes: int, seed: int) -> list[Struck]:
    noted: list[Struck] = []
    over = asyncio.Event()
    nemesis = Nemesis(village, [Fault("noted", "…", diary.strike)], seed, noted.append, (0.0, 0.0))
    haunting = asyncio.create_task(nemesis.haunt(over))
    await until(lambda: len(diary.dice) >= strikes)
    over.set()
    await haunting
    return noted


async def test_the_same_seed_throws_the_same_dice(village: Village) -> None:
    once, again, other = Diary(), Diary(), Diary()
    await haunted(village, once, 5, seed=7)
    await haunted(village, again, 5, seed=7)
    await haunted(village, other, 5, seed=8)
    assert once.dice[:5] == again.dice[:5]
    assert once.dice[:5] != other.dice[:5]


async def test_a_fault_that_cannot_be_injected_is_noted_and_ends_nothing(village: Village) -> None:
    noted = await haunted(village, Diary(fails=True), 3, seed=7)
    assert len(noted) >= 3
    assert {struck.done["error"] for struck in noted} == {"OSError: no such process"}


async def test_everything_is_healed_before_the_nemesis_is_done(village: Village) -> None:
    diary = Diary(lasts=True)
    noted = await haunted(village, diary, 1, seed=7)
    assert len(noted) == len(diary.dice)
    assert {struck.done["who"] for struck in noted} == {"nobody"}


def test_every_bug_can_still_be_planted() -> None:
    """What a bug changes must be there: each is planted in a process of its own."""
    program = """
import os, sys
from lienthong.chaos import planted
for name in planted.BUGS:
    if (child := os.fork()) == 0:
        planted.plant(name)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(name)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")


def test_every_bug_is_described_and_its_faults_exist() -> None:
    assert len(planted.BUGS) >= 7
    for bug in planted.BUGS.values():
        assert bug.about
        assert set(bug.faults) <= FAULTS.keys()
        assert bug.runs >= 1
        assert targeted(bug, 5).planted == bug.name


class Kept:
    """A record of the broker's log of offsets."""

    def __init__(self, key: bytes | None, value: bytes | None) -> None:
        self.key, self.value = (lambda: key), (lambda: value)

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000


def _told(version: int, *texts: str, partition: int = 3) -> bytes:
    parts = [struct.pack(">h", len(text)) + text.encode() for text in texts]
    return struct.pack(">h", version) + b"".join(parts) + struct.pack(">i", partition)


def test_a_committed_offset_is_read_from_the_brokers_own_log() -> None:
    value = struct.pack(">hqi", 3, 41, 7) + b"..."
    found = observer.as_commit(Kept(_told(1, "east.following", "north.fact-noted.v1"), value))
    assert found == Commit("east.following", "north.fact-noted.v1", 3, 41, 1_700_000_000_000.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [(_told(2, "east.following"), b"..."), (_told(1, "g", "t"), None), (None, b"..."), (b"", b"")],
    ids=["members", "expired", "keyless", "empty"],
)
def test_what_else_the_broker_keeps_there_is_passed_over(key: bytes | None, value: bytes | None) -> None:
    assert observer.as_commit(Kept(key, value)) is None


def test_a_letter_without_any_headers_is_noted_as_it_is() -> None:
    bare = SimpleNamespace(
        topic=lambda: "east.following.dlt", headers=lambda: None, key=lambda: None, value=lambda: None
    )
    letter = observer.as_letter(bare, lambda _: "md5")
    assert (letter.group, letter.topic, letter.partition, letter.code) == ("east.following", "", -1, "")


def left_behind(folder: Path, *entries: Any) -> Path:
    """What a run leaves in its folder."""
    (folder / PLAN).write_text(json.dumps({"departments": 2}))
    save(folder / HISTORY, entries)
    return folder


def test_a_kept_history_is_judged_again(tmp_path: Path) -> None:
    runner, app = CliRunner(), assemble()
    left_behind(tmp_path, Left({}))
    sound = runner.invoke(app, ["chaos", "--judge", str(tmp_path)])
    assert (sound.exit_code, "Sound: nothing lost" in sound.output) == (0, True)
    left_behind(tmp_path, HandedIn("north-1", "north", "intake"))
    lost = runner.invoke(app, ["chaos", "--judge", str(tmp_path), "--json"])
    assert lost.exit_code == 1
    assert json.loads(lost.output)["wrongs"] == {"lost at the source": ["north-1 (intake)"]}
    spoken = runner.invoke(app, ["chaos", "--judge", str(tmp_path)])
    assert "lost at the source: 1 – north-1 (intake)" in spoken.output


def test_a_folder_without_a_history_is_a_sentence(tmp_path: Path) -> None:
    found = CliRunner().invoke(assemble(), ["chaos", "--judge", str(tmp_path)])
    assert isinstance(found.exception, BusNotUsable)
    assert "holds no history of a run" in str(found.exception)


def test_faults_and_bugs_are_listed() -> None:
    runner, app = CliRunner(), assemble()
    spoken = runner.invoke(app, ["chaos", "--list"])
    assert all(name in spoken.output for name in (*FAULTS, *planted.BUGS))
    told = json.loads(runner.invoke(app, ["chaos", "--list", "--json"]).output)
    assert told["faults"].keys() == FAULTS.keys()
    assert told["planted"].keys() == planted.BUGS.keys()


@pytest.mark.parametrize("words", [["--faults", "rain"], ["--planted", "rain"], ["--minutes", "0"]])
def test_a_wrong_call_ends_with_two(words: list[str]) -> None:
    assert CliRunner().invoke(assemble(), ["chaos", *words]).exit_code == 2


async def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    began = time.monotonic()
    with pytest.raises(BusNotUsable, match="is not empty"):
        await Trial(Plan(1, 1.0, ()), tmp_path, Silent()).run()
    assert time.monotonic() - began < 10
    assert (tmp_path / "mine").read_text() == "mine"
