"""What a procedure is, derived from the contracts: its facts in order, who publishes and who reads each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from lienthong.contracts.contract import Contract, Field, Grant, Opening, Step
from lienthong.contracts.load import LIVE, Contracts

Identity = tuple[str, str]
"""What a code identifies, wherever it is written: (topic, field) of the fact that gave it."""

ORDER: Final = (
    "opens",
    "ground",
    "supplements",
    "step",
    "enables",
    "tells",
    "returns",
    "withdraws",
    "corrects",
    "annuls",
    "undoes",
)
"""Parts as they are told; steps and what enables them are ordered among themselves by what they stand on."""
STANDS_ON: Final = ("opens", "ground", "step", "enables")
PUBLIC: Final = ("public", "internal")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a fact, and whether for this procedure or for another purpose."""

    grant: Grant
    for_procedure: bool


@dataclass(frozen=True, slots=True)
class Fact:
    """One kind of event in a procedure."""

    contract: Contract
    part: str
    """`opens`, `step`, or one of PARTS."""
    step: Step | None
    readers: tuple[Reader, ...]
    after: tuple[str, ...] = ()
    """Topics of the facts it directly stands on: its department reads them, and they come before."""

    @property
    def topic(self) -> str:
        return str(self.contract.topic)

    @property
    def department(self) -> str:
        return self.contract.topic.department

    def is_read_by(self, department: str) -> bool:
        """Tell whether a department reads it for the procedure."""
        return any(one.for_procedure and one.grant.department == department for one in self.readers)

    def refers_to(self, topic: str) -> bool:
        """Tell whether one of its fields names another fact: then it came after that one."""
        return any(item.reference == topic for _, item in self.contract.iter_fields())


@dataclass(frozen=True, slots=True)
class Procedure:
    """A joined-up procedure: no department knows the whole of it, the contracts together do."""

    opening: Opening
    facts: tuple[Fact, ...]
    """In the order in which they come."""

    @property
    def code(self) -> str:
        return self.opening.procedure

    @property
    def steps(self) -> tuple[Fact, ...]:
        """The facts that end a step."""
        return tuple(fact for fact in self.facts if fact.part == "step")

    def fact(self, topic: str) -> Fact:
        """Get a fact by its topic."""
        return next(fact for fact in self.facts if fact.topic == topic)


def derive(contracts: Contracts) -> dict[str, Procedure]:
    """Derive every procedure that a contract opens, by its code."""
    live = _told_once(contracts)
    openings = [contract.opens for contract in live if contract.opens is not None]
    names = {opening.name: opening.procedure for opening in openings}
    derived = {}
    for opening in sorted(openings, key=lambda one: one.procedure):
        facts = [
            fact for contract in live if (fact := _find_fact(contract, opening.procedure, names)) is not None
        ]
        derived[opening.procedure] = Procedure(opening, tuple(_in_order(facts)))
    return derived


def _told_once(contracts: Contracts) -> list[Contract]:
    """List the contracts in force, of two majors of an event the former: its topic has every fact of both."""
    live = {name: one for name, one in contracts.contracts.items() if one.status in LIVE}
    told = dict(live)
    for name, one in live.items():
        former = live.get(str(one.continues.topic)) if one.continues is not None else None
        if former is not None:
            del told[name]
            known = {grant.group for grant in former.grants}
            gone_over = tuple(grant for grant in one.grants if grant.group not in known)
            told[str(former.topic)] = replace(former, grants=(*former.grants, *gone_over))
    return list(told.values())


def identities(
    contract: Contract, contracts: Mapping[str, Contract], opening: tuple[str, str]
) -> dict[str, Identity]:
    """Tell what a fact's codes identify, by field; reference data and personal fields are not among them.

    A code that refers to another fact's identifies what that one does. `opening` is the topic and the field
    of the dossier's code: a field of that name is the dossier's code in every fact of the procedure.
    """
    found: dict[str, Identity] = {}
    for item in contract.fields:
        if item.logical_type != "string" or item.classification not in PUBLIC:
            continue
        if item.name == opening[1]:
            found[item.name] = opening
        elif item.reference and item.reference_field:
            identity = _resolve((item.reference, item.reference_field), contracts)
            if not contracts[identity[0]].is_state:
                found[item.name] = identity
        elif item.key_position is not None:
            found[item.name] = (str(contract.topic), item.name)
    return found


def _resolve(identity: Identity, contracts: Mapping[str, Contract]) -> Identity:
    """Follow references to the fact that gave the code; a circle ends where it began."""
    seen: set[Identity] = set()
    while identity not in seen:
        seen.add(identity)
        field = _find_field(contracts[identity[0]], identity[1])
        if field is None or field.reference is None or field.reference_field is None:
            break
        identity = (field.reference, field.reference_field)
    return identity


def _find_field(contract: Contract, name: str) -> Field | None:
    return next((item for item in contract.fields if item.name == name), None)


def _find_fact(contract: Contract, procedure: str, names: Mapping[str, str]) -> Fact | None:
    """Find what a contract is to a procedure, if anything."""
    step = contract.step if contract.step and contract.step.procedure == procedure else None
    opens = contract.opens is not None and contract.opens.procedure == procedure
    part = "opens" if opens else "step" if step else contract.parts.get(procedure)
    if part is None:
        return None
    # A fact of two procedures is granted under one name, and read for both.
    readers = tuple(Reader(grant, grant.procedure in names) for grant in contract.grants)
    return Fact(contract, part, step, readers)


def _in_order(facts: list[Fact]) -> Iterable[Fact]:
    """Put facts in the order in which they come; each says what it stands on."""
    stands = {
        fact.topic: [other.topic for other in facts if other.part in STANDS_ON and _comes_before(other, fact)]
        for fact in facts
    }
    done = [
        fact for fact in sorted(facts, key=_rank) if fact.part in STANDS_ON[:2] or fact.part == "supplements"
    ]
    waiting = sorted(
        (fact for fact in facts if fact.part in STANDS_ON[2:]),
        key=lambda one: (one.step.working_days if one.step else 0, one.topic),
    )
    while waiting:
        known = {fact.topic for fact in waiting}
        # Where two stand on each other, one of them has to be told first.
        free = [fact for fact in waiting if known.isdisjoint(stands[fact.topic])] or waiting[:1]
        done.append(free[0])
        waiting.remove(free[0])
    done += sorted((fact for fact in facts if fact not in done), key=_rank)
    return [replace(fact, after=_directly(fact.topic, stands)) for fact in done]


def _rank(fact: Fact) -> tuple[int, str]:
    return ORDER.index(fact.part), fact.topic


def _comes_before(other: Fact, fact: Fact) -> bool:
    """Tell whether a step stands on another fact: its department reads it, and did not give cause to it."""
    return (
        fact.part in STANDS_ON[2:]
        and other.topic != fact.topic
        and other.is_read_by(fact.department)
        and not other.refers_to(fact.topic)
    )


def _directly(topic: str, stands: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Leave out what another one stands on in its turn."""
    mine = stands[topic]
    implied = {further for one in mine for further in _reach(one, stands) if further != one}
    return tuple(sorted(one for one in mine if one not in implied))


def _reach(topic: str, stands: Mapping[str, list[str]]) -> set[str]:
    reached: set[str] = set()
    left = [topic]
    while left:
        if (one := left.pop()) not in reached:
            reached.add(one)
            left += stands[one]
    return reached
