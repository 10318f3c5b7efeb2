"""Scratch departments in pairs: `p…` notes things and keeps places, `r…` reads both and counts things."""

import random
import shutil
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from string import ascii_lowercase
from typing import Any, ClassVar

from pydantic import AwareDatetime

from lienthong import Data
from lienthong.contracts import load_contracts
from lienthong.contracts.release import release

DEPARTMENT = """
department: {name}
name: Sở Thử nghiệm {name}
name_en: Scratch department {name}
code: H99.{number:02d}
contact: du-lieu@{name}.example
"""

HEAD = """
apiVersion: v3.2.0
kind: DataContract
id: {topic}
version: 1.0.0
status: active
name: {title}
domain: {department}
tenant: H99
description: {{purpose: Chỉ để thử., usage: Thử nghiệm., limitations: Không có.}}
schema:
  - name: {event}
    logicalType: object
    physicalType: topic
    physicalName: {topic}
    dataGranularityDescription: Một bản ghi cho mỗi vật.
    properties:
"""

KEY = """
      - name: {name}
        businessName: {label}
        description: Mã của {label}.
        logicalType: string
        logicalTypeOptions: {{pattern: "^[a-z0-9-]{{1,60}}$"}}
        required: true
        unique: true
        primaryKey: true
        primaryKeyPosition: 1
        partitioned: true
        partitionKeyPosition: 1
        classification: internal
        examples: [vat-1]
"""

THING = """
      - name: amount
        businessName: Số lượng
        description: Số lượng vật.
        logicalType: integer
        logicalTypeOptions: {{minimum: 0, maximum: 1000000}}
        required: true
        classification: public
        examples: [3]
      - name: noted_at
        businessName: Lúc ghi
        description: Lúc ghi nhận vật.
        logicalType: timestamp
        required: false
        classification: public
        examples: ["2025-11-14T20:55:00+07:00"]
      - name: full_name
        businessName: Họ tên
        description: Người ghi nhận.
        logicalType: string
        logicalTypeOptions: {{minLength: 2, maxLength: 120}}
        required: false
        classification: personal
        examples: [Nguyễn Thị Mẫu]
      - name: place_code
        businessName: Nơi
        description: Nơi có vật.
        logicalType: string
        logicalTypeOptions: {{pattern: "^[a-z0-9-]{{1,60}}$"}}
        required: false
        classification: public
        examples: [noi-1]
        relationships:
          - {{type: foreignKey, to: "place.v1.yaml#/schema/place/properties/place_code"}}
    quality:
      - type: custom
        engine: cel
        name: not-thirteen
        description: Không phải mười ba. (Not thirteen.)
        implementation: "data.amount != 13"
        dimension: accuracy
        severity: error
"""

LABEL = """
      - name: label
        businessName: Tên
        description: Tên nơi.
        logicalType: string
        logicalTypeOptions: {{minLength: 1, maxLength: 120}}
        required: true
        classification: public
        examples: [Nơi mẫu]
"""

AMOUNT = THING[: THING.index("      - name: noted_at")]

TAIL = """
roles:
  - role: {reader}
    access: read
    description: Thử.
    customProperties:
      - {{property: legalBasis, value: "Thử nghiệm, Điều 1"}}
      - {{property: purpose, value: {purpose}}}
      - {{property: fields, value: [{fields}]}}
      - {{property: until, value: "2099-12-31"}}
slaProperties:
  - {{property: latency, value: 5, unit: s, driver: operational, description: Thử.}}
  - {{property: frequency, value: 1, unit: h, description: Thử.}}
  - {{property: retention, value: 7, unit: d}}
customProperties:
  - {{property: partitions, value: 2}}
{state}
team:
  name: Thử nghiệm
  members:
    - {{username: du-lieu@{department}.example, role: data steward}}
support:
  - {{channel: thu, tool: email, scope: issues, url: "mailto:du-lieu@{department}.example"}}
"""

EXAMPLES = """
valid:
  - data: {{{key}: vat-1, {other}}}
invalid:
  - because: Mã viết hoa.
    paths: [/{key}]
    data: {{{key}: VAT, {other}}}
"""

STATE = "  - {property: kind, value: state}"


class Thing(Data):
    """A thing that was noted."""

    thing_id: str
    amount: int
    noted_at: AwareDatetime | datetime | None = None
    full_name: str | None = None
    place_code: str | None = None


class Place(Data):
    """A place."""

    place_code: str
    label: str


class Counted(Data):
    """A thing that was counted."""

    thing_id: str
    amount: int


