"""Read the spools of a data folder for the ledger: facts of publishers without a database."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lienthong.errors import BusNotUsable

SUFFIX: Final = ".spool"
_WAITING: Final = "SELECT id, topic FROM waiting"
_TOLD: Final = "SELECT id, topic, record_partition, record_offset FROM told"

Place = tuple[int, int]


@dataclass(slots=True)
class SpoolBooks:
    """What one spool says, by topic: facts that wait, and those that were sent with where they are."""

    waiting: dict[str, set[bytes]] = field(default_factory=dict)
    sent: dict[str, dict[bytes, Place]] = field(default_factory=dict)

    def facts(self) -> Iterator[tuple[str, set[bytes]]]:
        """Give every topic with the facts that were handed in for it."""
        for topic in self.waiting.keys() | self.sent.keys():
            yield topic, self.waiting.get(topic, set()) | self.sent.get(topic, {}).keys()


NOTHING: Final = SpoolBooks()


def read_spools(folder: Path) -> Mapping[str, SpoolBooks]:
    """Read every spool of a folder, by department.

    Raises:
        BusNotUsable: a spool cannot be read, naming it.
    """
    return {path.stem: _read(path) for path in sorted(folder.glob(f"*{SUFFIX}"))}


def _read(path: Path) -> SpoolBooks:
    books = SpoolBooks()
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=30)) as db:
            # One look: facts move from what waits to what was sent.
            db.execute("BEGIN")
            for event, topic in db.execute(_WAITING):
                books.waiting.setdefault(topic, set()).add(event)
            for event, topic, partition, offset in db.execute(_TOLD):
                books.sent.setdefault(topic, {})[event] = (partition, offset)
    except sqlite3.DatabaseError as error:
        raise BusNotUsable(
            reason=f"The spool {path} cannot be read ({type(error).__name__}).",
            remedy="Move it out of the data folder, or let its publisher mend it.",
        ) from None
    return books
