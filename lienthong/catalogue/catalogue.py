"""What the catalogue is made from: contracts in force, their frozen versions, their topics, the brokers."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from lienthong.cluster.desired import desired
from lienthong.cluster.state import TopicShape
from lienthong.contracts import Contract, Contracts, DepartmentCard, Grant, load_contracts
from lienthong.contracts.frozen import SCHEMAS, Frozen, read_frozen
from lienthong.contracts.load import LIVE, not_sound
from lienthong.errors import ContractsNotSound
from lienthong.gate import Gate

_ENGLISH: Final = re.compile(r"^(?P<vi>.*\S)\s*\((?P<en>[^()]+)\)\s*$", re.DOTALL)
_WORD: Final = re.compile(r"[A-Za-z]{3}")
_FOREIGN: Final = re.compile(r"[^\x00-\x7f‘’“”–—…]")


@dataclass(frozen=True, slots=True)
class Brokers:
    """Where the bus is reached, as a document tells it: host:port each, how many, with TLS or not."""

    servers: tuple[str, ...]
    count: int
    encrypted: bool


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that is shared on one day. A grant counts to the end of its last day."""

    contracts: Contracts
    frozen: Mapping[str, tuple[Frozen, ...]]
    """By topic, every version of it, the oldest first."""
    topics: Mapping[str, TopicShape]
    gate: Gate
    brokers: Brokers
    on: date

    def in_force(self) -> list[Contract]:
        """List the contracts that have a topic."""
        return [one for one in self.contracts.contracts.values() if one.status in LIVE]

    def published_by(self, department: str) -> list[Contract]:
        """List what a department publishes."""
        return [one for one in self.in_force() if one.topic.department == department]

    def grants(self, contract: Contract) -> list[Grant]:
        """List who may read a dataset on this day."""
        return [grant for grant in contract.grants if grant.until >= self.on]

    def granted_to(self, department: str) -> list[tuple[Contract, Grant]]:
        """List what a department may read on this day, one entry a grant."""
        return [
            (contract, grant)
            for contract in self.in_force()
            for grant in self.grants(contract)
            if grant.department == department
        ]

    def newest(self, contract: Contract) -> Frozen:
        """Give the newest frozen version of a dataset's shape."""
        return self.frozen[str(contract.topic)][-1]

    def card(self, department: str) -> DepartmentCard:
        """Give a department's card.

        Raises:
            ContractsNotSound: there is no such department.
        """
        if department not in self.contracts.departments:
            known = ", ".join(self.contracts.departments)
            raise ContractsNotSound(
                reason=f"There is no department {department}; there are: {known}.",
                remedy="Name one of them, or none for the whole city.",
            )
        return self.contracts.departments[department]


def read_catalogue(root: Path, brokers: Brokers, on: date) -> Catalogue:
    """Read contracts and frozen versions.

    Raises:
        ContractsNotSound: something is unsound, was changed after it was frozen, or is not frozen yet.
    """
    contracts = load_contracts(root)
    frozen, _, findings = read_frozen(root)
    if findings:
        raise not_sound(findings)
    versions: dict[str, list[Frozen]] = {}
    for one in sorted(frozen, key=_order):
        versions.setdefault(str(one.topic), []).append(one)
    live = [name for name, contract in contracts.contracts.items() if contract.status in LIVE]
    if missing := [name for name in live if name not in versions]:
        raise ContractsNotSound(
            reason=f"Not frozen yet: {', '.join(missing)}.",
            remedy="Run `lienthong release`, then export again: a document names schema versions.",
        )
    topics = desired(contracts, brokers.count, on).topics
    return Catalogue(
        contracts=contracts,
        frozen={name: tuple(of) for name, of in versions.items()},
        topics=topics,
        gate=Gate.load(root / SCHEMAS),
        brokers=brokers,
        on=on,
    )


def bilingual(text: str) -> tuple[str, str | None]:
    """Take a text apart that says it in Vietnamese, then in English in brackets; None where it does not.

    What is in brackets may be more Vietnamese, or a unit: `Diện tích (km²)`, `Cân nặng (g)`.
    """
    found = _ENGLISH.match(text)
    if found is None or not _WORD.search(found["en"]) or _FOREIGN.search(found["en"]):
        return text, None
    return found["vi"], found["en"]


def title_in_english(contract: Contract) -> str:
    """Give a dataset's English title: what its name says in brackets, else its event's words."""
    return bilingual(contract.title)[1] or contract.topic.event.replace("-", " ").capitalize()


def end_of_life(contract: Contract) -> str | None:
    """Give the day a deprecated dataset ends, as its contract says it; None where it says none."""
    promises = contract.raw.get("slaProperties", ())
    return next((str(one["value"]) for one in promises if one["property"] == "endOfLife"), None)


def laws(citations: Iterable[str]) -> list[str]:
    """Take citations apart into single laws, each once, in order."""
    return list(dict.fromkeys(law.strip() for one in citations for law in one.split(";") if law.strip()))


def _order(one: Frozen) -> tuple[int, ...]:
    return tuple(map(int, one.version.split(".")))
