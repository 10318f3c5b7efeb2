"""The checker can fail: each bug that is planted into the services is found within its runs."""

from pathlib import Path

import pytest

from lienthong.chaos.detection import detect
from lienthong.chaos.planted import BUGS
from lienthong.chaos.trial import Plan, Trial
from lienthong.embedded.jars import Silent

FINDS = {
    "commit-before-effect": "committed before its effect",
    "commit-past-parked": "committed before its effect",
    "at-most-once": "lost at a reader",
    "offsets-that-go-back": "an offset went back",
    "no-inbox": "took effect twice",
    "inbox-outside-the-transaction": "lost at a reader",
    "effect-outside-the-transaction": "handled though its handler failed",
    "retry-that-reorders": "out of order at an effect",
    "retry-swallowed": "lost at a reader",
    "letter-while-retried": "set aside and handled",
    "letter-without-mark": "set aside twice",
    "mark-without-letter": "lost at a reader",
    "letter-without-reason": "set aside without a reason",
    "acknowledged-before-flush": "skipped on the way",
    "deleted-before-acknowledged": "skipped on the way",
    "unknown-taken-for-written": "skipped on the way",
    "outbox-read-by-number": "skipped on the way",
    "outbox-without-guard": "out of order on the bus",
    "guard-by-transaction-alone": "out of order on the bus",
    "sent-newest-first": "out of order on the bus",
    "written-to-both": "committed by no source",
}


def test_what_each_bug_does_is_told() -> None:
    assert FINDS.keys() == BUGS.keys()


@pytest.mark.parametrize("name", BUGS)
async def test_a_planted_bug_is_found(name: str, tmp_path: Path) -> None:
    found = await detect(BUGS[name], tmp_path, Silent())
    assert FINDS[name] in found.wrongs, found


async def test_where_nothing_is_planted_nothing_is_found(tmp_path: Path) -> None:
    plan = Plan(1, 0.2, (), departments=2, brokers=1, rate=30.0)
    found = await Trial(plan, tmp_path / "run", Silent()).run()
    assert found.wrongs == {}
    assert found.is_sound
