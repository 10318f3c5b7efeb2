"""A city's contracts, departments, rights and passwords change while it is played. `make faults`."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from confluent_kafka import Consumer, KafkaError

from lienthong.cluster.connection import department_connection
from lienthong.settings import embedded_environment
from tests.journeys.conftest import REPOSITORY, City, wait_for
from tests.journeys.test_onboarding import COPIED

PACE = 120
SIZE = ("--dossiers", "450", "--seed", "63")
SERVICES = {"health", "onestop", "justice", "police", "insurance", "trade", "science"}
PRICES, GRANTED = "trade.price-observed.v1", "trade.retail-licence-granted"
REGISTRATIONS, SCHOOLS = "justice.birth-registered.v1", "education.school-planning"
RELICS, LESSONS = "culture.relic-listed.v1", "education.heritage-lessons"
NOTE = """      - name: note
        businessName: Ghi chú
        description: Người ghi giá nói thêm điều gì.
        logicalType: string
        logicalTypeOptions: {minLength: 1, maxLength: 200}
        required: false
        classification: public
        examples: ["Hàng khuyến mãi"]
"""
CONTINUES = """  - property: continues
    value:
      topic: trade.retail-licence-granted.v1
      mapping: [{field: business_name, from: trading_name}]
"""
NOTED = "Hàng về muộn"
CULTURE = """
new department culture --name "Sở Văn hóa và Thể thao" --name-en "Department of Culture" --yes
new event culture.relic-listed --title "Di tích đã xếp hạng" --field "unit_code:code:Phường, xã" --yes
new reader culture.relic-listed --for education --purpose heritage-lessons \\
    --legal-basis "Nghị định 278/2025/NĐ-CP, Điều 5" --until 2028-12-31 --fields unit_code --yes
