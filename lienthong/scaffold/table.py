"""A table of an existing PostgreSQL database as the beginning of a contract: types, nulls, comments, bounds.

No value of a row goes into a contract: bounds are powers of ten and lengths, examples are made up.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from lienthong.database import Connection
from lienthong.errors import BusNotUsable, ContractsNotSound
from lienthong.scaffold.classification import tells_of_a_person
from lienthong.scaffold.column import KINDS, Column, draft_column, name_columns
from lienthong.scaffold.draft import Draft

SECONDS: Final = 60.0
_RELATION: Final = """
SELECT c.oid, c.relkind::text AS kind, n.nspname AS schema, c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)
"""
_COLUMNS: Final = """
SELECT a.attname AS name, a.attnotnull OR t.typnotnull AS required,
    CASE WHEN b.oid IS NULL THEN format_type(t.oid, a.atttypmod) ELSE format_type(b.oid, t.typtypmod) END
        AS written,
    coalesce(b.typname, t.typname) AS type, coalesce(b.typtype, t.typtype)::text AS class,
    col_description(a.attrelid, a.attnum) AS comment,
    CASE WHEN coalesce(b.typname, t.typname) IN ('varchar', 'bpchar')
        AND greatest(a.atttypmod, t.typtypmod) > 4 THEN greatest(a.atttypmod, t.typtypmod) - 4 END AS longest,
    (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_enum e
        WHERE e.enumtypid = coalesce(b.oid, t.oid)) AS codes,
    (SELECT array_position(i.indkey::smallint[], a.attnum) FROM pg_index i
        WHERE i.indrelid = a.attrelid AND i.indisprimary) AS key_place
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_UNSTEADY: Final = ("timestamp", "timestamptz", "float4", "float8")
_NUMBERS: Final = ("int2", "int4", "int8", "numeric", "float4", "float8")


@dataclass(frozen=True, slots=True)
class Table:
    """One table: where it is, its columns that can be shared, and what was left out."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """Columns of the record key, in order."""
    remarks: list[str] = field(default_factory=list)

    @property
    def written(self) -> str:
        """Its name in SQL."""
        return f"{identifier(self.schema)}.{identifier(self.name)}"


def identifier(name: str) -> str:
    """Write a name as SQL takes it, whatever is in it."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def read_table(url: str, table: str, *, key: list[str] | None = None) -> Table:
    """Read a table's columns and the bounds of its data, in one read-only transaction.

    Raises:
        BusNotUsable: the database cannot be reached, or does not let us read.
        ContractsNotSound: there is no such table, or it has no key that can be shared.
    """
    return asyncio.run(_read(url, table, key or []))


async def _read(url: str, table: str, key: list[str]) -> Table:
    try:
        db: Connection = await asyncpg.connect(url, timeout=10, command_timeout=SECONDS)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # The error's own words may hold the address with its password.
        raise BusNotUsable(
            reason=f"The database of {table} cannot be reached ({type(error).__name__}).",
            remedy="Write --from-table postgresql://user:password@host:port/database TABLE.",
        ) from None
    try:
        async with db.transaction(readonly=True, isolation="repeatable_read"):
            return await fetch_table(db, table, key)
    except (asyncpg.PostgresError, TimeoutError) as error:
        raise BusNotUsable(
            reason=f"The table {table} cannot be read ({type(error).__name__}).",
            remedy="Let this user SELECT from it, or ask when the database has less to do.",
        ) from error
    finally:
        await db.close()


