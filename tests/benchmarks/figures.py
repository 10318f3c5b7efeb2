"""Figures, each with the proof that nothing was lost or doubled on the way to it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Balance:
    """What was sent against what arrived."""

    sent: int
    lost: int
    doubled: int

    @classmethod
    def of(cls, sent: Iterable[str], seen: Iterable[str]) -> Self:
        wanted, found = set(sent), Counter(seen)
        return cls(
            len(wanted), len(wanted - found.keys()), sum(found[thing] - 1 for thing in wanted & found.keys())
        )

    def __add__(self, other: "Balance") -> "Balance":
        return Balance(self.sent + other.sent, self.lost + other.lost, self.doubled + other.doubled)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. `beside`: our own figure of the same section that does the same or more work.

    `cpu_us`: microseconds of processor time that this process took an event, the servers' not counted; a
    busy machine hardly moves it.
    """

    section: str
    name: str
    value: float
    unit: str
    balance: Balance | None = None
    beside: str | None = None
    note: str = ""
    cpu_us: float | None = None

    @property
    def higher_is_better(self) -> bool:
        return self.unit == "per second"

    def best_with(self, other: "Figure") -> "Figure":
        """The better of two rounds, with the losses of both."""
        choose = max if self.higher_is_better else min
        better = choose(self, other, key=lambda figure: figure.value)
        both = [figure.balance for figure in (self, other) if figure.balance is not None]
        return replace(better, balance=sum(both[1:], both[0]) if both else None)


def best_of(rounds: Sequence[Sequence[Figure]]) -> list[Figure]:
    """Keep the better round of each figure: noise on a shared machine only ever slows."""
    best: dict[tuple[str, str], Figure] = {}
    for figure in (figure for figures in rounds for figure in figures):
        place = (figure.section, figure.name)
        best[place] = best[place].best_with(figure) if place in best else figure
    return list(best.values())


def ratio(figure: Figure, figures: Sequence[Figure]) -> float | None:
    """How many times better our figure is than this one; below 1 we are behind."""
    ours = [f for f in figures if f.section == figure.section and f.name == figure.beside]
    if not ours or not figure.value or not ours[0].value:
        return None
    return ours[0].value / figure.value if figure.higher_is_better else figure.value / ours[0].value


def as_json(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    return [{**asdict(figure), "ours_is_times_better": ratio(figure, figures)} for figure in figures]


def show(figures: Sequence[Figure], console: Console) -> None:
    """Print a table a section; what is behind a peer, lost or doubled is red."""
    for section in dict.fromkeys(figure.section for figure in figures):
        table = Table(title=section, title_justify="left", title_style="bold", expand=False)
        for column in ("what", "figure", "", "CPU µs", "sent", "lost", "doubled", "ours is", "note"):
            table.add_column(column, justify="left" if column in {"what", "", "note"} else "right")
        for figure in (f for f in figures if f.section == section):
            table.add_row(*_cells(figure, figures))
        console.print(table)


def _cells(figure: Figure, figures: Sequence[Figure]) -> list[str]:
    balance, times = figure.balance, ratio(figure, figures)
    places = 0 if figure.value >= 100 else 2
    return [
        figure.name,
        f"{figure.value:,.{places}f}",
        figure.unit,
        "" if figure.cpu_us is None else f"{figure.cpu_us:,.0f}",
        f"{balance.sent:,}" if balance else "",
        _red(balance.lost) if balance else "",
        _red(balance.doubled) if balance else "",
        "" if times is None else f"[{'green' if times >= 1 else 'red'}]× {times:.2f}[/]",
        figure.note,
    ]


def _red(number: int) -> str:
    return f"[red]{number:,}[/]" if number else "0"
