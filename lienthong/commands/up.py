"""`lienthong up`, `down` and `status`: the embedded bus from the command line."""

import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final

import orjson
import psutil
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from lienthong.embedded import Bus, folder
from lienthong.errors import BusNotUsable
from lienthong.settings import find_data

STOP_WITHIN: Final = 60.0

Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Data folder of the bus.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("up")(up)
    app.command("down")(down)
    app.command("status")(status)


class Screen:
    """Show a person at the terminal how a start goes, on stderr: stdout is for the outcome."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def step(self, sentence: str) -> None:
        """Tell what is being done now."""
        self.close()
        self.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def downloaded(self, done: int, total: int) -> None:
        """Move the bar."""
        if self._bar is None:
            columns = (TextColumn("Kafka"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bar = Progress(*columns, console=self.console)
            self._task = self._bar.add_task("", total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def up(
    brokers: Annotated[
        int | None, typer.Option(help="1 (the default) or 3; settled at the first start of a folder.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Start Apache Kafka and PostgreSQL here, and stay until stopped (Ctrl-C, or `lienthong down`).

    The first start downloads Kafka once for this user. Data and passwords stay in the data folder.

    Example: lienthong up --brokers 3 --data ../city
    """
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ending, _stop)
    screen = Screen()
    bus = Bus(find_data(data), brokers)
    try:
        description = bus.start(screen)
        if as_json:
            _print_json(description)
        else:
            _show(_status(bus.data))
            screen.step("The bus is running. Stop it with Ctrl-C or `lienthong down`.")
        threading.Event().wait()
    except KeyboardInterrupt:
        screen.step("Stopping the bus.")
    finally:
        screen.close()
        bus.stop()


def down(data: Data = None, as_json: AsJson = False) -> None:
    """Stop the bus of a data folder, wherever it was started; its data stays.

    Example: lienthong down --data ../city
    """
    place = find_data(data).resolve()
    owner = folder.find_owner(place)
    if owner is not None:
        _end(place, owner)
    if as_json:
        _print_json({"data": str(place), "was_running": owner is not None})
    else:
        typer.echo("The bus has stopped; its data stays." if owner else f"No bus runs on {place}.")


def status(data: Data = None, as_json: AsJson = False) -> None:
    """Say whether a bus runs on a data folder, where it listens and where its logs are.

    Exit status 1 where none is running.

    Example: lienthong status --json
    """
    found = _status(find_data(data).resolve())
    if as_json:
        _print_json(found)
    else:
        _show(found)
    if found["state"] != "running":
        raise typer.Exit(1)


def _stop(_number: int, _frame: FrameType | None) -> None:
    """Stop in order at the first signal; a second one must not break into that."""
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end(place: Path, owner: int) -> None:
    """Ask whoever runs the bus to stop, and wait until the folder is free."""
    try:
        os.kill(owner, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise BusNotUsable(
            reason=f"The bus on {place} belongs to another user's process {owner}.",
            remedy="Stop it as that user.",
        ) from None
    deadline = time.monotonic() + STOP_WITHIN
    while folder.find_owner(place) == owner:
        if time.monotonic() > deadline:
            raise BusNotUsable(
                reason=f"Process {owner} did not stop the bus on {place} within {STOP_WITHIN:.0f} seconds.",
                remedy=f"End it with `kill -9 {owner}`: the next `lienthong up` recovers; nothing is lost.",
            )
        time.sleep(0.1)


def _status(place: Path) -> dict[str, Any]:
    """Tell what runs on a data folder, as far as its files and processes show."""
    owner = folder.find_owner(place)
    bus = folder.find_bus(place)
    state = "stopped" if owner is None else "starting or stopping" if bus is None else "running"
    noted = folder.load_children(place) if owner is not None else {}
    children = [_child(name, child) for name, child in sorted(noted.items())]
    if bus is not None and any(child["state"] != "running" for child in children):
        state = "recovering"
    logs = {"kafka": str(place / "kafka-1" / "logs" / "server.log"), "postgres": str(place / "postgres-logs")}
    if bus is not None:
        logs = {"kafka": bus["kafka_log"], "postgres": bus["postgres_log"]}
    return {"state": state, "data": str(place), "pid": owner, "bus": bus, "children": children, "logs": logs}


def _child(name: str, noted: dict[str, Any]) -> dict[str, Any]:
    """Tell how a child fares."""
    found: dict[str, Any] = {"name": name, "pid": None, "state": "down, is restarted", "memory_bytes": 0}
    try:
        process = psutil.Process(noted["pid"])
        if abs(process.create_time() - noted["created"]) < 1:
            found.update(pid=process.pid, state="running", memory_bytes=process.memory_info().rss)
    except (psutil.NoSuchProcess, TypeError):
        pass  # it ended, or was not yet started again
    return {**found, "restarts": noted["restarts"]}


def _show(found: dict[str, Any]) -> None:
    """Print a status for a person."""
    table = Table(show_header=False, box=None, pad_edge=False)
    rows = [("bus", found["state"]), ("data folder", found["data"])]
    if (bus := found["bus"]) is not None:
        database = bus["postgres"]
        rows.append(("Kafka", f"{bus['bootstrap_servers']} (SASL_PLAINTEXT, SCRAM-SHA-512)"))
        rows.append(("PostgreSQL", f"{database['host']}:{database['port']}"))
    rows += [(f"{name} log", place) for name, place in found["logs"].items()]
    for child in found["children"]:
        since = f", restarted {child['restarts']} times" if child["restarts"] else ""
        megabytes = f", {child['memory_bytes'] / 1e6:.0f} MB" if child["pid"] else ""
        rows.append((child["name"], f"{child['state']}, process {child['pid']}{megabytes}{since}"))
    for row in rows:
        table.add_row(*row)
    Console(soft_wrap=True).print(table, markup=False, highlight=False)


def _print_json(document: Any) -> None:
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
