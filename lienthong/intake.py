"""Raw records from a department's own sources, to become facts, or problems with a reason (hop 1)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lienthong import metrics, strict_json
from lienthong.database import CROSSED, GONE, Connection, Pool, borrow, is_gone
from lienthong.ending import is_from_callee
from lienthong.errors import LienThongError, NotStrict
from lienthong.logs import describe, get_log
from lienthong.settings import Settings

Take = Callable[[dict[str, Any], Connection], Awaitable[None]]
Ready = Callable[[Connection], Awaitable[bool]]
Sift = Callable[[Sequence[dict[str, Any]], Connection], Awaitable[Sequence[LienThongError | None]]]
"""Judges a batch before any of it is taken: an error for each record that is turned away, else None."""

LARGEST_RAW: Final = 1_048_576
"""Greatest size of one raw record, bytes; beyond it nothing is parsed."""

LONGEST_SECONDS: Final = 0.1
"""A fact reaches the bus when its transaction ends, and the relay waits for the oldest: keep them short."""

FEWEST_RECORDS: Final = 20
"""What a turn looks at, at least."""

_FETCH: Final = """
SELECT id, raw FROM lienthong.intake WHERE kind = $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
"""
# One round trip a record, where a transaction within the transaction would take two.
_BEGIN: Final = "SAVEPOINT record"
_KEEP: Final = "RELEASE SAVEPOINT record; SAVEPOINT record"
_UNDO: Final = "ROLLBACK TO SAVEPOINT record"
_SET_ASIDE: Final = """
INSERT INTO lienthong.intake_problems (id, kind, raw, received_at, code, reason)
SELECT i.id, i.kind, i.raw, i.received_at, p.code, p.reason
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS p(id, code, reason)
JOIN lienthong.intake i ON i.id = p.id
"""
# Ids sort by time: the department's newest published fact is found by the key. None yet: nothing is quiet.
_IS_QUIET: Final = """
SELECT min(received_at) <= now() - make_interval(secs => $3) OR (
    max(received_at) <= now() - make_interval(secs => $2)
    AND (SELECT recorded FROM lienthong.published ORDER BY id DESC LIMIT 1)
        <= now() - make_interval(secs => $2)
    AND NOT EXISTS (SELECT FROM lienthong.outbox))
