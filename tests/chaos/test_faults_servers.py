"""What servers may do to those who are connected: fail over to another one, let a password in no more."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from lienthong import contracts
from lienthong.chaos.proxy import HOST, Proxy
from lienthong.cluster.admin import open_admin
from lienthong.cluster.apply import apply_contracts
from lienthong.cluster.connection import admin_connection
from lienthong.embedded import Bus
from lienthong.embedded.ports import is_free
from lienthong.embedded.postgres import find_os_user, programs
from lienthong.embedded.secret import load_or_generate
from lienthong.embedded.supervisor import launch_command
from lienthong.settings import embedded_environment
from lienthong.testing import until
from tests.broker.scratch import City, Pair, write_city
from tests.chaos.traffic import Traffic, flowing


@pytest.fixture(scope="module")
async def bus(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bus]:
    # Brokers ask for the password again every few seconds; otherwise every quarter of an hour.
    bus = Bus(tmp_path_factory.mktemp("failover"), settings={"connections.max.reauth.ms": "3000"})
    await asyncio.to_thread(bus.start)
    try:
        yield bus
    finally:
        await asyncio.to_thread(bus.stop)


@pytest.fixture(scope="module")
async def city(bus: Bus, tmp_path_factory: pytest.TempPathFactory) -> City:
    root = tmp_path_factory.mktemp("city")
    city = await asyncio.to_thread(write_city, root, bus.data, 2)
    await asyncio.to_thread(apply_contracts, contracts.load_contracts(root), bus.data, date(2026, 1, 1))
    return city


def url(bus: Bus, port: int) -> str:
    secret = load_or_generate(bus.data / "secrets" / "postgres.password")
    return f"postgresql://postgres:{secret}@{HOST}:{port}/postgres"


def through(bus: Bus, department: str, port: int) -> str:
    """The address of a department's database, by way of another port."""
    found = embedded_environment(bus.data, department)["LIENTHONG_DATABASE_URL"]
    parts = urlsplit(found)
    return parts._replace(netloc=f"{parts.username}@{HOST}:{port}").geturl()


@asynccontextmanager
async def replica(bus: Bus) -> AsyncIterator[int]:
    """A second server that holds all that the first one has committed; gives its port."""
    primary, port = bus.description["postgres"]["port"], _free_port()
    folder, user = bus.data / "replica", find_os_user(bus.data)
    command = [str(programs() / "pg_basebackup"), f"--dbname={url(bus, primary)}", f"--pgdata={folder}"]
    command += ["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"]
    folder.mkdir(mode=0o700)
    if user:
        os.chown(folder, user.uid, user.gid)
    await asyncio.to_thread(_run, launch_command(command, user, signal.SIGTERM), folder)
    server = [str(programs() / "postgres"), "-D", str(folder), f"--port={port}", f"--listen_addresses={HOST}"]
    server += ["--unix_socket_directories=", "--shared_buffers=32MB", "--max_connections=200"]
    process = _start(launch_command(server, user, signal.SIGINT), folder)
    try:
        await until(lambda: _answers(bus, port), within=60)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.to_thread(process.wait, 30)


def _run(command: list[str], folder: Path) -> None:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def _start(command: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    silent = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=folder, stdout=silent, stderr=silent, process_group=0)


def _free_port() -> int:
    return next(port for port in range(6_432, 8_000) if is_free(port))


async def _answers(bus: Bus, port: int) -> bool:
    with contextlib.suppress(OSError, asyncpg.PostgresError):
        await ask(bus, port, "SELECT 1")
        return True
    return False


async def ask(bus: Bus, port: int, question: str) -> Any:
    db = await asyncpg.connect(url(bus, port), timeout=10)
    try:
        return await db.fetchval(question)
    finally:
        await db.close()


def let_in_by(bus: Bus, department: str, password: str) -> None:
    with open_admin(admin_connection(bus.data)) as admin:
        admin.set_passwords({department: password})


async def test_a_department_whose_password_is_revoked_is_cut_off_and_goes_on_when_it_is_let_in_again(
    bus: Bus, city: City
) -> None:
    pair = city.take()
    password = load_or_generate(bus.data / "secrets" / f"{pair.publisher}.password")
    async with flowing(pair) as made:
        await asyncio.to_thread(let_in_by, bus, pair.publisher, "another-one")
        before = await made.acknowledged()
        await until(lambda: _is_cut_off(made), within=60)
        committed = len(made.committed)
        await until(lambda: len(made.committed) > committed + 50)
        await asyncio.to_thread(let_in_by, bus, pair.publisher, password)
        await until(lambda: made.acknowledged_since(before, 100), within=120)


async def _is_cut_off(made: Traffic) -> bool:
    """Whether more and more waits, and none of it is acknowledged for a second."""
    before, committed = await made.acknowledged(), len(made.committed)
    await asyncio.sleep(1.0)
    return len(made.committed) > committed and await made.acknowledged() == before


async def test_a_department_goes_over_to_another_server_though_its_connections_lead_to_the_one_before(
    bus: Bus, city: City
) -> None:
    pair: Pair = city.take()
    first = bus.description["postgres"]["port"]
    async with replica(bus) as second, Proxy(first, recognise=lambda _: "") as front:
        # A commit is acknowledged when both servers have it, as whoever fails over without loss must do.
        await ask(bus, first, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        await ask(bus, first, "SELECT pg_reload_conf()")
        told = {"database_url": through(bus, pair.reader, front.port)}
        source = {"database_url": through(bus, pair.publisher, front.port)}
        async with flowing(pair, publisher_told=source, **told) as made:
            await until(lambda: len(made.committed) > 50, within=60)
            # The first server is demoted, and lives: whoever is connected may go on reading what is old.
            await ask(bus, first, "ALTER SYSTEM SET default_transaction_read_only = on")
            await ask(bus, first, "SELECT pg_reload_conf()")
            await until(lambda: made.failures > 0, within=30)
            end = await ask(bus, first, "SELECT pg_current_wal_lsn()::text")
            await until(
                lambda: ask(bus, second, f"SELECT pg_last_wal_replay_lsn() >= '{end}'::pg_lsn"), within=30
            )
            assert await ask(bus, second, "SELECT pg_promote()")
            front.target = second
            committed = len(made.committed)
            await until(lambda: len(made.committed) > committed + 50, within=60)
        assert await ask(bus, second, "SELECT NOT pg_is_in_recovery()")
