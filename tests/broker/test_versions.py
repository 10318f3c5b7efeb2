"""A contract grows while everything runs, and what is proposed is tried on what is there."""

import asyncio
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from typer.testing import CliRunner

from lienthong import Connection, Department, Event, contracts
from lienthong.cluster.apply import apply_contracts
from lienthong.commands import release as release_commands
from lienthong.contracts.release import release
from lienthong.testing import running, until
from tests.broker.scratch import City, Pair, Thing

TABLES = "CREATE TABLE IF NOT EXISTS counted (thing_id text, amount integer)"
NOTE = """
      - name: note
        businessName: Ghi chú
        description: Ghi chú thêm.
        logicalType: string
        logicalTypeOptions: {maxLength: 9}
        required: false
        classification: public
        examples: [x]
      - name: noted_at
"""


def own_city(scratch: City, tmp_path: Path) -> tuple[Pair, Path]:
    """Copy the scratch city's files: what this test changes, no other one reads."""
    pair = scratch.take()
    for folder in ("contracts", "schemas"):
        shutil.copytree(scratch.root / folder, tmp_path / folder)
    return pair, tmp_path


def edit(root: Path, pair: Pair, old: str, new: str) -> None:
    path = root / "contracts" / pair.publisher / "thing-noted.v1.yaml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def counting(pair: Pair) -> Department:
    reader = Department(pair.reader)

    @reader.reads(pair.thing.TOPIC, purpose="counting")
    async def count(event: Event[Thing], db: Connection) -> None:
        await db.execute("INSERT INTO counted VALUES ($1, $2)", event.data.thing_id, event.data.amount)

    return reader


async def publish(service: Any, department: Department, fact: Any) -> None:
    async with service.pool.acquire() as db, db.transaction():
        await department.publish(db, fact)


async def test_only_the_publisher_is_restarted_when_an_optional_field_is_added(
    scratch: City, tmp_path: Path
) -> None:
    pair, root = own_city(scratch, tmp_path)
    async with running(counting(pair), data=pair.data, root=root, tables=TABLES) as sink:
        publisher = Department(pair.publisher)
        async with running(publisher, data=pair.data, root=root) as source:
            await publish(source, publisher, pair.thing(thing_id="before", amount=1))
            edit(root, pair, "      - name: noted_at\n", NOTE)
            released = release(root)
            assert [verdict.version for verdict in released.verdicts] == ["1.1.0"]
            apply_contracts(contracts.load_contracts(root), pair.data, date(2026, 1, 1))
            await publish(source, publisher, pair.thing(thing_id="old-writer", amount=2))
        again = Department(pair.publisher)
        async with running(again, data=pair.data, root=root) as source:
            grown = type(
                "Thing",
                (pair.thing,),
                {"__annotations__": {"note": str | None}, "note": None},
            )
            await publish(source, again, grown(thing_id="new-writer", amount=3, note="thêm"))
        await until(lambda: sink.pool.fetchval("SELECT count(*) = 3 FROM counted"))
        assert await sink.pool.fetchval("SELECT count(*) FROM lienthong.dead_letter") == 0


async def test_what_is_proposed_is_tried_on_the_newest_events_and_tells_no_data(
    scratch: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, root = own_city(scratch, tmp_path)
    publisher = Department(pair.publisher)
    async with running(publisher, data=pair.data, root=root) as source:
        for amount in (1, 2, 777, 888):
            await publish(source, publisher, pair.thing(thing_id=f"vat-{amount}", amount=amount))
        await until(lambda: source.pool.fetchval("SELECT count(*) = 4 FROM lienthong.published"))
    edit(root, pair, "maximum: 1000000", "maximum: 500")
    monkeypatch.setenv("LIENTHONG_ROOT", str(root))
    app = typer.Typer()
    release_commands.register(app)
    words = ["release", "--check", "--against", "10000", "--data", str(pair.data), "--json"]
    # The command has an event loop of its own.
    ran = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert (ran.exit_code, isinstance(ran.exception, SystemExit)) == (1, True), repr(ran.exception)
    told = orjson.loads(ran.stdout)
    assert told["against"] == [
        {
            "topic": pair.thing.TOPIC,
            "events": 4,
            "refused": 2,
            "unreadable": 0,
            "problems": [{"path": "/amount", "rule": "maximum", "events": 2}],
        }
    ]
    assert [change["rule"] for change in told["versions"][0]["changes"]] == ["bound-narrowed"]
    assert "777" not in orjson.dumps(told["against"]).decode()
