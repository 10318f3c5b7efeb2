"""The department's own tables: the dossiers, the steps of each, and what citizens think of it."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from lienthong import Connection, Refused

TABLES = """
CREATE TABLE IF NOT EXISTS dossier (
    dossier_code        text PRIMARY KEY,
    procedure           text NOT NULL CHECK (procedure IN ('birth', 'death')),
    unit_code           text NOT NULL,
    submitted_at        timestamptz NOT NULL,
    -- The number on the paper that the citizen brought: what only they and the department know.
    notice_number       text NOT NULL,
    declaration         jsonb NOT NULL,
    status              text NOT NULL DEFAULT 'open'
        CHECK (status IN ('open', 'completed', 'returned', 'annulled')),
    reasons             text[],
    replaced_by         text,
    registration_number text,
    done_at             timestamptz
);
CREATE INDEX IF NOT EXISTS dossier_open ON dossier (submitted_at) WHERE status = 'open';
CREATE INDEX IF NOT EXISTS dossier_counter ON dossier (unit_code, submitted_at);
CREATE TABLE IF NOT EXISTS step (
    dossier_code  text NOT NULL REFERENCES dossier,
    step          text NOT NULL,
    due_on        date NOT NULL,
    done_at       timestamptz,
    result_number text,
    PRIMARY KEY (dossier_code, step)
);
CREATE TABLE IF NOT EXISTS feedback (
    feedback_id  text PRIMARY KEY,
    dossier_code text NOT NULL REFERENCES dossier,
    rating       integer NOT NULL
);
CREATE OR REPLACE VIEW late_step AS
    SELECT s.dossier_code, s.step, s.due_on, d.unit_code FROM step s JOIN dossier d USING (dossier_code)
    WHERE d.status = 'open' AND s.done_at IS NULL
        AND s.due_on < (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date;
-- Results that end no step: a card printed again, a residence closed because a birth was annulled.
CREATE TABLE IF NOT EXISTS further_result (
    result_number text PRIMARY KEY,
    dossier_code  text NOT NULL REFERENCES dossier,
    step          text NOT NULL
);
-- What the department did about every fact that it reads; the ledger holds it against the bus.
CREATE OR REPLACE VIEW effect (consumer_group, topic, key, times) AS
    SELECT 'onestop.dossier-follow-up', done.topic, result.result_number, 1::bigint
    FROM (VALUES
        ('birth-registration', 'justice.birth-registered.v1'),
        ('residence-registration', 'police.residence-registered.v1'),
        ('health-insurance-card', 'insurance.card-issued.v1'),
        ('death-registration', 'justice.death-registered.v1'),
        ('residence-closing', 'police.residence-closed.v1'),
        ('card-closing', 'insurance.card-closed.v1')
    ) AS done (step, topic)
    JOIN (
        SELECT step, result_number FROM step WHERE done_at IS NOT NULL
        UNION ALL SELECT step, result_number FROM further_result
    ) AS result USING (step)
    UNION ALL SELECT 'onestop.dossier-follow-up', 'justice.dossier-rejected.v1', dossier_code, 1
    FROM dossier WHERE status = 'returned'
    UNION ALL SELECT 'onestop.dossier-follow-up',
        CASE procedure WHEN 'birth' THEN 'justice.birth-annulled.v1' ELSE 'justice.death-annulled.v1' END,
        registration_number, 1
    FROM dossier WHERE status = 'annulled'
    UNION ALL SELECT 'onestop.reference', topic, key, 1
    FROM lienthong.state WHERE topic IN ('science.unit.v1', 'science.agency.v1');
-- How far the dossiers are, by procedure; `late` is one that waits past the last day of a step.
CREATE OR REPLACE VIEW progress (procedure, status, dossiers) AS
    SELECT d.procedure,
        CASE WHEN d.status <> 'open' THEN d.status WHEN l.dossier_code IS NULL THEN 'waiting' ELSE 'late' END,
        count(*)
    FROM dossier d LEFT JOIN (SELECT DISTINCT dossier_code FROM late_step) l USING (dossier_code)
    GROUP BY 1, 2;
"""

_OPEN = """
WITH opened AS (
    INSERT INTO dossier (dossier_code, procedure, unit_code, submitted_at, notice_number, declaration)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (dossier_code) DO NOTHING RETURNING dossier_code
)
INSERT INTO step (dossier_code, step, due_on)
SELECT o.dossier_code, s.* FROM opened o, unnest($7::text[], $8::date[]) AS s RETURNING dossier_code
"""
# Each locks the dossier's row until the transaction ends: its steps may end side by side.
_FIND = "SELECT * FROM dossier WHERE dossier_code = $1 FOR UPDATE"
_FIND_REGISTERED = "UPDATE dossier SET registration_number = $2 WHERE dossier_code = $1 RETURNING *"
# The last line sees the steps as they were before, so this one is left out of it.
_DONE = """
WITH done AS (
    UPDATE step SET done_at = $3, result_number = $4
    WHERE dossier_code = $1 AND step = $2 AND done_at IS NULL RETURNING due_on
)
SELECT (SELECT due_on FROM done), bool_and(done_at IS NOT NULL OR step = $2) AS is_last,
    max(due_on) AS last_due_on, greatest(max(done_at), $3) AS last_done_at
FROM step WHERE dossier_code = $1
"""
_COUNT_IN_MINUTES = """
SELECT a.unit_code, a.minute, count(*) AS dossiers
FROM unnest($1::text[], $2::timestamptz[]) AS a(unit_code, minute)
JOIN dossier d ON d.unit_code = a.unit_code
    AND d.submitted_at >= a.minute AND d.submitted_at < a.minute + interval '1 minute'
GROUP BY a.unit_code, a.minute
"""
_END = """
UPDATE dossier SET status = $2, reasons = $3, done_at = $4 WHERE dossier_code = $1
"""

Procedure = Literal["birth", "death"]


class Repeated(Refused):
    """The same dossier, or the same feedback, came before."""

    code = "repeated"
    remedy = "Nothing to do, unless two were given one number: then give the second its own."


@dataclass(frozen=True, slots=True)
class Dossier:
    """A dossier in the book."""

    dossier_code: str
    procedure: Procedure
    unit_code: str
    submitted_at: datetime
    notice_number: str
    status: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a dossier: due, and perhaps done."""

    name: str
    due_on: date
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was just done: when it was due, whether it was the last, and what holds of all of them."""

    due_on: date
    is_last: bool
    last_due_on: date
    last_done_at: datetime


async def open_dossier(
    db: Connection,
    dossier_code: str,
    procedure: Procedure,
    unit_code: str,
    submitted_at: datetime,
    notice_number: str,
    declaration: Mapping[str, Any],
    steps: Mapping[str, date],
) -> None:
    """Open a dossier under its code, with its steps and the last day of each."""
    opened = await db.fetchval(
        _OPEN,
        dossier_code,
        procedure,
        unit_code,
        submitted_at,
        notice_number,
        declaration,
        list(steps),
        list(steps.values()),
    )
    if opened is None:
        raise Repeated(reason=f"dossier {dossier_code} is open already")


async def find_dossier(
    db: Connection, dossier_code: str, registration_number: str | None = None
) -> Dossier | None:
    """Find a dossier, and note under which number it was registered, where one is told."""
    if registration_number is None:
        row = await db.fetchrow(_FIND, dossier_code)
    else:
        row = await db.fetchrow(_FIND_REGISTERED, dossier_code, registration_number)
    if row is None:
        return None
    return Dossier(
        dossier_code,
        row["procedure"],
        row["unit_code"],
        row["submitted_at"],
        row["notice_number"],
        row["status"],
        tuple(row["reasons"] or ()),
    )


async def find_steps(db: Connection, dossier_code: str) -> list[Step]:
    """Find the steps of a dossier, those that are due first before the others."""
    rows = await db.fetch(
        "SELECT step, due_on, done_at FROM step WHERE dossier_code = $1 ORDER BY due_on, step", dossier_code
    )
    return [Step(row["step"], row["due_on"], row["done_at"]) for row in rows]


async def note_done(db: Connection, dossier_code: str, step: str, at: datetime, result: str) -> Done | None:
    """Note that a step of a found dossier is done; None where it was done before, or not asked for."""
    row = await db.fetchrow(_DONE, dossier_code, step, at, result)
    if row is None or row["due_on"] is None:
        return None
    return Done(row["due_on"], row["is_last"], row["last_due_on"], row["last_done_at"])


async def note_further(db: Connection, dossier_code: str, step: str, result: str) -> None:
    """Note a result that ends no step."""
    await db.execute(
        "INSERT INTO further_result (dossier_code, step, result_number) VALUES ($1, $2, $3)"
        " ON CONFLICT DO NOTHING",
        dossier_code,
        step,
        result,
    )


async def end(
    db: Connection, dossier_code: str, status: str, at: datetime, reasons: Sequence[str] = ()
) -> None:
    """End a dossier: completed, returned or annulled."""
    await db.execute(_END, dossier_code, status, list(reasons) or None, at)


async def note_replaced(db: Connection, dossier_code: str, replaced_by: str) -> None:
    """Note which dossier took the place of a returned one."""
    await db.execute("UPDATE dossier SET replaced_by = $2 WHERE dossier_code = $1", dossier_code, replaced_by)


async def count_in_minutes(
    db: Connection, minutes: Collection[tuple[str, datetime]]
) -> Counter[tuple[str, datetime]]:
    """Count what counters have submitted, each in one minute."""
    rows = await db.fetch(
        _COUNT_IN_MINUTES, [unit_code for unit_code, _ in minutes], [minute for _, minute in minutes]
    )
    return Counter({(row["unit_code"], row["minute"]): row["dossiers"] for row in rows})


async def add_feedback(db: Connection, feedback_id: str, dossier_code: str, rating: int) -> None:
    """Add a citizen's feedback."""
    added = await db.fetchval(
        "INSERT INTO feedback VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING feedback_id",
        feedback_id,
        dossier_code,
        rating,
    )
    if added is None:
        raise Repeated(reason=f"feedback {feedback_id} was received before")
