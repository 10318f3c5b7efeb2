"""`lienthong shared`: what a department shares with whom, and what of it nobody reads."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from lienthong.cluster.connection import read_secret
from lienthong.cluster.databases import Postgres, embedded_postgres
from lienthong.cluster.watch import day_of
from lienthong.contracts import Contracts, load_contracts
from lienthong.errors import BusNotUsable, SettingsNotUsable
from lienthong.settings import find_data, find_root, load_bus
from lienthong.sharing import Shared, Uses, fetch_uses, iter_shared

Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Data folder of the bus.")]


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command("shared")(shared)


def shared(
    department: Annotated[str | None, typer.Argument(help="Whose data; else everybody's.")] = None,
    days: Annotated[int, typer.Option(min=1, max=400, help="Over so many days, today included.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    data: Data = None,
    database_url: Annotated[
        str | None, typer.Option(help="PostgreSQL of the readers: postgresql://superuser@host:port.")
    ] = None,
    database_password_file: Annotated[
        Path | None, typer.Option(help="File with the password of that super user.")
    ] = None,
) -> None:
    """Tell what is shared with whom, which granted fields no reader looks at, and what nobody is given.

    Example: lienthong shared health --days 90
    """
    contracts = load_contracts(find_root())
    if department is not None and department not in contracts.departments:
        raise SettingsNotUsable(
            reason=f"There is no department {department} in the contracts.",
            remedy=f"Name one of {', '.join(sorted(contracts.departments))}.",
        )
    today = day_of(datetime.now(UTC))
    uses, silent = asyncio.run(
        _fetch(contracts, find_data(data), database_url, database_password_file, today - timedelta(days - 1))
    )
    found = list(iter_shared(contracts, department, uses, today))
    if as_json:
        told = {"days": days, "silent": silent, "contracts": [one.as_json() for one in found]}
        typer.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(found, days, silent)


async def _fetch(
    contracts: Contracts, data: Path, url: str | None, password_file: Path | None, since: date
) -> tuple[dict[str, Uses], list[str]]:
    """Ask the readers' databases; gives too whose cannot be asked."""
    readers = sorted({grant.department for one in contracts.contracts.values() for grant in one.grants})
    uses: dict[str, Uses] = {}
    try:
        postgres = _postgres(data, url, password_file)
    except BusNotUsable:
        return uses, readers
    for reader in readers:
        try:
            uses[reader] = await fetch_uses(postgres, reader, since)
        except BusNotUsable:
            continue
    return uses, [reader for reader in readers if reader not in uses]


def _postgres(data: Path, url: str | None, password_file: Path | None) -> Postgres:
    if url is None:
        return embedded_postgres(load_bus(data), read_secret(data / "secrets" / "postgres.password"))
    if password_file is None:
        raise SettingsNotUsable(
            reason="Nothing says with which password the super user connects to the database.",
            remedy="Name the file that holds it: --database-password-file FILE.",
        )
    return Postgres.at(url, read_secret(password_file))


def _show(found: Iterable[Shared], days: int, silent: Sequence[str]) -> None:
    console = Console()
    columns = ("dataset", "shared with, for", "events", "read", "never read", "not known")
    table = Table(*columns, title=f"Shared, over {days} days", title_justify="left")
    nobody = Table("dataset", "fields", title="Shared with nobody", title_justify="left")
    for one in found:
        for grant in one.grants:
            told = {
                verdict: ", ".join(field.name for field in grant.fields if field.verdict == verdict)
                for verdict in ("read", "never read", "not known")
            }
            who = f"{grant.department}, {grant.purpose}"
            table.add_row(one.topic, who, str(grant.handled), *told.values())
        if one.with_nobody:
            nobody.add_row(one.topic, ", ".join(one.with_nobody))
    console.print(table)
    if nobody.row_count:
        console.print(nobody)
    console.print(
        "Never read: candidates to withdraw. Not known: handled as a plain dictionary, kept as a state, "
        "read by another client, or not read yet; keys are left out.",
        soft_wrap=True,
    )
    if silent:
        console.print(f"Not asked, as no database is known: {', '.join(silent)}.", soft_wrap=True)
