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
