"""What happened in a city, as seen from outside: one entry for each thing, kept as JSON Lines.

Nothing here knows how the library delivers: ids, keys and numbers are text and integers as they were found
in databases and on the bus, times are milliseconds since 1970 by the clock of whoever noted them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

import orjson


@dataclass(frozen=True, slots=True)
class HandedIn:
    """A city's own program was told by the database that this is committed: it may forget it."""

    label: str
    department: str
    way: str
    """`intake`: a raw record for the department's intake; `outbox`: a row of another program."""


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A raw record that became no fact, with the reason; the department keeps it."""

    label: str
    department: str
    code: str


@dataclass(frozen=True, slots=True)
class Fact:
    """An event that its source committed, as a trigger in the source's database noted it."""

    seq: int
    """Where it stood in the source's outbox."""
    topic: str
    id: str
    key: str
    label: str
    number: int
    does: str
    cause: str | None
    digest: str
    """MD5 of the data as bytes."""
    xid: int
    """The transaction that wrote it; a smaller one began to write earlier."""
    saw: str
    """What was committed when it was written: PostgreSQL's snapshot, `xmin:xmax:under way`."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record on a topic."""

    topic: str
    partition: int
    offset: int
    id: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A record on a group's dead-letter topic, and what its headers say."""

    group: str
    topic: str
    partition: int
    offset: int
    """Of the original."""
    id: str
    key: str
    digest: str
    code: str
    reason: str
    first_at: str
    last_at: str


@dataclass(frozen=True, slots=True)
class Effect:
    """What a handler wrote into its own table, committed."""

    group: str
    topic: str
    id: str
    key: str
    number: int
    seq: int
    at: float


@dataclass(frozen=True, slots=True)
class Commit:
    """An offset that a group committed, in the order of the broker's own log of offsets."""

    group: str
    topic: str
    partition: int
    offset: int
    at: float


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault: when it was injected, when it was healed (seconds of the run), and what was done."""

    fault: str
    began: float
    ended: float
    done: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Left:
    """What still waited when patience ended, by where: empty where the city settled."""

    where: Mapping[str, int]


Entry = HandedIn | TurnedAway | Fact | Record | Letter | Effect | Commit | Struck | Left
_KINDS: Final[Mapping[str, type[Entry]]] = {
    "handed-in": HandedIn,
    "turned-away": TurnedAway,
    "fact": Fact,
    "record": Record,
    "letter": Letter,
    "effect": Effect,
    "commit": Commit,
    "struck": Struck,
    "left": Left,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


@dataclass(slots=True)
class History:
    """All entries of a run by kind, in the order in which each kind was found."""

    handed_in: list[HandedIn] = field(default_factory=list)
    turned_away: list[TurnedAway] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    struck: list[Struck] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """Sort entries by kind."""
        history = cls()
        lists = dict(zip(_KINDS.values(), (getattr(history, f.name) for f in fields(cls)), strict=True))
        for entry in entries:
            lists[type(entry)].append(entry)
        return history

    def __iter__(self) -> Iterator[Entry]:
        for kind in fields(self):
            yield from getattr(self, kind.name)


def save(file: Path, entries: Iterable[Entry]) -> None:
    """Write entries, a line each."""
    with file.open("wb") as lines:
        for entry in entries:
            lines.write(orjson.dumps({"what": _NAMES[type(entry)], **asdict(entry)}) + b"\n")


def load(file: Path) -> History:
    """Read a history back.

    Raises:
        ValueError: a line is no entry; it says which line.
    """
    return History.of(_iter_entries(file))


def _iter_entries(file: Path) -> Iterator[Entry]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                told = orjson.loads(line)
                yield _KINDS[told.pop("what")](**told)
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
                raise ValueError(f"line {number} of {file.name} is no entry of a history") from None
