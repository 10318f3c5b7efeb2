"""The department's own PostgreSQL: its pool, and our tables in the schema `lienthong` (hops 1, 6)."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from lienthong.errors import NotHandled
from lienthong.logs import Log

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
    _Plain = asyncpg.Connection[asyncpg.Record]
else:
    _Plain = asyncpg.Connection
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

TABLES: Final = """
CREATE SCHEMA IF NOT EXISTS lienthong;

-- Columns id … payload follow the Debezium outbox convention, the others go into headers: a department may
-- put Debezium in our relay's place without a migration. Rows of other programs need only its columns.
CREATE TABLE IF NOT EXISTS lienthong.outbox (
    seq                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid                xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id                 uuid NOT NULL,
    aggregatetype      text NOT NULL,
    aggregateid        text NOT NULL,
    type               text NOT NULL,
    payload            bytea,
    source             text,
    subject            text,
    time               timestamptz NOT NULL DEFAULT now(),
    recorded           timestamptz NOT NULL DEFAULT clock_timestamp(),
    dataschema         text,
    correlationid      text,
    causationid        text,
    traceparent        text,
    dataclassification text,
    admitted           boolean NOT NULL DEFAULT false,
    siblingid          text
);
-- What the relay could not send because it may never be sent: kept whole, with the reasons.
CREATE TABLE IF NOT EXISTS lienthong.outbox_refused (
    id uuid NOT NULL, aggregatetype text NOT NULL, aggregateid text NOT NULL, type text NOT NULL,
    payload bytea, recorded timestamptz NOT NULL, refused_at timestamptz NOT NULL DEFAULT now(),
    reason text NOT NULL
);
-- What the broker confirmed: the department's own proof, and the control total of its facts.
CREATE TABLE IF NOT EXISTS lienthong.published (
    id uuid PRIMARY KEY, topic text NOT NULL,
    record_partition integer NOT NULL, record_offset bigint NOT NULL,
    recorded timestamptz NOT NULL, acknowledged_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE IF NOT EXISTS lienthong.inbox (
    consumer_group text NOT NULL, source text NOT NULL, id text NOT NULL,
    topic text NOT NULL, record_partition integer NOT NULL, record_offset bigint NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('handled', 'set aside')), code text,
    recorded timestamptz, handled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    digest bytea,
    PRIMARY KEY (consumer_group, source, id)
);
-- How far a group's former topic was found to hold nothing that the newer major does not tell too.
CREATE TABLE IF NOT EXISTS lienthong.gone_over (
    consumer_group text NOT NULL, topic text NOT NULL, record_partition integer NOT NULL,
    record_offset bigint NOT NULL, PRIMARY KEY (consumer_group, topic, record_partition)
);
-- Dead letters on their way to their topic: set aside in the same transaction as the inbox mark.
CREATE TABLE IF NOT EXISTS lienthong.dead_letter (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, key bytea, value bytea,
    header_names text[] NOT NULL, header_values bytea[] NOT NULL
);
-- What was decided about dead letters, by whom and why, and what came of it. Nobody's data is in it.
CREATE TABLE IF NOT EXISTS lienthong.letter_decision (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, consumer_group text NOT NULL, topic text NOT NULL,
    record_partition integer NOT NULL, record_offset bigint NOT NULL, event_id text,
    decision text NOT NULL CHECK (decision IN ('send again', 'discard')),
    decided_by text NOT NULL, why text NOT NULL, decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    outcome text CHECK (outcome IN ('handled', 'repeated', 'set aside', 'stale')), code text,
    ended_at timestamptz
);
-- Records set aside that wait to be handled after all, bytes untouched: the group's reader takes them.
CREATE TABLE IF NOT EXISTS lienthong.sent_again (
    consumer_group text NOT NULL, topic text NOT NULL, record_partition integer NOT NULL,
    record_offset bigint NOT NULL, record_timestamp_ms bigint NOT NULL, key bytea, value bytea,
    header_names text[] NOT NULL, header_values bytea[] NOT NULL, order_key bytea NOT NULL,
    attempts integer NOT NULL DEFAULT 0, earlier_attempts integer NOT NULL, first_at timestamptz NOT NULL,
    tried_at timestamptz, due timestamptz NOT NULL DEFAULT now(),
    decision bigint NOT NULL REFERENCES lienthong.letter_decision, even_if_stale boolean NOT NULL,
    -- Later records of its key that were not handled when it was decided, and how far the topic was read.
    later_sources text[] NOT NULL, later_ids text[] NOT NULL, looked_to bigint NOT NULL,
    PRIMARY KEY (consumer_group, topic, record_partition, record_offset)
);
CREATE TABLE IF NOT EXISTS lienthong.state (
    topic text NOT NULL, key text NOT NULL, data jsonb NOT NULL, PRIMARY KEY (topic, key)
);
-- How often granted fields are read, by day: what nobody reads need not be shared. Nobody's data is in it.
CREATE TABLE IF NOT EXISTS lienthong.field_read (
    topic text NOT NULL, field text NOT NULL, day date NOT NULL, reads bigint NOT NULL,
    PRIMARY KEY (topic, field, day)
);
CREATE TABLE IF NOT EXISTS lienthong.intake (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL, raw bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS lienthong.intake_problems (
    id bigint PRIMARY KEY, kind text NOT NULL, raw bytea NOT NULL, received_at timestamptz NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT now(), code text NOT NULL, reason text NOT NULL
);
"""

LATER: Final = {
    "SELECT to_regclass('lienthong.intake_kind')": "CREATE INDEX intake_kind ON lienthong.intake (kind, id)",
    "SELECT attname FROM pg_attribute"
    " WHERE attrelid = 'lienthong.outbox'::regclass AND attname = 'siblingid'": (
        "ALTER TABLE lienthong.outbox ADD COLUMN siblingid text"
    ),
    # Of events dealt with before it was there the content is not known, and none is called another.
    "SELECT attname FROM pg_attribute WHERE attrelid = 'lienthong.inbox'::regclass AND attname = 'digest'": (
        "ALTER TABLE lienthong.inbox ADD COLUMN digest bytea"
    ),
    "SELECT to_regclass('lienthong.letter_decision_place')": (
        "CREATE INDEX letter_decision_place ON lienthong.letter_decision"
        " (consumer_group, topic, record_partition, record_offset, id)"
    ),
    "SELECT to_regclass('lienthong.sent_again_order')": (
        "CREATE INDEX sent_again_order ON lienthong.sent_again"
        " (consumer_group, topic, record_partition, order_key, record_offset)"
    ),
}
"""What is there already, and what makes it where it is not.

`IF NOT EXISTS` would take its locks first and look then: a service that starts would wait for whoever has a
table open (a backup, a frozen process), and whoever writes would wait behind it.
"""

LOCK_SECONDS: Final = 3
"""So long setting up may wait for a lock, and others behind it; then it is tried again."""

GONE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,  # its disk does not read or write
    asyncpg.ReadOnlySQLTransactionError,  # it was demoted: see `borrow`
    asyncpg.InternalClientError,  # asyncpg's own word for a connection cut in the middle of a command
    ConnectionError,
)
"""The database is away, full, broken or not the right one: nobody's record is to blame, everybody waits."""

NOT_APPLIED: Final = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""The role, its password or the database is not there: an operator can mend it while we wait."""

CROSSED: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
"""Two transactions met: the same work succeeds when done again."""


def is_gone(error: BaseException, db: Any = None) -> bool:
    """Tell whether the database, rather than the record, is the reason of an error."""
    return isinstance(error, (*GONE, *CROSSED)) or (db is not None and is_closed(db))


def is_closed(db: Any) -> bool:
    """Tell whether a connection is closed; of one that the pool has taken back, asyncpg refuses to say."""
    try:
        return bool(db.is_closed())
    except asyncpg.InterfaceError:
        return True


@asynccontextmanager
async def borrow(pool: Pool) -> AsyncIterator[Connection]:
    """Borrow a connection of the pool.

    After a fail-over, connections may lead to a server that was demoted and lives on: as soon as one of them
    may not write, all are given up, so that the next ones are opened where the address leads by then.

    Raises:
        ConnectionResetError: it was cut meanwhile; asyncpg speaks of wrong use then (rolling back, say).
    """
    async with pool.acquire() as db:
        try:
            yield db
        except asyncpg.InterfaceError as error:
            if is_closed(db):
                raise ConnectionResetError("the connection was cut in the middle") from error
            raise
        except Exception as error:
            if _is_demoted(error):
                await pool.expire_connections()
            raise


async def check_writable(db: Connection) -> None:
    """Make sure that a server takes writes: who only looks hears nothing of it when it was demoted.

    Raises:
        asyncpg.ReadOnlySQLTransactionError: it does not; see `borrow`.
    """
    if await db.fetchval("SELECT current_setting('transaction_read_only')") == "on":
        raise asyncpg.ReadOnlySQLTransactionError("the server takes no writes")


def _is_demoted(error: BaseException | None) -> bool:
    """Tell whether a server that takes no writes is behind an error."""
    while error is not None:
        if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            return True
        error = error.__cause__
    return False


_IS_HELD: Final[ContextVar[bool]] = ContextVar("is_held", default=False)
_ENDS_TRANSACTION: Final = re.compile(
    r"(?:^|;)\s*(?:COMMIT|ROLLBACK(?!\s+TO\b)|ABORT|PREPARE\s+TRANSACTION)\b|^\s*END\b", re.IGNORECASE
)


@contextmanager
def transaction_is_held() -> Iterator[None]:
    """Let nothing in here end the transaction by itself: marks, and others' effects, belong to it too."""
    token = _IS_HELD.set(True)
    try:
        yield
    finally:
        _IS_HELD.reset(token)


class DepartmentConnection(_Plain):
    """A connection whose transaction a handler cannot end before its mark is in it."""

    __slots__ = ()

    async def execute(self, query: str, *arguments: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109
        """Do as asyncpg does, except for what would end a transaction that is held.

        Raises:
            NotHandled: it was tried.
        """
        if _IS_HELD.get() and _ENDS_TRANSACTION.search(query):
            raise NotHandled(
                reason="the handler tried to end the transaction of its effect and mark by itself",
                remedy="Let it return, or raise; `async with db.transaction()` is for a part that may fail.",
            )
        return await super().execute(query, *arguments, timeout=timeout)


IDLE_SECONDS: Final = 30.0
"""So much longer than a handler may take a transaction may lie idle: whoever is frozen holds others up."""


async def open_pool(
    url: str | Callable[[], str], connections: int, name: str, handler_seconds: float = 30.0
) -> Pool:
    """Open the department's pool; connections are closed by the server when left idle in a transaction.

    Args:
        url: Where, as whom and with which password; a function is asked anew for each connection, as a
            password may be rotated meanwhile.
        connections: How many at most.
        name: How the server lists them.
        handler_seconds: How long a handler may take, while its transaction waits for it.
    """
    patience = handler_seconds + IDLE_SECONDS

    async def connect(*_: Any, **options: Any) -> Any:
        return await asyncpg.connect(url() if callable(url) else url, **options)

    return await asyncpg.create_pool(
        connect=connect,
        min_size=1,
        max_size=connections,
        connection_class=DepartmentConnection,
        command_timeout=patience,
        server_settings={
            "application_name": name,
            "idle_in_transaction_session_timeout": str(int(patience * 1_000)),
        },
        init=_prepare,
    )


async def _prepare(db: Connection) -> None:
    """Give jsonb as Python objects, by orjson."""
    import orjson

    await db.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + (value if isinstance(value, bytes) else orjson.dumps(value)),
        decoder=lambda raw: orjson.loads(raw[1:]),
    )


async def set_up_tables(pool: Pool, tables: str) -> None:
    """Create the library's and the room's tables where they are missing; two processes at once take turns."""
    async with pool.acquire() as db, db.transaction():
        await db.execute("SELECT pg_advisory_xact_lock(hashtext('lienthong.tables'))")
        await db.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
        await db.execute(TABLES)
        for there, make in LATER.items():
            if await db.fetchval(there) is None:
                await db.execute(make)
        if tables:
            await db.execute(tables)


async def open_pool_patiently(
    url: Callable[[], str],
    connections: int,
    name: str,
    log: Log,
    stopping: asyncio.Event,
    handler_seconds: float,
) -> Pool | None:
    """Open the pool, waiting for a database that is not up yet, or not yet as `lienthong apply` makes it.

    Returns:
        None when told to stop first.
    """
    wait = 0.2
    while not stopping.is_set():
        try:
            return await open_pool(url, connections, name, handler_seconds)
        except (*GONE, *NOT_APPLIED, OSError, TimeoutError) as error:
            log.warning("database_awaited", error=error, wait_seconds=wait)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), wait)
        wait = min(wait * 2, 5.0)
    return None
