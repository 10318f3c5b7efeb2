"""A procedure's form, question by question: where each was asked on paper, and who answers it now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lienthong.contracts import Contract
from lienthong.contracts import Field as ContractField


class Place(NamedTuple):
    """A field of a dataset, written `health.birth-notified.v1#mother.full_name`."""

    topic: str
    path: str

    def __str__(self) -> str:
        return f"{self.topic}#{self.path}"

    @property
    def top(self) -> str:
        """The top-level field, which is what grants name."""
        return self.path.partition(".")[0]

    @property
    def owner(self) -> str:
        return self.topic.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper form of the procedure. It is needed where the dossier's `place` holds `value`, or always."""

    paper: str
    name: str
    name_en: str
    place: Place | None = None
    value: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that is asked on paper, asked now, or both; and who answers it where nobody is asked.

    Asked, with an answer of our own besides: asked only in the case that `asked_when` tells. Asked without:
    a line that may stay blank, on paper as here.
    """

    concept: str
    label: str
    label_en: str
    papers: tuple[str, ...] = ()
    asked: tuple[Place, ...] = ()
    asked_when: str = ""
    asked_when_en: str = ""
    taken_from: Place | None = None
    made: str = ""
    """How the system makes the answer itself."""
    outside: str = ""
    """Neither asked here nor on the bus: where the answer is to be found. It never counts as spared."""
    fills: tuple[Place, ...] = ()
    """Fields that are filled in without asking."""
    when: tuple[Place, ...] = ()
    """The question arises only in a dossier that has one of these."""

    @property
    def answered_by_us(self) -> bool:
        return self.taken_from is not None or bool(self.made)


@dataclass(frozen=True, slots=True)
class Form:
    """The form of one procedure, as the room that takes it in describes it."""

    department: str
    form: str
    name: str
    name_en: str
    legal_basis: str
    topic: str
    """One record a dossier."""
    code: str
    """The field that tells one dossier from another."""
    besides: tuple[str, ...]
    """Topics that say more of the same dossier, under the same code."""
    groups: tuple[str, ...]
    """The grants by which departments take part."""
    papers: tuple[Paper, ...]
    known: Mapping[Place, tuple[str, ...]]
    """What facts that others publish tell before anybody is asked: field → concepts."""
    questions: tuple[Question, ...]
    file: Path = field(default_factory=Path)

    @property
    def topics(self) -> tuple[str, ...]:
        return (self.topic, *self.besides)

    @property
    def participants(self) -> set[str]:
        """Departments that take part; what they publish follows from the dossier."""
        return {self.department, *(group.partition(".")[0] for group in self.groups)}


def iter_leaves(contract: Contract) -> Iterator[tuple[str, ContractField]]:
    """Walk the fields of a dataset that hold a value: (`mother.full_name`, field)."""
    for path, found in contract.iter_fields():
        if not found.fields and (found.items is None or not found.items.fields):
            yield path.replace("/", "."), found


def find_field(contract: Contract, path: str) -> ContractField | None:
    """Find a field, an object included, by its dotted path."""
    return next((found for at, found in contract.iter_fields() if at.replace("/", ".") == path), None)
