"""Strike a department down at a step, let another process go on, and tell what is wrong then."""

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import psutil

from lienthong import Department
from lienthong.testing import running, until
from tests.broker.scratch import Pair
from tests.broker.steps import FACTS, TABLES, Step, publisher_of, reader_of
from tests.broker.test_bad_records import read_all

QUICK = {"session_seconds": 6.0, "back_off_seconds": 0.05}
EFFECTS = sorted(fact for fact in FACTS if fact[0] != "poison")


async def strike(pair: Pair, step: Step) -> list[str]:
    """Play the facts through, with a death at a step; gives what is not as it should be."""
    await hand_in(pair)
    if step.role == "reader":
        async with running(publisher_of(pair), data=pair.data, root=pair.root) as source:
            await until(lambda: source.pool.fetchval(PUBLISHED, pair.thing.TOPIC, len(FACTS)))
            problems = await die_at(pair, step)
            return problems + await play_on(pair, source)
    problems = await die_at(pair, step)
    async with running(publisher_of(pair), data=pair.data, root=pair.root) as source:
        return problems + await play_on(pair, source)


PUBLISHED = """
SELECT (SELECT count(*) = $2 FROM lienthong.published WHERE topic = $1)
    AND NOT EXISTS (SELECT FROM lienthong.outbox) AND NOT EXISTS (SELECT FROM lienthong.dead_letter)
"""


async def hand_in(pair: Pair) -> None:
    """Hand the raw records in, while nothing makes facts of them."""
    async with running(Department(pair.publisher), data=pair.data, root=pair.root) as source:
        await source.pool.executemany(
            "INSERT INTO lienthong.intake (kind, raw) VALUES ('fact', $1)",
            [(orjson.dumps({"thing_id": thing, "amount": amount}),) for thing, amount in FACTS],
        )


async def die_at(pair: Pair, step: Step) -> list[str]:
    """Run the department in a process of its own, which must be killed, and by nothing else."""
    process = await live(pair, step)
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 60)
    except TimeoutError:
        process.kill()
        said, _ = await process.communicate()
        return [f"the step was not passed; the process said {said[-2_000:].decode()}"]
    if process.returncode == -signal.SIGKILL:
        return []
    return [f"ended with {process.returncode}, not at the step: {said[-2_000:].decode()}"]


async def live(pair: Pair, step: Step, *how: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.broker.steps", pair.publisher, pair.reader),
        *(str(pair.data), str(pair.root), step.name, *how),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def freeze(pair: Pair, step: Step) -> list[str]:
    """Play the facts through while the reader that began is frozen at a step, and holds what it holds."""
    await hand_in(pair)
    async with running(publisher_of(pair), data=pair.data, root=pair.root) as source:
        await until(lambda: source.pool.fetchval(PUBLISHED, pair.thing.TOPIC, len(FACTS)))
        process = await live(pair, step, "frozen")
        try:
            frozen = psutil.Process(process.pid)
            await until(lambda: frozen.status() == psutil.STATUS_STOPPED)
            return await play_on(pair, source, within=90.0)
        finally:
            process.kill()
            await process.wait()


async def play_on(pair: Pair, source: Any, within: float = 30.0) -> list[str]:
    """Let others finish, then compare what is there with what should be."""
    async with running(reader_of(pair), data=pair.data, root=pair.root, tables=TABLES, **QUICK) as sink:
        await until(lambda: source.pool.fetchval(PUBLISHED, pair.thing.TOPIC, len(FACTS)))
        await until(
            lambda: sink.pool.fetchval("SELECT count(*) = $1 FROM lienthong.inbox", len(FACTS)), within=within
        )
        await until(lambda: sink.pool.fetchval(PUBLISHED, pair.counted.TOPIC, len(EFFECTS)))
        rows = await sink.pool.fetch("SELECT thing_id, amount FROM counted ORDER BY seq")
        told = await sink.pool.fetch("SELECT id::text, record_offset FROM lienthong.published")
        aside = await sink.pool.fetch("SELECT id, code FROM lienthong.inbox WHERE outcome = 'set aside'")
    effects = [(row["thing_id"], row["amount"]) for row in rows]
    problems = []
    if sorted(effects) != EFFECTS:
        twice = [fact for fact, times in Counter(effects).items() if times > 1]
        problems.append(f"effects lost {set(EFFECTS) - set(effects)}, doubled {twice}")
    for thing in {thing for thing, _ in effects}:
        order = [amount for name, amount in effects if name == thing]
        if order != sorted(order):
            problems.append(f"{thing} took effect in the order {order}")
    if [row["code"] for row in aside] != ["not-handled"]:
        problems.append(f"set aside for {[row['code'] for row in aside]}")
    return problems + on_the_bus(pair, {row["id"] for row in told}, {row["id"] for row in aside})


def on_the_bus(pair: Pair, told: set[str], aside: set[str]) -> list[str]:
    """Look with a plain client for events that nobody committed, and for the dead letter."""
    problems = []
    caused = {identity(record) for record in read_all(pair, pair.reader, pair.counted.TOPIC, len(EFFECTS))}
    if caused != told:
        problems.append(
            f"caused events on the bus and not in the database, or the other way: {caused ^ told}"
        )
    (letter,) = read_all(pair, pair.reader, f"{pair.group}.dlt", 1)
    if {identity(letter)} != aside:
        problems.append("the dead letter is another than the mark's")
    return problems


def identity(record: Any) -> str:
    return str(dict(record.headers())["ce_id"].decode())