FROM lienthong.intake WHERE kind = $1
"""


async def put(db: Connection, records: Iterable[tuple[str, bytes]]) -> None:
    """Hand raw records (kind, bytes) in; they are taken as they are."""
    kinds, raws = zip(*records, strict=True) if records else ((), ())
    await db.execute(
        "INSERT INTO lienthong.intake (kind, raw) SELECT * FROM unnest($1::text[], $2::bytea[])",
        list(kinds),
        list(raws),
    )


def after_quiet(kind: str, seconds: float = 5.0, most_seconds: float = 300.0) -> Ready:
    """Hold a kind back until the department has been quiet: what it speaks of may be on its way still.

    A correction handed in beside the fact that it corrects may overtake it. So it waits until none of its
    kind has come, and the department has published nothing, for some seconds; the oldest waits no longer than
    `most_seconds`.
    """

    async def ready(db: Connection) -> bool:
        return bool(await db.fetchval(_IS_QUIET, kind, seconds, most_seconds))

    return ready


@dataclass(frozen=True, slots=True)
class Unsound:
    """Why a raw record did not become a fact."""

    code: str
    reason: str


class Intake:
    """One kind of raw record and the function that makes facts of it."""

    def __init__(
        self, kind: str, take: Take, ready: Ready | None, settings: Settings, sift: Sift | None = None
    ) -> None:
        self.kind = kind
        self.state = "ok"
        self._sift = sift
        self._take = take
        self._ready = ready
        self._settings = settings
        self._most = FEWEST_RECORDS
        self._log = get_log(department=settings.username, kind=kind)

    async def run(self, pool: Pool, stopping: asyncio.Event, nudge: Callable[[], None]) -> None:
        """Take what comes in until told to stop; while the database is away, wait."""
        wait = self._settings.back_off_seconds
        while not stopping.is_set():
            try:
                taken = await self.take_waiting(pool)
                wait = self._settings.back_off_seconds
                self.state = "ok"
            except (*GONE, *CROSSED, OSError, TimeoutError) as error:
                self.state = f"interrupted: {type(error).__name__}"
                self._log.warning("intake_interrupted", error=error, wait_seconds=wait)
                await _pause(stopping, wait)
                wait = min(wait * 2, self._settings.back_off_most_seconds)
                continue
            if taken:
                nudge()
            else:
                await _pause(stopping, self._settings.idle_seconds)

    async def take_waiting(self, pool: Pool) -> int:
        """Take one batch in one transaction, if it is ready; a record that fails is set aside alone."""
        async with borrow(pool) as db, db.transaction():
            rows = await db.fetch(_FETCH, self.kind, self._most)
            # Asked after the rows are seen: what came in before them is then seen too, or taken already.
            if not rows or (self._ready is not None and not await self._ready(db)):
                return 0
            taken, unsound = await self._take_for_a_while(db, rows)
            if unsound:
                await db.execute(
                    _SET_ASIDE,
                    [row_id for row_id, _ in unsound],
                    [why.code for _, why in unsound],
                    [why.reason for _, why in unsound],
                )
            await db.execute("DELETE FROM lienthong.intake WHERE id = ANY($1::bigint[])", taken)
        # About as many as a turn has time for: what is fetched and not taken is fetched again.
        self._most = min(max(2 * len(taken), FEWEST_RECORDS), self._settings.batch_records)
        metrics.INTAKE_PROBLEMS.labels(self.kind).inc(len(unsound))
        self._log.info("intake_taken", records=len(taken), problems=len(unsound))
        return len(taken)

    async def _take_for_a_while(
        self, db: Connection, rows: Sequence[Any]
    ) -> tuple[list[int], list[tuple[int, Unsound]]]:
        """Take rows in order until there are no more, or the transaction has been open for long enough."""
        clock = asyncio.get_running_loop().time
        until = clock() + LONGEST_SECONDS
        taken: list[int] = []
        unsound: list[tuple[int, Unsound]] = []
        records = [_decode(row["raw"]) for row in rows]
        turned_away = await self._turn_away(db, records)
        await db.execute(_BEGIN)
        for row, record, turned in zip(rows, records, turned_away, strict=True):
            taken.append(row["id"])
            if (why := turned or await self._attempt(db, record)) is not None:
                unsound.append((row["id"], why))
            if clock() > until:
                break
        return taken, unsound

    async def _turn_away(
        self, db: Connection, records: Sequence[dict[str, Any] | Unsound]
    ) -> list[Unsound | None]:
        """Find which of a batch are turned away before anything is done for them: others wait behind."""
        if self._sift is None:
            return [None] * len(records)
        sound = [record for record in records if not isinstance(record, Unsound)]
        try:
            async with db.transaction():
                judged = iter(await self._sift(sound, db))
        except BaseException as error:
            if not is_from_callee(error) or is_gone(error, db):
                raise
            # One odd record must not hold the others up: each is still judged when it is taken.
            self._log.error("sift_failed", error=error)
            return [None] * len(records)
        found = [None if isinstance(record, Unsound) else next(judged) for record in records]
        return [None if error is None else Unsound(error.code, str(error)) for error in found]

    async def _attempt(self, db: Connection, record: dict[str, Any] | Unsound) -> Unsound | None:
        if isinstance(record, Unsound):
            return record
        try:
            await self._take(record, db)
            await db.execute(_KEEP)
        except BaseException as error:
            if not is_from_callee(error) or is_gone(error, db):
                raise
            await db.execute(_UNDO)
            if isinstance(error, LienThongError):
                return Unsound(error.code, str(error))
            told = describe(error)
            self._log.error("intake_failed", error=error)
            return Unsound(
                "handler-failed", f"Taking it raised {told['error']} at {told.get('error_at')}: a defect."
            )
        return None


def _decode(raw: bytes) -> dict[str, Any] | Unsound:
    """Read a raw record, or say why it is none."""
    if len(raw) > LARGEST_RAW:
        return Unsound("too-large", f"The record is {len(raw)} bytes; at most {LARGEST_RAW} are taken.")
    try:
        record = strict_json.loads(raw)
    except NotStrict as error:
        return Unsound(error.code, str(error))
    return record if isinstance(record, dict) else Unsound("not-strict", "The record is not a JSON object.")


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return
