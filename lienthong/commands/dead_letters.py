"""`lienthong dead-letters …`: what a department's readers set aside, and what becomes of it."""

import asyncio
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table

from lienthong.dead_letters import Record
from lienthong.errors import SettingsNotUsable
from lienthong.letters import decide, telling
from lienthong.letters.asking import (
    AsJson,
    Codes,
    Department,
    Groups,
    Ids,
    KeyOf,
    Most,
    Since,
    States,
    Topics,
    Until,
    Who,
    Why,
    Yes,
    check_words,
    is_wanted,
    run_in_office,
    select,
)
from lienthong.letters.found import Found, Letters, find_letters
from lienthong.letters.log import Show
from lienthong.letters.office import Office
from lienthong.letters.plan import LOOK_AHEAD, Plan, make_plan
from lienthong.letters.selection import Selection, State

TO_DECIDE: Final = (State.open, State.waiting)
"""What is listed where nothing else is asked for."""

LOOK_SECONDS: Final = 0.2
"""How often it is looked what came of what was sent again."""

letters_app = typer.Typer(
    no_args_is_help=True, help="See what readers set aside; send it again, or discard it."
)


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(letters_app, name="dead-letters")


@letters_app.command("list")
def list_letters(
    department: Department,
    group: Groups = None,
    topic: Topics = None,
    code: Codes = None,
    since: Since = None,
    until: Until = None,
    event_id: Ids = None,
    key_of: KeyOf = None,
    state: States = None,
    most: Most = 50,
    as_json: AsJson = False,
) -> None:
    """List dead letters, without data: where, why, how often tried, what became of them.

    Without --state: those that nobody has decided about, and those that were sent again and wait.

    Example: lienthong dead-letters list justice --code not-handled --since 2d
    """
    selection = select(department, group, topic, code, since, until, event_id, state or TO_DECIDE)

    async def find(office: Office, show: Show) -> Letters:
        return await _find(office, selection, key_of, show)

    found = run_in_office(department, find)
    if as_json:
        counts = [
            dict(zip(("group", "topic", "code", "state", "letters"), count, strict=True))
            for count in found.counts()
        ]
        listed = [telling.letter_as_json(one) for one in found.found[:most]]
        _print_json({"counts": counts, "letters": listed, "strangers": found.strangers})
        return
    console = Console()
    drawn = Table("nhóm · group", "chủ đề · topic", "lý do · code", "trạng thái · state", "thư · letters")
    for *words, count in found.counts():
        drawn.add_row(*(telling.plain(str(word)) for word in words), str(count))
    console.print(drawn)
    for one in found.found[:most]:
        console.print(telling.letter_line(one), markup=False, highlight=False, soft_wrap=True)
    if found.strangers:
        typer.echo(f"{found.strangers} records on these topics are no dead letters of ours.", err=True)


