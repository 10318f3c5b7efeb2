"""The checker can fail: each bug that is planted into the services is found within its runs."""

import re
from pathlib import Path

import pytest

from lienthong.chaos.detection import detect
from lienthong.chaos.planted import BUGS
from lienthong.chaos.trial import Plan, Trial
from lienthong.embedded.jars import Silent

LOST_AT_A_READER = {"lost at a reader"}
LOST_ON_THE_WAY = {"lost on the way", "skipped on the way"}
OUT_OF_ORDER_ON_THE_BUS = {"out of order on the bus"}
TOO_EARLY = {"committed before its effect"}

# Any of these shows the bug; which of them comes first is the machine's timing.
FINDS = {
    "commit-before-effect": TOO_EARLY,
    "commit-past-parked": TOO_EARLY,
    "at-most-once": LOST_AT_A_READER,
    "offsets-that-go-back": {"an offset went back"},
    "no-inbox": {"took effect twice"},
    "inbox-outside-the-transaction": LOST_AT_A_READER,
    "effect-outside-the-transaction": {"handled though its handler failed"},
    "retry-that-reorders": {"out of order at an effect"},
    "retry-swallowed": LOST_AT_A_READER,
    "letter-while-retried": {"set aside and handled"},
    "letter-without-mark": {"set aside twice"},
    "mark-without-letter": LOST_AT_A_READER,
    "letter-without-reason": {"set aside without a reason"},
    "acknowledged-before-flush": LOST_ON_THE_WAY,
    "deleted-before-acknowledged": LOST_ON_THE_WAY,
    "unknown-taken-for-written": LOST_ON_THE_WAY,
    "outbox-read-by-number": LOST_ON_THE_WAY,
    "outbox-without-guard": OUT_OF_ORDER_ON_THE_BUS,
    "guard-by-transaction-alone": OUT_OF_ORDER_ON_THE_BUS,
    "sent-newest-first": OUT_OF_ORDER_ON_THE_BUS,
    "written-to-both": {"committed by no source"},
}


def test_what_each_bug_does_is_told() -> None:
    assert FINDS.keys() == BUGS.keys()


def failures(folder: Path) -> list[bytes]:
    """What the services told of defects of the library's own."""
    logs = b"".join(log.read_bytes() for log in folder.rglob("logs/*.log"))
    return re.findall(rb'"event":"(?:reader|part)_failed".*', logs)


@pytest.mark.parametrize("name", BUGS)
async def test_a_planted_bug_is_found(name: str, tmp_path: Path) -> None:
    found = await detect(BUGS[name], tmp_path, Silent())
    assert FINDS[name] & found.wrongs.keys(), found
    assert not failures(tmp_path), "it breaks the service, no more"


async def test_where_nothing_is_planted_nothing_is_found(tmp_path: Path) -> None:
    plan = Plan(1, 0.2, (), departments=2, brokers=1, rate=30.0)
    found = await Trial(plan, tmp_path / "run", Silent()).run()
    assert found.wrongs == {}
    assert found.is_sound
