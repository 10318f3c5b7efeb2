"""Follow one dossier over the bus: which events are its own, by the codes that they share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from lienthong.contracts.contract import Contract
from lienthong.errors import Unreadable
from lienthong.event import RawEvent, read_record
from lienthong.procedures.procedure import Fact, Identity, Procedure, identities


@dataclass(frozen=True, slots=True)
class Record:
    """What Kafka stores, as any client gives it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """An event of the dossier, with its data."""

    fact: Fact
    event: RawEvent
    data: Mapping[str, Any]


@dataclass(slots=True)
class Other:
    """Another dossier that stands on the same ground."""

    dossier: str
    recorded_at: datetime
    returned_at: datetime | None = None


@dataclass(slots=True)
class Trail:
    """The codes and events of one dossier, as far as they are known.

    It is read in rounds, because one event's codes lead to the next: `rounds` says which topics to read, and
    for which bytes to look; each record that holds some of them is given to `take`.
    """

    dossier: str
    procedures: Mapping[str, Procedure]
    contracts: Mapping[str, Contract]
    procedure: Procedure | None = None
    found: dict[str, Found] = field(default_factory=dict)
    """By event id."""
    others: dict[str, Other] = field(default_factory=dict)
    unreadable: int = 0
    """Records that hold the dossier's code and cannot be read: the story may lack them."""
    known: dict[Identity, set[str]] = field(default_factory=dict)
    _places: set[tuple[str, int, int]] = field(default_factory=set)

    def rounds(self) -> Iterator[tuple[list[str], list[bytes]]]:
        """Give what to read next, until nothing new can be found."""
        yield (
            [fact.topic for one in self.procedures.values() for fact in one.facts if fact.part == "opens"],
            [self.dossier.encode()],
        )
        if self.procedure is None:
            # The opening may be older than what its topic keeps.
            yield (
                sorted({fact.topic for one in self.procedures.values() for fact in one.steps}),
                [self.dossier.encode()],
            )
        looked: dict[str, set[str]] = {}
        while self.procedure is not None and (wanted := self._wanted(looked)):
            codes = sorted(set().union(*wanted.values()))
            for topic, new in wanted.items():
                looked.setdefault(topic, set()).update(new)
            yield sorted(wanted), [code.encode() for code in codes]

    def take(self, record: Record) -> None:
        """Look at a record that holds a code, and keep it if it is the dossier's."""
        place = (record.topic, record.partition, record.offset)
        if record.value is None or place in self._places:
            return
        try:
            event = read_record(*place, record.timestamp_ms, record.key, record.value, record.headers)
            data = orjson.loads(event.value or b"null")
        except (Unreadable, orjson.JSONDecodeError):
            self._places.add(place)
            self.unreadable += 1
            return
        for procedure in [self.procedure] if self.procedure else self.procedures.values():
            if isinstance(data, dict) and self._judge(procedure, record.topic, event, data):
                self._places.add(place)
                return

    def _wanted(self, looked: Mapping[str, set[str]]) -> dict[str, set[str]]:
        """Tell, by topic, the codes that have not been looked for there."""
        assert self.procedure is not None
        wanted: dict[str, set[str]] = {}
        for fact in self.procedure.facts:
            # What names its dossier is found by that alone; an opening may be of another one, on one ground.
            by = self._identities(self.procedure, fact)
            opening = _opening(self.procedure)
            if opening in by.values() and fact.part != "opens":
                codes = {self.dossier}
                if fact.part == "returns":
                    codes |= self.others.keys()
            else:
                codes = {code for identity in by.values() for code in self.known.get(identity, ())}
            if new := codes - looked.get(fact.topic, set()):
                wanted[fact.topic] = new
        return wanted

    def _judge(self, procedure: Procedure, topic: str, event: RawEvent, data: Mapping[str, Any]) -> bool:
        fact = next((one for one in procedure.facts if one.topic == topic), None)
        if fact is None or (self.procedure is None and fact.part not in ("opens", "step")):
            return False
        by = self._identities(procedure, fact)
        named = next((data.get(name) for name, one in by.items() if one == _opening(procedure)), None)
        if named is not None and named != self.dossier:
            self._note_other(fact, by, str(named), event, data)
            return False
        shared = named == self.dossier or any(
            data.get(name) in self.known.get(one, ()) for name, one in by.items()
        )
        if shared:
            self.procedure = procedure
            self.found.setdefault(event.id, Found(fact, event, data))
            for name, one in by.items():
                if isinstance(code := data.get(name), str):
                    self.known.setdefault(one, set()).add(code)
        return shared

    def _note_other(
        self, fact: Fact, by: Mapping[str, Identity], named: str, event: RawEvent, data: Mapping[str, Any]
    ) -> None:
        if fact.part == "returns" and named in self.others:
            self.others[named].returned_at = event.recorded_at
        elif fact.part == "opens" and any(
            data.get(name) in self.known.get(one, ()) for name, one in by.items()
        ):
            self.others.setdefault(named, Other(named, event.recorded_at))

    def _identities(self, procedure: Procedure, fact: Fact) -> dict[str, Identity]:
        return identities(fact.contract, self.contracts, _opening(procedure))


def _opening(procedure: Procedure) -> Identity:
    """Name what identifies a dossier."""
    opens = next(fact for fact in procedure.facts if fact.part == "opens")
    return opens.topic, procedure.opening.dossier