@letters_app.command("show")
def show_letters(
    department: Department,
    group: Groups = None,
    topic: Topics = None,
    code: Codes = None,
    since: Since = None,
    until: Until = None,
    event_id: Ids = None,
    key_of: KeyOf = None,
    state: States = None,
    most: Most = 10,
    with_data: Annotated[
        bool, typer.Option("--with-data", help="Show key, headers and value too: they may be personal.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show all that is known of dead letters: problems, tries, reader, library, decisions; data if asked.

    Exit status 1 where there is none.

    Example: lienthong dead-letters show justice --id health.birth-notified.v1/3/1042 --with-data
    """
    selection = select(department, group, topic, code, since, until, event_id, state or ())

    async def find(office: Office, show: Show) -> list[tuple[Found, Record | None]]:
        found = (await _find(office, selection, key_of, show)).found[:most]
        if not with_data:
            return [(one, None) for one in found]
        async with office.open_log() as log:
            return await decide.fetch_originals(log, found)

    shown = run_in_office(department, find)
    if as_json:
        _print_json({"letters": [telling.letter_as_json(one, original) for one, original in shown]})
    else:
        for one, original in shown:
            for line in telling.iter_letter(one, original):
                Console().print(line, markup=False, highlight=False, soft_wrap=True)
    if not shown:
        typer.echo("No such dead letter.", err=True)
        raise typer.Exit(1)


@letters_app.command("send-again")
def send_letters_again(
    department: Department,
    why: Why,
    group: Groups = None,
    topic: Topics = None,
    code: Codes = None,
    since: Since = None,
    until: Until = None,
    event_id: Ids = None,
    key_of: KeyOf = None,
    state: States = None,
    even_if_stale: Annotated[
        bool,
        typer.Option("--even-if-stale", help="Also where a later record of the same key was handled."),
    ] = False,
    look_ahead: Annotated[
        int, typer.Option(min=0, help="Read so many records of a partition for later ones, at most.")
    ] = LOOK_AHEAD,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for what comes of it, at most.")] = 10.0,
    who: Who = None,
    yes: Yes = False,
    most: Most = 50,
    as_json: AsJson = False,
) -> None:
    """Let the reader that set records aside try them once more: shows the plan, asks, does it.

    They keep their ids, so what has taken effect takes none again. Nobody else reads them. A record whose
    key has a later one that was handled is left out: what it says may be out of date. With --json and
    without --yes only the plan is printed. Exit status 1 where something was left out, or set aside again.

    Example: lienthong dead-letters send-again justice --code not-handled --why "units of July are known now"
    """
    who = check_words(who, why)
    selection = select(department, group, topic, code, since, until, event_id, state or (State.open,))

    async def plan(office: Office, show: Show) -> Plan:
        found = (await _find(office, selection, key_of, show)).found
        decidable = [one for one in found if one.state in {State.open, State.discarded}]
        async with office.open_log() as log:
            return await make_plan(
                office.db, log, decidable, even_if_stale=even_if_stale, look_ahead=look_ahead, show=show
            )

    planned = run_in_office(department, plan)
    if not as_json:
        for line in telling.iter_plan(planned, most):
            typer.echo(line)
    count = len(planned.sent)
    outcomes: list[tuple[str, str, int]] = []
    if wanted := bool(count) and is_wanted(f"Send {_count(count)} again?", yes=yes, as_json=as_json):

        async def do(office: Office, show: Show) -> list[tuple[str, str, int]]:
            async with office.open_log() as log:
                numbers = await decide.send_again(
                    office.db, log, planned.sent, who, why, even_if_stale=even_if_stale, show=show
                )
            return await _await_outcomes(office, numbers, wait, show)

        outcomes = run_in_office(department, do)
    if as_json:
        came = [{"outcome": o or "waiting", "code": c or None, "letters": n} for o, c, n in outcomes]
        _print_json({**telling.plan_as_json(planned), "done": wanted, "outcomes": came})
    else:
        _tell_outcomes(planned, outcomes, wanted=wanted)
    done_badly = any(outcome in {"set aside", "stale"} for outcome, _, _ in outcomes)
    if planned.left_out or done_badly or (count and not wanted and not as_json):
        raise typer.Exit(1)


@letters_app.command("discard")
def discard_letters(
    department: Department,
    why: Why,
    group: Groups = None,
    topic: Topics = None,
    code: Codes = None,
    since: Since = None,
    until: Until = None,
    event_id: Ids = None,
    key_of: KeyOf = None,
    who: Who = None,
    yes: Yes = False,
    most: Most = 50,
    as_json: AsJson = False,
) -> None:
    """Decide that records are never to be handled: shows them, asks, writes down who and why.

    The letters stay on their topic until its time is over; `send-again --state discarded` takes it back.

    Example: lienthong dead-letters discard trade --code not-handled --until 2026-01-31 --why "prices of 2025"
    """
    who = check_words(who, why)
    selection = select(department, group, topic, code, since, until, event_id, (State.open,))

    async def find(office: Office, show: Show) -> Letters:
        return await _find(office, selection, key_of, show)

    found = run_in_office(department, find).found
    if not as_json:
        for one in found[:most]:
            Console().print(telling.letter_line(one), markup=False, highlight=False, soft_wrap=True)
        if len(found) > most:
            typer.echo(f"… and {len(found) - most} more")
    numbers: list[int] = []
    if wanted := bool(found) and is_wanted(f"Discard {_count(len(found))}?", yes=yes, as_json=as_json):

        async def do(office: Office, show: Show) -> list[int]:
            return await decide.discard(office.db, found, who, why, show)

        numbers = run_in_office(department, do)
    if as_json:
        listed = [telling.letter_as_json(one) for one in found[:most]]
        _print_json({"letters": listed, "found": len(found), "done": wanted, "discarded": len(numbers)})
    elif not found:
        typer.echo("Nothing to discard.")
    elif wanted:
        typer.echo(f"Discarded: {_count(len(numbers))}.")
    if found and not wanted and not as_json:
        raise typer.Exit(1)


async def _find(office: Office, selection: Selection, key_of: str | None, show: Show) -> Letters:
    if key_of is not None:
        named = Selection(groups=selection.groups, ids=[key_of])
        async with office.open_log() as log:
            found = (await find_letters(office.db, log, office.department, named, show)).found
        if not found:
            raise SettingsNotUsable(
                reason=f"{office.department} has no dead letter {telling.plain(key_of)}.",
                remedy="`lienthong dead-letters list` names them by event and by place.",
            )
        selection = selection.of_key(found[0].letter.order_key)
    async with office.open_log() as log:
        return await find_letters(office.db, log, office.department, selection, show)


async def _await_outcomes(
    office: Office, numbers: list[int], wait: float, show: Show
) -> list[tuple[str, str, int]]:
    """Wait a while for the reader; what it has not taken by then it takes later."""
    clock = asyncio.get_running_loop().time
    until = clock() + wait
    while True:
        outcomes = await decide.fetch_outcomes(office.db, numbers)
        done = sum(count for outcome, _, count in outcomes if outcome)
        show("taken by the reader", done, len(numbers))
        if done >= len(numbers) or clock() >= until:
            return outcomes
        await asyncio.sleep(LOOK_SECONDS)


def _tell_outcomes(plan: Plan, outcomes: list[tuple[str, str, int]], *, wanted: bool) -> None:
    if not plan.planned:
        typer.echo("Nothing to send again.")
    elif not plan.sent:
        typer.echo("Nothing is sent again; --even-if-stale sends what is left out as stale or not known.")
    elif wanted and not outcomes:
        typer.echo("Somebody else has decided about all of them meanwhile.")
    for outcome, code, count in outcomes:
        if outcome:
            typer.echo(f"{outcome}{f' ({code})' if code else ''}: {_count(count)}")
        else:
            typer.echo(f"waiting: {_count(count)}; a running service of the group takes them")


def _count(letters: int) -> str:
    return f"{letters} letter{'' if letters == 1 else 's'}"


def _print_json(document: Any) -> None:
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
