"""A department joins, or a procedure, by adding contracts and a room; no file elsewhere is touched."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

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


EDUCATION = {
    **NEWCOMER,
    "handlers.py": """
from lienthong import Connection, Event
from services.{name} import {name}
from services.{name}.events import BirthRegistered, SchoolPlaceNoted


@{name}.reads("justice.birth-registered.v1", purpose="school-planning")
async def plan(event: Event[BirthRegistered], db: Connection) -> None:
    child = event.data
    place = SchoolPlaceNoted(
        registration_number=child.registration_number,
        unit_code=child.unit_code,
        school_year=child.registered_at.year + 6,
    )
    await {name}.publish(db, place)
""",
}
PLACE = """
      - name: unit_code
        businessName: Phường, xã
        description: Nơi trẻ đi học.
        logicalType: string
        logicalTypeOptions: {{pattern: "^[0-9]{{5}}$"}}
        required: true
        classification: public
        examples: ["00004"]
      - name: school_year
        businessName: Năm vào lớp một
        description: Năm trẻ vào lớp một.
        logicalType: integer
        logicalTypeOptions: {{minimum: 2025, maximum: 2100}}
        required: true
        classification: public
        examples: [2031]
"""
REGISTRATION = scratch.KEY.replace("^[a-z0-9-]{{1,60}}$", "^[0-9]{{5}}-[0-9]{{4}}-[0-9]{{6}}$").replace(
    "vat-1", "00004-2025-000001"
)
WRITTEN_ANEW = ("index.json", "promises.json")
"""By `release`, beside the frozen schemas."""
PLACES = "education.school-place-noted.v1"


@dataclass
class Joined:
    """A city in which others have joined, played to its account."""

    account: dict[str, Any]
    publisher: str
    reader: str
    changed: list[str]


def write_procedure(root: Path) -> None:
    """Add a procedure: a room and a contract of one department, which justice let read before."""
    write_room(root, "education", EDUCATION)
    head = scratch.HEAD.format(
        topic=PLACES, title="Chỗ học lớp một", department="education", event="school-place-noted"
    )
    fields = REGISTRATION.format(name="registration_number", label="đăng ký") + PLACE.format()
    tail = scratch.TAIL.format(reader="", purpose="", fields="", state="", department="education")
    text = "\n".join((head, fields, tail[tail.index("slaProperties") :])).splitlines()
    file = root / "contracts/education/school-place-noted.v1.yaml"
    file.write_text("\n".join(line for line in text if line.strip()) + "\n")
    data = 'registration_number: 00004-2025-000001, unit_code: "00004", school_year: {year}'
    valid, invalid = data.format(year=2031), data.format(year=1931)
    examples = (
        f"valid:\n  - data: {{{valid}}}\ninvalid:\n  - because: Năm đã qua.\n    paths: [/school_year]\n"
    )
    file.with_suffix(".examples.yaml").write_text(f"{examples}    data: {{{invalid}}}\n")


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Joined:
    folder = tmp_path_factory.mktemp("joined")
    root = folder / "city"
    for name in ("contracts", "schemas", "services"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    before = {
        file: file.read_bytes()
        for file in root.rglob("*.*")
        if file.is_file() and file.name not in WRITTEN_ANEW
    }
    publisher, reader = scratch.add_pair(root, 0)
    write_room(root, publisher, PUBLISHER, reader=reader)
    write_room(root, reader, READER, publisher=publisher)
    write_procedure(root)
    for words in (("contracts", "check"), ("release",)):
        ran = subprocess.run(
            [*COMMAND, *words], cwd=root, env=environment(), capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
    account = play(root, folder)
    changed = [str(file.relative_to(root)) for file in before if file.read_bytes() != before[file]]
    return Joined(account, publisher, reader, changed)


COMMAND = (sys.executable, "-m", "lienthong")


def environment() -> dict[str, str]:
    told = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
    return told | {"PYTHONPATH": str(REPOSITORY)}


def play(root: Path, folder: Path) -> dict[str, Any]:
    """Play the city that stands in a folder; gives its account."""
    report, output = folder / "report.json", folder / "output.txt"
    where = ["--data", str(folder / "data"), "--report", str(report)]
    command = [*COMMAND, "demo", "--once", "--dossiers", "30", "--pace", "1", *where]
    with output.open("wb") as file:
        process = subprocess.Popen(command, cwd=root, env=environment(), stdout=file, stderr=file)
    try:
        wait_for(report.exists, Played(process, folder / "data", report, output), within=240)
        assert process.wait(30) == 0, output.read_text()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    account: dict[str, Any] = json.loads(report.read_text())
    return account


def test_two_scratch_departments_speak_to_each_other_in_the_repositorys_city(joined: Joined) -> None:
    """Promise: adding a department edits no Python elsewhere, and another department hears its events."""
    things = joined.account["topics"][f"{joined.publisher}.thing-noted.v1"]
    assert things["committed"] == 20
    assert things["readers"][f"{joined.reader}.counting"]["handled"] == 20
    assert things["refused"], "the bad record was refused by name"
    assert joined.account["topics"][f"{joined.reader}.thing-counted.v1"]["committed"] == 20
    assert joined.changed == []


def test_a_procedure_is_added_by_one_departments_room_and_contracts(joined: Joined) -> None:
    """Promise: a new procedure is one department's room and contracts; every other file stays as it is."""
    registered = joined.account["topics"]["justice.birth-registered.v1"]
    places = joined.account["topics"][PLACES]
    assert registered["readers"]["education.school-planning"]["handled"] == registered["committed"] > 0
    assert places["committed"] == registered["committed"]
    assert joined.changed == []
