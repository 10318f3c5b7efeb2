"""`lienthong demo`: the whole city on one machine, from nothing to the account of every fact."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lienthong.commands.ledger import WORDS, draw
from lienthong.commands.up import Screen
from lienthong.declare_once import Sums, spared
from lienthong.demo import Scale
from lienthong.demo.play import Play, Story
from lienthong.ledger import Ledger
from lienthong.progress import showing
from lienthong.settings import find_data, find_root

BIRTHS: Final = 10 / 15
"""The share of births among dossiers; deaths and licences are in proportion (docs/decisions/0022)."""
DOSSIERS_A_SECOND: Final = 50


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    dossiers: Annotated[
        int,
        typer.Option(min=1, max=1_000_000, help="How many: of 15, 10 of births, 2 of deaths, 3 of licences."),
    ] = 1_500,
    seed: Annotated[int, typer.Option(help="Where all chance comes from: same seed, same city.")] = 63,
    pace: Annotated[
        float | None,
        typer.Option(
            min=0, help="Seconds over which the input comes in; else 12, or one for each 50 dossiers."
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when all is accounted for; do not stay up.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the account there, as JSON.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Data folder; an earlier demo's is replaced.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the account as one JSON document.")] = False,
) -> None:
    """Play the city: bus, contracts, services and their input, to the account of every fact.

    Exit status 0 when every fact is accounted for, 1 when one is not.

    Example: lienthong demo --once --dossiers 66000 --report three-weeks.json
    """
    if report is not None and not report.absolute().parent.is_dir():
        raise typer.BadParameter(
            f"there is no folder {report.parent} to write the account to", param_hint="--report"
        )
    seconds = max(12.0, dossiers / DOSSIERS_A_SECOND) if pace is None else pace
    scale = Scale(seed=seed, size=round(dossiers * BIRTHS), seconds=seconds)
    play = Play(find_root(), find_data(data), scale)
    screen = Screen()
    balanced = asyncio.run(_play(play, screen, once=once, report=report, as_json=as_json))
    raise typer.Exit(0 if balanced else 1)


async def _play(play: Play, screen: Screen, *, once: bool, report: Path | None, as_json: bool) -> bool:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    working = asyncio.current_task()
    assert working is not None

    def end() -> None:
        stop.set()
        working.cancel()

    for ending in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(ending, end)
    try:
        async with play.running(screen):
            with _live(screen.console) as show:
                await play.watch(show)
            with showing(WORDS, screen.console) as show:
                ledger = await play.account(show)
            asked = await play.declared_once()
            told = _report(play, ledger, asked)
            if report is not None:
                _write(report, told)
            if as_json:
                sys.stdout.write(orjson.dumps(told).decode() + "\n")
            else:
                Console().print(summary(play.story, ledger, asked))
            if not once:
                screen.step(
                    "Everything stays up until Ctrl-C. `lienthong status` says where;"
                    " `lienthong env justice` lets you in."
                )
                with contextlib.suppress(asyncio.CancelledError):
                    await stop.wait()
            return ledger.balanced
    except asyncio.CancelledError:
        screen.step("Stopped before the account was drawn up.")
        return False


@contextlib.contextmanager
def _live(console: Console) -> Any:
    """Show the live table on a terminal; elsewhere a line every few seconds."""
    if console.is_terminal:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield lambda story: live.update(table(story))
        return
    looks = 0

    def line(story: Story) -> None:
        nonlocal looks
        looks += 1
        if looks % 8 == 1 and story.rows:
            handled = sum(row["handled"] for row in story.rows)
            lag = sum(row["lag"] for row in story.rows)
            console.print(f"{story.seconds():6.1f} s  handled {handled}, lag {lag}", highlight=False)

    yield line


def table(story: Story) -> Table:
    """Draw the live table: a line for each topic, and one for each of its readers."""
    drawn = _columns(f"Liên Thông · {story.seconds():.0f} s", "vào\nin", "chối\nrefused", "chờ\nlag")
    topic = None
    for row in story.rows:
        if row["topic"] != topic:
            topic = row["topic"]
            drawn.add_row(topic, str(row["in"]), str(story.refused.get(topic, "")))
        latency = ("" if row[p] is None else f"{row[p] * 1000:.0f}" for p in ("p50", "p99"))
        figures = (str(row["lag"] or ""), str(row["handled"]), str(row["set_aside"] or ""), *latency)
        drawn.add_row(f"  → {row['group']}", "", "", *figures)
    return drawn


def summary(story: Story, ledger: Ledger, asked: list[Sums]) -> Group:
    """Draw the account for a person."""
    told = Text(f"{spared(asked)}\n" if asked else "")
    memory = ", ".join(f"{name} {most:.0f}" for name, most in sorted(story.peak_mb.items()))
    told.append(f"Bộ nhớ cao nhất · peak memory, MB: {memory}; đĩa · disk {story.disk_mb:.0f}\n")
    told.append(
        f"{story.settled_seconds or story.seconds()} s; first event after {story.first_event_seconds} s"
    )
    return Group(draw(ledger), told)


def _columns(title: str, first: str, second: str, third: str) -> Table:
    drawn = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    drawn.add_column("chủ đề → nơi đọc\ntopic → reader", no_wrap=True)
    for heading in (first, second, third, "xử lý\nhandled", "riêng\naside", "p50\nms", "p99\nms"):
        drawn.add_column(heading, justify="right")
    return drawn


def _write(report: Path, told: dict[str, Any]) -> None:
    # Whoever waits for the file finds it whole.
    unfinished = report.with_name(f"{report.name}.part")
    unfinished.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    unfinished.replace(report)


def _report(play: Play, ledger: Ledger, asked: list[Sums]) -> dict[str, Any]:
    story = play.story
    return {
        "seconds": story.settled_seconds or story.seconds(),
        "settled": story.settled_seconds is not None,
        "first_event_seconds": story.first_event_seconds,
        "fed": story.fed,
        "peak_mb": story.peak_mb,
        "disk_mb": story.disk_mb,
        "declared_once": {one.form.form: one.as_json() for one in asked},
        **ledger.as_json(),
    }
