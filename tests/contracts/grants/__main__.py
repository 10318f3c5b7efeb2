"""Play the city once for each case read from standard input, each in a process of its own.

    python -m tests.contracts.grants DATA_FOLDER PREFIX < cases

A case is a line of JSON: `{"name": …, "widened": [topic, group, field] or null, "without": … or null}`. For
each a line comes out, `{"case": …, "breaks": …}`: the chapter that ends otherwise than under the contracts as
they are, or null. The first line is `{"whole": {chapter: […]}}`: what the city ends with as it is.
"""

import asyncio
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

import asyncpg
import orjson

from lienthong.contracts import Contracts, load_contracts
from lienthong.contracts.frozen import newest, read_frozen
from lienthong.database import open_pool, set_up_tables
from lienthong.gate import Gate
from tests.contracts.grants import journey
from tests.contracts.grants.rooms import (
    ROOT,
    Room,
    Shared,
    names_of_rooms,
    open_rooms,
    reader_of_the_readme,
    widened,
    without,
)
from tests.contracts.grants.stage import open_stage

Whole = Mapping[str, Sequence[str]]
"""What each chapter ends with under the contracts as they are."""


@dataclass
class Case:
    """A change of one grant, under a name; no change, to see how the city is."""

    name: str
    widened: Shared | None = None
    without: Shared | None = None

    @classmethod
    def read(cls, line: bytes) -> "Case":
        told = orjson.loads(line)
        widened, without = (Shared(*told[key]) if told[key] else None for key in ("widened", "without"))
        return cls(told["name"], widened, without)

    @property
    def department(self) -> str:
        """The reader whose grant is changed."""
        shared = self.without or self.widened
        return shared.group.partition(".")[0] if shared else ""


@dataclass
class Theatre:
    """What every case starts from: the contracts as they are, the gate, a database for each department."""

    contracts: Contracts
    versions: Mapping[str, str]
    gate: Gate
    urls: Mapping[str, str]


def open_theatre(data: Path, prefix: str) -> Theatre:
    contracts = load_contracts(ROOT)
    frozen, _, _ = read_frozen(ROOT)
    versions = {
        topic: last.version
        for topic, contract in contracts.contracts.items()
        if (last := newest(frozen, contract.topic)) is not None
    }
    urls = {name: _url(data, f"{prefix}_{name}") for name in contracts.departments}
    return Theatre(contracts, versions, Gate.load(ROOT / "schemas"), urls)


def _url(data: Path, database: str) -> str:
    place = orjson.loads((data / "bus.json").read_bytes())["postgres"]
    secret = quote((data / "secrets" / "postgres.password").read_text().strip())
    return f"postgresql://{place['superuser']}:{secret}@{place['host']}:{place['port']}/{database}"


async def make_databases(data: Path, prefix: str, theatre: Theatre, *, again: bool) -> None:
    """Make the databases anew with every room's tables; or, in the end, only remove them."""
    db = await asyncpg.connect(_url(data, "postgres"))
    for name in theatre.urls:
        await db.execute(f'DROP DATABASE IF EXISTS "{prefix}_{name}"')
        if again:
            await db.execute(f'CREATE DATABASE "{prefix}_{name}"')
    await db.close()
    if again:
        for name, room in open_rooms(theatre.contracts, theatre.versions, *names_of_rooms()).items():
            async with await open_pool(theatre.urls[name], 1, "grants") as pool:
                await set_up_tables(pool, room.tables)


def prepare(data: Path, prefix: str, theatre: Theatre) -> bytes:
    asyncio.run(make_databases(data, prefix, theatre, again=True))
    return b""


async def play(theatre: Theatre, contracts: Contracts, rooms: Mapping[str, Room], chapter: str) -> list[str]:
    """Play a chapter under these contracts; gives what the city ended with."""
    began, said = datetime.now(UTC), io.StringIO()
    reader = reader_of_the_readme(contracts, said)
    async with open_stage({**rooms, reader.name: reader}, theatre.gate, theatre.urls) as stage:
        await journey.play(stage, chapter)
        stage.outcome.said = said.getvalue()
        return await stage.look(began)


def play_whole(theatre: Theatre) -> bytes:
    """Play every chapter under the contracts as they are."""
    rooms = open_rooms(theatre.contracts, theatre.versions, *names_of_rooms())
    return orjson.dumps(
        {
            chapter: asyncio.run(play(theatre, theatre.contracts, rooms, chapter))
            for chapter in journey.CHAPTERS
        }
    )


def play_case(theatre: Theatre, case: Case, others: Mapping[str, Room], whole: Whole) -> bytes:
    """Change one grant, open the room that reads under it, and play until something ends otherwise."""
    contracts, changed = theatre.contracts, case.widened or case.without
    if case.widened:
        contracts = widened(contracts, case.widened)
    if case.without:
        contracts = without(contracts, case.without)
    try:
        concerned = open_rooms(contracts, theatre.versions, *(set(names_of_rooms()) - set(others)))
    except (ImportError, AttributeError) as error:
        return orjson.dumps(f"the room cannot be opened: {type(error).__name__}")
    for chapter, lines in whole.items():
        if changed and not any(line.startswith(f"published {changed.topic}:") for line in lines):
            continue
        if asyncio.run(play(theatre, contracts, {**others, **concerned}, chapter)) != lines:
            return orjson.dumps(chapter)
    return b"null"


def play_cases(theatre: Theatre, cases: Sequence[Case], whole: Whole) -> bytes:
    """Play cases that concern one department: the other rooms are opened once, for all of them."""
    concerned = cases[0].department
    others = open_rooms(theatre.contracts, theatre.versions, *(set(names_of_rooms()) - {concerned}))
    for case in cases:
        breaks = in_a_child(partial(play_case, theatre, case, others, whole))
        sys.stdout.buffer.write(b'{"case":%s,"breaks":%s}\n' % (orjson.dumps(case.name), breaks))
        sys.stdout.buffer.flush()
    return b""


def in_a_child(act: Callable[[], bytes]) -> bytes:
    """Do something in a forked process, which imports rooms that this one never sees; gives what it wrote."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        status = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as out:
                out.write(act())
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        written = file.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"a case ended with {os.waitstatus_to_exitcode(status)}")
    return written


def main(data: Path, prefix: str) -> None:
    cases = sorted((Case.read(line) for line in sys.stdin.buffer), key=lambda case: case.department)
    theatre = open_theatre(data, prefix)

    in_a_child(partial(prepare, data, prefix, theatre))
    try:
        played = in_a_child(partial(play_whole, theatre))
        sys.stdout.buffer.write(b'{"whole":%s}\n' % played)
        for _, concerned in groupby(cases, key=lambda case: case.department):
            in_a_child(partial(play_cases, theatre, list(concerned), orjson.loads(played)))
    finally:
        asyncio.run(make_databases(data, prefix, theatre, again=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
