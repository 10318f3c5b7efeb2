"""Bugs for the checker to find: each is planted into the services of a run, in their own processes.

This is the one place where the library's own code is patched. Each is a mistake that somebody has made: most
are the default of some client, framework or tutorial.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lienthong import consumer, dead_letters, event, inbox, lane, outbox, producer, relay, turn
from lienthong.lane import Fate

KILLS: Final = ("service-killed",)
AWAY: Final = ("service-killed", "broker-killed", "broker-frozen")

GUARD: Final = "xid < pg_snapshot_xmin(pg_current_snapshot())"
"""By which the relay waits for transactions that began before a row was written."""

Does = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Bug:
    """A mistake, how to make it, which faults bring it to light, if any must, and within how many runs."""

    name: str
    about: str
    plant: Callable[[], None]
    faults: tuple[str, ...] = ()
    runs: int = 1


def _swap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Put something else in the place of what the library has; what it had is handed on."""
    setattr(owner, name, make(getattr(owner, name)))


def _edit(old: str, new: str) -> None:
    """Change how the relay asks for the rows of the outbox."""

    def edited(sql: str) -> str:
        assert old in sql, f"the outbox is no longer asked for {old}"
        return sql.replace(old, new)

    _swap(outbox, "_FETCH", edited)


def commit_before_effect() -> None:
    def make(turn_of: Does) -> Does:
        async def commit_first(self: Any, pool: Any, now: float) -> None:
            lanes = self._lanes.items()
            taken = {place: lane.next_offset for place, lane in lanes if lane.next_offset is not None}
            if any(self._committed.get(place) != offset for place, offset in taken.items()):
                await self._consumer.commit(taken)
            await turn_of(self, pool, now)

        return commit_first

    _swap(consumer.Reader, "_make_turn", make)


def commit_past_parked() -> None:
    _swap(lane.Lane, "commit_offset", lambda _: property(lambda self: self.next_offset))


def at_most_once() -> None:
    commit_before_effect()

    def make(turns: Does) -> Does:
        async def never_again(self: Any, pool: Any, batch: Any) -> list[Fate]:
            fates = await turns(self, pool, batch)
            return [Fate.HANDLED if fate in {None, Fate.AGAIN, Fate.BEHIND} else fate for fate in fates]

        return never_again

    _swap(turn.Turn, "make", make)


def offsets_that_go_back() -> None:
    def make(commit: Does) -> Does:
        async def commit_late(self: Any, client: Any, lanes: Any) -> None:
            await commit(self, client, lanes)
            if self._committed:
                place, offset = min(self._committed.items(), key=str)
                await client.commit({place: max(0, offset - 3)})

        return commit_late

    _swap(consumer.Reader, "_commit", make)


def no_inbox() -> None:
    async def find_none(*_: Any, **__: Any) -> dict[Any, Any]:
        return {}

    _swap(inbox, "find_seen", lambda _: find_none)
    _swap(inbox, "mark", lambda _: _nothing)


def _with_a_pool(owner: Any, name: str, make: Callable[[Does, list[Any]], Does]) -> None:
    """Give a function of a turn the pool, for a connection of its own."""
    pools: list[Any] = []

    def remembering(make_pass: Does) -> Does:
        async def remember(self: Any, pool: Any, batch: Any, **how: Any) -> Any:
            pools[:] = [pool]
            return await make_pass(self, pool, batch, **how)

        return remember

    _swap(turn.Turn, "_pass", remembering)
    _swap(owner, name, lambda original: make(original, pools))


def inbox_outside_the_transaction() -> None:
    def make(mark: Does, pools: list[Any]) -> Does:
        async def mark_apart(_: Any, group: str, marks: Any) -> None:
            async with pools[0].acquire() as other:
                await mark(other, group, marks)

        return mark_apart

    _with_a_pool(inbox, "mark", make)


def effect_outside_the_transaction() -> None:
    def make(handle: Does, pools: list[Any]) -> Does:
        async def handle_apart(self: Any, _: Any, taken: Any) -> None:
            async with pools[0].acquire() as other:
                await handle(self, other, taken)

        return handle_apart

    _with_a_pool(turn.Turn, "_handle", make)


def retry_that_reorders() -> None:
    def make(take: Callable[..., Any]) -> Callable[..., Any]:
        def take_alone(self: Any, records: Any) -> Any:
            found = take(self, records)
            for taken in self._waiting:
                place = b"/%d" % taken.record.offset
                taken.key = taken.key.removesuffix(place) + place
            return found

        return take_alone

    _swap(lane.Lane, "take", make)


def retry_swallowed() -> None:
    def make(attempt: Does) -> Does:
        async def once(*told: Any, **how: Any) -> Fate:
            fate = await attempt(*told, **how)
            return Fate.HANDLED if fate is Fate.AGAIN else fate

        return once

    _swap(turn.Turn, "_attempt", make)


def letter_while_retried() -> None:
    def make(attempt: Does) -> Does:
        async def tell_early(self: Any, db: Any, taken: Any, **how: Any) -> Any:
            fate = await attempt(self, db, taken, **how)
            if fate is Fate.AGAIN:
                at = taken.first_at
                await dead_letters.put(db, taken.record, self._group, taken.reason, taken.attempts, at, at)
            return fate

        return tell_early

    _swap(turn.Turn, "_attempt", make)


def letter_without_mark() -> None:
    def make(mark: Does) -> Does:
        async def only_handled(db: Any, group: str, marks: Any) -> None:
            await mark(db, group, [one for one in marks if one.outcome != "set aside"])

        return only_handled

    _swap(inbox, "mark", make)


