"""Show that the checker can fail: plant each bug, run the checker, say in which run it is found."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lienthong.chaos.planted import Bug
from lienthong.chaos.trial import Plan, Trial
from lienthong.embedded.jars import Progress

MINUTES, MINUTES_WITH_FAULTS = 0.2, 0.6
RATE: Final = 30.0
"""Facts handed in, a second."""
PAUSE_SECONDS: Final = (1.5, 5.0)
SETTLE_SECONDS: Final = 60.0
"""A city with a bug may never come to rest."""


@dataclass(frozen=True, slots=True)
class Detection:
    """In which run a planted bug was found, if in any, and what was wrong there."""

    bug: str
    found_in: int | None
    runs: int
    wrongs: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        return {"bug": self.bug, "found_in": self.found_in, "runs": self.runs, "wrongs": dict(self.wrongs)}


def targeted(bug: Bug, seed: int) -> Plan:
    """Plan a short run with the faults that bring a bug to light."""
    return Plan(
        seed,
        MINUTES_WITH_FAULTS if bug.faults else MINUTES,
        bug.faults,
        departments=2,
        brokers=1,
        rate=RATE,
        planted=bug.name,
        pause_seconds=PAUSE_SECONDS,
        # What is held in memory is lost where its process dies while its broker does not answer.
        beside=1.0,
        settle_seconds=SETTLE_SECONDS,
    )


async def detect(bug: Bug, folder: Path, progress: Progress, seed: int = 1) -> Detection:
    """Run the checker with a bug planted, as often as the bug may need, until it is found."""
    for run in range(1, bug.runs + 1):
        found = await Trial(targeted(bug, seed + run - 1), folder / f"{bug.name}-{run}", progress).run()
        # A city that only does not settle in so short a time is not said to be wrong.
        if found.wrongs:
            wrongs = {rule: len(culprits) for rule, culprits in found.wrongs.items()}
            return Detection(bug.name, run, bug.runs, wrongs)
    return Detection(bug.name, None, bug.runs, {})
