"""Tell the owner of a topic what a reader found wrong on it, without a data value (hop 7)."""

import os
import re
from datetime import UTC, datetime
from typing import Any, Final

from lienthong import names, outbox, refusals
from lienthong.database import Connection
from lienthong.dead_letters import Reason
from lienthong.errors import Problem, Unreadable
from lienthong.event import is_uuid, uuid7
from lienthong.inbox import Dealt
from lienthong.lane import Taken

ID_CONFLICT: Final = "id-conflict"
TOLD: Final = frozenset({Unreadable.code, ID_CONFLICT})
"""What is the owner's to mend. What a handler made of a sound event is the reader's own affair."""

_VERSION: Final = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){2}")


def find_conflict(taken: Taken, dealt: Dealt) -> Reason | None:
    """Tell why a record is another event than the one that was dealt with under its id; None where it is not.

    Of an event whose digest nobody took, none is called another.
    """
    if taken.digest is None or dealt.digest is None or dealt.digest == taken.digest:
        return None
    place = f"{dealt.topic}[{dealt.partition}]@{dealt.offset}"
    message = f"an event of this id with another content was dealt with before: {place}"
    return Reason(
        ID_CONFLICT,
        f"Its source and id are those of another event, {place}, which was dealt with before. "
        "Tell the owner of the topic: each fact needs an id of its own.",
        (Problem("id", ID_CONFLICT, message),),
    )


async def tell(db: Connection, group: str, taken: Taken, reason: Reason) -> None:
    """Put a notice into the reader's outbox, in the transaction that sets the record aside."""
    now = datetime.now(UTC)
    event = refusals.compose(
        group.partition(".")[0], _about(group, taken, reason), uuid7(now, os.urandom), now
    )
    await outbox.put(db, names.refusals_topic(group.partition(".")[0]), event)


def _about(group: str, taken: Taken, reason: Reason) -> dict[str, Any]:
    """Name the record by its place, and by its id where that surely is one: a stranger's may be anything."""
    record, event = taken.record, taken.event
    schema = names.find_schema_version(event.dataschema) if event is not None else None
    is_named = event is not None and is_uuid(event.id)
    return {
        "refused_id": event.id if event is not None and is_named else f"{record.partition}/{record.offset}",
        "refused_topic": record.topic,
        "code": reason.code,
        "schema_version": schema[2] if schema is not None and _VERSION.fullmatch(schema[2]) else None,
        "problems": [problem.as_json() for problem in reason.problems[:50]],
        "found_by": group,
        "partition": record.partition,
        "offset": record.offset,
    }
