"""`lienthong procedure`: what the procedures are, and the story of one dossier, told by the bus alone."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from lienthong.cluster.connection import admin_connection
from lienthong.contracts import load_contracts
from lienthong.procedures import derive, search
from lienthong.procedures.story import tell
from lienthong.procedures.telling import lines_of
from lienthong.procedures.trail import Trail
from lienthong.progress import showing
from lienthong.settings import find_data, find_root
from lienthong.working_days import HANOI

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
LONGEST_CODE = 64
READING = "Đọc trục · reading the bus"

procedure_app = typer.Typer(no_args_is_help=True, help="Follow a procedure from department to department.")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(procedure_app, name="procedure")


@procedure_app.command("list")
def list_procedures(as_json: AsJson = False) -> None:
    """List the procedures that the contracts describe, with their steps and legal terms.

    Example: lienthong procedure list
    """
    contracts = load_contracts(find_root())
    rows: list[dict[str, Any]] = [
        {
            "procedure": procedure.code,
            "name": procedure.opening.name,
            "name_en": procedure.opening.name_en,
            "legal_basis": procedure.opening.legal_basis,
            "steps": [
                {
                    "step": fact.step.name,
                    "label": fact.step.label,
                    "department": contracts.departments[fact.department].name,
                    "topic": fact.topic,
                    "working_days": fact.step.working_days,
                    "legal_basis": fact.step.legal_basis,
                }
                for fact in procedure.steps
                if fact.step is not None
            ],
        }
        for procedure in derive(contracts).values()
    ]
    if as_json:
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    for row in rows:
        typer.echo(f"{row['name']} · {row['name_en']} ({row['procedure']})")
        for step in row["steps"]:
            typer.echo(f"  {step['label']}: {step['department']}, {step['working_days']} ngày làm việc")
    if not rows:
        typer.echo("Chưa hợp đồng nào mở một thủ tục. No contract opens a procedure.")


@procedure_app.command("show")
def show(
    dossier: Annotated[
        str | None,
        typer.Argument(help="The dossier's code, as on the citizen's receipt; without it, the newest codes."),
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Data folder of the bus.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell one dossier's story: each step, when, by which event, what is awaited and until when.

    It reads the procedures' topics from end to end as whoever runs the bus, and tells codes, steps, moments
    and reasons only; nothing of anybody. Exit status 1 where the bus knows no such dossier.

    Example: lienthong procedure show H26.00004-251116-0001
    """
    if dossier is None:
        _show_newest(data, as_json=as_json)
        return
    if not dossier.isprintable() or not 0 < len(dossier) <= LONGEST_CODE:
        raise typer.BadParameter(f"a code has 1 to {LONGEST_CODE} characters", param_hint="DOSSIER")
    contracts = load_contracts(find_root())
    trail = Trail(dossier, derive(contracts), contracts.contracts)
    with showing() as show:
        search.follow(trail, admin_connection(find_data(data)).for_confluent(), partial(show, READING))
    story = tell(trail, contracts, datetime.now(HANOI).date())
    if story is None:
        _unknown(dossier, as_json=as_json)
    elif as_json:
        typer.echo(orjson.dumps(story.as_json(), option=orjson.OPT_INDENT_2).decode())
    else:
        console = Console(soft_wrap=True, highlight=False)
        for line in lines_of(story):
            console.print(line, markup=False)


def _show_newest(data: Path | None, *, as_json: bool) -> None:
    client = admin_connection(find_data(data)).for_confluent()
    newest = search.find_newest(derive(load_contracts(find_root())), client)
    if as_json:
        rows = [{"submitted_at": at, "dossier": code, "procedure": name} for at, code, name in newest]
        typer.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    for submitted_at, code, name in newest:
        typer.echo(f"{code}  {submitted_at}  {name}")
    if not newest:
        typer.echo("Trên trục chưa có hồ sơ nào. The bus holds no dossier yet.")


def _unknown(dossier: str, *, as_json: bool) -> None:
    sentence = (
        f"Trên trục không có hồ sơ {dossier}: xem lại mã trên giấy biên nhận."
        f" The bus knows no dossier {dossier}: look at the code on the receipt again."
    )
    if as_json:
        typer.echo(orjson.dumps({"error": "dossier-unknown", "sentence": sentence}).decode())
    Console(stderr=True).print(sentence, markup=False, style="red", soft_wrap=True)
    raise typer.Exit(1)