""".strip().replace("\\\n", " ")
RENAMED = """renamed = dict(record)
    if "business_name" in renamed:
        renamed["trading_name"] = renamed.pop("business_name")
    await trade.publish(db, renamed, topic=RetailLicenceGrantedV2.TOPIC,"""


class Changing:
    """A city that runs in a copy of the repository, so that its files can be changed."""

    def __init__(self, folder: Path) -> None:
        self.root, self.data, self.report = folder / "city", folder / "data", folder / "report.json"
        self.log = folder / "output.txt"
        for name in COPIED:
            shutil.copytree(REPOSITORY / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(REPOSITORY / name, self.root)

    def environment(self) -> dict[str, str]:
        told = {
            name: value for name, value in os.environ.items() if not name.startswith(("LIENTHONG_", "COV"))
        }
        return told | {"PYTHONPATH": str(self.root), "COLUMNS": "120"}

    def run(self, *words: str, status: int = 0) -> str:
        """Type a command of `lienthong` in the copy; gives what it said."""
        command = [sys.executable, "-m", "lienthong", *words]
        ran = subprocess.run(
            command, cwd=self.root, env=self.environment(), capture_output=True, text=True, check=False
        )
        assert ran.returncode == status, f"{words}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def put_in_force(self) -> None:
        self.run("release")
        self.run("apply", "--yes", "--data", str(self.data))

    def edit(self, file: str, *changes: tuple[str, str]) -> None:
        path = self.root / file
        text = path.read_text()
        for old, new in changes:
            assert old in text, (file, old)
            text = text.replace(old, new, 1)
        path.write_text(text)

    @contextmanager
    def playing(self, *arguments: str) -> Iterator[City]:
        command = [sys.executable, "-m", "lienthong", "demo", "--data", str(self.data)]
        command += ["--report", str(self.report), *SIZE, *arguments]
        with self.log.open("wb") as file:
            process = subprocess.Popen(
                command, cwd=self.root, stdout=file, stderr=file, env=self.environment()
            )
        try:
            yield City(process, self.data, self.report, self.log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(60)

    @contextmanager
    def serving(self, department: str) -> Iterator[None]:
        """Start a new department's service as its operator would."""
        told = self.environment() | embedded_environment(self.data, department)
        command = [sys.executable, "-m", "faststream", "run", f"services.{department}.app:app"]
        command += ["--host", "127.0.0.1", "--port", "0"]
        said = self.data / f"{department}.txt"
        with said.open("wb") as log:
            process = subprocess.Popen(command, cwd=self.root, env=told, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)
        assert "service_stopped" in said.read_text(), said.read_text()[-4000:]

    def ask(self, department: str, query: str, *arguments: Any) -> Any:
        return asyncio.run(self._ask(department, query, *arguments))

    async def _ask(self, department: str, query: str, *arguments: Any) -> Any:
        url = embedded_environment(self.data, department)["LIENTHONG_DATABASE_URL"]
        secret = (self.data / "secrets" / f"{department}.password").read_text().strip()
        db = await asyncpg.connect(url, password=secret, timeout=10)
        try:
            return await db.fetchval(query, *arguments)
        finally:
            await db.close()

    def hand_in(self, department: str, kind: str, record: dict[str, object]) -> None:
        raw = json.dumps(record, ensure_ascii=False).encode()
        self.ask(department, "INSERT INTO lienthong.intake (kind, raw) VALUES ($1, $2)", kind, raw)

    def add_a_field(self) -> None:
        """Let prices carry a note, if somebody has one."""
        self.edit("contracts/trade/price-observed.v1.yaml", ("    quality:\n", f"{NOTE}    quality:\n"))

    def begin_a_major(self) -> None:
        """Call the business of a licence by another name, from the next major on."""
        former, newer = (self.root / f"contracts/trade/retail-licence-granted.v{n}.yaml" for n in (1, 2))
        text = former.read_text()
        newer.write_text(
            text.replace("retail-licence-granted.v1", "retail-licence-granted.v2")
            .replace("version: 1.0.0", "version: 2.0.0")
            .replace("name: business_name", "name: trading_name")
            .replace(
                "customProperties:\n  - {property: partitions",
                f"customProperties:\n{CONTINUES}  - {{property: partitions",
            )
        )
        examples = former.with_name("retail-licence-granted.v1.examples.yaml").read_text()
        newer.with_name("retail-licence-granted.v2.examples.yaml").write_text(
            examples.replace("business_name", "trading_name")
        )
        end = 'slaProperties:\n  - {property: endOfLife, value: "2030-12-31"}\n'
        former.write_text(text.replace("slaProperties:\n", end))
        self.edit(
            "services/trade/publishers.py",
            ("await trade.publish(db, record, topic=RetailLicenceGranted.TOPIC,", RENAMED),
            ("RetailLicenceGranted, Unit", "RetailLicenceGranted, RetailLicenceGrantedV2, Unit"),
        )

    def withdraw(self) -> None:
        """Take the schools' grant of registrations back."""
        file = self.root / "contracts/justice/birth-registered.v1.yaml"
        before, _, after = file.read_text().partition("  - role: education\n")
        file.write_text(before + after[after.index("slaProperties:") :])


def refused_by(report: dict[str, Any]) -> dict[str, Counter[str]]:
    """What became no fact, by department and reason."""
    return {name: Counter(codes) for name, codes in report["intake_problems"].items() if codes}


def heard(consumer: Consumer, wanted: Callable[[Any], bool], within: float = 30) -> float:
    """Poll until a record or error is as wanted; gives the seconds it took."""
    began = time.monotonic()
    while time.monotonic() < began + within:
        record = consumer.poll(0.2)
        if record is not None and wanted(record):
            return time.monotonic() - began
    raise AssertionError(f"nothing of the kind within {within} s")


def is_cut_off(record: Any) -> bool:
    return record.error() is not None and record.error().code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_contracts_departments_rights_and_passwords_change_while_the_city_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Promise: the city changes while it serves; what is not named goes on, and the ledger balances."""
    (tmp_path / "still").mkdir()
    still = Changing(tmp_path / "still")
    with still.playing("--once", "--pace", "5") as city:
        assert city.process.wait(240) == 0, city.spoken()
    expected = refused_by(json.loads(still.report.read_text()))

    (tmp_path / "moving").mkdir()
    moving = Changing(tmp_path / "moving")
    began = time.monotonic()
    with moving.playing("--pace", str(PACE)) as city:
        wait_for(lambda: city.pids().keys() >= SERVICES, city)
        wait_for(lambda: has_published(moving, "trade", f"{GRANTED}.v1"), city)
        before = city.pids()

        moving.add_a_field()
        moving.begin_a_major()
        moving.put_in_force()
        os.kill(before["trade"], signal.SIGTERM)
        wait_for(lambda: city.pids().get("trade") not in {None, before["trade"]}, city)
        moving.hand_in("trade", "price", price())
        wait_for(lambda: has_published(moving, "trade", f"{GRANTED}.v2"), city)

        client = department_connection(moving.data, "education").for_confluent() | {"log_level": 0}
        consumer = Consumer(client | {"group.id": SCHOOLS, "auto.offset.reset": "earliest"})
        consumer.subscribe([REGISTRATIONS])
        heard(consumer, lambda record: record.error() is None)
        moving.withdraw()
        moving.put_in_force()
        cut_off = heard(consumer, is_cut_off)
        consumer.close()

        for command in CULTURE.splitlines():
            moving.run(*shlex.split(command))
        moving.put_in_force()
        with moving.serving("culture"), moving.serving("education"):
            for number in range(1, 4):
                wait_for(lambda number=number: hand_in_relic(moving, number), city)
            wait_for(lambda: handled(moving, "education") >= 3, city)

            told = moving.run("rotate", "--all", "--overlap", "4", "--data", str(moving.data))
            moved = time.monotonic() - began
            assert not city.report.exists(), "everything was changed before the input was over"
            moving.hand_in("culture", "relic-listed", relic(4))
            wait_for(lambda: handled(moving, "education") >= 4, city)
            wait_for(city.report.exists, city, within=240)
            account = json.loads(moving.run("ledger", "--json", "--data", str(moving.data)))
        after = city.pids()

    with capsys.disabled():
        sys.stdout.write(f"\nchanged within {moved:.0f} s of play; cut off after {cut_off:.1f} s\n{told}\n")
    assert {name for name in before if before[name] != after[name]} == {"trade"}
    assert account["problems"] == []
    assert account["balanced"]
    assert refused_by(account) == expected
    topics = account["topics"]
    assert topics[f"{GRANTED}.v1"]["committed"] > topics[f"{GRANTED}.v2"]["committed"] > 0
    assert topics[RELICS]["readers"][LESSONS]["handled"] == 4
    assert json.loads(city.report.read_text())["problems"] == []
    assert not any(account["dead_letters"].values())


def price() -> dict[str, object]:
    """A price of today with the new field."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S+07:00", time.gmtime(time.time() + 7 * 3600))
    number = f"00004-01-{now[:10].replace('-', '')}-999999"
    told = {"observation_id": number, "market_code": "00004-01", "good_code": "rice"}
    return told | {"price_vnd": 18_500, "observed_at": now, "note": NOTED}


def relic(number: int) -> dict[str, object]:
    return {
        "relic_code": f"RELIC-{number:06d}",
        "listed_at": "2026-01-01T08:00:00+07:00",
        "unit_code": "MAU-1",
    }


def hand_in_relic(city: Changing, number: int) -> bool:
    """Hand a relic in as soon as its department has set up its tables."""
    try:
        city.hand_in("culture", "relic-listed", relic(number))
    except asyncpg.PostgresError:
        return False
    return True


def has_published(city: Changing, department: str, topic: str) -> bool:
    try:
        return bool(
            city.ask(department, "SELECT true FROM lienthong.published WHERE topic = $1 LIMIT 1", topic)
        )
    except asyncpg.PostgresError:
        return False


def handled(city: Changing, department: str) -> int:
    return int(
        city.ask(department, "SELECT count(*) FROM lienthong.inbox WHERE consumer_group = $1", LESSONS)
    )
