"""The city runs from one command, and the account of every fact balances."""

from typing import Any

import pytest

from tests.journeys.conftest import City


@pytest.fixture
def account(city: City) -> dict[str, Any]:
    return city.account()


def test_the_ledger_balances(account: dict[str, Any]) -> None:
    """Promise: every fact committed at its source is handled once by each reader, or set aside with why."""
    assert account["problems"] == []
    assert account["balanced"]
    assert account["settled"]


def test_every_grant_has_a_reader_that_reads(account: dict[str, Any]) -> None:
    """Promise: nothing is shared for nothing."""
    idle = [
        f"{topic} → {group}"
        for topic, told in account["topics"].items()
        for group, reader in told["readers"].items()
        if not reader["handled"]
    ]
    assert idle == []


def test_every_reader_shows_what_each_fact_came_to(account: dict[str, Any]) -> None:
    """Promise: what a department did about every fact that it reads is in its own tables; nobody escapes."""
    effects = {
        (topic, group): reader["effects"]
        for topic, told in account["topics"].items()
        for group, reader in told["readers"].items()
    }
    assert [way for way, count in effects.items() if not count] == []
    events = {way: count for way, count in effects.items() if way[1].partition(".")[2] != "reference"}
    handled = {way: account["topics"][way[0]]["readers"][way[1]]["handled"] for way in events}
    assert events == handled


def test_every_dossier_is_somewhere(account: dict[str, Any]) -> None:
    """Promise: of each procedure it is known how many dossiers are completed, returned, waiting, or late."""
    begun = {procedure: sum(statuses.values()) for procedure, statuses in account["progress"].items()}
    topics = account["topics"]
    assert begun == {
        "birth": topics["onestop.dossier-submitted.v1"]["committed"],
        "death": topics["onestop.death-submitted.v1"]["committed"],
    }
    completed = sum(statuses["completed"] for statuses in account["progress"].values())
    # One that was completed may have been annulled since.
    assert 0 < completed <= topics["onestop.dossier-completed.v1"]["committed"]


def test_each_hop_is_timed(account: dict[str, Any]) -> None:
    """Promise: how long a fact takes to its topic, and to its effect at each reader, is measured."""
    timed = {
        name: [told, *told["readers"].values()]
        for name, told in account["topics"].items()
        if told["committed"]
    }
    unordered = [
        name
        for name, hops in timed.items()
        if not all(0 <= hop["p50_ms"] <= hop["p95_ms"] <= hop["p99_ms"] for hop in hops)
    ]
    assert unordered == []


def test_the_real_units_and_facilities_are_open(account: dict[str, Any]) -> None:
    """Promise: the city's reference data is on the bus; what cannot be published is kept with its reason."""
    assert account["topics"]["science.unit.v1"]["committed"] == 126
    facilities = account["topics"]["health.facility.v1"]["committed"]
    kept = sum(
        count
        for code, count in account["intake_problems"]["health"].items()
        if code.startswith("unit-") or code in {"code-taken", "repeated", "code-repeated"}
    )
    assert facilities > 0
    assert account["fed"]["health"]["facility"] == 575
    assert facilities + kept >= 575, "each of the 575 rows is published or kept with a reason"


def test_bad_records_are_refused_by_many_rules(account: dict[str, Any]) -> None:
    """Promise: a bad record is refused where it arises, with its reason, and holds up nothing."""
    rules = {rule for told in account["topics"].values() for rule in told["refused"]}
    assert len(rules) >= 4, rules
    assert sum(account["intake_problems"]["onestop"].values()) > 0


def test_births_are_registered_where_both_halves_came(account: dict[str, Any]) -> None:
    """Promise: declare once; a birth is registered when both halves are there, in whichever order."""
    topics = account["topics"]
    registered = topics["justice.birth-registered.v1"]["committed"]
    assert (
        0
        < registered
        <= min(
            topics["health.birth-notified.v1"]["committed"],
            topics["onestop.dossier-submitted.v1"]["committed"],
        )
    )
    assert registered >= 0.9 * topics["health.birth-notified.v1"]["committed"]