async def fetch_table(db: Connection, table: str, key: list[str]) -> Table:
    """Fetch what a table is like."""
    found = await db.fetchrow(_RELATION, table)
    if found is None or found["kind"] not in ("r", "p"):
        what = "is no table (a view, say)" if found else "is not there"
        raise ContractsNotSound(
            reason=f"{table} {what}.",
            remedy="Name a table, with its schema where it is not public: so.table.",
        )
    rows = await db.fetch(_COLUMNS, found["oid"])
    placed = {row["name"]: row["key_place"] for row in rows if row["key_place"] is not None}
    keyed = key or sorted(placed, key=lambda name: placed[name])
    _check_key(table, keyed, {row["name"]: "enum" if row["class"] == "e" else row["type"] for row in rows})
    shared = [row for row in rows if _is_shared(row)]
    left = [f"{row['name']} ({row['written']})" for row in rows if not _is_shared(row)]
    where = f"{identifier(found['schema'])}.{identifier(found['name'])}"
    bounds = await _fetch_bounds(db, where, shared)
    named = name_columns([(row["name"], row["type"], row["name"] in keyed) for row in shared])
    columns = tuple(
        Column(
            name=row["name"],
            field=named[row["name"]],
            written=row["written"],
            type="enum" if row["class"] == "e" else row["type"],
            required=row["required"] or row["name"] in keyed,
            comment=row["comment"] or "",
            longest=row["longest"],
            codes=tuple(row["codes"] or ()),
            **bounds[row["name"]],
        )
        for row in shared
    )
    remarks = [f"Left out, because no field can hold it: {', '.join(left)}."] if left else []
    return Table(found["schema"], found["name"], columns, tuple(keyed), remarks)


def _is_shared(row: asyncpg.Record) -> bool:
    return row["class"] == "e" or row["type"] in KINDS


def _check_key(table: str, key: list[str], types: Mapping[str, str]) -> None:
    """Check that the key is there, can be shared, and tells of nobody."""
    if not key:
        raise ContractsNotSound(
            reason=f"{table} has no primary key: nobody could tell one record from another.",
            remedy="Name the column that identifies a row: --key COLUMN.",
        )
    for name in key:
        if types.get(name) not in KINDS or types[name] in _UNSTEADY:
            why = "which is no column of it"
            if name in types:
                why = f"a {types[name]}, which is not written alike everywhere"
            raise ContractsNotSound(
                reason=f"The key of {table} is {name}, {why}.", remedy="Name another: --key COLUMN."
            )
        if tells_of_a_person(name):
            raise ContractsNotSound(
                reason=f"The key of {table} is {name}, which tells of a person: everybody who runs the bus"
                " sees keys.",
                remedy="Name a column that tells nothing of the person: --key COLUMN.",
            )


async def _fetch_bounds(db: Connection, table: str, rows: list[asyncpg.Record]) -> dict[str, dict[str, Any]]:
    """Look once through the table: the longest texts, the least and the greatest numbers, forms of codes."""
    told: list[str] = ["count(*) AS rows"]
    for at, row in enumerate(rows):
        column = identifier(row["name"])
        text = f"{column}::text"
        if row["type"] in _NUMBERS:
            told += [f"min({column})::float8 AS low{at}", f"max({column})::float8 AS high{at}"]
        told += [
            f"max(char_length({text})) AS most{at}",
            f"min(char_length({text})) AS least{at}",
            f"bool_and({text} ~ '^[0-9]+$') AS digits{at}",
            f"bool_and({text} ~ '^[A-Z0-9-]+$') AS capitals{at}",
            f"bool_and({text} ~ '^[A-Za-z0-9._/-]+$') AS letters{at}",
        ]
    found = await db.fetchrow(f"SELECT {', '.join(told)} FROM {table}")  # noqa: S608 - quoted above
    assert found is not None
    return {
        row["name"]: {
            name: found.get(f"{name}{at}")
            for name in ("low", "high", "most", "least", "digits", "capitals", "letters")
        }
        for at, row in enumerate(rows)
    }


def table_fields(table: Table, asked: list[str]) -> tuple[Draft, ...]:
    """Draft a field for each column.

    Raises:
        ContractsNotSound: fields were asked for beside those of the table: nobody could fill them.
    """
    if asked:
        raise ContractsNotSound(
            reason="--field asks for what the table does not have: nobody could fill it.",
            remedy="Leave --field out, or add a column to the table first.",
        )
    return tuple(
        draft_column(
            column, key_position=table.key.index(column.name) + 1 if column.name in table.key else None
        )
        for column in table.columns
    )
