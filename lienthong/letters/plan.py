"""Say what sending letters again would do, before it is done: which, and which had better not be (hop 7)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from lienthong.database import Connection
from lienthong.inbox import Identity
from lienthong.letters.found import Found
from lienthong.letters.later import Later, find_handled, first_handled
from lienthong.letters.letter import CONFLICT
from lienthong.letters.log import Log, Show, silent

LOOK_AHEAD: Final = 1_000_000
"""Read at most so many records of a partition for later ones of the same key."""


class LeftOut(StrEnum):
    """Why a letter is not sent again."""

    stale = "stale"
    """A later record of its key was handled: what it says may be out of date."""
    not_known = "not known whether stale"
    """Its topic is not open to the department, or reaches too far to be read."""
    conflict = "id-conflict"
    """Its id belongs to another content: the owner has to publish it under an id of its own."""


@dataclass(slots=True)
class Planned:
    """A letter that is to be sent again, or left out."""

    one: Found
    left_out: LeftOut | None = None
    stale_by: int | None = None
    """Offset of the first later record of its key that was handled."""
    later: Sequence[Identity] = ()
    """Later records of its key that were not."""
    looked_to: int = 0


@dataclass(slots=True)
class Plan:
    """What is to be sent again, and what is left out with why."""

    planned: list[Planned] = field(default_factory=list)

    @property
    def sent(self) -> list[Planned]:
        """List those to be sent, in the order of their records."""
        return [one for one in self.planned if one.left_out is None]

    @property
    def left_out(self) -> list[Planned]:
        """List those that are not."""
        return [one for one in self.planned if one.left_out is not None]


async def make_plan(
    db: Connection,
    log: Log,
    found: Iterable[Found],
    *,
    even_if_stale: bool,
    look_ahead: int = LOOK_AHEAD,
    show: Show = silent,
) -> Plan:
    """Look for later records of the same keys that were handled, and leave out what they make stale.

    With `even_if_stale` such letters, and those of which it is not known, are sent too; it is still told
    which ones are.
    """
    plan = Plan([Planned(one) for one in found])
    plan.planned.sort(key=lambda p: (p.one.letter.group, p.one.letter.place))
    asked = [one for one in plan.planned if one.one.letter.code != CONFLICT]
    later = await _look(log, asked, look_ahead, show)
    for group in sorted({one.one.letter.group for one in asked}):
        await _judge(db, group, [one for one in asked if one.one.letter.group == group], later)
    for one in plan.planned:
        if one.one.letter.code == CONFLICT:
            one.left_out = LeftOut.conflict
        elif even_if_stale:
            one.left_out = None
    return plan


async def _look(log: Log, asked: Sequence[Planned], look_ahead: int, show: Show) -> Later:
    """Read on from the letters' places, where their topics are open to us."""
    later = Later(log, look_ahead)
    topics = {one.one.letter.place.topic for one in asked}
    open_ = await log.find_partitions(topics.__contains__)
    numbers = {(part.topic, part.partition) for parts in open_.values() for part in parts}
    for one in asked:
        place = one.one.letter.place
        if (place.topic, place.partition) in numbers:
            later.watch(place, one.one.letter.order_key, place.offset + 1)
        else:
            one.left_out = LeftOut.not_known
    await later.look(show, "later records")
    return later


async def _judge(db: Connection, group: str, asked: Sequence[Planned], later: Later) -> None:
    known = [one for one in asked if one.left_out is None]
    behind = {id(one): later.after(one.one.letter.place, one.one.letter.order_key) for one in known}
    handled = await find_handled(db, group, {identity for those in behind.values() for _, identity in those})
    for one in known:
        those = behind[id(one)]
        place = one.one.letter.place
        one.stale_by = first_handled(those, handled)
        one.later = list(dict.fromkeys(identity for _, identity in those if identity not in handled))
        one.looked_to = later.looked_to(place)
        if one.stale_by is not None:
            one.left_out = LeftOut.stale
        elif not later.is_complete(place):
            one.left_out = LeftOut.not_known
