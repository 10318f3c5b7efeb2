"""`lienthong export …`: what others can read of the bus, as AsyncAPI, as a DCAT-AP catalogue, as a page."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from lienthong.catalogue import Brokers, Catalogue, asyncapi, dcat, page, read_catalogue
from lienthong.contracts.frozen import replace_file
from lienthong.embedded import folder
from lienthong.embedded.ports import BROKER
from lienthong.moments import HANOI
from lienthong.settings import far_servers, find_data, find_root

Department = Annotated[str | None, typer.Argument(help="One department; without it, the whole city.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Write files there; of every department too, where none is named."
    ),
]
Servers = Annotated[
    str | None,
    typer.Option(
        "--bootstrap-servers", metavar="HOST:PORT,…", help="Where the bus is reached, as the document says."
    ),
]
On = Annotated[
    datetime | None,
    typer.Option("--on", formats=["%Y-%m-%d"], help="As of this day, for grants; without it, today."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

export_app = typer.Typer(no_args_is_help=True, help="Write what others can read of the bus.")


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(export_app, name="export")


@export_app.command("asyncapi")
def export_asyncapi(
    department: Department = None,
    out: Out = None,
    servers: Servers = None,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Describe what a department sends and receives, or the whole city, as AsyncAPI 3.0.

    Example: lienthong export asyncapi health
    """
    catalogue = _read(servers, on)
    _tell(catalogue, department, out, "asyncapi.json", lambda one: _json(asyncapi(catalogue, one)), as_json)


@export_app.command("dcat")
def export_dcat(
    department: Department = None,
    out: Out = None,
    servers: Servers = None,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Describe the datasets of a department, or of the whole city, as a DCAT-AP 3 catalogue in JSON-LD.

    Example: lienthong export dcat --out catalogue
    """
    catalogue = _read(servers, on)
    _tell(catalogue, department, out, "dcat.jsonld", lambda one: _json(dcat(catalogue, one)), as_json)


@export_app.command("page")
def export_page(
    department: Department = None,
    out: Out = None,
    servers: Servers = None,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Draw a page for everybody: one HTML file, Vietnamese first, without scripts.

    Example: lienthong export page --out catalogue
    """
    catalogue = _read(servers, on)
    beside = {one: f"{one}.html" for one in catalogue.contracts.departments} if out else {}
    _tell(
        catalogue,
        department,
        out,
        "html",
        lambda one: page(asyncapi(catalogue, one), beside if one is None else None).encode(),
        as_json,
    )


def _read(servers: str | None, on: datetime | None) -> Catalogue:
    day = on or datetime.now(UTC).astimezone(HANOI)
    return read_catalogue(find_root(), _brokers(servers), day.date())


def _brokers(told: str | None) -> Brokers:
    """Say where the bus is: as told, by the environment, as it runs here, or where it would run here."""
    named = told if told is not None else os.environ.get("LIENTHONG_BOOTSTRAP_SERVERS")
    if named is None and (running := folder.find_bus(find_data())) is not None:
        return Brokers(tuple(running["bootstrap_servers"].split(",")), running["brokers"], encrypted=False)
    servers = tuple((f"127.0.0.1:{BROKER}" if named is None else named).replace(" ", "").split(","))
    if bad := [one for one in servers if not one.rpartition(":")[2].isdigit() or not one.rpartition(":")[0]]:
        raise typer.BadParameter(f"not host:port: {', '.join(bad)}", param_hint="--bootstrap-servers")
    encrypted = bool(far_servers(",".join(servers)))
    # A bus beyond this machine has the three brokers that three copies of each record need.
    return Brokers(servers, 3 if encrypted else len(servers), encrypted)


def _tell(
    catalogue: Catalogue,
    department: str | None,
    out: Path | None,
    kind: str,
    write: Callable[[str | None], bytes],
    as_json: bool,
) -> None:
    if out is None:
        text = write(department).decode()
        typer.echo(orjson.dumps({"page": text}).decode() if as_json and kind == "html" else text, nl=False)
        return
    whose = [department] if department else [None, *catalogue.contracts.departments]
    drawn = {_file(one, kind): write(one) for one in whose}  # all of them, before the first is written
    written = [str(out / name) for name, text in drawn.items() if replace_file(out / name, text)]
    if as_json:
        typer.echo(orjson.dumps({"written": written}).decode())
        return
    for path in written:
        typer.echo(f"wrote {path}")
    if not written:
        typer.echo(f"Nothing to do: {out} is up to date.")


def _file(department: str | None, kind: str) -> str:
    if kind == "html":
        return f"{department or 'index'}.html"
    return f"{department}.{kind}" if department else kind


def _json(document: Any) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
