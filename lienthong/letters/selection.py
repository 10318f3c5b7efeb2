"""Which letters are meant: filters that all have to hold (hop 7)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from lienthong.errors import SettingsNotUsable
from lienthong.letters.letter import Letter
from lienthong.moments import find_timestamp

_AGO: Final = re.compile(r"(\d{1,5})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class State(StrEnum):
    """What became of a record since it was set aside."""

    open = "open"
    """Nobody has decided yet."""
    waiting = "waiting"
    """Sent again; its reader has not handled it yet."""
    handled = "handled"
    """Sent again, and it took effect."""
    discarded = "discarded"
    """It is never to be handled."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for; None and empty ask for nothing in particular."""

    groups: Sequence[str] = ()
    topics: Sequence[str] = ()
    codes: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    ids: Sequence[str] = ()
    """Ids of events, or places: topic/partition/offset."""
    order_key: bytes | None = None
    """Digest of a key."""
    states: Sequence[State] = ()

    def of_key(self, order_key: bytes) -> "Selection":
        """Narrow it to one key."""
        return replace(self, order_key=order_key)

    def takes(self, letter: Letter) -> bool:
        """Tell whether a letter is meant, as far as the letter itself says."""
        return (
            (not self.groups or letter.group in self.groups)
            and (not self.topics or letter.place.topic in self.topics)
            and (not self.codes or letter.code in self.codes)
            and (self.since is None or letter.last_at >= self.since)
            and (self.until is None or letter.last_at < self.until)
            and (not self.ids or letter.event_id in self.ids or str(letter.place) in self.ids)
            and (self.order_key is None or letter.order_key == self.order_key)
        )


def find_moment(text: str, now: datetime) -> datetime:
    """Read a day, an instant with offset, or how long ago: 2026-01-31, 2026-01-31T08:00:00+07:00, 2h.

    Raises:
        SettingsNotUsable: it is none of these.
    """
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    moment = find_timestamp(f"{text}T00:00:00+07:00") or find_timestamp(text)
    if moment is None:
        raise SettingsNotUsable(
            reason=f"{text!r} is no moment.",
            remedy="Write a day (2026-01-31), an instant with its offset, or how long ago (2h, 3d).",
        )
    return moment


def full_group(department: str, purpose: str) -> str:
    """Name a group by its purpose alone, or in full."""
    return purpose if purpose.startswith(f"{department}.") else f"{department}.{purpose}"
