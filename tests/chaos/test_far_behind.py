"""A reader that is far behind needs no more memory than one that is not. `make faults`."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import Producer

from lienthong.cluster.apply import apply_contracts
from lienthong.cluster.connection import department_connection
from lienthong.contracts import load_contracts
from lienthong.contracts.release import release
from lienthong.embedded.bus import Bus
from lienthong.settings import embedded_environment
from tests.broker.scratch import add_pair

MOST_MB = 200
BEHIND = int(os.environ.get("FAR_BEHIND", "1000000"))

ROOM = """
from datetime import timedelta
from typing import Any
from lienthong import Connection, Department, Event, NotYet

reader = Department("{reader}")


@reader.reads("{publisher}.thing-noted.v1", purpose="counting", give_up_after=timedelta(days=1))
async def count(event: Event[dict[str, Any]], db: Connection) -> None:
    if event.data["thing_id"] == "slow":
        raise NotYet(reason="It has not come.")
    await db.execute("INSERT INTO counted VALUES ($1, $2)", event.data["thing_id"], event.data["amount"])


app = reader.app(tables="CREATE TABLE IF NOT EXISTS counted (thing_id text, amount integer)")
"""


@dataclass
class Far:
    """A publisher's topic and a reader's service that has not begun."""

    root: Path
    data: Path
    publisher: str
    reader: str

    @property
    def topic(self) -> str:
        return f"{self.publisher}.thing-noted.v1"

    def fill(self, things: Iterable[tuple[dict[str, Any], str]]) -> int:
        """Write sound events as the publisher, past its library: as fast as they can be written."""
        producer = Producer(
            department_connection(self.data, self.publisher).for_confluent()
            | {"linger.ms": 100, "compression.type": "lz4", "batch.size": 1_000_000, "acks": 1}
        )
        same = [
            ("ce_specversion", b"1.0"),
            ("ce_source", f"/vn.gov.hanoi/{self.publisher}".encode()),
            ("ce_type", f"vn.gov.hanoi.{self.publisher}.thing-noted".encode()),
            ("ce_time", b"2025-11-14T20:55:00+07:00"),
            ("ce_dataschema", f"urn:vn.gov.hanoi:{self.publisher}:thing-noted:1.0.0".encode()),
            ("content-type", b"application/json"),
        ]
        count = 0
        for count, (told, space) in enumerate(things, 1):
            headers = [*same, ("ce_id", f"00000000-0000-4000-8000-{count:012d}".encode())]
            value, key = f"{json.dumps(told)}{space}".encode(), told["thing_id"].encode()
            while True:
                try:
                    producer.produce(self.topic, value, key, headers=headers)
                    break
                except BufferError:
                    producer.poll(0.05)
        assert producer.flush(120) == 0
        return count


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("bus")
    with Bus(folder):
        yield folder


@pytest.fixture
def far(data: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Far:
    """A pair of departments whose things may be a quarter of a megabyte large."""
    root = tmp_path / "city"
    (root / "services").mkdir(parents=True)
    load = request.node.callspec.params["load"]
    number, partitions = list(LOADS).index(load), LOADS[load][3]
    publisher, reader = add_pair(root, number)
    file = root / f"contracts/{publisher}/thing-noted.v1.yaml"
    more = f"{{property: maxBytes, value: 262144}}\n  - {{property: partitions, value: {partitions}}}"
    file.write_text(file.read_text().replace("{property: partitions, value: 2}", more))
    release(root)
    apply_contracts(load_contracts(root), data, date(2026, 1, 1))
    (root / "far_room.py").write_text(ROOM.format(reader=reader, publisher=publisher))
    return Far(root, data, publisher, reader)


@contextmanager
def serving(far: Far) -> Iterator[tuple[psutil.Process, int]]:
    """Run the reader's service as its own process; gives it and its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "faststream", "run", "far_room:app", "--port", str(port)]
    environment = os.environ | embedded_environment(far.data, far.reader)
    environment |= {
        "LIENTHONG_ROOT": str(far.root),
        "PYTHONPATH": os.pathsep.join([str(far.root), *sys.path]),
    }
    with (far.root / "said.txt").open("wb") as said:
        child = subprocess.Popen(command, cwd=far.root, env=environment, stdout=said, stderr=said)
    try:
        yield psutil.Process(child.pid), port
        child.send_signal(signal.SIGTERM)
        child.wait(20)
    finally:
        child.kill()
        child.wait()


