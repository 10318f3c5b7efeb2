"""A department joins by adding its contracts and its room; no Python file elsewhere is touched."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.broker import scratch
from tests.journeys.conftest import REPOSITORY, wait_for
from tests.journeys.conftest import City as Played

NEWCOMER = {
    "__init__.py": """
from lienthong import Department

{name} = Department("{name}")
""",
    "app.py": """
from services.{name} import {name}, handlers  # noqa: F401

app = {name}.app()
""",
}

PUBLISHER = {
    **NEWCOMER,
    "handlers.py": """
from typing import Any

from lienthong import Connection, Event
from services.{name} import {name}
from services.{name}.events import ThingCounted, ThingNoted


@{name}.reads("{reader}.thing-counted.v1", purpose="follow-up")
async def hear(event: Event[ThingCounted]) -> None:
    assert event.data.amount >= 100


@{name}.takes("thing")
async def note(record: dict[str, Any], db: Connection) -> None:
    await {name}.publish(db, record, topic=ThingNoted.TOPIC)
""",
    "demo.py": """
from collections.abc import Iterator

GIVES = NEEDS = ()


def feed(scale: object, papers: object) -> Iterator[tuple[str, bytes]]:
    for number in range(20):
        yield "thing", b'{{"thing_id":"vat-%d","amount":%d}}' % (number, number + 100)
    yield "thing", b'{{"thing_id":"VAT","amount":-1}}'
""",
}

READER = {
    **NEWCOMER,
    "handlers.py": """
from lienthong import Connection, Event
from services.{name} import {name}
from services.{name}.events import ThingCounted, ThingNoted

{name}.keeps("{publisher}.place.v1", purpose="reference")


@{name}.reads("{publisher}.thing-noted.v1", purpose="counting")
async def count(event: Event[ThingNoted], db: Connection) -> None:
    await {name}.publish(db, ThingCounted(thing_id=event.data.thing_id, amount=event.data.amount))
""",
}


def write_room(root: Path, name: str, files: dict[str, str], **others: str) -> None:
    folder = root / "services" / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (folder / file).write_text(text.format(name=name, **others).lstrip())


def test_two_scratch_departments_speak_to_each_other_in_the_repositorys_city(tmp_path: Path) -> None:
    """Promise: adding a department edits no Python elsewhere, and another department hears its events."""
    root = tmp_path / "city"
    for folder in ("contracts", "schemas", "services"):
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    before = {file: file.read_bytes() for file in (root / "services").rglob("*.py")}
    publisher, reader = scratch.add_pair(root, 0)
    write_room(root, publisher, PUBLISHER, reader=reader)
    write_room(root, reader, READER, publisher=publisher)
    command = [sys.executable, "-m", "lienthong"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LIENTHONG_")}
    environment["PYTHONPATH"] = str(REPOSITORY)
    checked = subprocess.run(
        [*command, "contracts", "check"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    released = subprocess.run(
        [*command, "release"], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert released.returncode == 0, released.stdout + released.stderr
    report, output = tmp_path / "report.json", tmp_path / "output.txt"
    where = ["--data", str(tmp_path / "data"), "--report", str(report)]
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*command, "demo", "--once", "--dossiers", "30", "--pace", "1", *where],
            cwd=root,
            env=environment,
            stdout=file,
            stderr=file,
        )
    try:
        wait_for(report.exists, Played(process, tmp_path / "data", report, output))
        assert process.wait(30) == 0, output.read_text()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    account = json.loads(report.read_text())
    things = account["topics"][f"{publisher}.thing-noted.v1"]
    assert things["committed"] == 20
    assert things["readers"][f"{reader}.counting"]["handled"] == 20
    assert things["refused"], "the bad record was refused by name"
    assert account["topics"][f"{reader}.thing-counted.v1"]["committed"] == 20
    after = {file: file.read_bytes() for file in before}
    assert after == before
