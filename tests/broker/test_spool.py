"""From a publisher without a database to a committed effect, whatever dies in between."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson
import pytest

from lienthong import Connection, Department, Event, NotValid
from lienthong.cluster.connection import admin_connection
from lienthong.contracts import load_contracts
from lienthong.ledger.balance import balance
from lienthong.ledger.spools import read_spools
from lienthong.publisher import Publisher
from lienthong.settings import embedded_environment, load_settings
from lienthong.testing import running, until
from tests.broker.scratch import City, Pair, Thing

TABLES = """
CREATE TABLE IF NOT EXISTS counted (seq bigint GENERATED ALWAYS AS IDENTITY, thing_id text, amount integer)
"""


def reader_of(pair: Pair) -> Department:
    """A department that writes down what it reads, twice where it reads twice."""
    reader = Department(pair.reader)

    @reader.reads(pair.thing.TOPIC, purpose="counting")
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute(
            "INSERT INTO counted (thing_id, amount) VALUES ($1, $2)", event.data.thing_id, event.data.amount
        )

    return reader


def publisher_of(pair: Pair, folder: Path, **options: Any) -> Publisher:
    """A publisher that knows the bus, and no database."""
    environment = embedded_environment(pair.data, pair.publisher)
    given = {name.removeprefix("LIENTHONG_").lower(): value for name, value in environment.items()}
    settings = load_settings(pair.publisher, **{**given, "database_url": "", **options})
    return Department(pair.publisher).publisher(
        settings=settings, file=folder / f"{pair.publisher}.spool", root=pair.root
    )


def environment_of(pair: Pair, folder: Path) -> dict[str, str]:
    """What a process needs that publishes for a pair, without a database."""
    told = embedded_environment(pair.data, pair.publisher)
    told |= {"LIENTHONG_ROOT": str(pair.root), "LIENTHONG_SPOOL": str(folder), "NO_COLOR": "1"}
    told.pop("LIENTHONG_DATABASE_URL")
    return {**{k: v for k, v in os.environ.items() if not k.startswith("LIENTHONG_")}, **told}


async def effects(sink: Any) -> dict[str, list[int]]:
    """What was counted, by thing, in the order of the effects."""
    found: dict[str, list[int]] = defaultdict(list)
    for row in await sink.pool.fetch("SELECT thing_id, amount FROM counted ORDER BY seq"):
        found[row["thing_id"]].append(row["amount"])
    return dict(found)


async def test_a_fact_published_without_a_database_takes_effect_once(scratch: City, tmp_path: Path) -> None:
    pair = scratch.take()
    async with (
        publisher_of(pair, tmp_path) as publisher,
        running(reader_of(pair), data=pair.data, root=pair.root, tables=TABLES) as sink,
    ):
        ids = [await publisher.publish(pair.thing(thing_id=f"vat-{n}", amount=n * 100)) for n in range(20)]
        with pytest.raises(NotValid):
            await publisher.publish(pair.thing(thing_id="vat-x", amount=13))
        assert (await publisher.wait_sent(20)).records == 0
        assert publisher.health() == "ok"
        assert publisher.spool.count_sent() == {pair.thing.TOPIC: 20, f"{pair.publisher}.refusals": 1}
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 20 FROM lienthong.inbox"))
        assert {row["id"] for row in await sink.pool.fetch("SELECT id FROM lienthong.inbox")} == set(ids)
        assert await effects(sink) == {f"vat-{n}": [n * 100] for n in range(20)}


async def test_a_state_is_kept_and_retracted_without_a_database(scratch: City, tmp_path: Path) -> None:
    pair = scratch.take()
    reader = Department(pair.reader)
    reader.keeps(pair.place.TOPIC, purpose="reference")
    async with (
        publisher_of(pair, tmp_path) as publisher,
        running(reader, data=pair.data, root=pair.root) as sink,
    ):
        await publisher.publish(pair.place(place_code="noi-1", label="Nơi một"))
        await publisher.publish(pair.place(place_code="noi-2", label="Nơi hai"))
        await publisher.retract(pair.place.TOPIC, "noi-1")
        await until(
            lambda: sink.pool.fetchval("SELECT count(*) = 3 FROM lienthong.inbox WHERE outcome = 'handled'")
        )
        kept = await sink.pool.fetch("SELECT key FROM lienthong.state WHERE topic = $1", pair.place.TOPIC)
        assert [row["key"] for row in kept] == ["noi-2"]


async def test_the_ledger_counts_what_came_through_a_spool(scratch: City, tmp_path: Path) -> None:
    pair = scratch.take()
    department = Department(pair.publisher)
    async with (
        running(department, data=pair.data, root=pair.root) as source,
        running(reader_of(pair), data=pair.data, root=pair.root, tables=TABLES) as sink,
        publisher_of(pair, tmp_path) as publisher,
    ):
        async with source.pool.acquire() as db, db.transaction():
            await department.publish(db, pair.thing(thing_id="by-database", amount=1))
        for number in (1, 2):
            await publisher.publish(pair.thing(thing_id="by-spool", amount=number))
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 3 FROM lienthong.inbox"))
        assert (await publisher.wait_sent(20)).records == 0
        await until(lambda: source.pool.fetchval("SELECT count(*) = 1 FROM lienthong.published"))

        async def problems(spools: Any) -> list[str]:
            known, kafka = load_contracts(pair.root), admin_connection(pair.data).for_aiokafka()
            async with source.pool.acquire() as theirs, sink.pool.acquire() as readers:
                databases = {pair.publisher: theirs, pair.reader: readers}
                return (await balance(known, databases, kafka, spools=spools)).problems

        assert await problems(read_spools(tmp_path)) == []
        assert any("2 events that no source committed" in one for one in await problems({}))


SENSOR = """
import asyncio, os, sys
from lienthong import Department
from lienthong.spool import SpoolStore

