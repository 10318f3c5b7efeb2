"""What `apply` does with a topic whose dataset is over: keeps its promise, then its readers, then lets go."""

import dataclasses
import io
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from lienthong import names
from lienthong.cluster.desired import desired
from lienthong.cluster.plan import compare
from lienthong.cluster.retirement import Standings, check_removable, keep_held
from lienthong.cluster.state import Actual, Desired, Standing
from lienthong.commands.apply import _removed
from lienthong.contracts.contract import Continuation
from lienthong.errors import BusNotUsable
from tests.paper import contract, contracts, grant

END = date(2026, 6, 30)
AFTER = date(2026, 7, 1)
FIRST, SECOND = "health.birth-notified.v1", "health.birth-notified.v2"
GROUP = "justice.birth-registration"
READER = [grant("justice", "birth-registration")]
RETIRED = contract(FIRST, status="retired", end_of_life=END, grants=READER)
NEWER = contract(SECOND, continues=Continuation(names.Topic("health", "birth-notified", 1)), grants=READER)
CITY = contracts(RETIRED, NEWER, departments=["health", "justice"])
ALONE = contracts(RETIRED, departments=["health", "justice"])


def settled(city, today: date, **standings: Standing) -> Desired:
    """What is wanted of a cluster that has both topics, where the reader stands so to each."""
    found: Standings = {(GROUP, f"health.birth-notified.{major}"): one for major, one in standings.items()}

    def fetch(groups: Sequence[str], topics: Sequence[str]) -> Standings:
        return {(group, topic): one for (group, topic), one in found.items() if topic in topics}

    wanted = desired(city, 1, today)
    return keep_held(wanted, topics(), fetch)


def topics():
    before = dataclasses.replace(RETIRED, status="deprecated")
    return desired(contracts(before, NEWER, departments=["health", "justice"]), 1, END).topics


def holding(wanted: Desired) -> Actual:
    return Actual(topics=topics(), users={}, access=wanted.access, quotas=wanted.quotas)


def said_of(wanted: Desired, topic: str) -> str:
    remarks = compare(wanted, holding(wanted)).remarks
    return " ".join(
        f"{one.about}: {one.reason}" for one in remarks if one.name == topic and one.kind == "topic"
    )


READS = Standing(reads_now=True, has_committed=True)
BEHIND = Standing(has_committed=True, unread=3)
DONE = Standing(has_committed=True)


def test_what_was_promised_stays_open_to_the_end_of_its_last_day():
    wanted = desired(CITY, 1, END)
    assert FIRST in wanted.topics
    assert any(rule.name == FIRST and rule.principal == "User:justice" for rule in wanted.access)
    with pytest.raises(BusNotUsable, match="promised until 2026-06-30"):
        check_removable(wanted, topics(), [FIRST])


def test_after_its_end_a_topic_is_held_by_a_reader_that_still_reads():
    wanted = settled(CITY, AFTER, v1=READS, v2=Standing())
    assert FIRST in wanted.topics
    assert any(rule.name == FIRST and rule.principal == "User:justice" for rule in wanted.access)
    assert f"{GROUP} reads it and commits offsets on it; it stays" in said_of(wanted, FIRST)
    with pytest.raises(BusNotUsable, match=f"{GROUP} reads it"):
        check_removable(wanted, topics(), [FIRST])


def test_a_reader_that_is_down_and_has_not_gone_over_holds_its_topic_too():
    wanted = settled(CITY, AFTER, v1=DONE, v2=Standing())
    assert wanted.held == {FIRST: f"{GROUP} has not gone over to {SECOND}"}


def test_a_reader_that_has_gone_over_holds_nothing():
    wanted = settled(CITY, AFTER, v1=BEHIND, v2=DONE)
    assert wanted.held == {}
    assert "`lienthong apply --remove health.birth-notified.v1` deletes it" in said_of(wanted, FIRST)
    assert not any(rule.name == FIRST for rule in wanted.access)
    check_removable(wanted, topics(), [FIRST])


def test_a_granted_reader_that_never_read_holds_nothing():
    assert settled(CITY, AFTER, v1=Standing(), v2=Standing()).held == {}


@pytest.mark.parametrize(
    ("standing", "why"),
    [(BEHIND, f"{GROUP} has 3 records unread"), (DONE, None), (READS, f"{GROUP} reads it")],
)
def test_a_dataset_that_nothing_continues_is_held_until_it_is_read_to_its_end(standing, why):
    held = settled(ALONE, AFTER, v1=standing).held.get(FIRST)
    assert held == why if why is None else held.startswith(why)


def test_nothing_is_removed_unasked():
    wanted = settled(CITY, AFTER, v1=DONE, v2=DONE)
    plan = compare(wanted, holding(wanted))
    assert not [change for change in plan.changes if change.name == FIRST]


@pytest.mark.parametrize(
    ("name", "why"), [(SECOND, "a contract is in force"), ("health.other.v1", "There is no topic")]
)
def test_what_is_not_over_is_not_removed(name, why):
    with pytest.raises(BusNotUsable, match=why):
        check_removable(settled(CITY, AFTER, v2=DONE), topics(), [name])


def test_a_topic_of_no_contract_is_not_removed():
    strange = topics() | {"attic.list.v1": topics()[FIRST]}
    with pytest.raises(BusNotUsable, match="no contract of it is retired"):
        check_removable(settled(CITY, AFTER), strange, ["attic.list.v1"])


class Bin:
    """A cluster that remembers what was removed."""

    def __init__(self) -> None:
        self.removed: list[str] = []

    def remove(self, _contracts: Any, _today: date, names: list[str]) -> None:
        self.removed += names


@pytest.mark.parametrize(("yes", "removed"), [(False, []), (True, [FIRST])])
def test_a_topic_is_removed_only_when_somebody_says_so(yes, removed, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    cluster: Any = Bin()
    assert _removed(cluster, CITY, AFTER, [FIRST], yes=yes) == removed == cluster.removed
