"""While two majors run side by side: a fact is told on both topics, or on neither."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lienthong import Department, Event, NotValid, Refused
from lienthong.contracts import load_contracts
from lienthong.contracts.contract import Continuation, Opening
from lienthong.contracts.release import release
from lienthong.event import read_record, to_headers
from lienthong.gate import Gate
from lienthong.overlap import Overlaps
from lienthong.procedures.procedure import derive
from lienthong.service import grant_readings
from tests.paper import contract, contracts, grant
from tests.unit.contract_city import INSPECTION, City
from tests.unit.contract_city.majors import END, SECOND, add_second_major
from tests.unit.test_mapping import FACT

FIRST, NEWER = "trade.market-inspected.v1", "trade.market-inspected.v2"
NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


class Pages:
    """A connection that remembers the rows written to the outbox, statement by statement."""

    def __init__(self) -> None:
        self.statements: list[list[tuple[Any, ...]]] = []

    async def execute(self, _sql: str, *values: Any) -> None:
        self.statements.append([values])

    async def executemany(self, _sql: str, rows: list[tuple[Any, ...]]) -> None:
        self.statements.append(rows)

    async def fetch(self, *_: Any) -> list[Any]:
        """Find no code that is unknown."""
        return []


class Told:
    """Refusals that are remembered here instead of published."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def tell(self, topic: str, _event_id: str, _refusal: Refused) -> None:
        self.heard.append(topic)


def trade(city: City, told: Any = None) -> Department:
    release(city.root)
    department = Department("trade", clock=lambda: NOW)
    overlaps = Overlaps.of(load_contracts(city.root))
    department.open(Gate.load(city.root / "schemas"), lambda: None, told, overlaps)
    return department


@pytest.fixture
def city(tmp_path: Path) -> City:
    city = City.found(tmp_path)
    add_second_major(city)
    return city


async def test_a_fact_is_written_for_both_topics_in_one_statement(city: City) -> None:
    db: Any = Pages()
    event_id = await trade(city).publish(db, FACT, topic=NEWER, happened_at=NOW)
    ((newer, former),) = db.statements
    assert (newer[1], former[1]) == (NEWER, FIRST)
    assert str(newer[0]) == event_id != str(former[0])
    assert newer[10] == former[10] == event_id, "one correlation"
    assert (newer[14], former[14]) == (str(former[0]), str(newer[0])), "each names the other"
    assert former[9] == "urn:vn.gov.hanoi:trade:market-inspected:1.0.0"
    assert (former[5], former[7], former[8], former[2]) == (newer[5], newer[7], newer[8], newer[2])


async def test_what_the_former_major_refuses_is_published_on_neither(city: City) -> None:
    city.spoil(SECOND, 'data.finding.verdict == "sound" || has(data.due_on)', "data.stalls.size() > 0")
    db, told = Pages(), Told()
    fact = {name: value for name, value in FACT.items() if name != "due_on"}
    nowhere: Any = db
    with pytest.raises(NotValid) as refusal:
        await trade(city, told).publish(nowhere, fact, topic=NEWER)
    assert (db.statements, told.heard) == ([], [NEWER])
    assert "against schema 1.0.0 of trade.market-inspected.v1, to which it is mapped" in str(refusal.value)
    assert [problem.path for problem in refusal.value.problems] == ["/verdict"]


async def test_what_the_newer_major_refuses_is_published_on_neither(city: City) -> None:
    db: Any = Pages()
    with pytest.raises(NotValid):
        await trade(city).publish(db, FACT | {"market_code": "x"}, topic=NEWER)
    assert db.statements == []


async def test_a_fact_is_not_published_on_the_former_topic_alone(city: City) -> None:
    db: Any = Pages()
    with pytest.raises(Refused, match=f"Publish on {NEWER}"):
        await trade(city).publish(db, {"inspection_id": "2025-000017"}, topic=FIRST)
    assert db.statements == []


@pytest.mark.parametrize("status", ["retired", "draft"])
async def test_a_former_major_that_is_not_in_force_is_told_nothing(city: City, status: str) -> None:
    department = trade(city)
    city.spoil(INSPECTION, "status: active", f"status: {status}")
    city.spoil(INSPECTION, END, END.replace("2099", "2020"))
    overlaps = Overlaps.of(load_contracts(city.root))
    department.open(Gate.load(city.root / "schemas"), lambda: None, None, overlaps)
    db: Any = Pages()
    await department.publish(db, FACT, topic=NEWER)
    (((_, topic, *_),),) = db.statements
    assert topic == NEWER


async def test_a_draft_of_a_newer_major_changes_nothing(city: City) -> None:
    city.spoil(SECOND, "status: active", "status: draft")
    assert Overlaps.of(load_contracts(city.root)).by_newer == {}


def test_the_sibling_is_named_in_the_record_and_read_again() -> None:
    from tests.unit.birth import raw_event

    event = raw_event()._replace(sibling_id="0199a1b2-0000-7000-8000-000000000009")
    headers = to_headers(event)
    assert ("ce_siblingid", b"0199a1b2-0000-7000-8000-000000000009") in headers
    read = read_record("t", 0, 0, 0, event.key.encode(), event.value, headers)
    assert read.sibling_id == event.sibling_id
    assert (
        read_record("t", 0, 0, 0, event.key.encode(), event.value, to_headers(raw_event())).sibling_id is None
    )


def test_a_copy_of_a_state_is_not_gone_over(city: City) -> None:
    release(city.root)
    science = Department("science")
    science.keeps(NEWER, purpose="market-watch")
    known = load_contracts(city.root)
    (reading,) = grant_readings(science, known)["science.market-watch"].values()
    assert reading.former is None
    reader = Department("science")
    reader.reads(NEWER, purpose="market-watch")(nothing)
    (reading,) = grant_readings(reader, known)["science.market-watch"].values()
    assert (reading.former, reading.reads_former) == (FIRST, True)


async def nothing(event: Event[dict[str, Any]]) -> None:
    """Handle an event by doing nothing."""


def test_a_procedure_is_told_once_from_the_former_major_which_has_every_fact() -> None:
    opening = Opening("birth", "Khai sinh", "Birth", "Nghị định 63/2024", "number_id", "submitted_at")
    first = contract("onestop.dossier-submitted.v1", opens=opening, grants=[grant("justice", "registration")])
    newer = contract(
        "onestop.dossier-submitted.v2",
        opens=opening,
        grants=[grant("justice", "registration"), grant("police", "numbering")],
        continues=Continuation(first.topic),
    )
    (fact,) = derive(contracts(first, newer))["birth"].facts
    assert fact.topic == "onestop.dossier-submitted.v1"
    assert [reader.grant.department for reader in fact.readers] == ["justice", "police"]
    (fact,) = derive(contracts(replace(first, status="retired"), newer))["birth"].facts
    assert fact.topic == "onestop.dossier-submitted.v2"