def figures(port: int) -> dict[str, float]:
    """Read a service's metrics, summed over their labels; nothing while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode()
    except OSError:
        return {}
    found: dict[str, float] = {}
    for name, value in re.findall(r"^(lienthong_\w+?)(?:{[^}]*})? (\S+)$", lines, flags=re.MULTILINE):
        found[name] = found.get(name, 0.0) + float(value)
    return found


def weigh(process: psutil.Process) -> float:
    """Tell the memory of a process and its children, megabytes."""
    return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)]) / 1e6


Things = Iterator[tuple[dict[str, Any], str]]
"""Things, each with the white space that makes its record as large as it is."""


def small() -> Things:
    """A million things, one in two hundred of a key that has to wait, the first among them."""
    for number in range(BEHIND):
        name = "slow" if number % 200 == 0 else f"vat-{number % 5_000}"
        yield {"thing_id": name, "amount": number % 1_000 + 14}, ""


def large() -> Things:
    """Things of 100 kB that hardly shrink, every third behind one that has to wait."""
    dice = random.Random(63)
    for number in range(900):
        name = "slow" if number % 3 == 0 else f"vat-{number}"
        yield {"thing_id": name, "amount": 14}, "".join(dice.choices(" \t\r\n", k=100_000))


def folded() -> Things:
    """Things of 190 kB that come as next to nothing, every third behind one that has to wait."""
    for number in range(3_000):
        name = "slow" if number % 3 == 0 else f"vat-{number}"
        yield {"thing_id": name, "amount": 14}, " " * 190_000


LOADS = {"small": (small, 30_000, 0.3, 6), "large": (large, 300, 8.0, 6), "folded": (folded, 1_000, 8.0, 36)}
"""What is read, how many things are to be handled, how many megabytes are to wait meanwhile, partitions."""


def is_under_way(now: dict[str, float], enough: int, waiting_mb: float) -> bool:
    """Tell whether enough was handled, and as much waits as should."""
    handled, held = now.get("lienthong_events_handled_total", 0), now.get("lienthong_held_bytes", 0)
    return handled >= enough and held > waiting_mb * 1e6 and now["lienthong_parked_records"] > 1


@pytest.mark.parametrize("load", LOADS)
def test_a_reader_far_behind_stays_within_its_memory(
    far: Far, load: str, capsys: pytest.CaptureFixture[str]
) -> None:
    things, enough, waiting, _ = LOADS[load]
    began = time.monotonic()
    written = far.fill(things())
    filled = time.monotonic() - began
    most, lag, now = 0.0, 0.0, {}
    with serving(far) as (process, port):
        began = time.monotonic()
        idle = 0.0
        while not is_under_way(now, enough, waiting):
            assert time.monotonic() - began < 240, f"it has handled {now} within four minutes"
            most = max(most, weigh(process))
            if now := figures(port):
                idle = idle or most
                lag = max(lag, now.get("lienthong_lag_records", 0))
            time.sleep(0.1)
        rate = now["lienthong_events_handled_total"] / (time.monotonic() - began)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{load}: {written} written in {filled:.0f} s, {lag:.0f} behind, {rate:.0f}/s,"
            f" {now['lienthong_parked_records']:.0f} parked, {now['lienthong_held_bytes'] / 1e6:.0f} MB held,"
            f" {idle:.0f} MB at first, {most:.0f} MB at most\n"
        )
    assert lag > written * 0.9
    assert most < MOST_MB
