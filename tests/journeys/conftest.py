"""A whole city, played once for all the journeys that only look."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from lienthong import contracts
from lienthong.cluster.connection import admin_connection
from tests.broker.scratch import City as Scratch
from tests.journeys.plain_client import read
from tests.journeys.town import Town, open_town

REPOSITORY = Path(__file__).parents[2]


@dataclass
class City:
    """A demo that runs: its process, its data folder, its report once there is one."""

    process: "subprocess.Popen[bytes]"
    data: Path
    report: Path
    output: Path

    def pids(self) -> dict[str, int]:
        """The process ids of services and bus, by name."""
        found: dict[str, int] = {}
        for file in ("services.json", "children.json"):
            with contextlib.suppress(OSError, ValueError):
                found |= {
                    name: told["pid"] for name, told in json.loads((self.data / file).read_text()).items()
                }
        return {name: pid for name, pid in found.items() if pid}

    def account(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.report.read_text())
        return found

    def spoken(self) -> str:
        return self.output.read_text(errors="replace")


def wait_for(condition: Callable[[], Any], city: City, within: float = 120.0) -> Any:
    """Wait for something true of a city; a demo that ends before fails at once, with what it said."""
    deadline = time.monotonic() + within
    while True:
        if found := condition():
            return found
        assert city.process.poll() is None, f"the demo ended with {city.process.returncode}:\n{city.spoken()}"
        assert time.monotonic() < deadline, f"not within {within} s:\n{city.spoken()}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            city.process.wait(0.1)


@contextlib.contextmanager
def played(folder: Path, *arguments: str) -> Iterator[City]:
    """Play a demo in its own process; whatever happens, nothing of it is left running."""
    data, report, output = folder / "data", folder / "report.json", folder / "output.txt"
    command = [
        sys.executable,
        "-m",
        "lienthong",
        "demo",
        "--data",
        str(data),
        "--report",
        str(report),
        *arguments,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=file, stderr=file, env=environment)
    city = City(process, data, report, output)
    try:
        yield city
    finally:
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


@pytest.fixture(scope="package")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A small city that has been played to its account and is still up."""
    with played(tmp_path_factory.mktemp("city"), "--dossiers", "450", "--pace", "4") as city:
        wait_for(city.report.exists, city)
        yield city


@pytest.fixture(scope="package")
def log(city: City) -> dict[str, list[Any]]:
    """Every record of the demo, by topic, as a plain client reads it."""
    known = contracts.load_contracts(REPOSITORY)
    topics = {*known.contracts, *(f"{name}.refusals" for name in known.departments)}
    topics |= {f"{grant.group}.dlt" for contract in known.contracts.values() for grant in contract.grants}
    return read(admin_connection(city.data).for_confluent(), sorted(topics), "oracle")


@pytest.fixture(scope="package")
async def town(scratch: Scratch, data: Path) -> AsyncIterator[Town]:
    """Seven departments in this process, for the journeys that tell one family's story."""
    async with open_town(data, scratch.root) as town:
        yield town
