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
from lienthong.login import STAND_IN_ROLE

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


def embedded_postgres(bus: Mapping[str, Any], password: str) -> Postgres:
    """Give the super user of the embedded bus's PostgreSQL, as `bus.json` describes it."""
    place = bus["postgres"]
    return Postgres(place["host"], place["port"], place["superuser"], password)


async def fetch_databases(postgres: Postgres) -> DatabaseState:
    """Fetch who may log in, who owns which database, and which stand open to every role."""
    async with connect(postgres) as db:
        return await _fetch(db)


async def make_databases(postgres: Postgres, wanted: Iterable[str], passwords: Mapping[str, str]) -> None:
    """Close databases to others; with a password, make role and database too. Twice is the same as once."""
    async with connect(postgres) as db:
        found = await _fetch(db)
        for name in wanted:
            if name in passwords:
                await _make_database(db, name, passwords[name], found)
            # A database is open to every role until somebody says otherwise.
            await db.execute(f"REVOKE ALL ON DATABASE {_quoted(name)} FROM PUBLIC")


async def lend_stand_ins(postgres: Postgres, passwords: Mapping[str, str]) -> None:
    """Give departments a second role that acts as their own; those who have no role here are passed over."""
    async with connect(postgres) as db:
        found = await _fetch(db, only_login=False)
        for name, password in passwords.items():
            if name in found.roles:
                role = f"{name}{STAND_IN_ROLE}"
                await _make_role(db, role, password, exists=role in found.roles)
                await db.execute(f"GRANT {_quoted(name)} TO {_quoted(role)}")
                # Whoever logs in by it is the department itself: what it makes is the department's.
                await db.execute(f"ALTER ROLE {_quoted(role)} SET role = {_quoted(name)}")


async def set_role_passwords(postgres: Postgres, passwords: Mapping[str, str]) -> None:
    """Replace the passwords of roles that are there; sessions that are open stay."""
    async with connect(postgres) as db:
        found = await _fetch(db, only_login=False)
        for name in passwords.keys() & found.roles:
            await db.execute(f"ALTER ROLE {_quoted(name)} PASSWORD '{verifier(passwords[name])}'")


async def end_stand_ins(postgres: Postgres, names: Iterable[str]) -> None:
    """Let nobody in by the second roles any more; they stay, as sessions may still be theirs."""
    async with connect(postgres) as db:
        found = await _fetch(db)
        for role in {f"{name}{STAND_IN_ROLE}" for name in names} & found.roles:
            await db.execute(f"ALTER ROLE {_quoted(role)} NOLOGIN PASSWORD NULL")


def verifier(password: str, salt: bytes | None = None) -> str:
    """Compute what PostgreSQL stores of a password (SCRAM-SHA-256), so that no statement or log holds it."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    first, second, third = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ROUNDS}:{first}${second}:{third}"


async def _fetch(db: Any, *, only_login: bool = True) -> DatabaseState:
    roles = await db.fetch("SELECT rolname FROM pg_roles WHERE rolcanlogin OR NOT $1", only_login)
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
    await _make_role(db, name, password, exists=name in found.roles)
    if name not in found.owners:
        await db.execute(f"CREATE DATABASE {role} OWNER {role}")
    elif found.owners[name] != name:
        await db.execute(f"ALTER DATABASE {role} OWNER TO {role}")


async def _make_role(db: Any, name: str, password: str, *, exists: bool) -> None:
    role, verb = _quoted(name), "ALTER" if exists else "CREATE"
    rights = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    await db.execute(f"{verb} ROLE {role} {rights} PASSWORD '{verifier(password)}'")
    await db.execute(f"ALTER ROLE {role} SET idle_in_transaction_session_timeout = '60s'")


@asynccontextmanager
async def connect(postgres: Postgres) -> AsyncIterator[Any]:
    """Connect; everything that goes wrong with the database becomes one sentence.

    Raises:
        BusNotUsable, SettingsNotUsable: out of reach, not let in, a change was refused, or a wrong address.
    """
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
