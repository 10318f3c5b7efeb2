"""What goes wrong with disks: full, or read-only. Whoever may not mount one skips these."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from lienthong import contracts
from lienthong.cluster.apply import apply_contracts
from lienthong.embedded import Bus
from lienthong.testing import until
from tests.broker.scratch import City, write_city
from tests.chaos.small_disk import SmallDisk, small_disk
from tests.chaos.traffic import flowing


@dataclass
class Narrow:
    """A bus whose broker and database each have a small disk of their own."""

    bus: Bus
    city: City
    records: SmallDisk
    databases: SmallDisk


@pytest.fixture(scope="module")
async def narrow(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Narrow]:
    data, root = tmp_path_factory.mktemp("narrow"), tmp_path_factory.mktemp("city")
    with ExitStack() as stack:
        records = stack.enter_context(small_disk(data / "kafka-1" / "records", 64))
        await asyncio.to_thread(_start_once, data)
        databases = _move_to_small_disk(stack, data / "postgres", 400)
        bus = Bus(data)
        await asyncio.to_thread(bus.start)
        try:
            city = await asyncio.to_thread(write_city, root, data, 4)
            await asyncio.to_thread(apply_contracts, contracts.load_contracts(root), data, date(2026, 1, 1))
            yield Narrow(bus, city, records, databases)
        finally:
            await asyncio.to_thread(bus.stop)


def _start_once(data: Path) -> None:
    with Bus(data):
        pass


def _move_to_small_disk(stack: ExitStack, folder: Path, megabytes: int) -> SmallDisk:
    kept = folder.rename(folder.with_name("kept"))
    folder.mkdir()
    found = kept.stat()
    os.chown(folder, found.st_uid, found.st_gid)
    folder.chmod(found.st_mode & 0o777)
    disk = stack.enter_context(small_disk(folder, megabytes))
    subprocess.run(["cp", "-a", f"{kept}/.", str(folder)], check=True)
    return disk


async def test_a_broker_whose_disk_is_full_acknowledges_nothing_and_has_all_that_it_acknowledged(
    narrow: Narrow,
) -> None:
    async with flowing(narrow.city.take()) as made:
        narrow.records.fill()
        try:
            committed = len(made.committed)
            await until(lambda: len(made.committed) > committed + 150, within=60)
            ended = narrow.bus.children.get("kafka-1")
            waits = await made.acknowledged() < len(made.committed)
        finally:
            narrow.records.free()
        assert waits, f"nothing can be written, and yet all is acknowledged (broker {ended})"
        before = await made.acknowledged()
        await until(lambda: made.acknowledged_since(before, 50), within=150)


async def test_a_broker_that_may_not_write_its_records_stays_away_until_it_may(narrow: Narrow) -> None:
    async with flowing(narrow.city.take()) as made:
        os.kill(narrow.bus.children["kafka-1"], signal.SIGKILL)
        await until(narrow.records.forbid_writing, within=30)
        try:
            before = await made.acknowledged()
            committed = len(made.committed)
            await until(lambda: len(made.committed) > committed + 150, within=60)
            assert await made.acknowledged() <= before + 1
        finally:
            narrow.records.allow_writing()
        await until(lambda: made.acknowledged_since(before, 50), within=150)


async def test_a_database_whose_disk_is_full_sets_nobodys_record_aside(narrow: Narrow) -> None:
    async with flowing(narrow.city.take()) as made:
        narrow.databases.fill()
        try:
            await until(lambda: made.failures > 10, within=60)
        finally:
            narrow.databases.free()
        committed = len(made.committed)
        await until(lambda: len(made.committed) > committed + 50, within=120)