@dataclass(frozen=True)
class Pair:
    """Two departments that only one test uses."""

    publisher: str
    reader: str
    data: Path
    root: Path
    thing: type[Thing]
    place: type[Place]
    counted: type[Counted]

    things: ClassVar[str] = "counting"

    @property
    def group(self) -> str:
        return f"{self.reader}.counting"


@dataclass
class City:
    """The scratch pairs, handed out one a test."""

    root: Path
    data: Path
    left: list[int] = field(default_factory=list)

    taken: int = -1
    """The number that was handed out last."""

    more: ClassVar[int] = 12
    """So many are made at once when there are none left; each takes half a second of a busy machine."""

    def take(self) -> Pair:
        """Hand out a pair that no test has had."""
        if not self.left:
            self._make(range(self.taken + 1, self.taken + 1 + self.more))
        self.taken = number = self.left.pop(0)
        return pair_of(_name("p", number), _name("r", number), self.data, self.root)

    def _make(self, numbers: range) -> None:
        from lienthong.cluster.apply import apply_contracts

        for number in numbers:
            add_pair(self.root, number)
        release(self.root)
        apply_contracts(load_contracts(self.root), self.data, date(2026, 1, 1))
        self.left += numbers


def pair_of(publisher: str, reader: str, data: Path, root: Path) -> Pair:
    """Give a pair of which only the names are known: in another process, say."""

    def at(kind: type[Data], topic: str) -> Any:
        return type(kind.__name__, (kind,), {"TOPIC": topic, "__annotations__": {"TOPIC": ClassVar[str]}})

    return Pair(
        publisher,
        reader,
        data,
        root,
        at(Thing, f"{publisher}.thing-noted.v1"),
        at(Place, f"{publisher}.place.v1"),
        at(Counted, f"{reader}.thing-counted.v1"),
    )


_RUN = "".join(random.choices(ascii_lowercase, k=3))
"""So that a bus that outlives a run gives the next one fresh topics and groups."""


def _name(letter: str, number: int) -> str:
    more, last = divmod(number, 26)
    return f"{letter}{_RUN}{ascii_lowercase[more - 1] if more else ''}{ascii_lowercase[last]}"


def write_city(root: Path, data: Path, pairs: int, *, beside: Path | None = None) -> City:
    """Write the contracts of so many pairs, beside another city's own, and freeze them."""
    (root / "services").mkdir()
    if beside is not None:
        shutil.copytree(beside / "contracts", root / "contracts")
        shutil.copytree(beside / "schemas", root / "schemas")
    for number in range(pairs):
        add_pair(root, number)
    release(root)
    return City(root, data, list(range(pairs)))


def add_pair(root: Path, number: int) -> tuple[str, str]:
    """Write one pair's contracts; gives the publisher's and the reader's names."""
    publisher, reader = _name("p", number), _name("r", number)
    _write(
        root,
        publisher,
        "thing-noted",
        KEY.format(name="thing_id", label="vật") + THING.format(),
        reader,
        "counting",
        "thing_id, amount, noted_at, full_name, place_code",
        number,
        "amount: 3",
    )
    _write(
        root,
        publisher,
        "place",
        KEY.format(name="place_code", label="nơi") + LABEL.format(),
        reader,
        "reference",
        "place_code, label",
        number,
        "label: Nơi một",
        STATE,
    )
    _write(
        root,
        reader,
        "thing-counted",
        KEY.format(name="thing_id", label="vật") + AMOUNT.format(),
        publisher,
        "follow-up",
        "thing_id, amount",
        number,
        "amount: 3",
    )
    return publisher, reader


def _write(
    root: Path,
    department: str,
    event: str,
    fields: str,
    reader: str,
    purpose: str,
    granted: str,
    number: int,
    example: str,
    state: str = "",
) -> None:
    folder = root / "contracts" / department
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "department.yaml").write_text(DEPARTMENT.format(name=department, number=number).lstrip())
    topic = f"{department}.{event}.v1"
    text = HEAD.format(topic=topic, title="Vật thử", department=department, event=event) + fields
    text += TAIL.format(reader=reader, purpose=purpose, fields=granted, state=state, department=department)
    (folder / f"{event}.v1.yaml").write_text(
        "\n".join(line for line in text.splitlines() if line.strip()) + "\n"
    )
    key = granted.partition(",")[0]
    (folder / f"{event}.v1.examples.yaml").write_text(EXAMPLES.format(key=key, other=example).lstrip())
