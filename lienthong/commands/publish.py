"""`lienthong publish`: hand a file's lines in as facts; `lienthong spool`: what still waits for the bus."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import DownloadColumn

from lienthong import names
from lienthong.department import Department
from lienthong.errors import Refused
from lienthong.hand_in import Account, Bad, HandIn, Readable, load_schema
from lienthong.lines import Form
from lienthong.logs import in_silence
from lienthong.progress import showing
from lienthong.publisher import Publisher
from lienthong.settings import find_root
from lienthong.spool import Held

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Wait = Annotated[
    float,
    typer.Option(
        "--wait",
        metavar="SECONDS",
        min=0,
        max=86_400,
        help="Wait so long for the bus to have everything; 0 leaves the sending to another process.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("publish")(publish)
    app.command("spool")(spool)


def publish(
    topic: Annotated[str, typer.Argument(help="What the lines are facts of: trade.price-observed.v1")],
    file: Annotated[str, typer.Argument(help="JSON Lines, or CSV with a header; - for standard input.")],
    form: Annotated[
        Form | None, typer.Option("--format", help="How it is written; else its first character says.")
    ] = None,
    happened_at: Annotated[
        str | None,
        typer.Option(metavar="FIELD", help="The field that says when a fact happened; else it is now."),
    ] = None,
    all_or_nothing: Annotated[
        bool, typer.Option("--all-or-nothing", help="Take no line where one is bad.")
    ] = False,
    wait: Wait = 60.0,
    as_json: AsJson = False,
) -> None:
    """Publish the lines of a file as facts, without a database: good lines go on, each bad one is told.

    What was taken is on this machine's disk, in the spool, and stays until the bus has it. The same line of
    the same topic is the same fact: after a kill, or with lines added, hand the file in again.
    Exit status 1 where a line was refused or facts still wait.

    Example: lienthong publish trade.price-observed.v1 prices.csv --happened-at observed_at
    """
    if all_or_nothing and file == "-":
        raise typer.BadParameter(
            "reads the file twice; standard input can be read once", param_hint="--all-or-nothing"
        )
    asyncio.run(
        _publish(topic, file, form, happened_at, wait, all_or_nothing=all_or_nothing, as_json=as_json)
    )


def spool(
    department: Annotated[str, typer.Argument(help="Whose spool: health, trade …")],
    send: Annotated[bool, typer.Option("--send", help="Send what waits, as far as the bus lets us.")] = False,
    wait: Wait = 60.0,
    as_json: AsJson = False,
) -> None:
    """Tell what waits in a department's spool on this machine, what was sent, and what may never be sent.

    Exit status 1 where facts still wait after `--send`.

    Example: lienthong spool trade --send
    """
    asyncio.run(_look(department, wait, send=send, as_json=as_json))


async def _publish(
    topic: str,
    name: str,
    form: Form | None,
    happened_at: str | None,
    wait: float,
    *,
    all_or_nothing: bool,
    as_json: bool,
) -> None:
    console = Console(stderr=True)
    bad: list[Bad] = []

    def tell(one: Bad) -> None:
        bad.append(one) if as_json else _tell_bad(console, one)

    with (
        in_silence(),
        _opened(name) as (file, size),
        showing(console=console, counted=DownloadColumn()) as show,
    ):

        def moved(read: int) -> None:
            show("Đọc tệp · reading", read, size)

        publisher = _publisher(topic.partition(".")[0], relays=wait > 0)
        async with publisher:
            schema = load_schema(topic, publisher.check(topic), find_root() / "schemas")
            patience = wait if publisher.knows_bus else 0
            handing = HandIn(
                publisher, topic, schema, form=form, happened_at=happened_at, tell=tell, patience=patience
            )
            account = await _in_thread(
                lambda: (handing.take_all if all_or_nothing else handing.take_good)(file, moved)
            )
            held = await publisher.wait_sent(patience)
            state = publisher.health()
    if as_json:
        told = _document(topic, name, account, bad, held, publisher, state)
        typer.echo(orjson.dumps(told).decode())
    else:
        _tell_account(Console(), account, held, publisher, state)
    if account.refused or account.stopped is not None or (held.records and wait):
        raise typer.Exit(1)


async def _look(department: str, wait: float, *, send: bool, as_json: bool) -> None:
    with in_silence():
        publisher = _publisher(department, relays=send)
        async with publisher:
            held = await publisher.wait_sent(wait if send and publisher.knows_bus else 0)
            state = publisher.health()
            sent, refused = publisher.spool.count_sent(), publisher.spool.list_refused(1_000)
    if as_json:
        told = {**_waiting(held, publisher, state), "sent": sent, "refused": refused}
        typer.echo(orjson.dumps(told).decode())
    else:
        console = Console()
        _tell_waiting(console, held, publisher, state if send else "")
        for topic, records in sent.items():
            console.print(f"đã gửi · sent: {records} {topic}", highlight=False)
        for one in refused:
            console.print(
                f"không gửi được · refused: {one['topic']} {one['id']}: {one['reason']}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
    if send and held.records:
        raise typer.Exit(1)


def _publisher(department: str, *, relays: bool = True) -> Publisher:
    if not names.DEPARTMENT.fullmatch(department):
        raise Refused(
            topic=department,
            reason="this is no topic's name; one is written <department>.<event>.v<major>",
            remedy="`lienthong contracts list` names them all.",
        )
    return Department(department).publisher(relays=relays)


async def _in_thread(work: Callable[[], Account]) -> Account:
    """Work beside the loop; a thread that waits for standard input keeps nobody from leaving."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Account] = loop.create_future()

    def run() -> None:
        try:
            account = work()
        except BaseException as error:
            loop.call_soon_threadsafe(_settle, done, None, error)
        else:
            loop.call_soon_threadsafe(_settle, done, account, None)

    threading.Thread(target=run, name="hand in", daemon=True).start()
    return await done


