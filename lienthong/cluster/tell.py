"""Tell the changes of a cluster on the bus: through the outbox of the department that runs it (hop 1)."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import orjson

from lienthong import names
from lienthong.cluster.changes import Noted
from lienthong.cluster.databases import Postgres, connect
from lienthong.database import TABLES
from lienthong.login import role_of
from lienthong.moments import find_timestamp

# The columns of Debezium's convention only: the relay passes what other programs write through the gate.
# What was told by a run that was stopped before it could note so is not told twice.
_PUT: Final = """
INSERT INTO lienthong.outbox (id, aggregatetype, aggregateid, type, payload, time, correlationid)
SELECT c.id, $1, c.id::text, $2, c.payload, c.time, c.run
FROM unnest($3::uuid[], $4::bytea[], $5::timestamptz[], $6::text[]) AS c(id, payload, time, run)
WHERE NOT EXISTS (SELECT FROM lienthong.outbox o WHERE o.id = c.id)
  AND NOT EXISTS (SELECT FROM lienthong.published p WHERE p.id = c.id)
  AND NOT EXISTS (SELECT FROM lienthong.outbox_refused r WHERE r.id = c.id)
"""


async def tell(postgres: Postgres, password: str, topic: str, changes: Sequence[Noted]) -> None:
    """Write changes into the outbox of the topic's owner, each once; its service sends them.

    Args:
        postgres: Where the owner's database is.
        password: The owner's own, or the one that stands in.
        topic: `<department>.change-applied.v<major>`.
        changes: As the journal noted them.

    Raises:
        BusNotUsable: PostgreSQL does not let us in, or is away.
    """
    known = names.find_topic(topic)
    assert known is not None
    owner = known.department
    login = dataclasses.replace(
        postgres, username=role_of(owner, password), password=password, database=owner
    )
    async with connect(login) as db, db.transaction():
        await _make_tables(db)
        await db.execute(
            _PUT,
            topic,
            known.type,
            [UUID(change["change_id"]) for change in changes],
            [orjson.dumps(change) for change in changes],
            [find_timestamp(change["applied_at"]) for change in changes],
            [change["run_id"] for change in changes],
        )


async def _make_tables(db: Any) -> None:
    """Make the library's tables where the owner's service has not run yet."""
    await db.execute("SELECT pg_advisory_xact_lock(hashtext('lienthong.tables'))")
    if await db.fetchval("SELECT to_regclass('lienthong.outbox') IS NULL"):
        await db.execute(TABLES)
