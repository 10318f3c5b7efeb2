"""The steps between a fact and its effect: each is a place where a process may die.

A process that is to die is a real one (`python -m tests.broker.steps`), and SIGKILL ends it. The library
knows nothing of steps: in that process alone, the functions at which they lie are wrapped.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from lienthong import Connection, Department, Event, NotHandled, NotYet, dead_letters, inbox, outbox
from lienthong.gate import Gate
from lienthong.lane import Fate
from lienthong.producer import Producer
from lienthong.testing import running
from lienthong.turn import Turn
from tests.broker.scratch import Pair, Thing, pair_of

TABLES = """
CREATE TABLE IF NOT EXISTS counted (
    seq bigint GENERATED ALWAYS AS IDENTITY, thing_id text NOT NULL, amount integer NOT NULL
);
"""
"""Nothing here would stop an effect from being there twice."""

FACTS = tuple(
    [(thing, number) for number in range(4) for thing in ("a", "b", "c")] + [("poison", 1), ("later", 1)]
)
"""Of each key in order; one that no handler can use, and one that succeeds the second time."""


class Step(Enum):
    """Where a process may die, in the order of an event's way: who passes, and what has been done there."""

    FACT_WRITTEN = ("publisher", "fact and outbox row are written, not committed")
    ROW_FETCHED = ("publisher", "the fact is committed, the relay has read the row")
    SENT = ("publisher", "the record is in the client, or under way, and nobody has heard")
    ACKNOWLEDGED = ("publisher", "the broker has it, the database does not know")
    NOTED = ("publisher", "the row has gone to what was published")
    FETCHED = ("reader", "records have come, nothing is begun")
    LOOKED_UP = ("reader", "the transaction is open, the inbox was asked")
    CHECKED = ("reader", "the gate has said yes, the handler has not begun")
    HANDLED = ("reader", "the handler has written its effect and what it caused")
    PARKED = ("reader", "a key waits for its next try")
    PUT_ASIDE = ("reader", "a dead letter is written, not committed")
    MARKED = ("reader", "the marks are written, nothing is committed")
    COMMITTED = ("reader", "effect, marks and caused events are committed, the offset is not")
    OFFSET_ASKED = ("reader", "the offset is about to be committed")
    OFFSET_COMMITTED = ("reader", "the offset is committed")
    LETTER_SENT = ("reader", "the broker has the dead letter, the database does not know")

    @property
    def role(self) -> str:
        return self.value[0]


END = signal.SIGKILL


def die() -> None:
    os.kill(os.getpid(), END)


def wrap(owner: Any, name: str, when: Callable[[Any], bool], *, first: bool = False, times: int = 1) -> None:
    """Die in a function: before it, or after it where its result is of a kind, that many times."""
    original = getattr(owner, name)
    passed = 0

    def pass_by(seen: Any) -> None:
        nonlocal passed
        passed += when(seen)
        if passed == times:
            die()

    async def wrapped(*arguments: Any, **options: Any) -> Any:
        if first:
            pass_by(arguments)
        result = await original(*arguments, **options)
        if not first:
            pass_by(result)
        return result

    def wrapped_plain(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        pass_by(result)
        return result

    setattr(owner, name, wrapped if asyncio.iscoroutinefunction(original) else wrapped_plain)


def always(_: Any) -> bool:
    return True


def lay(step: Step) -> None:
    """Let this process die at a step, in the middle of its work where the step is passed more than once."""
    match step:
        case Step.FACT_WRITTEN:
            wrap(outbox, "put", always, times=3)
        case Step.ROW_FETCHED:
            wrap(outbox, "fetch", bool)
        case Step.SENT:
            wrap(AIOKafkaProducer, "send_batch", always)
        case Step.ACKNOWLEDGED:
            wrap(Producer, "send", bool)
        case Step.NOTED:
            wrap(outbox, "acknowledge", always)
        case Step.FETCHED:
            wrap(AIOKafkaConsumer, "getmany", bool)
        case Step.LOOKED_UP:
            wrap(inbox, "find_seen", always)
        case Step.CHECKED:
            wrap(Gate, "recheck", always, times=3)
        case Step.HANDLED:
            pass  # the handler itself
        case Step.PARKED:
            wrap(Turn, "make", lambda fates: Fate.AGAIN in fates)
        case Step.PUT_ASIDE:
            wrap(dead_letters, "put", always)
        case Step.MARKED:
            wrap(inbox, "mark", always)
        case Step.COMMITTED:
            wrap(Turn, "make", always)
        case Step.OFFSET_ASKED:
            wrap(AIOKafkaConsumer, "commit", always, first=True)
        case Step.OFFSET_COMMITTED:
            wrap(AIOKafkaConsumer, "commit", always)
        case Step.LETTER_SENT:
            wrap(dead_letters, "acknowledge", lambda arguments: bool(arguments[1]), first=True)


def publisher_of(pair: Pair) -> Department:
    """A department that makes a fact of each raw record it is handed."""
    publisher = Department(pair.publisher)

    @publisher.takes("fact")
    async def note(record: dict[str, Any], db: Connection) -> None:
        await publisher.publish(db, pair.thing(**record))

    return publisher


def reader_of(pair: Pair, *, dies: Callable[[Event[Thing]], None] = lambda _: None) -> Department:
    """A department that counts what it reads and says so; `dies` is called once its effect is written."""
    reader = Department(pair.reader)
    calls: Counter[str] = Counter()

    @reader.reads(pair.thing.TOPIC, purpose="counting")
    async def count(event: Event[Thing], db: Connection) -> None:
        thing, amount = event.data.thing_id, event.data.amount
        calls[thing] += 1
        await db.execute("INSERT INTO counted (thing_id, amount) VALUES ($1, $2)", thing, amount)
        await reader.publish(db, pair.counted(thing_id=thing, amount=amount))
        dies(event)
        if thing == "poison":
            raise NotHandled(reason="The thing is not ours to count.")
        if thing == "later" and calls[thing] < 4:
            raise NotYet(reason="Its place is not known yet.")

    return reader


async def live(pair: Pair, step: Step) -> None:
    """Run the department that passes the step, until it dies there."""
    lay(step)
    if step.role == "publisher":
        department, tables = publisher_of(pair), ""
    else:
        # In the middle of a turn: others' effects of the same transaction are written too.
        dies = (lambda event: die() if event.data.amount == 2 else None) if step is Step.HANDLED else None
        department = reader_of(pair, dies=dies) if dies else reader_of(pair)
        tables = TABLES
    async with running(
        department,
        data=pair.data,
        root=pair.root,
        tables=tables,
        session_seconds=6.0,
        back_off_seconds=0.05,
        handler_seconds=2.0,
        log_level="warning",
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    names, folders, told = sys.argv[1:3], sys.argv[3:5], sys.argv[5]
    END = signal.SIGSTOP if sys.argv[6:] == ["frozen"] else signal.SIGKILL
    asyncio.run(live(pair_of(*names, *map(Path, folders)), Step[told]))
