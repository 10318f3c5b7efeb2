"""The file of a spool: SQLite's, and what is written in it and read from it (hop 1)."""

import os
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID

import orjson

from lienthong.errors import LienThongError, SpoolFull, SpoolNotUsable
from lienthong.event import RawEvent
from lienthong.overlap import Fact

FORMAT: Final = 1
"""The file's; a later one is refused, never guessed at."""

BUSY_SECONDS: Final = 30.0
"""Another process writes for moments only."""

_TABLES: Final = """
CREATE TABLE waiting (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, topic TEXT NOT NULL,
    envelope BLOB NOT NULL, value BLOB, recorded REAL NOT NULL, once INTEGER NOT NULL, bytes INTEGER NOT NULL
);
-- What waits, summed up by the triggers: a full spool is known without counting.
CREATE TABLE held (records INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO held VALUES (0, 0);
CREATE TRIGGER came AFTER INSERT ON waiting BEGIN
    UPDATE held SET records = records + 1, bytes = bytes + NEW.bytes;
END;
CREATE TRIGGER went AFTER DELETE ON waiting BEGIN
    UPDATE held SET records = records - 1, bytes = bytes - OLD.bytes;
END;
-- Facts after they were sent: their ids, and where the broker confirmed them. The publisher's own proof.
CREATE TABLE told (
    id BLOB PRIMARY KEY, topic TEXT NOT NULL, record_partition INTEGER NOT NULL,
    record_offset INTEGER NOT NULL, once INTEGER NOT NULL, told_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX told_when ON told (told_at);
-- What a state's key was told last: what has not changed is not told again.
CREATE TABLE newest (topic TEXT, key TEXT, digest BLOB NOT NULL, PRIMARY KEY (topic, key)) WITHOUT ROWID;
-- How many facts of a topic the broker confirmed, by day: the publisher's control total.
CREATE TABLE sent (topic TEXT, day TEXT, records INTEGER NOT NULL, PRIMARY KEY (topic, day)) WITHOUT ROWID;
-- What may never be sent: kept whole, with the reason.
CREATE TABLE refused (
    id BLOB PRIMARY KEY, topic TEXT NOT NULL, envelope BLOB NOT NULL, value BLOB, refused_at REAL NOT NULL,
    reason TEXT NOT NULL
);
"""
_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC})
_SPOILT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_SCHEMA})


@dataclass(frozen=True, slots=True)
class Telling:
    """One fact on its way into the spool: on its topic, and on the former major's while that is in force.

    `once`: it is left out where it was told before. `is_state`: where its key was told the same last.
    """

    facts: Sequence[Fact]
    once: bool = False
    is_state: bool = False


