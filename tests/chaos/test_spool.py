"""A spool on a disk that fills up, and a publisher that is killed again and again. `make faults`."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from lienthong.testing import running, until
from tests.broker.scratch import City
from tests.broker.test_spool import TABLES, effects, killed_sensor, publisher_of, reader_of

FILLING = """
import json, os, shutil, subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.unit.test_spool import Clock, event, telling
from lienthong.errors import SpoolFull
from lienthong.spool import Spool

disk = Path(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "disk", disk], check=True)
spool = Spool(disk / "trade.spool", 2**30, Clock())
told = {"put": 0}
try:
    while True:
        spool.put([telling(event(os.urandom(50_000)))])
        told["put"] += 1
except SpoolFull as full:
    told["full"] = str(full)
told["free_when_full"] = shutil.disk_usage(disk).free
sent = spool.fetch(20)
with (disk / "others").open("wb", buffering=0) as others:
    try:
        while True:
            others.write(bytes(65_536))
    except OSError as error:
        told["others"] = error.errno
    told["free"] = shutil.disk_usage(disk).free
    try:
        spool.settle([(row.seq, 0, row.seq) for row in sent], [])
        told["settled"] = "at once"
    except SpoolFull as full:
        told["settled"] = str(full)
    os.truncate(disk / "others", 0)
spool.settle([], [])
told["left"] = spool.measure().records
told["next"] = spool.fetch(1)[0].seq - sent[-1].seq
spool.close()
print(json.dumps(told))
"""


def test_on_a_disk_that_is_full_nothing_is_half_done_and_nothing_is_sent_twice(
    tmp_path: Path, repository: Path
) -> None:
    """Promise: a full disk refuses new facts by name, keeps those it has, and goes on when there is room."""
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("a file system of one's own needs user namespaces")
    command = [*alone, sys.executable, "-c", FILLING, str(repository), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, check=True, timeout=120)
    told = orjson.loads(ran.stdout)
    assert told["put"] > 100
    assert "The disk of the spool" in told["full"]
    assert told["free_when_full"] > 2**20, "room to note what is sent is kept"
    assert (told["others"], told["free"]) == (28, 0), "no space left on device"
    assert (told["left"], told["next"]) == (told["put"] - 20, 1), "sent, noted, and not sent again"


@pytest.mark.parametrize("seed", [7, 8])
async def test_a_publisher_killed_again_and_again_loses_doubles_and_reorders_nothing(
    scratch: City, tmp_path: Path, seed: int
) -> None:
    """Promise: when `publish` has returned, the fact will take effect once, and in the order of its key."""
    pair, dice = scratch.take(), random.Random(seed)
    kills = ("at any moment", "before it is noted", "after it is noted")
    promised: list[int] = []
    async with running(reader_of(pair), data=pair.data, root=pair.root, tables=TABLES) as sink:
        for _ in range(20):
            first = promised[-1] + 2 if promised else 1_000
            promised += await asyncio.to_thread(
                killed_sensor, pair, tmp_path, dice.choice(kills), first, dice
            )
        async with publisher_of(pair, tmp_path) as publisher:
            assert (await publisher.wait_sent(60)).records == 0
        await until(lambda: sink.pool.fetchval("SELECT count(*) >= $1 FROM counted", len(promised)))
        found = await effects(sink)
    counted = [amount for amounts in found.values() for amount in amounts]
    assert set(promised) - set(counted) == set(), "lost"
    assert len(counted) == len(set(counted)), "doubled"
    assert [thing for thing, amounts in found.items() if amounts != sorted(amounts)] == [], "out of order"
