"""Play the city once for each case read from standard input, each in a process of its own.

    python -m tests.contracts.grants DATA_FOLDER PREFIX < cases

A case is a line of JSON: `{"case": …, "widened": [topic, group, field] or null, "without": … or null}`. For each a
line comes out, `{"case": …, "lines": […]}`: what the city ended with.
"""

import asyncio
import io
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import orjson

from lienthong.contracts import Contracts, load_contracts
from lienthong.contracts.frozen import newest, read_frozen
from lienthong.database import open_pool, set_up_tables
from lienthong.gate import Gate
from tests.contracts.grants import journey
from tests.contracts.grants.rooms import ROOT, Shared, names_of_rooms, open_rooms, reader_of_the_readme
from tests.contracts.grants.rooms import widened, without
from tests.contracts.grants.stage import open_stage


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


async def play(theatre: Theatre, contracts: Contracts) -> list[str]:
    """Play the city under these contracts; gives what it ended with."""
    began, said = datetime.now(UTC), io.StringIO()
    rooms = open_rooms(contracts, theatre.versions, *names_of_rooms())
    reader = reader_of_the_readme(contracts, said)
    async with open_stage({**rooms, reader.name: reader}, theatre.gate, theatre.urls) as stage:
        await journey.play(stage)
        stage.outcome.said = said.getvalue()
        return await stage.look(began)


def play_case(theatre: Theatre, case: Mapping[str, Any]) -> list[str]:
    contracts = theatre.contracts
    if case["widened"]:
        contracts = widened(contracts, Shared(*case["widened"]))
    if case["without"]:
        contracts = without(contracts, Shared(*case["without"]))
    try:
        return asyncio.run(play(theatre, contracts))
    except (ImportError, AttributeError) as error:
        return [f"a room cannot be put together: {error}"]


def in_a_child(act) -> bytes:
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
    theatre = open_theatre(data, prefix)

    def prepare() -> bytes:
        asyncio.run(make_databases(data, prefix, theatre, again=True))
        return b""

    in_a_child(prepare)
    try:
        for line in sys.stdin.buffer:
            case = orjson.loads(line)
            lines = in_a_child(lambda case=case: orjson.dumps(play_case(theatre, case)))
            sys.stdout.buffer.write(b'{"case":%s,"lines":%s}\n' % (orjson.dumps(case["case"]), lines))
            sys.stdout.buffer.flush()
    finally:
        asyncio.run(make_databases(data, prefix, theatre, again=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