def mark_without_letter() -> None:
    _swap(dead_letters, "put", lambda _: _nothing)


def letter_without_reason() -> None:
    _swap(dead_letters, "provenance", lambda _: lambda *_, **__: [])


def acknowledged_before_flush() -> None:
    async def hand_over(self: Any, records: Any) -> list[Any]:
        if self._client is None:
            await self.start()
        for record in records:
            headers = list(record.headers)
            await self._client.send(record.topic, value=record.value, key=record.key, headers=headers)
        return [producer.Acknowledged(0, 0)] * len(records)

    _swap(producer.Producer, "send", lambda _: hand_over)


def deleted_before_acknowledged() -> None:
    def make(fetch: Does) -> Does:
        async def take_out(db: Any, *told: Any) -> Any:
            rows = await fetch(db, *told)
            seqs = [row.seq for row in rows]
            await db.execute("DELETE FROM lienthong.outbox WHERE seq = ANY($1::bigint[])", seqs)
            return rows

        return take_out

    _swap(outbox, "fetch", make)


def unknown_taken_for_written() -> None:
    def make(send: Does) -> Does:
        async def hopeful(self: Any, records: Any) -> Any:
            try:
                async with asyncio.timeout(0.5):
                    return await send(self, records)
            except TimeoutError:
                await self.stop()
                return [producer.Acknowledged(0, 0)] * len(records)

        return hopeful

    _swap(producer.Producer, "send", make)


def outbox_read_by_number() -> None:
    outbox_without_guard()

    def make(fetch: Does) -> Does:
        last = 0

        async def fetch_on(*told: Any) -> Any:
            nonlocal last
            rows = [row for row in await fetch(*told) if row.seq > last]
            last = max([last, *(row.seq for row in rows)])
            return rows

        return fetch_on

    _swap(outbox, "fetch", make)


def outbox_without_guard() -> None:
    _edit(GUARD, "true")


def guard_by_transaction_alone() -> None:
    _edit("ORDER BY", f"WHERE {GUARD} ORDER BY")


def sent_newest_first() -> None:
    def make(fetch: Does) -> Does:
        async def turned(*told: Any) -> Any:
            return list(reversed(await fetch(*told)))

        return turned

    _swap(outbox, "fetch", make)


def written_to_both() -> None:
    sender: list[Any] = []

    def remembering(start: Callable[..., None]) -> Callable[..., None]:
        def remember(self: Any, *told: Any, **named: Any) -> None:
            start(self, *told, **named)
            sender.append(self._producer)

        return remember

    def make(put: Does) -> Does:
        async def put_and_send(db: Any, topic: str, fact: Any) -> None:
            await put(db, topic, fact)
            key, headers = fact.key.encode(), event.to_headers(fact)
            await sender[0].send([producer.OutgoingRecord(topic, key, fact.value, headers)])

        return put_and_send

    _swap(relay.Relay, "__init__", remembering)
    _swap(outbox, "put", make)


async def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing where something was due."""


_BUGS: Final = (
    Bug("commit-before-effect", "the offset is committed, then the record is handled", commit_before_effect),
    Bug("commit-past-parked", "the offset passes records that wait for a retry", commit_past_parked),
    Bug("at-most-once", "committed first, and a failure is the end of it", at_most_once),
    Bug("offsets-that-go-back", "an older offset is committed after a newer one", offsets_that_go_back),
    Bug("no-inbox", "nobody remembers what was handled", no_inbox, KILLS, runs=3),
    Bug(
        "inbox-outside-the-transaction",
        "the mark is committed by itself, before the effect",
        inbox_outside_the_transaction,
    ),
    Bug(
        "effect-outside-the-transaction",
        "the handler writes on a connection of its own",
        effect_outside_the_transaction,
    ),
    Bug("retry-that-reorders", "later records of a key overtake one that is retried", retry_that_reorders),
    Bug("retry-swallowed", "what fails for a while counts as handled", retry_swallowed),
    Bug(
        "letter-while-retried",
        "a dead letter at the first failure, and a retry all the same",
        letter_while_retried,
    ),
    Bug("letter-without-mark", "set aside, and not marked so", letter_without_mark, KILLS, runs=3),
    Bug("mark-without-letter", "marked as set aside, and gone", mark_without_letter),
    Bug("letter-without-reason", "a dead letter does not say why, nor where it was", letter_without_reason),
    Bug(
        "acknowledged-before-flush",
        "what the producer buffers counts as written",
        acknowledged_before_flush,
        AWAY,
        runs=3,
    ),
    Bug(
        "deleted-before-acknowledged",
        "the relay deletes a row when it takes it",
        deleted_before_acknowledged,
        AWAY,
        runs=3,
    ),
    Bug(
        "unknown-taken-for-written",
        "no confirmation in time counts as one",
        unknown_taken_for_written,
        AWAY,
        runs=3,
    ),
    Bug("outbox-read-by-number", "the relay asks for rows after the last it saw", outbox_read_by_number),
    Bug("outbox-without-guard", "the relay does not wait for older transactions", outbox_without_guard),
    Bug(
        "guard-by-transaction-alone",
        "rows of older transactions pass one of a newer that they saw",
        guard_by_transaction_alone,
    ),
    Bug("sent-newest-first", "the relay turns its rows around", sent_newest_first),
    Bug("written-to-both", "published to the bus before the transaction has ended", written_to_both),
)
BUGS: Final[Mapping[str, Bug]] = {bug.name: bug for bug in _BUGS}


def plant(name: str) -> None:
    """Plant a bug into this process, if one is named."""
    if name:
        BUGS[name].plant()
