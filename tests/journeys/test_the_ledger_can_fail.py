"""A ledger that could not fail would prove nothing: each way to falsify the books is found and named."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from lienthong.cluster.connection import admin_connection
from lienthong.ledger.identity import spell
from lienthong.ledger.topics import Log, read_topics
from lienthong.settings import load_bus
from tests.journeys.conftest import REPOSITORY, City

NOTIFIED, SUBMITTED = "health.birth-notified.v1", "onestop.dossier-submitted.v1"
COMPLETED, REGISTERED = "onestop.dossier-completed.v1", "justice.birth-registered.v1"
DEATH, PRICE, ADVANCED = "health.death-notified.v1", "trade.price-observed.v1", "onestop.dossier-advanced.v1"
BIRTHS, CARDS, FOLLOW_UP = "justice.birth-registration", "insurance.child-card", "onestop.dossier-follow-up"
MONITORING, DEATHS = "science.city-monitoring", "justice.death-registration"


@dataclass
class Books:
    """A city's databases, opened by somebody who may falsify them, and how to undo it."""

    databases: dict[str, Any]
    log: dict[str, Log]
    undo: list[tuple[str, str]] = field(default_factory=list)
    named: list[str] = field(default_factory=list)

    async def pick(self, department: str, sql: str, *values: Any) -> Any:
        found = await self.databases[department].fetchval(sql, *values)
        assert found is not None, sql
        return found

    async def take(self, department: str, table: str, where: str) -> None:
        """Take rows away, and keep them to be put back."""
        kept = f"kept_{len(self.undo)}"
        await self.databases[department].execute(
            f"CREATE TEMP TABLE {kept} AS SELECT * FROM {table} WHERE {where};"
            f" DELETE FROM {table} WHERE {where}"
        )
        self.undo.append((department, f"INSERT INTO {table} SELECT * FROM {kept}"))

    async def change(self, department: str, sql: str, undo: str) -> None:
        await self.databases[department].execute(sql)
        self.undo.append((department, undo))

    async def put_back(self) -> None:
        for department, sql in reversed(self.undo):
            await self.databases[department].execute(sql)

    def key_of(self, topic: str, event_id: str) -> str:
        return self.log[topic].keys[UUID(event_id).bytes].decode()

    def id_of(self, topic: str, key: str) -> str:
        return next(spell(event) for event, found in self.log[topic].keys.items() if found == key.encode())


@asynccontextmanager
async def opened(city: City) -> AsyncIterator[Books]:
    where = load_bus(city.data)["postgres"]
    secret = (city.data / "secrets" / "postgres.password").read_text().strip()
    log = {topic: Log() for topic in (NOTIFIED, SUBMITTED, REGISTERED)}
    await read_topics(admin_connection(city.data).for_aiokafka(), log, lambda *_: None)
    async with AsyncExitStack() as stack:
        databases = {}
        for department in ("health", "insurance", "justice", "onestop", "science", "trade"):
            databases[department] = await asyncpg.connect(
                host=where["host"],
                port=where["port"],
                user=where["superuser"],
                password=secret,
                database=department,
            )
            stack.push_async_callback(databases[department].close)
        yield Books(databases, log)


async def lose_an_effect(books: Books) -> None:
    key = await books.pick("justice", "SELECT max(notification_id) FROM birth WHERE notification IS NOT NULL")
    await books.change(
        "justice",
        f"CREATE TEMP TABLE lost AS SELECT * FROM birth WHERE notification_id = '{key}';"
        f" UPDATE birth SET notification = NULL, notified_times = 0 WHERE notification_id = '{key}'",
        "UPDATE birth b SET notification = l.notification, notified_times = l.notified_times FROM lost l"
        " WHERE b.notification_id = l.notification_id",
    )
    books.named.append(f"{NOTIFIED} → {BIRTHS}: 1 effect missing: {key}")


async def double_an_effect(books: Books) -> None:
    key = await books.pick("science", "SELECT min(dossier_code) FROM dossier_completed")
    await books.change(
        "science",
        "ALTER TABLE dossier_completed DROP CONSTRAINT dossier_completed_pkey;"
        f" INSERT INTO dossier_completed SELECT * FROM dossier_completed WHERE dossier_code = '{key}'",
        f"DELETE FROM dossier_completed WHERE ctid = (SELECT max(ctid) FROM dossier_completed"
        f" WHERE dossier_code = '{key}'); ALTER TABLE dossier_completed ADD PRIMARY KEY (dossier_code)",
    )
    books.named.append(f"{COMPLETED} → {MONITORING}: 1 effect doubled: {key}")


