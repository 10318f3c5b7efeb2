"""Write down what was decided about letters: by whom and why; and hand records to their reader (hop 7)."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from aiokafka import TopicPartition

from lienthong import names
from lienthong.database import Connection
from lienthong.dead_letters import Record
from lienthong.letters.found import Found
from lienthong.letters.letter import Letter, read_letter
from lienthong.letters.log import Log, Show, silent
from lienthong.letters.plan import Planned

AT_ONCE: Final = 200
"""Letters decided about in one transaction."""

AT_ONCE_BYTES: Final = 8 * 2**20
"""… or of so many bytes."""

NEARBY: Final = 500
"""Letters so far from each other are fetched in one go, with what is between them."""

# Two people who decide at once take turns; the second finds what the first decided.
_TAKE_TURNS: Final = "SELECT pg_advisory_xact_lock(hashtext('lienthong.dead-letters'))"

# Only where nobody has decided anything since the plan was made.
_DECIDE: Final = """
INSERT INTO lienthong.letter_decision
    (consumer_group, topic, record_partition, record_offset, event_id, decision, decided_by, why)
SELECT $1, $2, $3, $4, $5, $6, $7, $8
WHERE $9 = coalesce((SELECT max(id) FROM lienthong.letter_decision
    WHERE consumer_group = $1 AND topic = $2 AND record_partition = $3 AND record_offset = $4), 0)
RETURNING id
"""
_SEND: Final = """
INSERT INTO lienthong.sent_again (consumer_group, topic, record_partition, record_offset, record_timestamp_ms,
    key, value, header_names, header_values, order_key, earlier_attempts, first_at, decision, even_if_stale,
    later_sources, later_ids, looked_to)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
"""
_OUTCOMES: Final = """
SELECT coalesce(outcome, '') AS outcome, coalesce(code, '') AS code, count(*) AS letters
FROM lienthong.letter_decision WHERE id = ANY($1::bigint[]) GROUP BY 1, 2 ORDER BY 1, 2
"""


async def discard(
    db: Connection, found: Sequence[Found], who: str, why: str, show: Show = silent
) -> list[int]:
    """Decide that records are never to be handled; gives the numbers of the decisions."""
    numbers: list[int] = []
    for begin in range(0, len(found), AT_ONCE):
        async with db.transaction():
            await db.execute(_TAKE_TURNS)
            made = [await _decide(db, one, "discard", who, why) for one in found[begin : begin + AT_ONCE]]
        numbers += [number for number in made if number is not None]
        show("discarded", min(begin + AT_ONCE, len(found)), len(found))
    return numbers


async def send_again(
    db: Connection,
    log: Log,
    planned: Sequence[Planned],
    who: str,
    why: str,
    *,
    even_if_stale: bool,
    show: Show = silent,
) -> list[int]:
    """Hand records to their reader once more; gives the numbers of the decisions.

    Killed in the middle, what was handed over stays so, and the rest is found as it was.
    """
    numbers: list[int] = []
    waiting: list[tuple[Planned, Record]] = []

    async def hand_over() -> None:
        async with db.transaction():
            await db.execute(_TAKE_TURNS)
            for one, record in waiting:
                if (number := await _decide(db, one.one, "send again", who, why)) is not None:
                    await _send(db, one, record, number, even_if_stale=even_if_stale)
                    numbers.append(number)
        waiting.clear()
        show("sent again", len(numbers), len(planned))

    async for one, record in _iter_originals(log, planned):
        waiting.append((one, record))
        if len(waiting) >= AT_ONCE or sum(len(held.value or b"") for _, held in waiting) >= AT_ONCE_BYTES:
            await hand_over()
    if waiting:
        await hand_over()
    return numbers


async def fetch_outcomes(db: Connection, numbers: Sequence[int]) -> list[tuple[str, str, int]]:
    """Fetch what came of decisions: outcome (empty while it waits), code, how many."""
    rows = await db.fetch(_OUTCOMES, list(numbers))
    return [(row["outcome"], row["code"], row["letters"]) for row in rows]


async def fetch_originals(log: Log, found: Sequence[Found]) -> list[tuple[Found, Record | None]]:
    """Fetch the records of letters, byte for byte; None where a letter is gone meanwhile."""
    planned = [Planned(one) for one in found]
    records = {id(one): record async for one, record in _iter_originals(log, planned)}
    return [(one.one, records.get(id(one))) for one in planned]


async def _decide(db: Connection, one: Found, decision: str, who: str, why: str) -> int | None:
    letter = one.letter
    last = one.decisions[-1].number if one.decisions else 0
    number: int | None = await db.fetchval(
        _DECIDE, letter.group, *letter.place, letter.event_id, decision, who, why, last
    )
    return number


async def _send(db: Connection, one: Planned, record: Record, number: int, *, even_if_stale: bool) -> None:
    letter = one.one.letter
    await db.execute(
        _SEND,
        letter.group,
        *letter.place,
        record.timestamp_ms,
        record.key,
        record.value,
        [name for name, _ in record.headers],
        [value for _, value in record.headers],
        letter.order_key,
        letter.attempts,
        letter.first_at,
        number,
        even_if_stale,
        [source for source, _ in one.later],
        [name for _, name in one.later],
        one.looked_to,
    )


async def _iter_originals(log: Log, planned: Iterable[Planned]) -> AsyncIterator[tuple[Planned, Record]]:
    """Walk the records of letters: those on their way first, the others from their topic."""
    on_topic: dict[tuple[str, int], Planned] = {}
    for one in planned:
        letter = one.one.letter
        if one.one.held is not None:
            yield one, one.one.held
        elif letter.at is not None:
            on_topic[letter.group, letter.at] = one
    groups = sorted({group for group, _ in on_topic})
    if groups:
        log.hold([TopicPartition(names.dead_letter_topic(group), 0) for group in groups])
    for group in groups:
        partition = TopicPartition(names.dead_letter_topic(group), 0)
        for span in join_spans(sorted(at for of, at in on_topic if of == group)):
            async for carried in log.iter_records({partition: span}):
                wanted = on_topic.get((group, carried.offset))
                if wanted is not None and (original := _original_of(wanted.one.letter, carried)) is not None:
                    yield wanted, original


def _original_of(letter: Letter, carried: Record) -> Record | None:
    read = read_letter(letter.group, carried, carried.offset)
    return read[1] if read is not None and read[0].place == letter.place else None


def join_spans(offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Join offsets, in order, into as few spans as is worth while."""
    spans: list[tuple[int, int]] = []
    for offset in offsets:
        if spans and offset - spans[-1][1] <= NEARBY:
            spans[-1] = (spans[-1][0], offset + 1)
        else:
            spans.append((offset, offset + 1))
    return spans
