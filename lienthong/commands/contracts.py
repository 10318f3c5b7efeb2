"""`lienthong contracts …`: judge and list what people wrote."""

from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from lienthong.contracts import load_contracts
from lienthong.contracts.check import check
from lienthong.contracts.confirm import notices
from lienthong.contracts.load import Contracts
from lienthong.declare_once import check_forms
from lienthong.settings import find_root

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

contracts_app = typer.Typer(no_args_is_help=True, help="Judge and list the contracts.")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(contracts_app, name="contracts")


def _print_json(document: Any) -> None:
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


@contracts_app.command("check")
def check_contracts(as_json: AsJson = False) -> None:
    """Judge every contract, example, frozen schema and form; tell all problems, with line and remedy.

    What was guessed and nobody has confirmed is told too; it is no problem until it goes to production.

    Example: lienthong contracts check
    """
    root = find_root()
    findings = check(root) or check_forms(load_contracts(root))
    lists = {"findings": findings, "notices": notices(root)}
    if as_json:
        told = {name: [one.as_json() for one in found] for name, found in lists.items()}
        _print_json({"sound": not findings, **told})
    else:
        for finding in (*lists["notices"], *findings):
            typer.echo(str(finding))
        count = len(findings)
        typer.echo(f"{count} problem{'s' if count != 1 else ''}." if count else "Every contract is sound.")
    if findings:
        raise typer.Exit(1)


@contracts_app.command("list")
def list_contracts(as_json: AsJson = False) -> None:
    """List every dataset: who owns it, who may read it, until when.

    Example: lienthong contracts list
    """
    contracts = load_contracts(find_root())
    rows = _rows(contracts)
    if as_json:
        _print_json(rows)
        return
    console = Console(soft_wrap=True, highlight=False)
    for row in rows:
        words = (row["kind"], row["status"], row["classification"])
        console.print(f"[bold]{row['topic']}[/bold]  {escape(row['title'])} ({', '.join(words)})")
        console.print(f"    {row['owner']}, {row['contact']}", style="dim", markup=False)
        if row["end_of_life"]:
            console.print(f"    ends with {row['end_of_life']}", markup=False)
        for grant in row["grants"]:
            console.print(f"    read by {grant['group']} until {grant['until']}", markup=False)


def _rows(contracts: Contracts) -> list[dict[str, Any]]:
    return [
        {
            "topic": topic,
            "title": contract.title,
            "kind": "state" if contract.is_state else "event",
            "owner": contract.owner,
            "contact": contract.contact,
            "status": contract.status,
            "end_of_life": contract.end_of_life.isoformat() if contract.end_of_life else None,
            "continues": str(contract.continues.topic) if contract.continues else None,
            "classification": contract.classification,
            "key": list(contract.key),
            "grants": [
                {
                    "group": grant.group,
                    "legal_basis": grant.legal_basis,
                    "fields": list(grant.fields),
                    "until": grant.until.isoformat(),
                }
                for grant in contract.grants
            ],
        }
        for topic, contract in contracts.contracts.items()
    ]
