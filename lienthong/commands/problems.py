"""`lienthong problems`: the raw records that a department could not make facts of, and why."""

import asyncio
import sys
from typing import Annotated, Any

import asyncpg
import orjson
import typer
from rich.console import Console
from rich.table import Table

from lienthong.errors import BusNotUsable
from lienthong.settings import load_settings

_FIND = """
SELECT id, kind, code, reason, received_at, refused_at FROM lienthong.intake_problems
WHERE ($1::text IS NULL OR code = $1) AND ($2::text IS NULL OR kind = $2) ORDER BY id LIMIT $3
"""
_COUNT = "SELECT kind, code, count(*) AS records FROM lienthong.intake_problems GROUP BY 1, 2 ORDER BY 1, 2"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("problems")(problems)


def problems(
    department: Annotated[str, typer.Argument(help="Whose raw records: health, onestop …")],
    code: Annotated[str | None, typer.Option(help="Only this reason's code.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind of record.")] = None,
    most: Annotated[int, typer.Option(min=0, max=100_000, help="List at most so many; 0 only counts.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List what a department's sources handed in and could not become a fact, with the reason.

    The records themselves stay in the department's table `lienthong.intake_problems`, under the same number.

    Example: lienthong problems health --code unit-divided
    """
    counts, rows = asyncio.run(_find(department, code, kind, most))
    if as_json:
        sys.stdout.write(orjson.dumps({"counts": counts, "problems": rows}).decode() + "\n")
        return
    console = Console()
    summary = Table("loại · kind", "lý do · code", "bản ghi · records")
    for count in counts:
        summary.add_row(count["kind"], count["code"], str(count["records"]))
    console.print(summary)
    for row in rows:
        console.print(
            f"{row['id']}  {row['kind']}  {row['code']}: {row['reason']}", markup=False, soft_wrap=True
        )


async def _find(
    department: str, code: str | None, kind: str | None, most: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    settings = load_settings(department)
    try:
        db = await asyncpg.connect(settings.read_database_url(), timeout=10)
    except (asyncpg.PostgresError, OSError, TimeoutError) as error:
        raise BusNotUsable(
            reason=f"The database of {department} does not let us in ({type(error).__name__}).",
            remedy="`lienthong status` says whether it runs; `lienthong apply` makes it.",
        ) from None
    try:
        counts = [dict(row) for row in await db.fetch(_COUNT)]
        return counts, [dict(row) for row in await db.fetch(_FIND, code, kind, most)]
    except asyncpg.UndefinedTableError:
        return [], []
    finally:
        await db.close()
