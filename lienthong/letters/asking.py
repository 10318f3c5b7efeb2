"""How a person asks about letters: filters, progress, the question before something is changed (hop 7)."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer

from lienthong.cluster.changes import find_who
from lienthong.letters.log import Show
from lienthong.letters.office import Office, open_office
from lienthong.letters.selection import Selection, State, find_moment, full_group
from lienthong.progress import showing

T = TypeVar("T")

Department = Annotated[str, typer.Argument(help="Whose readers set them aside: justice, police …")]
Groups = Annotated[
    list[str] | None, typer.Option("--group", help="Only this group's, or this purpose's; may be repeated.")
]
Topics = Annotated[
    list[str] | None, typer.Option("--topic", help="Only records of this topic; may be repeated.")
]
Codes = Annotated[list[str] | None, typer.Option("--code", help="Only this reason; may be repeated.")]
Since = Annotated[
    str | None, typer.Option(help="Set aside at or after: 2026-01-31, an instant with offset, 2h or 3d ago.")
]
Until = Annotated[str | None, typer.Option(help="Set aside before; written in the same ways.")]
Ids = Annotated[
    list[str] | None,
    typer.Option("--id", help="Only this event, or this place (topic/partition/offset); may be repeated."),
]
KeyOf = Annotated[
    str | None, typer.Option(metavar="ID", help="Only records with the same key as this event or place.")
]
States = Annotated[list[State] | None, typer.Option("--state", help="Only in this state; may be repeated.")]
Most = Annotated[int, typer.Option(min=0, max=100_000, help="Show at most so many one by one.")]
Why = Annotated[str, typer.Option(help="Why: kept with the decision, without anybody's data.")]
Who = Annotated[str | None, typer.Option(help="Who decides; else this machine's user.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def select(
    department: str,
    group: list[str] | None,
    topic: list[str] | None,
    code: list[str] | None,
    since: str | None,
    until: str | None,
    event_id: list[str] | None,
    states: tuple[State, ...] | list[State],
) -> Selection:
    """Make a selection of what was typed."""
    now = datetime.now(UTC)
    return Selection(
        groups=[full_group(department, one) for one in group or ()],
        topics=topic or (),
        codes=code or (),
        since=find_moment(since, now) if since else None,
        until=find_moment(until, now) if until else None,
        ids=event_id or (),
        states=states,
    )


def run_in_office(department: str, act: Callable[[Office, Show], Awaitable[T]]) -> T:
    """Do something in a department's office, and show how far it is."""

    async def run(show: Show) -> T:
        async with open_office(department) as office:
            return await act(office, show)

    with showing() as show:
        return asyncio.run(run(show))


def check_words(who: str | None, why: str) -> str:
    """Hold the words of a decision to what can be kept and shown; gives who decides."""
    if not why.strip() or len(why) > 500 or not why.isprintable():
        raise typer.BadParameter("Say in at most 500 characters why.", param_hint="--why")
    if who is not None and (not who.strip() or len(who) > 100 or not who.isprintable()):
        raise typer.BadParameter("Name a person or a role.", param_hint="--who")
    return who or find_who()


def is_wanted(question: str, *, yes: bool, as_json: bool) -> bool:
    """Ask, unless it was said before; where there is nobody to ask, nothing is done."""
    if yes or as_json:
        return yes
    if not sys.stdin.isatty():
        typer.echo("Nothing was changed: there is nobody to ask. Run it with --yes.", err=True)
        return False
    if typer.confirm(question):
        return True
    typer.echo("Nothing was changed.")
    return False
