"""A scratch pair whose publisher moves to a second major: `amount` is called `quantity`, and has a unit."""

from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

from lienthong import Connection, Department, Event, contracts
from lienthong.cluster.apply import apply_contracts
from lienthong.contracts.release import release
from lienthong.service import Service
from tests.broker import scratch

TODAY = date(2026, 1, 1)
END = "2099-06-30"
AFTER_THE_END = date(2099, 7, 1)
_NUMBERS = count(300)

TABLES = """
CREATE TABLE IF NOT EXISTS counted (thing_id text, major integer)
"""

CONTINUES = """  - property: continues
    value:
      topic: {first}
      mapping:
        - {{field: amount, from: quantity}}
"""

UNIT = """      - name: unit_name
        businessName: Đơn vị tính
        description: Đếm bằng gì.
        logicalType: string
        logicalTypeOptions: {minLength: 1, maxLength: 20}
        required: true
        classification: public
        examples: [chiếc]
"""


@dataclass(frozen=True)
class Moving:
    """Two departments in a folder of their own; the publisher's first major is released and applied."""

    root: Path
    data: Path
    publisher: str
    reader: str

    @property
    def first(self) -> str:
        return f"{self.publisher}.thing-noted.v1"

    @property
    def second(self) -> str:
        return f"{self.publisher}.thing-noted.v2"

    @property
    def group(self) -> str:
        return f"{self.reader}.counting"

    def put_in_force(self) -> None:
        release(self.root)
        apply_contracts(contracts.load_contracts(self.root), self.data, TODAY)

    def move(self) -> None:
        """Write the second major beside the first, whose end is announced, and put both in force."""
        file = self.root / "contracts" / self.publisher / "thing-noted.v1.yaml"
        first = file.read_text()
        partitions = "  - {property: partitions, value: 2}\n"
        second = first
        for old, new in (
            ("thing-noted.v1", "thing-noted.v2"),
            ("version: 1.0.0", "version: 2.0.0"),
            ("      - name: amount\n", f"{UNIT}      - name: quantity\n"),
            ("data.amount", "data.quantity"),
            ("amount,", "quantity, unit_name,"),
            (partitions, partitions + CONTINUES.format(first=self.first)),
        ):
            assert old in second, old
            second = second.replace(old, new)
        file.with_name("thing-noted.v2.yaml").write_text(second)
        examples = file.with_name("thing-noted.v1.examples.yaml").read_text()
        file.with_name("thing-noted.v2.examples.yaml").write_text(
            examples.replace("amount: 3", "quantity: 3, unit_name: chiếc")
        )
        end = f'slaProperties:\n  - {{property: endOfLife, value: "{END}"}}\n'
        file.write_text(first.replace("slaProperties:\n", end))
        self.put_in_force()

    def retire_the_first(self) -> contracts.Contracts:
        """Give the contracts as they will be after the end."""
        file = self.root / "contracts" / self.publisher / "thing-noted.v1.yaml"
        file.write_text(file.read_text().replace("status: active", "status: retired"))
        return contracts.load_contracts(self.root)

    def counter(self, *majors: int) -> Department:
        """The reader, with a handler for each of these majors."""
        reader = Department(self.reader)
        for major in majors:
            _count(reader, f"{self.publisher}.thing-noted.v{major}", major)
        return reader


def _count(reader: Department, topic: str, major: int) -> None:
    @reader.reads(topic, purpose="counting")
    async def count_it(event: Event[dict[str, Any]], db: Connection) -> None:
        await db.execute("INSERT INTO counted VALUES ($1, $2)", event.data["thing_id"], major)


def new_moving(root: Path, data: Path) -> Moving:
    """Write a pair that no test has had; release and apply it."""
    (root / "services").mkdir()
    publisher, reader = scratch.add_pair(root, next(_NUMBERS))
    moving = Moving(root, data, publisher, reader)
    moving.put_in_force()
    return moving


async def note(service: Service, moving: Moving, *things: str, major: int) -> None:
    """Publish a fact for each thing, each in its own transaction, on a major's topic."""
    assert service.pool is not None
    topic = moving.second if major == 2 else moving.first
    told = {"quantity": 3, "unit_name": "chiếc"} if major == 2 else {"amount": 3}
    for thing in things:
        async with service.pool.acquire() as db, db.transaction():
            await service.department.publish(db, {"thing_id": thing, **told}, topic=topic)


async def counted(service: Service) -> list[str]:
    """What the reader has counted, each as often as it did."""
    assert service.pool is not None
    return [row["thing_id"] for row in await service.pool.fetch("SELECT thing_id FROM counted ORDER BY 1")]
