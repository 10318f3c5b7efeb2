"""Find a department's dead letters: on their topics, and those on their way there (hop 7)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from lienthong import names
from lienthong.database import Connection
from lienthong.dead_letters import Record
from lienthong.letters.letter import Letter, Place, read_letter
from lienthong.letters.log import Log, Show, silent
from lienthong.letters.selection import Selection, State

_ON_THEIR_WAY: Final = "SELECT * FROM lienthong.dead_letter WHERE topic = ANY($1::text[]) ORDER BY seq"
_MARKS: Final = """
SELECT i.source, i.id, i.outcome FROM lienthong.inbox i
JOIN unnest($2::text[], $3::text[]) AS d(source, id) ON i.source = d.source AND i.id = d.id
WHERE i.consumer_group = $1
"""
_DECISIONS: Final = """
SELECT id, topic, record_partition, record_offset, decision, decided_by, why, decided_at, outcome, code,
    ended_at
FROM lienthong.letter_decision WHERE consumer_group = $1 ORDER BY id
"""
_WAITING: Final = """
SELECT topic, record_partition, record_offset FROM lienthong.sent_again WHERE consumer_group = $1
"""

Origin = tuple[str, Place]
"""Group and place: what makes two letters the same record's."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided about a letter, and what came of it."""

    number: int
    decision: str
    decided_by: str
    why: str
    decided_at: datetime
    outcome: str | None
    code: str | None
    ended_at: datetime | None


@dataclass(slots=True)
class Found:
    """A record that was set aside: its newest letter, what became of it, what was decided."""

    letter: Letter
    state: State = State.open
    decisions: list[Decision] = field(default_factory=list)
    letters: int = 1
    """How often it was set aside."""
    held: Record | None = None
    """The record itself, where its letter is on its way."""


@dataclass(slots=True)
class Letters:
    """What was found."""

    found: list[Found] = field(default_factory=list)
    strangers: int = 0
    """Records on dead-letter topics that are no letters of ours."""

    def counts(self) -> Iterator[tuple[str, str, str, str, int]]:
        """Count by group, topic, code and state."""
        many = Counter((f.letter.group, f.letter.place.topic, f.letter.code, f.state) for f in self.found)
        for (group, topic, code, state), count in sorted(many.items()):
            yield group, topic, code, state.value, count


async def find_letters(
    db: Connection,
    log: Log,
    department: str,
    selection: Selection,
    show: Show = silent,
) -> Letters:
    """Find the letters that a selection means; of a record set aside several times, the newest."""
    topics = await log.find_letter_topics(department)
    wanted = {g: one for g, one in topics.items() if not selection.groups or g in selection.groups}
    letters, newest = Letters(), dict[Origin, Found]()

    def note(group: str, carried: Record, at: int | None) -> None:
        if (read := read_letter(group, carried, at)) is None:
            letters.strangers += 1
            return
        letter, held = read[0], read[1] if at is None else None
        if (known := newest.get((group, letter.place))) is None:
            newest[group, letter.place] = Found(letter, held=held)
        else:
            _note_again(known, letter, held)

    if wanted:
        # The table first: what the relay carries meanwhile is met on the topic too.
        for group, carried in await _fetch_on_their_way(db, wanted):
            note(group, carried, None)
        groups = {one: group for group, one in wanted.items()}
        log.hold(groups.keys())
        reach = await log.find_reach(groups)
        by_topic = {one.topic: group for one, group in groups.items()}
        async for record in log.iter_records(reach, show, "letters"):
            note(by_topic[record.topic], record, record.offset)
    letters.found = [one for one in newest.values() if selection.takes(one.letter)]
    for group in wanted:
        await _tell_states(db, group, [one for one in letters.found if one.letter.group == group])
    letters.found = [one for one in letters.found if not selection.states or one.state in selection.states]
    letters.found.sort(key=lambda one: (one.letter.group, one.letter.last_at, one.letter.place))
    return letters


def _note_again(known: Found, letter: Letter, held: Record | None) -> None:
    """Keep the newer of two letters of one record; the relay may have carried one of them twice."""
    if letter.last_at != known.letter.last_at:
        known.letters += 1
    if letter.last_at >= known.letter.last_at:
        known.letter, known.held = letter, held


async def _fetch_on_their_way(db: Connection, groups: Iterable[str]) -> list[tuple[str, Record]]:
    topics = {names.dead_letter_topic(group): group for group in groups}
    rows = await db.fetch(_ON_THEIR_WAY, list(topics))
    return [
        (
            topics[row["topic"]],
            Record(
                row["topic"],
                0,
                -1,
                0,
                row["key"],
                row["value"],
                list(zip(row["header_names"], row["header_values"], strict=True)),
            ),
        )
        for row in rows
    ]


async def _tell_states(db: Connection, group: str, found: list[Found]) -> None:
    """Find out what became of a group's letters."""
    marks = await _fetch_marks(db, group, found)
    waiting = {_place(row) for row in await db.fetch(_WAITING, group)}
    decided: dict[Place, list[Decision]] = {}
    for row in await db.fetch(_DECISIONS, group):
        decided.setdefault(_place(row), []).append(Decision(row["id"], *tuple(row)[4:]))
    for one in found:
        place = one.letter.place
        one.decisions = decided.get(place, [])
        # What was marked by its place is known by that, whatever its envelope says by now.
        outcome = marks.get(place.identity) or marks.get(one.letter.identity)
        if outcome == "handled":
            one.state = State.handled
        elif place in waiting:
            one.state = State.waiting
        elif one.decisions and one.decisions[-1].decision == "discard":
            one.state = State.discarded


async def _fetch_marks(db: Connection, group: str, found: list[Found]) -> dict[tuple[str, str], str]:
    marks: dict[tuple[str, str], str] = {}
    for number in range(0, len(found), 2_000):
        asked = {
            identity
            for one in found[number : number + 2_000]
            for identity in (one.letter.place.identity, one.letter.identity)
        }
        rows = await db.fetch(_MARKS, group, [source for source, _ in asked], [name for _, name in asked])
        marks |= {(row["source"], row["id"]): row["outcome"] for row in rows}
    return marks


def _place(row: Any) -> Place:
    return Place(row["topic"], row["record_partition"], row["record_offset"])
