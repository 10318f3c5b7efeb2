"""The end of a dataset: announced, extended, never shortened; and what each event says of it."""

import subprocess
from datetime import date
from pathlib import Path

import orjson
import pytest
from cloudevents.core.bindings import kafka as sdk
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from lienthong.commands.contracts import _rows
from lienthong.contracts import load_contracts
from lienthong.contracts.end_of_life import PLACE, end_findings
from lienthong.contracts.release import release
from lienthong.errors import ContractsNotSound
from lienthong.event import to_headers
from lienthong.gate import Gate
from lienthong.overlap import announcements
from tests.unit.birth import raw_event
from tests.unit.contract_city import INSPECTION, City
from tests.unit.contract_city.majors import add_second_major

FIRST = "trade.market-inspected.v1"
TODAY = date(2026, 3, 1)


@pytest.fixture
def city(tmp_path: Path) -> City:
    """A city that has announced the end of a first major, and released."""
    city = City.found(tmp_path)
    add_second_major(city)
    release(city.root)
    return city


def ends(city: City) -> dict[str, str]:
    found: dict[str, str] = orjson.loads((city.root / PLACE).read_bytes())
    return found


def test_a_release_writes_down_what_was_announced(city: City) -> None:
    assert ends(city) == {FIRST: "2099-06-30"}
    assert city.findings() == []


def test_an_end_may_be_extended(city: City) -> None:
    city.spoil(INSPECTION, "2099-06-30", "2099-12-31")
    assert city.findings() == []
    release(city.root)
    assert ends(city) == {FIRST: "2099-12-31"}


def test_an_end_is_never_shortened(city: City) -> None:
    city.spoil(INSPECTION, "2099-06-30", "2099-06-29")
    (finding,) = city.findings()
    assert finding.rule == "end-of-life"
    assert "announced until 2099-06-30, and now ends on 2099-06-29" in finding.message
    with pytest.raises(ContractsNotSound, match="never shortened"):
        release(city.root)
    assert ends(city) == {FIRST: "2099-06-30"}


def test_an_end_that_was_taken_back_is_no_way_to_a_sooner_one(city: City) -> None:
    city.spoil(INSPECTION, '  - {property: endOfLife, value: "2099-06-30"}\n', "")
    release(city.root)
    city.spoil(
        INSPECTION, "slaProperties:\n", 'slaProperties:\n  - {property: endOfLife, value: "2030-01-01"}\n'
    )
    assert [finding.rule for finding in city.findings()] == ["end-of-life"]


def test_a_dataset_is_not_retired_before_its_last_day_is_over(city: City) -> None:
    city.spoil(INSPECTION, "status: active", "status: retired")
    contracts = load_contracts(city.root)
    assert "promised until 2099-06-30" in end_findings(contracts, date(2099, 6, 30))[0].message
    assert end_findings(contracts, date(2099, 7, 1)) == []


def test_a_dataset_is_not_retired_by_forgetting_its_end(city: City) -> None:
    city.spoil(INSPECTION, "status: active", "status: retired")
    city.spoil(INSPECTION, '  - {property: endOfLife, value: "2099-06-30"}\n', "")
    assert "now says no end" in end_findings(load_contracts(city.root), TODAY)[0].message


@pytest.mark.parametrize("spoilt", [b"", b"[]", b'{"trade.market-inspected.v1": "soon"}', b"\xff"])
def test_a_spoilt_list_of_ends_is_named(city: City, spoilt: bytes) -> None:
    (city.root / PLACE).write_bytes(spoilt)
    assert [finding.file for finding in city.findings()] == [PLACE]


def test_each_event_says_that_its_topic_ends_when_and_what_comes_after(city: City) -> None:
    gate = Gate.load(city.root / "schemas")
    announced = announcements(load_contracts(city.root), gate)
    assert announced.keys() == {FIRST}
    assert dict(announced[FIRST]) == {
        "ce_deprecated": b"true",
        "ce_deprecationsunset": b"2099-06-30T23:59:59+07:00",
        "ce_deprecationmigration": b"urn:vn.gov.hanoi:trade:market-inspected:2.0.0",
    }


def test_the_end_and_what_comes_after_are_in_the_list_of_contracts(city: City) -> None:
    rows = {row["topic"]: row for row in _rows(load_contracts(city.root))}
    assert rows[FIRST]["end_of_life"] == "2099-06-30"
    assert rows["trade.market-inspected.v2"]["continues"] == FIRST


def test_the_cloudevents_sdk_reads_what_is_announced(city: City) -> None:
    announced = announcements(load_contracts(city.root), Gate.load(city.root / "schemas"))[FIRST]
    record = sdk.KafkaMessage(
        headers=dict([*to_headers(raw_event()), *announced]),
        key=b"01020-2025-000731",
        value=raw_event().value,
    )
    read = sdk.from_kafka(record, JSONFormat(), CloudEvent)
    assert read.get_extension("deprecated") == "true"
    assert read.get_extension("deprecationsunset") == "2099-06-30T23:59:59+07:00"


def test_no_announced_end_was_ever_shortened_in_the_history(repository: Path) -> None:
    commits = subprocess.run(
        ["git", "log", "--reverse", "--format=%H", "--", PLACE.as_posix()],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    before: dict[str, str] = {}
    shortened = []
    for commit in commits:
        shown = subprocess.run(
            ["git", "show", f"{commit}:{PLACE.as_posix()}"], cwd=repository, capture_output=True, check=False
        )
        now = orjson.loads(shown.stdout or b"{}")
        shortened += [(commit, topic) for topic in before if now.get(topic, "") < before[topic]]
        before = now
    assert shortened == []
