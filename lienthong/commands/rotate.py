"""`lienthong rotate`: replace departments' passwords while their services run."""

import time
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer

from lienthong.cluster.apply import open_cluster
from lienthong.cluster.rotate import OVERLAP_SECONDS, Rotation
from lienthong.cluster.watch import day_of
from lienthong.commands.apply import (
    AsJson,
    Brokers,
    By,
    CaFile,
    Data,
    DatabasePasswordFile,
    DatabaseUrl,
    HandOut,
    PasswordFile,
    Protocol,
    Servers,
    Username,
    find_connection,
    find_postgres,
)
from lienthong.contracts import load_contracts
from lienthong.errors import SettingsNotUsable
from lienthong.settings import find_data, find_root


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command("rotate")(rotate)


def rotate(
    departments: Annotated[
        list[str] | None, typer.Argument(metavar="[DEPARTMENT]...", help="Whose password.")
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="That of every department.")] = False,
    overlap: Annotated[
        float, typer.Option(min=2.0, help="Seconds for services to go over, twice.")
    ] = OVERLAP_SECONDS,
    as_json: AsJson = False,
    data: Data = None,
    bootstrap_servers: Servers = None,
    username: Username = "admin",
    password_file: PasswordFile = None,
    security_protocol: Protocol = "SASL_SSL",
    ca_file: CaFile = None,
    brokers: Brokers = 1,
    database_url: DatabaseUrl = None,
    database_password_file: DatabasePasswordFile = None,
    hand_out: HandOut = None,
    by: By = None,
) -> None:
    """Rotate passwords, on Kafka and PostgreSQL alike: nobody is refused meanwhile, no service is restarted.

    Stopped half way, run it again: it goes on where it was.

    Example: lienthong rotate justice
    Example: lienthong rotate --all
    """
    if bool(departments) == everybody:
        raise SettingsNotUsable(
            reason="It is not said whose password is to be rotated.",
            remedy="Name departments, or all of them: --all.",
        )
    connection = find_connection(bootstrap_servers, username, password_file, security_protocol, ca_file)
    postgres = find_postgres(connection, database_url, database_password_file)
    contracts = load_contracts(find_root())
    with open_cluster(find_data(data), connection, postgres=postgres, brokers=brokers, by=by) as cluster:
        rotation = Rotation(cluster, time.sleep, overlap, hand_out)
        done = rotation.rotate(departments or (), contracts, day_of(datetime.now(UTC)))
        waits = cluster.tell(contracts)
    if waits:
        typer.echo(f"{waits}.", err=True)
    if as_json:
        typer.echo(orjson.dumps({"rotated": done}).decode())
    else:
        typer.echo(f"Rotated: {', '.join(done)}.")
