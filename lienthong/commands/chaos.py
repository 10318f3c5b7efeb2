"""`lienthong chaos`: break a city of made-up departments, and judge what it delivered."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console

from lienthong.chaos import verdict
from lienthong.chaos.detection import detect
from lienthong.chaos.faults import FAULTS
from lienthong.chaos.nemesis import PAUSE_SECONDS
from lienthong.chaos.planted import BUGS
from lienthong.chaos.trial import Plan, Trial, judge_again
from lienthong.chaos.verdict import Verdict
from lienthong.commands.up import Screen
from lienthong.settings import find_data

ALL: Final = "all"


def register(app: typer.Typer) -> None:
    app.command("chaos")(chaos)


def chaos(
    seed: Annotated[
        int | None, typer.Option(help="Where all chance comes from; else one is drawn, and told.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.05, max=10_000, help="How long facts come in and faults happen.")
    ] = 10.0,
    faults: Annotated[
        str, typer.Option(help="Which, comma between; `none` for none. Else all: `--list` names them.")
    ] = ALL,
    brokers: Annotated[int, typer.Option(help="1 or 3.")] = 3,
    size: Annotated[int, typer.Option("--departments", min=2, max=4, help="How many departments.")] = 4,
    processes: Annotated[int, typer.Option(min=1, max=4, help="How many processes of each.")] = 2,
    rate: Annotated[float, typer.Option(min=1, max=5_000, help="Facts handed in, a second.")] = 100.0,
    every: Annotated[
        float, typer.Option(min=0.1, help="Seconds from one fault to the next, on average.")
    ] = sum(PAUSE_SECONDS) / 2,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="An empty folder for the run.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the city's data though the run is sound.")
    ] = False,
    judge: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Judge again what an earlier run left there; run nothing."),
    ] = None,
    planted: Annotated[
        str | None,
        typer.Option(help="Plant bugs, comma between, or `all`, and tell in which short run each is found."),
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Name the faults and the bugs, and run nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as one JSON document.")] = False,
) -> None:
    """Break a city of made-up departments, and judge from outside whether it kept its promises.

    Exit status 0 when no acknowledged fact was lost, doubled, out of order, hidden or made up; 1 when one
    was. Plan, history and verdict stay in the folder: `--judge DIR` reads them again, and the same seed
    throws the same dice.

    Example: lienthong chaos --seed 7 --minutes 2 --faults broker-killed,service-frozen
    """
    if listed:
        _list(as_json=as_json)
        return
    if judge is not None:
        found = judge_again(judge)
    else:
        drawn = seed if seed is not None else time.time_ns() % 1_000_000
        folder = data or find_data() / "chaos" / f"{time.strftime('%Y%m%d-%H%M%S')}-seed-{drawn}"
        screen = Screen()
        screen.step(f"Seed {drawn}; the run is kept in {folder}.")
        if planted is not None:
            raise typer.Exit(
                _detect(_chosen(planted, BUGS, "--planted"), folder, screen, drawn, as_json=as_json)
            )
        plan = Plan(drawn, minutes, _chosen(faults, FAULTS, "--faults"), size, processes, brokers, rate)
        plan = replace(plan, pause_seconds=(0.3 * every, 1.7 * every))
        found = asyncio.run(Trial(plan, folder, screen).run(keep=keep))
    tell(found, as_json=as_json)
    raise typer.Exit(0 if found.is_sound else 1)


def _chosen(told: str, known: Mapping[str, object], option: str) -> tuple[str, ...]:
    """Read which are meant, of those that there are."""
    if told in {ALL, "none"}:
        return tuple(known) if told == ALL else ()
    names = tuple(name.strip() for name in told.split(","))
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(
            f"no such fault: {', '.join(unknown)}; `--list` names them", param_hint=option
        )
    return names


def _list(*, as_json: bool) -> None:
    if as_json:
        told = {
            "faults": {fault.name: fault.about for fault in FAULTS.values()},
            "planted": {bug.name: bug.about for bug in BUGS.values()},
        }
        typer.echo(orjson.dumps(told).decode())
        return
    for title, found in (
        ("Faults", [(fault.name, fault.about) for fault in FAULTS.values()]),
        ("Bugs to plant", [(bug.name, bug.about) for bug in BUGS.values()]),
    ):
        typer.echo(f"{title}:")
        for name, about in found:
            typer.echo(f"  {name:32}{about}")


def _detect(names: Sequence[str], folder: Path, screen: Screen, seed: int, *, as_json: bool) -> int:
    """Plant bugs one after the other, and tell which were found."""
    found = []
    for name in names:
        screen.step(f"Planted: {name}, {BUGS[name].about}.")
        found.append(asyncio.run(detect(BUGS[name], folder, screen, seed)))
    if as_json:
        typer.echo(orjson.dumps([one.as_json() for one in found], option=orjson.OPT_INDENT_2).decode())
    else:
        for one in found:
            run = f"run {one.found_in} of {one.runs}" if one.found_in else f"not found in {one.runs} runs"
            wrongs = ", ".join(f"{rule} {count}" for rule, count in one.wrongs.items())
            typer.echo(f"{one.bug:32}{run:22}{wrongs}")
    return 0 if all(one.found_in for one in found) else 1


def tell(found: Verdict, *, as_json: bool) -> None:
    """Print a verdict."""
    if as_json:
        typer.echo(orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2).decode())
        return
    console = Console(highlight=False)
    for what, counts in (("Seen", found.totals), ("Faults", found.faults)):
        console.print(f"{what}: {', '.join(f'{count} {name}' for name, count in counts.items()) or 'none'}.")
    if found.longest_stop_seconds:
        console.print(f"The longest stop in order took {found.longest_stop_seconds} s.")
    if found.is_sound:
        console.print(
            "Sound: nothing lost, nothing twice, nothing out of order, nothing hidden.", style="green"
        )
    for sentence in verdict.sentences(found):
        console.print(sentence, markup=False, style="red", soft_wrap=True)
