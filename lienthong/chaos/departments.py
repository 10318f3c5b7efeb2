"""The made-up departments of the checker's city: who publishes what, who reads it, and their contracts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

NAMES: Final = ("north", "east", "south", "west")

FOLLOWING, WATCHING = "following", "watching"
"""Purposes: who follows a department answers each of its facts; who watches looks on."""

PARTITIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Grant:
    """One group may read one topic."""

    topic: str
    department: str
    purpose: str

    @property
    def group(self) -> str:
        return f"{self.department}.{self.purpose}"


def facts_of(department: str) -> str:
    """Name the topic of the facts that a department notes."""
    return f"{department}.fact-noted.v1"


def answers_of(department: str) -> str:
    """Name the topic of the answers that a department gives to another's facts."""
    return f"{department}.answer-given.v1"


def refusals_of(department: str) -> str:
    """Name the topic of the notices about what a department's gate refused; no contract grants it."""
    return f"{department}.refusals"


def grants(names: Sequence[str]) -> list[Grant]:
    """Say who reads what: each follows the one before it, watches the one before that, and hears answers.

    So a fact goes to two groups, and the answer that it causes comes back to where the fact was noted.
    """
    found = []
    for before, here in pairwise([names[-1], *names]):
        found.append(Grant(facts_of(before), here, FOLLOWING))
        found.append(Grant(answers_of(here), before, WATCHING))
    if len(names) > 2:
        found += [Grant(facts_of(names[number - 2]), name, WATCHING) for number, name in enumerate(names)]
    return found


def topics(names: Sequence[str]) -> list[str]:
    """List the topics of facts, of answers, and of the notices about facts that were refused."""
    return [topic(name) for name in names for topic in (facts_of, answers_of, refusals_of)]


def groups(names: Sequence[str]) -> list[str]:
    """List the consumer groups."""
    return sorted({grant.group for grant in grants(names)})


def write_contracts(root: Path, names: Sequence[str]) -> None:
    """Write the contracts of a city below a root folder; they are not released yet."""
    readers = grants(names)
    for number, name in enumerate(names):
        folder = root / "contracts" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "department.yaml").write_text(_CARD.format(name=name, number=number), encoding="utf-8")
        for topic in (facts_of(name), answers_of(name)):
            event = topic.split(".")[1]
            roles = [
                _ROLE.format(reader=grant.department, purpose=grant.purpose)
                for grant in readers
                if grant.topic == topic
            ]
            text = _CONTRACT.format(
                topic=topic, event=event, name=name, roles="".join(roles), partitions=PARTITIONS
            )
            (folder / f"{event}.v1.yaml").write_text(text, encoding="utf-8")
            (folder / f"{event}.v1.examples.yaml").write_text(_EXAMPLES, encoding="utf-8")
    (root / "services").mkdir(exist_ok=True)


_CARD: Final = """\
department: {name}
name: Sở Thử nghiệm {name}
name_en: Department of trials, {name}
code: H99.0{number}
contact: du-lieu@{name}.example
"""

_CONTRACT: Final = """\
apiVersion: v3.2.0
kind: DataContract
id: {topic}
version: 1.0.0
status: active
name: Sự việc thử nghiệm
domain: {name}
tenant: H99
description: {{purpose: Chỉ để thử độ tin cậy., usage: Thử nghiệm., limitations: Không có.}}
schema:
  - name: {event}
    logicalType: object
    physicalType: topic
    physicalName: {topic}
    dataGranularityDescription: Một bản ghi cho mỗi sự việc.
    properties:
      - name: subject_code
        businessName: Mã đối tượng
        description: Mã của đối tượng mà sự việc nói đến.
        logicalType: string
        logicalTypeOptions: {{pattern: "^[a-z0-9-]{{1,60}}$"}}
        required: true
        unique: true
        primaryKey: true
        primaryKeyPosition: 1
        partitioned: true
        partitionKeyPosition: 1
        classification: internal
        examples: [own-01]
      - name: label
        businessName: Nhãn
        description: Nhãn để nhận ra sự việc.
        logicalType: string
        logicalTypeOptions: {{minLength: 1, maxLength: 120}}
        required: true
        classification: internal
        examples: [north-17]
      - name: ordinal
        businessName: Số thứ tự
        description: Số thứ tự của sự việc trong đối tượng của nó.
        logicalType: integer
        logicalTypeOptions: {{minimum: 1, maximum: 1000000000}}
        required: true
        classification: internal
        examples: [1]
      - name: does
        businessName: Hành vi
        description: Điều xảy ra nơi xử lý sự việc này.
        logicalType: string
        logicalTypeOptions: {{pattern: "^[a-z-]{{1,20}}$"}}
        required: true
        classification: internal
        examples: [passes]
      - name: heals_after_ms
        businessName: Thời gian khỏi
        description: Từ lần xử lý đầu đến lúc xử lý được, tính bằng mili giây.
        logicalType: integer
        logicalTypeOptions: {{minimum: 0, maximum: 60000}}
        required: false
        classification: internal
        examples: [500]
roles:
{roles}slaProperties:
  - {{property: latency, value: 5, unit: s, driver: operational, description: Thử.}}
  - {{property: frequency, value: 1, unit: h, description: Thử.}}
  - {{property: retention, value: 7, unit: d}}
customProperties:
  - {{property: partitions, value: {partitions}}}
team:
  name: Thử nghiệm
  members:
    - {{username: du-lieu@{name}.example, role: data steward}}
support:
  - {{channel: thu, tool: email, scope: issues, url: "mailto:du-lieu@{name}.example"}}
"""

_ROLE: Final = """\
  - role: {reader}
    access: read
    description: Thử.
    customProperties:
      - {{property: legalBasis, value: "Thử nghiệm, Điều 1"}}
      - {{property: purpose, value: {purpose}}}
      - {{property: fields, value: [subject_code, label, ordinal, does, heals_after_ms]}}
      - {{property: until, value: "2099-12-31"}}
"""

_EXAMPLES: Final = """\
valid:
  - data: {subject_code: own-01, label: north-17, ordinal: 1, does: passes}
invalid:
  - because: Số thứ tự bắt đầu từ một.
    paths: [/ordinal]
    data: {subject_code: own-01, label: north-17, ordinal: 0, does: passes}
"""
