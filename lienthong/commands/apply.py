"""`lienthong apply` and `lienthong env`: bring the cluster to the contracts, and say how to connect to it."""

import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Table

from lienthong.cluster.apply import Cluster, open_cluster
from lienthong.cluster.connection import Connection, department_connection, held_departments, read_secret
from lienthong.cluster.databases import Postgres
from lienthong.cluster.hand_out import hand_out as give_copies
from lienthong.cluster.plan import Plan
from lienthong.cluster.watch import day_of, watch
from lienthong.contracts import Contracts, load_contracts
from lienthong.contracts.confirm import refuse_guesses
from lienthong.errors import BusNotUsable, ContractsNotSound, SettingsNotUsable
from lienthong.settings import embedded_environment, far_servers, find_data, find_root, load_bus

Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Data folder of the bus.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Servers = Annotated[
    str | None, typer.Option(help="Another cluster than the embedded bus: host:port, comma between.")
]
Username = Annotated[str, typer.Option(help="Its super user.")]
PasswordFile = Annotated[Path | None, typer.Option(help="File with that user's password.")]
Protocol = Annotated[str, typer.Option(help="SASL_SSL or SASL_PLAINTEXT.")]
CaFile = Annotated[Path | None, typer.Option(help="Its certificate authority, PEM.")]
Brokers = Annotated[int, typer.Option(min=1, help="How many brokers it is meant to have.")]
DatabaseUrl = Annotated[
    str | None, typer.Option(help="PostgreSQL for its departments: postgresql://superuser@host:port.")
]
DatabasePasswordFile = Annotated[Path | None, typer.Option(help="File with the password of that super user.")]
HandOut = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Copy each department's password into its folder below this one."),
]
By = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who makes the changes; else this machine's user.")
]


class Form(StrEnum):
    """For whom the connection is written."""

    shell = "shell"
    kcat = "kcat"
    java = "java"
    json = "json"


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("apply")(apply)
    app.command("env")(env)


def apply(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")] = False,
    remove: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC", help="Delete this topic too, whose dataset is over, with its records."),
    ] = None,
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
    watching: Annotated[
        bool, typer.Option("--watch", help="Then stay, and close each grant when its last day is over.")
    ] = False,
) -> None:
    """Bring the cluster to what the contracts say: shows the plan, asks, does it. Twice is the same as once.

    With --json and without --yes it only prints the plan.

    Example: lienthong apply --yes
    Example: lienthong apply --yes --watch
    Example: lienthong apply --remove trade.price-observed.v1
    """
    contracts = load_contracts(find_root())
    if bootstrap_servers is not None:
        refuse_guesses(contracts)
    place, today = find_data(data), _today()
    connection = find_connection(bootstrap_servers, username, password_file, security_protocol, ca_file)
    postgres = find_postgres(connection, database_url, database_password_file)

    @contextmanager
    def opened() -> Iterator[Cluster]:
        with open_cluster(place, connection, postgres=postgres, brokers=brokers, by=by) as cluster:
            yield cluster

    with opened() as cluster:
        cluster.check_removable(contracts, today, remove or [])
        plan = cluster.plan(contracts, today)
        if not as_json:
            _show(plan)
        if wanted := bool(plan.changes) and (yes or (not as_json and _asked(plan))):
            plan = cluster.apply(contracts, today)
        removed = _removed(cluster, contracts, today, remove or [], yes=yes)
        _say_what_waits(cluster.tell(contracts) if wanted or removed or not plan.changes else "")
    if hand_out is not None and (wanted or not plan.changes):
        give_copies(place, hand_out)
    if as_json:
        _print_json({**plan.as_json(), "applied": wanted, "removed": removed})
    elif wanted:
        typer.echo(f"Done: {_count(plan.changes, 'change')}.")
    if watching and (wanted or not plan.changes):
        _watch(opened, today)
    elif plan.impossible or (plan.changes and not wanted and not as_json):
        raise typer.Exit(1)


def _watch(opened: Callable[[], AbstractContextManager[Cluster]], first: date) -> None:
    """Stay until interrupted or terminated."""

    def close(today: date) -> None:
        contracts = load_contracts(find_root())
        with opened() as cluster:
            plan = cluster.apply(contracts, today, only_by_date=True)
            for change in plan.changes:
                typer.echo(f"{today}: closed {change.name}, {change.reason}.")
            _say_what_waits(cluster.tell(contracts))

    stopped = threading.Event()
    for end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(end, lambda *_: stopped.set())
    typer.echo("Watching: each grant is closed when its last day is over. Ctrl-C ends it.")
    watch(
        close,
        first,
        now=lambda: datetime.now(UTC),
        is_told_to_stop=stopped.wait,
        say=lambda sentence: typer.echo(sentence, err=True),
    )


def _say_what_waits(why: str) -> None:
    if why:
        typer.echo(f"{why}.", err=True)