KILLED = sys.argv[3]
if KILLED == "before it is noted":
    class SpoolStore(SpoolStore):
        async def settle(self, confirmed, refused, letters):
            os.kill(os.getpid(), 9)
if KILLED == "after it is noted":
    class SpoolStore(SpoolStore):
        async def settle(self, confirmed, refused, letters):
            await super().settle(confirmed, refused, letters)
            os.kill(os.getpid(), 9)
import lienthong.publisher
lienthong.publisher.SpoolStore = SpoolStore

async def main():
    async with Department(sys.argv[1]).publisher() as spool:
        first = int(sys.argv[4])
        for number in range(first, first + 10_000):
            fact = {"thing_id": f"vat-{number % 7}", "amount": number}
            await spool.publish(fact, topic=sys.argv[2])
            os.write(2, f"{number}\\n".encode())

asyncio.run(main())
"""


def killed_sensor(pair: Pair, folder: Path, killed: str, first: int, dice: random.Random) -> list[int]:
    """Run a sensor until it kills itself, or is killed; gives what it was promised."""
    command = [sys.executable, "-c", SENSOR, pair.publisher, pair.thing.TOPIC, killed, str(first)]
    promised = []
    most = dice.randint(5, 120)
    with subprocess.Popen(
        command, env=environment_of(pair, folder), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        for line in process.stderr or ():
            promised.append(int(line))
            if killed == "at any moment" and len(promised) == most:
                process.kill()
    assert process.returncode == -signal.SIGKILL
    return promised


@pytest.mark.parametrize("killed", ["before it is noted", "at any moment"])
async def test_what_a_killed_publisher_was_promised_takes_effect_once_and_in_order(
    scratch: City, tmp_path: Path, killed: str
) -> None:
    """Promise: when `publish` has returned, the fact will take effect once, and in the order of its key."""
    pair = scratch.take()
    dice = random.Random(7)
    promised: list[int] = []
    for _ in range(2):
        first = promised[-1] + 2 if promised else 13 * 100
        more = await asyncio.to_thread(killed_sensor, pair, tmp_path, killed, first, dice)
        promised += more
    async with (
        publisher_of(pair, tmp_path) as publisher,
        running(reader_of(pair), data=pair.data, root=pair.root, tables=TABLES) as sink,
    ):
        assert (await publisher.wait_sent(20)).records == 0
        sent = publisher.spool.count_sent()[pair.thing.TOPIC]
        assert sent >= len(promised)
        await until(lambda: _has(sink, set(promised)))
        found = await effects(sink)
        counted = [amount for amounts in found.values() for amount in amounts]
        assert len(counted) == len(set(counted)), "once each"
        assert [thing for thing, amounts in found.items() if amounts != sorted(amounts)] == []
        # One more than was promised, at each kill: it was on the disk, and the sensor was not told any more.
        assert len(set(counted) - set(promised)) <= 2


async def _has(sink: Any, promised: set[int]) -> bool:
    rows = await sink.pool.fetch("SELECT amount FROM counted")
    return promised <= {row["amount"] for row in rows}


async def test_of_two_processes_one_relays_and_the_other_goes_on_when_it_ends(
    scratch: City, tmp_path: Path
) -> None:
    pair = scratch.take()
    async with running(reader_of(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        async with publisher_of(pair, tmp_path) as second:
            async with publisher_of(pair, tmp_path) as first:
                for number in range(0, 40, 2):
                    await first.publish(pair.thing(thing_id="vat", amount=100 + number))
                    await second.publish(pair.thing(thing_id="vat", amount=101 + number))
                assert (await first.wait_sent(20)).records == 0
                assert first.spool.take() != second.spool.take()
            await second.publish(pair.thing(thing_id="vat", amount=200))
            assert (await second.wait_sent(20)).records == 0
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 41 FROM lienthong.inbox"))
        assert await effects(sink) == {"vat": [*range(100, 140), 200]}
        assert second.spool.path.exists()


async def test_facts_wait_while_the_broker_is_away_and_go_when_it_is_back(
    scratch: City, tmp_path: Path
) -> None:
    pair = scratch.take()
    away = publisher_of(pair, tmp_path, bootstrap_servers="127.0.0.1:1", stop_seconds=1.0)
    async with away as publisher:
        await publisher.publish(pair.thing(thing_id="vat", amount=1))
        await until(lambda: "the broker is away" in publisher.health())
        assert (await publisher.wait_sent(0)).records == 1
    async with publisher_of(pair, tmp_path) as publisher:
        assert (await publisher.wait_sent(20)).records == 0


def typed(pair: Pair, folder: Path, *words: str, stdin: bytes = b"") -> tuple[int, dict[str, Any]]:
    """Type a command; gives its exit status and what it says in JSON."""
    ran = subprocess.run(
        [sys.executable, "-m", "lienthong", *words, "--json"],
        env=environment_of(pair, folder),
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ran.stderr == b"" or ran.returncode == 1, ran.stderr
    return ran.returncode, orjson.loads(ran.stdout)


async def test_a_spreadsheet_handed_in_twice_even_on_another_machine_takes_effect_once(
    scratch: City, tmp_path: Path
) -> None:
    pair = scratch.take()
    sheet = tmp_path / "vat.csv"
    rows = [f"vat-{n};{n};Nguyễn Thị Mẫu" for n in range(20)]
    sheet.write_text("\ufeff" + "\r\n".join(["Vật;Số lượng;Họ tên", *rows, "VAT;mười;"]), "utf-8")
    words = ("publish", pair.thing.TOPIC, str(sheet))
    async with running(reader_of(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        status, told = await asyncio.to_thread(typed, pair, tmp_path / "here", *words)
        # One line breaks the pattern and the type, another the rule that nothing is thirteen.
        assert (status, told["lines"], told["taken"], told["waiting"]) == (1, 21, 19, 0)
        assert [one["line"] for one in told["refused"]] == [15, 22]
        assert {p["path"] for p in told["refused"][1]["problems"]} == {"/thing_id", "/amount"}
        status, told = await asyncio.to_thread(typed, pair, tmp_path / "there", *words)
        assert (told["taken"], told["waiting"]) == (19, 0)
        more = orjson.dumps({"thing_id": "last", "amount": 1})
        words = ("publish", pair.thing.TOPIC, "-")
        status, told = await asyncio.to_thread(typed, pair, tmp_path / "there", *words, stdin=more)
        assert (status, told["taken"]) == (0, 1)
        await until(lambda: _has_thing(sink, "last"))
        assert await sink.pool.fetchval("SELECT count(*) FROM counted") == 20
        assert (
            await sink.pool.fetchval("SELECT count(*) FROM lienthong.inbox WHERE outcome <> 'handled'") == 0
        )


async def _has_thing(sink: Any, thing: str) -> bool:
    return bool(await sink.pool.fetchval("SELECT count(*) FROM counted WHERE thing_id = $1", thing))


async def test_what_waits_is_sent_by_a_command(scratch: City, tmp_path: Path) -> None:
    pair = scratch.take()
    lines = b"\n".join(orjson.dumps({"thing_id": f"vat-{n}", "amount": n}) for n in range(10))
    words = ("publish", pair.thing.TOPIC, "-", "--wait", "0")
    status, told = await asyncio.to_thread(typed, pair, tmp_path, *words, stdin=lines)
    assert (status, told["taken"], told["waiting"]) == (0, 10, 10)
    status, told = await asyncio.to_thread(typed, pair, tmp_path, "spool", pair.publisher, "--send")
    assert (status, told["waiting"], told["sent"]) == (0, 0, {pair.thing.TOPIC: 10})
