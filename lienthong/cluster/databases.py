"""Each department has a PostgreSQL database of its own, that no other may enter."""

import base64
import hashlib
import hmac
import secrets
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import quote, unquote, urlsplit

import asyncpg

from lienthong.cluster.state import DatabaseState
from lienthong.errors import BusNotUsable, SettingsNotUsable

ROUNDS: Final = 4096
"""PostgreSQL's own default: the passwords are random and long, more rounds would only slow connections."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL and its super user."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    database: str = "postgres"
    """Where to connect to; which one does not matter."""

    parameters: str = ""
    """More of a connection, as in a URL: `sslmode=verify-full&sslrootcert=…`."""

    @classmethod
    def at(cls, url: str, password: str) -> Self:
        """Read `postgresql://user@host:port/database?parameters`.

        Raises:
            SettingsNotUsable: it is something else, or holds a password.
        """
        try:
            parts = urlsplit(url)
            host, port, username = parts.hostname, parts.port or 5432, unquote(parts.username or "")
        except ValueError:
            host, port, username = None, 0, ""
        if host is None or not username or parts.scheme not in {"postgresql", "postgres"}:
            raise SettingsNotUsable(
                reason="The address of the database is not postgresql://user@host:port/database.",
                remedy="Correct it; special characters are written as in any URL.",
            )
        if parts.password is not None:
            raise SettingsNotUsable(
                reason=f"The address of the database at {host} holds a password, where anybody may see it.",
                remedy="Put the password into a file, and name the file.",
            )
        return cls(host, port, username, password, parts.path.lstrip("/") or "postgres", parts.query)


async def fetch_databases(postgres: Postgres) -> DatabaseState:
    """Fetch who may log in, who owns which database, and which stand open to every role."""
    async with _open(postgres) as db:
        return await _fetch(db)


async def make_databases(postgres: Postgres, wanted: Iterable[str], passwords: Mapping[str, str]) -> None:
    """Close databases to others; with a password, make role and database too. Twice is the same as once."""
    async with _open(postgres) as db:
        found = await _fetch(db)
        for name in wanted:
            if name in passwords:
                await _make_database(db, name, passwords[name], found)
            # A database is open to every role until somebody says otherwise.
            await db.execute(f"REVOKE ALL ON DATABASE {_quoted(name)} FROM PUBLIC")


def verifier(password: str, salt: bytes | None = None) -> str:
    """Compute what PostgreSQL stores of a password (SCRAM-SHA-256), so that no statement or log holds it."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    first, second, third = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ROUNDS}:{first}${second}:{third}"


async def _fetch(db: Any) -> DatabaseState:
    roles = await db.fetch("SELECT rolname FROM pg_roles WHERE rolcanlogin")
    databases = await db.fetch(
        "SELECT datname, pg_get_userbyid(datdba) AS owner,"
        " has_database_privilege('public', oid, 'CONNECT') AS open"
        " FROM pg_database WHERE datallowconn"
    )
    return DatabaseState(
        roles=frozenset(row["rolname"] for row in roles),
        owners={row["datname"]: row["owner"] for row in databases},
        open=frozenset(row["datname"] for row in databases if row["open"]),
    )


async def _make_database(db: Any, name: str, password: str, found: DatabaseState) -> None:
    role = _quoted(name)
    verb = "ALTER" if name in found.roles else "CREATE"
    rights = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    await db.execute(f"{verb} ROLE {role} {rights} PASSWORD '{verifier(password)}'")
    await db.execute(f"ALTER ROLE {role} SET idle_in_transaction_session_timeout = '60s'")
    if name not in found.owners:
        await db.execute(f"CREATE DATABASE {role} OWNER {role}")
    elif found.owners[name] != name:
        await db.execute(f"ALTER DATABASE {role} OWNER TO {role}")


@asynccontextmanager
async def _open(postgres: Postgres) -> AsyncIterator[Any]:
    where = f"{f'[{postgres.host}]' if ':' in postgres.host else postgres.host}:{postgres.port}"
    try:
        db = await asyncpg.connect(
            f"postgresql://{where}/{quote(postgres.database)}?{postgres.parameters}",
            user=postgres.username,
            password=postgres.password,
            timeout=10,
        )
    except asyncpg.InvalidPasswordError:
        raise BusNotUsable(
            reason=f"PostgreSQL at {where} does not let {postgres.username} in: wrong password.",
            remedy="Use the secret of this very bus: look at --data, or at the password file you named.",
        ) from None
    except ssl.SSLError:
        raise BusNotUsable(
            reason=f"PostgreSQL at {where} does not prove that it is itself.",
            remedy="Name the authority that signed its TLS certificate: sslrootcert=FILE in its address.",
        ) from None
    except (asyncpg.InterfaceError, ValueError, FileNotFoundError) as error:
        raise SettingsNotUsable(
            reason=f"The address of PostgreSQL at {where} cannot be used: {error}.",
            remedy="Correct what follows the question mark.",
        ) from None
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise BusNotUsable(
            reason=f"PostgreSQL at {where} does not answer ({type(error).__name__}).",
            remedy="See `lienthong status` and the log it names, or check address, network and TLS.",
        ) from None
    try:
        yield db
    except (OSError, asyncpg.PostgresError) as error:
        raise BusNotUsable(
            reason=f"PostgreSQL at {where} refused a change ({type(error).__name__}).",
            remedy="What was done stays done: correct the cause and run the command again.",
        ) from None
    finally:
        await db.close()


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