def env(
    department: Annotated[str, typer.Argument(help="A department, e.g. health.")],
    form: Annotated[Form, typer.Option("--format", help="For whom.")] = Form.shell,
    topic: Annotated[str | None, typer.Option(help="Topic for the kcat line; else each it may read.")] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Print what a Kafka client needs to connect as a department.

    Example: eval "$(lienthong env justice)"
    Example: lienthong env justice --format java > justice.properties
    """
    place = find_data(data)
    load_bus(place)
    if department not in (held := held_departments(place)):
        known = f"the bus on {place} knows {', '.join(held)}" if held else f"the bus on {place} knows none"
        raise BusNotUsable(
            reason=f"There are no credentials for a department {department}: {known}.",
            remedy="Correct the name, or make them with `lienthong apply`.",
        )
    connection = department_connection(place, department)
    if as_json or form is Form.json:
        _print_json(embedded_environment(place, department))
    elif form is Form.java:
        typer.echo(connection.java_properties(), nl=False)
    elif form is Form.kcat:
        for name in [topic] if topic else _readable(department):
            typer.echo(connection.kcat_line(name))
    else:
        for name, value in embedded_environment(place, department).items():
            typer.echo(f"export {name}={shlex.quote(value)}")


def find_connection(
    bootstrap_servers: str | None,
    username: str,
    password_file: Path | None,
    protocol: str,
    ca_file: Path | None,
) -> Connection | None:
    """Give the super user of another cluster; None for the embedded bus."""
    if bootstrap_servers is None:
        return None
    if password_file is None:
        raise SettingsNotUsable(
            reason=f"Nothing says with which password {username} connects to {bootstrap_servers}.",
            remedy="Name the file that holds it: --password-file FILE.",
        )
    known: dict[str, Literal["SASL_SSL", "SASL_PLAINTEXT"]] = {
        "SASL_SSL": "SASL_SSL",
        "SASL_PLAINTEXT": "SASL_PLAINTEXT",
    }
    if protocol not in known:
        raise SettingsNotUsable(
            reason=f"There is no security protocol {protocol} here.",
            remedy="Use SASL_SSL, or SASL_PLAINTEXT.",
        )
    if protocol == "SASL_PLAINTEXT" and (far := far_servers(bootstrap_servers)):
        raise SettingsNotUsable(
            reason=f"SASL_PLAINTEXT to {', '.join(far)} would send passwords in the clear.",
            remedy="Use SASL_SSL, and name the brokers' authority: --ca-file FILE.",
        )
    return Connection(bootstrap_servers, username, read_secret(password_file), known[protocol], ca_file)


def find_postgres(
    connection: Connection | None, url: str | None, password_file: Path | None
) -> Postgres | None:
    """Give the super user of another PostgreSQL; None where the databases are the departments' own."""
    if url is None:
        return None
    if connection is None:
        raise SettingsNotUsable(
            reason="A database is named, but no cluster: the embedded bus has its own.",
            remedy="Name the cluster too: --bootstrap-servers.",
        )
    if password_file is None:
        raise SettingsNotUsable(
            reason="Nothing says with which password the super user connects to the database.",
            remedy="Name the file that holds it: --database-password-file FILE.",
        )
    return Postgres.at(url, read_secret(password_file))


def _today() -> date:
    return day_of(datetime.now(UTC))


def _readable(department: str) -> list[str]:
    """List the topics a department may read, as far as contracts are in reach from here."""
    try:
        contracts = load_contracts(find_root())
    except (SettingsNotUsable, ContractsNotSound):
        return [f"{department}.refusals"]
    granted = {str(contract.topic) for contract, _ in contracts.readable_by(department)}
    return sorted(granted | {str(contract.topic) for contract in contracts.owned_by(department)})


def _show(plan: Plan) -> None:
    console = Console()
    if plan.changes:
        columns = ("what", "name", "now", "after apply", "why")
        table = Table(*columns, title="Plan", title_justify="left")
        kind = None
        for change in plan.changes:
            if kind not in {None, change.kind}:
                table.add_section()
            table.add_row(
                "" if kind == change.kind else change.kind,
                change.name,
                change.before,
                change.after,
                change.reason,
            )
            kind = change.kind
        console.print(table)
        for change in plan.changes:
            if change.warning:
                console.print(f"Mind {change.name}: {change.warning}.", soft_wrap=True)
    else:
        console.print("Nothing to do: the cluster is as the contracts say.")
    if plan.remarks:
        table = Table("", "what", "name", "why", title="Left as it is", title_justify="left")
        for remark in plan.remarks:
            table.add_row(remark.about, remark.kind, remark.name, remark.reason)
        console.print(table)


def _removed(
    cluster: Cluster, contracts: Contracts, today: date, names: list[str], *, yes: bool
) -> list[str]:
    """Remove topics, each confirmed by itself: what is deleted never comes back."""
    if not yes and names and not sys.stdin.isatty():
        typer.echo("Nothing was removed: there is nobody to ask. Run it with --yes.", err=True)
        return []
    asked = "Type {} to delete it with all its records, for ever"
    chosen = [name for name in names if yes or typer.prompt(asked.format(name)) == name]
    if chosen:
        cluster.remove(contracts, today, chosen)
        typer.echo(f"Removed: {', '.join(chosen)}.", err=True)
    return chosen


def _asked(plan: Plan) -> bool:
    if not sys.stdin.isatty():
        typer.echo("Nothing was changed: there is nobody to ask. Run it with --yes.", err=True)
        return False
    if typer.confirm(f"Make {_count(plan.changes, 'change')}?"):
        return True
    typer.echo("Nothing was changed.")
    return False


def _count(things: tuple[Any, ...], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _print_json(document: Any) -> None:
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
