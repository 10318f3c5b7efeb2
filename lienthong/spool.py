"""A spool keeps facts on this machine's disk until the bus has them, where there is no database (hop 1).

One SQLite file. A fact is in it, whole and on the disk, when `put` returns, or it is not in it at all.
"""

import asyncio
import contextlib
import fcntl
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, NamedTuple
from uuid import UUID

from lienthong import metrics, spool_file
from lienthong.errors import SpoolFull, SpoolNotUsable
from lienthong.event import RawEvent
from lienthong.outbox import OutboxRow
from lienthong.producer import OutgoingRecord
from lienthong.spool_file import Telling

RESERVE: Final = 4 * 2**20
"""Bytes of the disk that no new fact may take: to note that a fact was sent needs some room too."""

FETCH_BYTES: Final = 8 * 2**20
"""The relay takes no more than this at once, whatever waits."""

TOLD_FOR: Final = timedelta(days=90)
"""How long a fact that is told once is remembered after it was sent."""

KEPT_FOR: Final = timedelta(days=7)
"""How long the id of any other is."""


class Held(NamedTuple):
    """What waits in a spool."""

    records: int
    bytes: int
    oldest: datetime | None


class Spool:
    """A spool's file, opened; any thread may use it, and other processes may have it open too."""

    def __init__(self, path: Path, most_bytes: int, clock: Callable[[], datetime]) -> None:
        """Open a spool; make it where there is none.

        Raises:
            SpoolNotUsable: the file is spoilt, of a later format, or cannot be written.
        """
        self.path = path
        self.most_bytes = most_bytes
        self._clock = clock
        self._turn = threading.Lock()
        self._relay: IO[bytes] | None = None
        self._settled: dict[int, tuple[int, int]] = {}
        with self._spoken():
            self._db, self._inode = spool_file.open_file(path)
        try:
            with self._writing() as db:
                spool_file.make_tables(db, path)
                spool_file.forget(db, clock() - KEPT_FOR, clock() - TOLD_FOR)
            with self._spoken():
                spool_file.give_back(self._db)
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file; what waits in it waits on."""
        self.let_go()
        with self._turn:
            self._db.close()

    # The publisher's side

    def put(self, tellings: Iterable[Telling]) -> list[bool]:
        """Write facts, all of them or none; when it returns they are on the disk.

        Returns:
            For each whether it was new; what is told once is left out the second time.

        Raises:
            SpoolFull: there is no room; nothing was written.
            SpoolNotUsable: the file cannot be written; nothing was written.
        """
        new = []
        with self._writing() as db:
            written, room, free = 0, *self._room(db)
            for telling in tellings:
                is_new = not spool_file.is_known(db, telling)
                if is_new:
                    written += spool_file.write(db, telling)
                if written > room:
                    raise self._full(db)
                if written > free:
                    raise self._disk_full()
                new.append(is_new)
        return new

    def _room(self, db: sqlite3.Connection) -> tuple[int, int]:
        """Tell how many bytes there is room for: as the spool is set, and on its disk."""
        if not self.path.exists() or self.path.stat().st_ino != self._inode:
            raise SpoolNotUsable(
                reason=f"The spool {self.path} was moved or deleted while it was in use.",
                remedy="Put the file back and start again; nothing more was written.",
            )
        free = shutil.disk_usage(self.path.parent).free - RESERVE
        if free < 0:
            raise self._disk_full()
        (held,) = db.execute("SELECT bytes FROM held").fetchone()
        return self.most_bytes - int(held), free

    def _disk_full(self) -> SpoolFull:
        return SpoolFull(reason=f"The disk of the spool {self.path} is full but for {RESERVE:,} bytes")

    def _full(self, db: sqlite3.Connection) -> SpoolFull:
        db.execute("ROLLBACK")
        records, held = db.execute("SELECT records, bytes FROM held").fetchone()
        return SpoolFull(
            reason=f"The spool {self.path} is full: {records} facts wait for the bus, {held:,} bytes of at"
            f" most {self.most_bytes:,} (LIENTHONG_SPOOL_BYTES)"
        )

    # The relay's side

    def take(self) -> bool:
        """Become the one relay of this spool; False while another process is. A kill frees it."""
        if self._relay is None:
            lock = self.path.with_suffix(".relay").open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                return False
            self._relay = lock
        return True

    def let_go(self) -> None:
        """Let another process relay."""
        lock, self._relay = self._relay, None
        if lock is not None:
            lock.close()

    def fetch(self, most: int) -> list[OutboxRow]:
        """Fetch so many facts in the order in which they were put, bounded in bytes too.

        Raises:
            SpoolFull: it cannot be noted yet that others were sent, and these would be sent again.
        """
        if self._settled:
            self.settle((), ())
        rows: list[OutboxRow] = []
        room = FETCH_BYTES
        with self._spoken(), self._turn:
            found = self._db.execute(
                "SELECT seq, topic, envelope, value, bytes FROM waiting ORDER BY seq LIMIT ?", (most,)
            )
            for seq, topic, envelope, value, size in found:
                rows.append(OutboxRow(seq, topic, spool_file.read_event(envelope, value), admitted=True))
                room -= size
                if room < 0:
                    found.close()
                    break
        return rows

    def settle(self, confirmed: Iterable[tuple[int, int, int]], refused: Sequence[tuple[int, str]]) -> None:
        """Delete what the broker confirmed (seq, partition, offset); keep what may never be sent apart.

        What was confirmed is remembered until it is deleted, should the disk have no room for that.

        Raises:
            SpoolFull, SpoolNotUsable: nothing was deleted.
        """
        self._settled.update({seq: (partition, offset) for seq, partition, offset in confirmed})
        settled = dict(self._settled)
        at = self._clock()
        with self._writing() as db:
            spool_file.set_aside(db, refused, at)
            spool_file.delete_sent(db, settled, at)
        for seq in settled:
            self._settled.pop(seq, None)

    # What an operator looks at

    def measure(self) -> Held:
        """Measure what waits."""
        with self._spoken(), self._turn:
            records, held = self._db.execute("SELECT records, bytes FROM held").fetchone()
            (oldest,) = self._db.execute("SELECT recorded FROM waiting ORDER BY seq LIMIT 1").fetchone() or [
                None
            ]
        return Held(records, held, datetime.fromtimestamp(oldest, UTC) if oldest is not None else None)

    def count_sent(self) -> dict[str, int]:
        """Count by topic what the broker confirmed, since the spool was made."""
        with self._spoken(), self._turn:
            return dict(
                self._db.execute("SELECT topic, sum(records) FROM sent GROUP BY topic ORDER BY topic")
            )

    def list_refused(self, most: int) -> list[dict[str, Any]]:
        """List what may never be sent, the newest first: id, topic, when, reason."""
        with self._spoken(), self._turn:
            found = self._db.execute(
                "SELECT id, topic, refused_at, reason FROM refused ORDER BY refused_at DESC LIMIT ?", (most,)
            ).fetchall()
        return [
            {
                "id": str(UUID(bytes=packed)),
                "topic": topic,
                "refused_at": datetime.fromtimestamp(at, UTC).isoformat(),
                "reason": reason,
            }
            for packed, topic, at, reason in found
        ]

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: on the disk when it ends, undone when it raises."""
        with self._spoken(), self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _spoken(self) -> Iterator[None]:
        """Turn what SQLite and the system say into our errors, with what to do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise spool_file.explain(self.path, error) from error


class SpoolStore:
    """A spool as the relay sees it; its file is read and written by threads, the loop goes on."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    async def take(self) -> bool:
        return self._spool.take()

    async def stay_awake(self) -> None:
        """Do nothing: the lock of a file ends with its process."""

    async def let_go(self) -> None:
        self._spool.let_go()

    async def fetch(self, most: int) -> tuple[list[OutboxRow], list[tuple[int, OutgoingRecord]]]:
        return await asyncio.to_thread(self._spool.fetch, most), []

    async def tell_both(self, seq: int, event: RawEvent, former_topic: str, former: RawEvent) -> None:
        raise NotImplementedError("a publisher tells both majors itself")

    async def settle(
        self,
        confirmed: Sequence[tuple[int, int, int]],
        refused: Sequence[tuple[int, str]],
        letters: Sequence[int],  # noqa: ARG002 - nobody reads here
    ) -> None:
        if confirmed or refused:
            await asyncio.to_thread(self._spool.settle, confirmed, refused)

    async def measure(self, now: datetime) -> int:
        held = await asyncio.to_thread(self._spool.measure)
        metrics.SPOOL_RECORDS.set(held.records)
        metrics.SPOOL_BYTES.set(held.bytes)
        metrics.SPOOL_AGE_SECONDS.set((now - held.oldest).total_seconds() if held.oldest else 0.0)
        return held.records
