"""A department that takes its time over each event, for `faststream run tests.broker.slow_reader:app`.

SCRATCH_PAIR names the pair; SCRATCH_SECONDS is how long each event takes; at the event whose amount is
SCRATCH_FREEZES_AT the process stops itself (SIGSTOP), in the middle of its turn, once.
"""

import asyncio
import os
import signal
from pathlib import Path

from lienthong import Connection, Department, Event
from tests.broker.scratch import Thing, pair_of
from tests.broker.steps import TABLES

SECONDS = float(os.environ["SCRATCH_SECONDS"])
FREEZES_AT = int(os.environ.get("SCRATCH_FREEZES_AT", "-1"))

publisher, name = os.environ["SCRATCH_PAIR"].split(",")
pair = pair_of(publisher, name, Path(os.environ["LIENTHONG_DATA"]), Path(os.environ["LIENTHONG_ROOT"]))
reader = Department(pair.reader)


@reader.reads(pair.thing.TOPIC, purpose="counting")
async def count(event: Event[Thing], db: Connection) -> None:
    thing, amount = event.data.thing_id, event.data.amount
    await db.execute("INSERT INTO counted (thing_id, amount) VALUES ($1, $2)", thing, amount)
    await asyncio.sleep(SECONDS)
    if amount == FREEZES_AT:
        os.kill(os.getpid(), signal.SIGSTOP)


app = reader.app(tables=TABLES)
