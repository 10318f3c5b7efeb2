"""Two majors side by side: a fact of the newer one is told in the former one's words too (hops 1 to 3)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

import orjson

from lienthong.contracts import Contract, Contracts
from lienthong.contracts.load import LIVE
from lienthong.contracts.mapping import Translation
from lienthong.errors import NotValid, Refused
from lienthong.event import RawEvent
from lienthong.gate import Gate
from lienthong.logs import get_log

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """An admitted event on its way to the outbox, with its data read; None for a tombstone."""

    topic: str
    event: RawEvent
    data: Any


@dataclass(frozen=True, slots=True)
class Overlap:
    """A newer major, the former one that is in force beside it, and the mapping between them."""

    newer: str
    former: str
    translation: Translation

    def tell(
        self,
        gate: Gate,
        department: str,
        fact: Fact,
        subject: str | None,
        new_id: Callable[[], str],
    ) -> tuple[Fact, Fact]:
        """Tell a fact of the newer major on the former one too: the same fact twice, each under its own id.

        Raises:
            NotValid: the former major's gate refuses it; then the fact is published on neither.
        """
        event = fact.event
        former_id = new_id()
        if event.value is None:
            value, key = None, self.translation.key(event.key)
        else:
            value = orjson.dumps(self.translation.data(fact.data))
            key = gate.find_key(self.former, value) or ""
        told = event._replace(
            id=former_id,
            subject=subject or key or None,
            dataschema=gate.dataschema(self.former),
            key=key,
            classification=gate.classification(self.former),
            value=value,
            sibling_id=event.id,
        )
        try:
            data = gate.admit(department, told, self.former)
        except NotValid as refusal:
            raise NotValid(
                topic=self.newer,
                event_id=event.id,
                schema_version=f"{gate.version(self.former)} of {self.former}, to which it is mapped",
                problems=refusal.problems,
            ) from None
        return Fact(fact.topic, event._replace(sibling_id=former_id), fact.data), Fact(
            self.former, told, data
        )


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Every pair of majors that a city's contracts let run side by side, by the newer topic."""

    by_newer: Mapping[str, Overlap] = field(default_factory=dict)

    @classmethod
    def of(cls, contracts: Contracts) -> "Overlaps":
        """Find the pairs of which both majors are in force."""
        found = {}
        for name, contract in contracts.contracts.items():
            former = find_former(contracts, contract)
            if former is not None and former.status in LIVE and contract.status in LIVE:
                found[name] = Overlap(name, str(former.topic), Translation(contract, former))
        return cls(found)

    def find(self, topic: str) -> Overlap | None:
        """Find the overlap of a newer major's topic."""
        return self.by_newer.get(topic)

    def check_newest(self, topic: str, event_id: str) -> None:
        """Hold a publisher to the newer major: what is published on the former one alone, its readers miss.

        Raises:
            Refused: the topic is told from the newer major's facts.
        """
        for overlap in self.by_newer.values():
            if overlap.former == topic:
                raise Refused(
                    topic=topic,
                    event_id=event_id,
                    reason=f"{overlap.newer} is in force, and its facts are told here by its mapping",
                    remedy=f"Publish on {overlap.newer}: both topics will have the fact.",
                )


NONE: Final = Overlaps()


def find_former(contracts: Contracts, contract: Contract) -> Contract | None:
    """Find the contract of the major that one continues."""
    return contracts.contracts.get(str(contract.continues.topic)) if contract.continues is not None else None


def find_newer(contracts: Contracts, contract: Contract) -> Contract | None:
    """Find the contract in force that continues one."""
    continuing = (one for one in contracts.contracts.values() if find_former(contracts, one) is contract)
    return next((one for one in continuing if one.status in LIVE), None)


def announcements(contracts: Contracts, gate: Gate) -> dict[str, Headers]:
    """Write what each event of an ending topic says of it: CloudEvents' own extension for deprecation."""
    found: dict[str, Headers] = {}
    for name, contract in contracts.contracts.items():
        if contract.end_of_life is None or contract.status not in LIVE:
            continue
        headers = [("ce_deprecated", b"true"), ("ce_deprecationsunset", sunset(contract.end_of_life))]
        newer = find_newer(contracts, contract)
        if newer is not None and str(newer.topic) in gate.topics:
            headers.append(("ce_deprecationmigration", gate.dataschema(str(newer.topic)).encode()))
        found[name] = tuple(headers)
    return found


def tell_what_ends(readings: Mapping[str, Iterable[str]], contracts: Contracts) -> None:
    """Say which of the topics that groups read have an end, while there is time to go over."""
    for group, topics in readings.items():
        for contract in (contracts.contracts[topic] for topic in topics):
            if contract.end_of_life is not None:
                newer = find_newer(contracts, contract)
                get_log(group=group).warning(
                    "topic_deprecated",
                    topic=str(contract.topic),
                    ends_on=contract.end_of_life.isoformat(),
                    newer=str(newer.topic) if newer is not None else None,
                )


def sunset(end: date) -> bytes:
    """Write the end of a last day, which is the city's."""
    return f"{end.isoformat()}T23:59:59+07:00".encode()
