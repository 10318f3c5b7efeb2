"""Long work shows how far it is: on stderr, where that is a terminal; stdout is for the outcome."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn


@contextmanager
def showing(
    words: Mapping[str, str] = MappingProxyType({}),
    console: Console | None = None,
    counted: ProgressColumn | None = None,
) -> Iterator[Callable[[str, int, int | None], None]]:
    """Show a bar until the work is over; it is told what is done, how much of it, of how much.

    Args:
        words: What is shown for what is told; else what is told.
        console: Where, if not on stderr.
        counted: How amounts are written, if not as 3/10.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), counted or MofNCompleteColumn())
    console = console or Console(stderr=True)
    # Elsewhere it would leave an empty line.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(
            task, description=words.get(what, what), completed=done, total=total
        )
