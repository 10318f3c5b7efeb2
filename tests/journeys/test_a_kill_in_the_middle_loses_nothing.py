"""Processes die without warning; what they had promised is kept."""

import asyncio
import json
import os
import signal
from pathlib import Path

import asyncpg
import psutil

from lienthong.errors import BusNotUsable
from lienthong.settings import embedded_environment
from tests.journeys.conftest import City, played, wait_for

SERVICES = ("health", "onestop", "justice", "police", "insurance", "trade", "science")
BUS = ("kafka-1", "postgres")
_WORK = "SELECT (SELECT count(*) FROM lienthong.inbox) + (SELECT count(*) FROM lienthong.published)"


async def fetch_work(city: City, department: str) -> int:
    """Count what a department has handled and published."""
    url = embedded_environment(city.data, department)["LIENTHONG_DATABASE_URL"]
    secret = (city.data / "secrets" / f"{department}.password").read_text().strip()
    db = await asyncpg.connect(url, password=secret, timeout=5)
    try:
        return int(await db.fetchval(_WORK))
    finally:
        await db.close()


def work(city: City, department: str) -> int:
    try:
        return asyncio.run(fetch_work(city, department))
    except (BusNotUsable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return 0  # bus, database or tables are not there, or not yet


def kill(city: City, victim: str) -> None:
    """Kill a process without warning, and wait until another runs in its place."""
    before = city.pids()[victim]
    killed = psutil.Process(before)
    os.kill(before, signal.SIGKILL)
    killed.wait(10)
    wait_for(lambda: city.pids().get(victim) not in {None, before}, city, within=60)


def test_a_kill_in_the_middle_of_the_demo_ends_in_a_balanced_ledger(tmp_path: Path) -> None:
    """Promise: kill -9 of each service, of the broker and of the database loses nothing, doubles nothing."""
    done: dict[str, int] = {}
    with played(tmp_path, "--once", "--dossiers", "300", "--pace", "25") as city:
        for service in SERVICES:
            # Of its own input and of what others say, something is done already, and more is to come.
            done[service] = wait_for(lambda service=service: work(city, service), city)
            kill(city, service)
        for part in BUS:
            busy = work(city, "justice")
            wait_for(lambda busy=busy: work(city, "justice") > busy, city)
            kill(city, part)
        wait_for(city.report.exists, city, within=180)
        assert city.process.wait(60) == 0, city.spoken()
    account = json.loads(city.report.read_text())
    assert account["problems"] == []
    assert account["settled"]
    readers = [reader for topic in account["topics"].values() for reader in topic["readers"].values()]
    assert [reader["set_aside"] for reader in readers if "handler-failed" in reader["set_aside"]] == []
    handled = {
        service: sum(
            reader["handled"]
            for topic in account["topics"].values()
            for group, reader in topic["readers"].items()
            if group.startswith(f"{service}.")
        )
        + sum(told["committed"] for name, told in account["topics"].items() if name.startswith(f"{service}."))
        for service in SERVICES
    }
    in_the_middle = {service: (done[service], handled[service]) for service in SERVICES}
    assert all(0 < before < after for before, after in in_the_middle.values()), in_the_middle
    assert account["topics"]["justice.birth-registered.v1"]["committed"] > 150
