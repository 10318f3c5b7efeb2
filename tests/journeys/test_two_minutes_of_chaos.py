"""Processes die and freeze at random for two minutes; an observer from outside finds nothing wrong."""

from pathlib import Path

from lienthong.chaos import verdict
from lienthong.chaos.faults import processes
from lienthong.chaos.trial import Plan, Trial
from lienthong.embedded.jars import Silent

# Small, for it shares a machine with the other tests; `make chaos` runs three brokers and all faults.
PLAN = Plan(
    seed=7,
    minutes=2.0,
    faults=tuple(fault.name for fault in processes.FAULTS),
    departments=2,
    brokers=1,
    rate=6.0,
    pause_seconds=(5.0, 17.0),
)


async def test_two_minutes_of_random_faults_lose_double_and_reorder_nothing(tmp_path: Path) -> None:
    """Promise: no acknowledged fact is lost, none takes effect twice, order per key is kept."""
    found = await Trial(PLAN, tmp_path / "run", Silent()).run()
    assert verdict.sentences(found) == []
    assert found.is_sound
    assert sum(found.faults.values()) >= 5
    assert found.totals["facts"] > 500
    assert found.totals["effects"] > 500
    assert found.totals["letters"] > 0
