"""Close what is over, on time: a grant ends with its last day, whether or not somebody is there."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Final

from lienthong.errors import LienThongError
from lienthong.moments import HANOI

LOOK_SECONDS: Final = 20.0
"""How often to look whether a new day has begun; a clock may be put right, a machine may sleep."""


def day_of(moment: datetime) -> date:
    """Tell the city's day of a moment."""
    return moment.astimezone(HANOI).date()


def watch(
    close: Callable[[date], None],
    first: date,
    *,
    now: Callable[[], datetime],
    is_told_to_stop: Callable[[float], bool],
    say: Callable[[str], None],
) -> None:
    """Close what is over as each day begins, until told to stop; what fails is said and tried again.

    Args:
        close: Closes what is over on a day.
        first: The day that has been dealt with.
        now: Tells the time.
        is_told_to_stop: Waits so many seconds, less when told to stop, and says whether it was.
        say: Shows a sentence to whoever looks.
    """
    done, failed = first, ""
    while not is_told_to_stop(LOOK_SECONDS):
        today = day_of(now())
        if today == done:
            continue
        try:
            close(today)
        except LienThongError as error:
            if str(error) != failed:
                say(f"{today}: {error} Trying again.")
            failed = str(error)
        else:
            done, failed = today, ""
