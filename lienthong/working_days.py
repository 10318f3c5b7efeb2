"""The city's working days: when a legal term ends, and how late something is."""

import csv
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

HANOI: Final = timezone(timedelta(hours=7))
HOLIDAYS: Final = Path(__file__).parent / "data" / "holidays.csv"
LATE_IN_THE_DAY: Final = time(15)
"""What comes later counts from the next working day."""


def due_on(submitted_at: datetime, working_days: int) -> date:
    """Tell the last day of a term: working days after the day on which it was submitted."""
    local = submitted_at.astimezone(HANOI)
    day = local.date()
    if local.time() >= LATE_IN_THE_DAY or not is_working_day(day):
        day = _next_working_day(day)
    for _ in range(working_days):
        day = _next_working_day(day)
    return day


def is_working_day(day: date) -> bool:
    """Tell whether counters work: weekdays but holidays, and the Saturdays that make up for one."""
    kind = load_holidays().get(day)
    return kind == "work" if kind else day.weekday() < 5


def working_days_between(first: date, last: date) -> int:
    """Count the working days after `first` up to and with `last`: how late something is."""
    days = (first + timedelta(days=ahead) for ahead in range(1, (last - first).days + 1))
    return sum(map(is_working_day, days))


@lru_cache(maxsize=1)
def load_holidays() -> Mapping[date, str]:
    """Load the table of holidays and of Saturdays worked."""
    with HOLIDAYS.open(encoding="utf-8", newline="") as file:
        return MappingProxyType({date.fromisoformat(row["day"]): row["kind"] for row in csv.DictReader(file)})


def _next_working_day(day: date) -> date:
    day += timedelta(days=1)
    while not is_working_day(day):
        day += timedelta(days=1)
    return day