async def hide_a_handled_fact(books: Books) -> None:
    """Mark and effect are gone, as if the reader had never heard of it."""
    key = await books.pick(
        "insurance", "SELECT notification_id FROM child GROUP BY 1 HAVING count(*) = 1 ORDER BY 1 LIMIT 1"
    )
    event = books.id_of(SUBMITTED, key)
    await books.take("insurance", "lienthong.inbox", f"consumer_group = '{CARDS}' AND id = '{event}'")
    await books.change(
        "insurance",
        f"UPDATE child SET notification_id = NULL, procedures = NULL WHERE notification_id = '{key}'",
        f"UPDATE child SET notification_id = '{key}', procedures = '[]' WHERE procedures IS NULL",
    )
    books.named.append(f"{SUBMITTED} → {CARDS}: 1 fact neither handled nor set aside: {event}")


async def hide_a_source(books: Books) -> None:
    """Nothing at the source says any more that it committed what is on the topic."""
    event = await books.pick(
        "health", "SELECT id::text FROM lienthong.published WHERE topic = $1 LIMIT 1", DEATH
    )
    await books.take("health", "lienthong.published", f"id = '{event}'")
    await books.take("health", "witness.fact", f"id = '{event}'")
    books.named.append(f"{DEATH}: 1 event that no source committed: {event}")
    books.named.append(f"{DEATH} → {DEATHS}: 1 event in the inbox that no source committed: {event}")


async def hide_a_confirmation(books: Books) -> None:
    event = await books.pick(
        "trade", "SELECT id::text FROM lienthong.published WHERE topic = $1 LIMIT 1", PRICE
    )
    await books.take("trade", "lienthong.published", f"id = '{event}'")
    books.named.append(f"{PRICE}: 1 fact on the topic, but not in what trade noted as published: {event}")


async def lose_a_fact_before_its_topic(books: Books) -> None:
    event = uuid4()
    await books.change(
        "onestop",
        f"INSERT INTO witness.fact (id, topic) VALUES ('{event}', '{ADVANCED}')",
        f"DELETE FROM witness.fact WHERE id = '{event}'",
    )
    books.named.append(f"{ADVANCED}: 1 committed fact not on the topic: {event}")


async def lose_a_dead_letter(books: Books) -> None:
    """A fact is said to be set aside: no letter is there, and its effect is."""
    event = await books.pick(
        "onestop",
        "SELECT min(id) FROM lienthong.inbox WHERE topic = $1 AND outcome = 'handled'",
        REGISTERED,
    )
    mark = f"UPDATE lienthong.inbox SET outcome = '%s', code = %s WHERE id = '{event}'"
    await books.change("onestop", mark % ("set aside", "'lost'"), mark % ("handled", "NULL"))
    key = books.key_of(REGISTERED, event)
    books.named.append(f"{FOLLOW_UP}.dlt: 1 event of {REGISTERED} set aside without a dead letter: {event}")
    books.named.append(f"{REGISTERED} → {FOLLOW_UP}: 1 effect without a fact: {key}")


async def draw_up(city: City) -> tuple[int | None, dict[str, Any]]:
    """Run `lienthong ledger` as anybody would."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "lienthong", "ledger", "--json", "--data", str(city.data)),
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    told, said = await process.communicate()
    assert told, said.decode()
    return process.returncode, json.loads(told)


@pytest.fixture
async def books(city: City) -> AsyncIterator[Books]:
    async with opened(city) as books:
        try:
            yield books
        finally:
            await books.put_back()


async def test_whatever_is_lost_doubled_or_hidden_is_named(city: City, books: Books) -> None:
    """Promise: a lost, doubled or hidden fact or effect makes the ledger fail, and is named by id or key."""
    assert city.account()["balanced"]
    await lose_an_effect(books)
    await double_an_effect(books)
    await hide_a_handled_fact(books)
    await hide_a_source(books)
    await hide_a_confirmation(books)
    await lose_a_fact_before_its_topic(books)
    await lose_a_dead_letter(books)
    status, told = await draw_up(city)
    assert status == 1
    assert sorted(told["problems"]) == sorted(books.named)


async def test_without_a_witness_the_ledger_goes_by_what_each_department_noted(
    city: City, books: Books
) -> None:
    """Promise: any bus has a ledger; where no witness was installed, it says whose word it takes."""
    await books.change(
        "health", "ALTER SCHEMA witness RENAME TO absent", "ALTER SCHEMA absent RENAME TO witness"
    )
    status, told = await draw_up(city)
    assert told["problems"] == []
    assert status == 0
    assert set(told["unwitnessed"]) - {"education"} == {"health"}, "who joined later had no witness before"
    assert told["topics"].keys() == city.account()["topics"].keys()


def test_where_no_bus_runs_the_ledger_says_so(tmp_path: Path) -> None:
    """Promise: what is in the way is said in a sentence."""
    done = subprocess.run(
        [sys.executable, "-m", "lienthong", "ledger", "--data", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "No bus runs" in done.stderr
