"""Open what a department's dead letters need: its database and the bus, with its own credentials (hop 7)."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import asyncpg
from aiokafka import errors as kafka_errors

from lienthong.database import Connection, is_gone
from lienthong.errors import BusNotUsable
from lienthong.letters.log import Log, open_log
from lienthong.odd_headers import read_odd_headers
from lienthong.settings import Settings, load_settings


@dataclass(frozen=True, slots=True)
class Office:
    """A department's database, open, and the way to the bus."""

    department: str
    db: Connection
    settings: Settings

    def open_log(self) -> AbstractAsyncContextManager[Log]:
        """Connect to the bus."""
        # Whoever may write a topic can write a header name at which aiokafka stops.
        read_odd_headers()
        return open_log(self.settings, "dead-letters")


@asynccontextmanager
async def open_office(department: str) -> AsyncIterator[Office]:
    """Connect as the department.

    Raises:
        BusNotUsable: the database or the bus does not let us in, or its service never ran with this library.
    """
    settings = load_settings(department)
    try:
        db = await asyncpg.connect(
            settings.read_database_url(),
            timeout=10,
            command_timeout=60,
            server_settings={"application_name": f"lienthong.{department}.dead-letters"},
        )
    except (asyncpg.PostgresError, OSError, TimeoutError) as error:
        raise _no_database(department, error) from None
    try:
        if await db.fetchval("SELECT to_regclass('lienthong.sent_again') IS NULL"):
            raise BusNotUsable(
                reason=f"The database of {department} has no place for what is decided about dead letters.",
                remedy="Start its service once with this library: it makes its tables.",
            )
        yield Office(department, db, settings)
    except kafka_errors.KafkaError as error:
        raise BusNotUsable(
            reason=f"The bus does not let {department} read its dead letters ({type(error).__name__}).",
            remedy="`lienthong status` says whether it runs; `lienthong apply` gives rights and topics.",
        ) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        if isinstance(error, asyncpg.PostgresError) and not is_gone(error, db):
            raise
        raise _no_database(department, error) from None
    finally:
        await db.close(timeout=5)


def _no_database(department: str, error: Exception) -> BusNotUsable:
    return BusNotUsable(
        reason=f"The database of {department} does not let us in ({type(error).__name__}).",
        remedy="`lienthong status` says whether it runs; `lienthong apply` makes it. Then run this again.",
    )
