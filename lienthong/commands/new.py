"""`lienthong new …`: a department, an event or a reader; files that pass every check and run at once."""

import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console

from lienthong.scaffold import Plan, plan_department, plan_event, plan_reader
from lienthong.scaffold.reader import Wanted
from lienthong.scaffold.table import read_table
from lienthong.settings import find_root

HANOI: Final = timezone(timedelta(hours=7))

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

READER: Final = """Begin a reader: grant, handler, table, tests. Shows the files first.

The owner of the data writes the grant: run it where the owner's contracts are signed.

Example: lienthong new reader trade.price-observed --for education --purpose school-meals \
--legal-basis "Nghị định 278/2025/NĐ-CP" --until 2028-12-31 --fields good_code,price_vnd
"""

new_app = typer.Typer(
    no_args_is_help=True, help="Begin a department, an event, a reader: nothing is overwritten."
)


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(new_app, name="new")


@new_app.command("department")
def department(
    name: Annotated[str, typer.Argument(help="One lowercase English word: culture.")],
    title: Annotated[str, typer.Option("--name", help="Its Vietnamese name, as on its door.")],
    title_en: Annotated[str | None, typer.Option("--name-en", help="Its English name.")] = None,
    code: Annotated[str | None, typer.Option(help="Its agency code; else a sample.")] = None,
    contact: Annotated[str | None, typer.Option(help="The address of its data officer.")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Begin a department: its card and its room. Shows the files first.

    Example: lienthong new department culture --name "Sở Văn hóa và Thể thao"
    """
    plan = plan_department(find_root(), name, title=title, title_en=title_en, code=code, contact=contact)
    _carry_out(plan, yes=yes, as_json=as_json)


@new_app.command("event")
def event(
    topic: Annotated[str, typer.Argument(help="Department and event: culture.relic-listed.")],
    title: Annotated[str | None, typer.Option(help="What it is called, in Vietnamese.")] = None,
    state: Annotated[bool, typer.Option("--state", help="The newest entry of a key counts: a list.")] = False,
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[?]:KIND[:LABEL]", help="A further field; ? where it may be absent."),
    ] = None,
    from_table: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="URL TABLE", help="A PostgreSQL table whose rows it tells of."),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Column of the table that identifies a row; else its primary key."),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Begin an event or a state: contract, examples, publisher, tests. Shows the files first.

    What was guessed is tagged in the contract, and told by `lienthong contracts check` until it is confirmed.

    Example: lienthong new event culture.relic-listed --title "Di tích đã xếp hạng" --field "unit_code:code"
    Example: lienthong new event culture.relic --state --from-table postgresql://localhost/culture relic
    """
    if key and from_table is None:
        raise typer.BadParameter("names a column of a table: --from-table is missing", param_hint="--key")
    table = read_table(*from_table, key=key) if from_table else None
    plan = plan_event(find_root(), topic, title=title, is_state=state, fields=field, table=table)
    _carry_out(plan, yes=yes, as_json=as_json)


@new_app.command("reader", help=READER)
def reader(
    topic: Annotated[str, typer.Argument(help="What is read: culture.relic-listed.")],
    for_: Annotated[str, typer.Option("--for", metavar="DEPARTMENT", help="Who reads it.")],
    purpose: Annotated[str, typer.Option(help="What for, as lowercase-words: heritage-lessons.")],
    legal_basis: Annotated[str, typer.Option(help="The law that allows it, with its number.")],
    until: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The last day.")],
    fields: Annotated[
        str, typer.Option(metavar="A,B", help="The fields it needs; the key is always among them.")
    ],
    why: Annotated[str | None, typer.Option(help="A sentence about it, in Vietnamese.")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Begin a reader: see the help above."""
    named = tuple(one.strip() for one in fields.split(",") if one.strip())
    wanted = Wanted(topic, for_, purpose, legal_basis, until, named, why)
    plan = plan_reader(find_root(), wanted, datetime.now(UTC).astimezone(HANOI).date())
    _carry_out(plan, yes=yes, as_json=as_json)


def _carry_out(plan: Plan, *, yes: bool, as_json: bool) -> None:
    """Show a plan, ask, carry it out; with --json and without --yes it is only shown."""
    if not as_json:
        _show(plan)
    wanted = yes or (not as_json and _asked(plan))
    if wanted:
        plan.carry_out()
    if as_json:
        told = {**plan.as_json(), "written": wanted}
        typer.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
    elif wanted:
        typer.echo("Done. Next: `lienthong contracts check`, `lienthong release`, then `lienthong apply`.")
    else:
        raise typer.Exit(1)


def _show(plan: Plan) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for change in plan.changes.values():
        count = len(change.added)
        console.print(
            f"{change.kind:5} {change.file.as_posix()} ({count} line{'' if count == 1 else 's'})",
            markup=False,
        )
        if change.kind == "add":
            for line in change.added:
                console.print(f"      + {line}", markup=False, style="green")
    for remark in plan.remarks:
        console.print(f"note  {remark}", markup=False, style="yellow")


def _asked(plan: Plan) -> bool:
    if not sys.stdin.isatty():
        typer.echo("Nothing was written: there is nobody to ask. Run it with --yes.", err=True)
        return False
    if typer.confirm(f"Write {len(plan.changes)} files?"):
        return True
    typer.echo("Nothing was written.")
    return False