def open_file(path: Path) -> tuple[sqlite3.Connection, int]:
    """Open the file, readable by its owner only; a new one is in its folder before anything is in it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        inode = os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)
    for folder in (path.parent, path.parent.parent):
        _sync(folder)
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    # Before there are tables: so that an empty spool can give its room back.
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    (journal,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if journal != "wal":
        db.close()
        raise SpoolNotUsable(
            reason=f"The spool {path} is on a file system that cannot share memory between processes.",
            remedy="Name a folder on a disk of this machine: LIENTHONG_SPOOL.",
        )
    db.execute("PRAGMA synchronous = FULL")
    # What was sent is overwritten: nobody finds it in the file afterwards.
    db.execute("PRAGMA secure_delete = ON")
    return db, inode


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_tables(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables in a new file; refuse one that is not ours."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version == FORMAT:
        return
    if version or tables:
        raise SpoolNotUsable(
            reason=f"{path} is no spool that this version reads (format {version}, this is {FORMAT}).",
            remedy="Use the version of lienthong that wrote it, or name another folder: LIENTHONG_SPOOL.",
        )
    statement = ""
    for line in _TABLES.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""
    db.execute(f"PRAGMA user_version = {FORMAT}")


def is_known(db: sqlite3.Connection, telling: Telling) -> bool:
    """Tell whether a fact that is told once was told before; of a state, whether nothing has changed."""
    if not telling.once:
        return False
    first = telling.facts[0]
    if telling.is_state:
        asked = "SELECT 1 FROM newest WHERE (topic, key, digest) = (?, ?, ?)"
        return (
            db.execute(asked, (first.topic, first.event.key, _digest(first.event.value))).fetchone()
            is not None
        )
    packed = UUID(first.event.id).bytes
    asked = "SELECT 1 FROM waiting WHERE id = ? UNION ALL SELECT 1 FROM told WHERE id = ?"
    return db.execute(asked, (packed, packed)).fetchone() is not None


def write(db: sqlite3.Connection, telling: Telling) -> int:
    """Write the facts of one telling; gives the bytes that they take."""
    total = 0
    for fact in telling.facts:
        topic, event = fact.topic, fact.event
        envelope = orjson.dumps(event._replace(value=None, position=None)._asdict())
        size = len(envelope) + len(event.value or b"")
        total += size
        row = (
            UUID(event.id).bytes,
            topic,
            envelope,
            event.value,
            event.recorded_at.timestamp(),
            telling.once,
            size,
        )
        db.execute(
            "INSERT INTO waiting (id, topic, envelope, value, recorded, once, bytes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        if telling.is_state:
            db.execute(
                "INSERT OR REPLACE INTO newest (topic, key, digest) VALUES (?, ?, ?)",
                (topic, event.key, _digest(event.value)),
            )
    return total


def _digest(value: bytes | None) -> bytes:
    """Tell data from other data, and from a tombstone."""
    return sha256(b"" if value is None else b"+" + value).digest()[:16]


def read_event(envelope: bytes, value: bytes | None) -> RawEvent:
    """Read an event as it was put."""
    told = orjson.loads(envelope)
    for name in ("time", "recorded_at"):
        told[name] = datetime.fromisoformat(told[name])
    return RawEvent(**told | {"value": value})


def set_aside(db: sqlite3.Connection, refused: Sequence[tuple[int, str]], at: datetime) -> None:
    """Move what may never be sent (seq, reason) out of the way of what is behind it."""
    for seq, reason in refused:
        db.execute(
            "INSERT OR REPLACE INTO refused (id, topic, envelope, value, refused_at, reason)"
            " SELECT id, topic, envelope, value, ?, ? FROM waiting WHERE seq = ?",
            (at.timestamp(), reason, seq),
        )
        db.execute("DELETE FROM waiting WHERE seq = ?", (seq,))


def delete_sent(db: sqlite3.Connection, settled: Mapping[int, tuple[int, int]], at: datetime) -> None:
    """Delete facts that the broker confirmed, each at its place; their ids stay known for a while."""
    sent: Counter[str] = Counter()
    for seq, (partition, offset) in sorted(settled.items()):
        row = db.execute("DELETE FROM waiting WHERE seq = ? RETURNING id, topic, once", (seq,)).fetchone()
        if row is not None:
            packed, topic, once = row
            sent[topic] += 1
            row = (packed, topic, partition, offset, once, at.timestamp())
            db.execute("INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?, ?, ?)", row)
    for topic, records in sent.items():
        db.execute(
            "INSERT INTO sent (topic, day, records) VALUES (?, ?, ?)"
            " ON CONFLICT (topic, day) DO UPDATE SET records = records + excluded.records",
            (topic, at.date().isoformat(), records),
        )


def forget(db: sqlite3.Connection, before: datetime, before_once: datetime) -> None:
    """Forget the ids of facts that were sent long ago, those that are told once later than the others."""
    db.execute("DELETE FROM told WHERE told_at < ? AND NOT once", (before.timestamp(),))
    db.execute("DELETE FROM told WHERE told_at < ?", (before_once.timestamp(),))


def give_back(db: sqlite3.Connection) -> None:
    """Give the room of what was sent back to the disk, where nothing waits; in no transaction."""
    (records,) = db.execute("SELECT records FROM held").fetchone()
    if not records:
        # As a script: a statement by itself would free one page, and end.
        db.executescript("PRAGMA incremental_vacuum")


def explain(path: Path, error: sqlite3.DatabaseError) -> LienThongError:
    """Say what SQLite's error means for whoever publishes."""
    whole = getattr(error, "sqlite_errorcode", None) or 0
    code = getattr(error, "sqlite_errorname", type(error).__name__)
    if whole in _FULL:
        return SpoolFull(reason=f"The disk of the spool {path} takes no more ({code})")
    if whole & 0xFF in _SPOILT:
        return SpoolNotUsable(
            reason=f"The spool {path} is spoilt ({code}).",
            remedy="Keep the file for whoever can mend it, and name another folder: LIENTHONG_SPOOL.",
        )
    return SpoolNotUsable(
        reason=f"The spool {path} cannot be used ({code}).",
        remedy="See that its folder can be written and that no other program holds the file.",
    )
