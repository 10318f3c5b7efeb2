"""Play a city: every department's synthetic input, all services, and the account of every fact."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, Final

HANOI: Final = timezone(timedelta(hours=7))
"""Hanoi's time, without summer time."""

Papers = dict[str, list[dict[str, Any]]]
"""What citizens carry from one counter to another, by the paper's name."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much a demo plays: `size` births (other inputs in proportion), everything drawn from `seed`."""

    seed: int = 63
    size: int = 1_000
    seconds: float = 12.0
    """Over how long the input comes in: streams at a rate are as long."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    """No synthetic fact is later than this."""

    def dice(self, room: str) -> Random:
        """Give a room its own dice, so that one room's draws do not move another's."""
        return Random(f"{self.seed}/{room}")  # noqa: S311 - to be repeatable is the point