def _settle(done: asyncio.Future[Account], account: Account | None, error: BaseException | None) -> None:
    if done.cancelled():
        return
    if error is not None:
        done.set_exception(error)
    elif account is not None:
        done.set_result(account)


@contextmanager
def _opened(name: str) -> Iterator[tuple[Readable, int | None]]:
    """Open a file, or take standard input, of which nobody knows the length."""
    if name == "-":
        # Unbuffered: a thread that waits in a buffer of Python's keeps the process from ending.
        with open(0, "rb", buffering=0, closefd=False) as piped:
            yield piped, None
        return
    with Path(name).open("rb") as file:
        yield file, os.fstat(file.fileno()).st_size


def _tell_bad(console: Console, one: Bad) -> None:
    problems = "; ".join(str(problem) for problem in one.problems)
    console.print(f"dòng · line {one.line}: {problems}", markup=False, highlight=False, soft_wrap=True)


def _tell_account(console: Console, account: Account, held: Held, publisher: Publisher, state: str) -> None:
    told = (
        f"{account.lines} dòng · lines: đã nhận · taken {account.taken}, đã có · told before"
        f" {account.told_before}, bị từ chối · refused {account.refused}."
    )
    console.print(told, highlight=False, soft_wrap=True)
    if account.stopped is not None:
        console.print(str(account.stopped), markup=False, highlight=False, soft_wrap=True)
    _tell_waiting(console, held, publisher, state)


def _tell_waiting(console: Console, held: Held, publisher: Publisher, state: str) -> None:
    """Say what waits, why, and what sends it."""
    if not held.records:
        console.print("Trục đã nhận đủ. · The bus has everything.", highlight=False)
        return
    room = f"{held.bytes:,} of {publisher.spool.most_bytes:,} bytes"
    told = [f"{held.records} sự kiện chờ gửi · facts wait in {publisher.spool.path} ({room})"]
    if state not in {"", "ok", "starting"}:
        told.append(state.rstrip("."))
    told.append(f"`lienthong spool {publisher.department.name} --send` sends them.")
    console.print(". ".join(told), markup=False, highlight=False, soft_wrap=True)


def _waiting(held: Held, publisher: Publisher, state: str) -> dict[str, Any]:
    return {
        "waiting": held.records,
        "bytes": held.bytes,
        "most_bytes": publisher.spool.most_bytes,
        "oldest": held.oldest.isoformat() if held.oldest else None,
        "spool": str(publisher.spool.path),
        "state": state,
    }


def _document(
    topic: str, name: str, account: Account, bad: list[Bad], held: Held, publisher: Publisher, state: str
) -> dict[str, Any]:
    return {
        "topic": topic,
        "file": name,
        "lines": account.lines,
        "taken": account.taken,
        "told_before": account.told_before,
        "refused": [one.as_json() for one in bad],
        "stopped": str(account.stopped) if account.stopped is not None else None,
        **_waiting(held, publisher, state),
    }
