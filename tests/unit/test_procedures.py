"""A procedure is what the contracts say together: its facts in order, who reads them, what stands on what."""

from pathlib import Path
from typing import Any

import pytest

from lienthong.contracts import Contracts, load_contracts
from lienthong.contracts.release import release
from lienthong.procedures import Procedure, derive
from lienthong.procedures.page import PAGE, procedures_page
from tests.unit.contract_city import City
from tests.unit.contract_city.procedures import REOPENED, SPOILED_PROCEDURES, with_procedure

ROOT = Path(__file__).parents[2]
SUBMITTED, REGISTERED = "onestop.dossier-submitted.v1", "justice.birth-registered.v1"
NUMBERED, ISSUED = "police.person-numbered.v1", "insurance.card-issued.v1"


@pytest.fixture(scope="module")
def contracts() -> Contracts:
    return load_contracts(ROOT)


@pytest.fixture(scope="module")
def procedures(contracts: Contracts) -> dict[str, Procedure]:
    return derive(contracts)


@pytest.fixture
def city(tmp_path: Path) -> City:
    return with_procedure(City.found(tmp_path))


def test_each_procedure_has_its_steps_with_their_legal_terms(procedures):
    told = {
        code: {
            fact.step.name: (fact.department, fact.step.working_days)
            for fact in procedure.steps
            if fact.step is not None
        }
        for code, procedure in procedures.items()
    }

    assert told == {
        "birth": {
            "birth-registration": ("justice", 1),
            "health-insurance-card": ("insurance", 5),
            "residence-registration": ("police", 7),
        },
        "death": {
            "death-registration": ("justice", 1),
            "card-closing": ("insurance", 5),
            "residence-closing": ("police", 7),
        },
    }


def test_what_a_step_stands_on_follows_from_who_reads_what(procedures):
    birth = procedures["birth"]

    assert birth.fact(REGISTERED).after == ("health.birth-notified.v1", SUBMITTED)
    assert birth.fact(NUMBERED).after == (REGISTERED,)
    assert birth.fact(ISSUED).after == (NUMBERED,)
    assert procedures["death"].fact("insurance.card-closed.v1").after == ("justice.death-registered.v1",)


def test_facts_come_in_the_order_in_which_they_stand_on_each_other(procedures):
    for procedure in procedures.values():
        place = {fact.topic: number for number, fact in enumerate(procedure.facts)}
        wrong = [
            (topic, fact.topic)
            for fact in procedure.facts
            for topic in fact.after
            if place[topic] >= place[fact.topic]
        ]
        assert wrong == []
        assert procedure.facts[0].part == "opens"


def test_a_reader_for_another_purpose_is_not_part_of_the_procedure(procedures):
    registered = procedures["birth"].fact(REGISTERED)

    assert not registered.is_read_by("education")
    assert {one.grant.department for one in registered.readers} == {"onestop", "police", "education"}


def test_a_fact_may_be_one_thing_to_one_procedure_and_another_to_the_next(procedures):
    assert procedures["death"].fact("police.residence-closed.v1").part == "step"
    assert procedures["birth"].fact("police.residence-closed.v1").part == "undoes"


def test_the_page_is_what_the_contracts_give(contracts):
    """Run `lienthong release` where this fails."""
    assert (ROOT / PAGE).read_text(encoding="utf-8") == procedures_page(contracts)


def test_the_page_names_every_fact_reader_purpose_and_field_of_every_procedure(contracts, procedures):
    page = procedures_page(contracts)
    words = {
        word
        for procedure in procedures.values()
        for fact in procedure.facts
        for reader in fact.readers
        for word in (
            f"| `{fact.topic}` | {contracts.departments[reader.grant.department].name} |",
            f"| {reader.grant.purpose}",
            f"| {', '.join(reader.grant.fields)} | {reader.grant.legal_basis} | {reader.grant.until} |",
        )
    }

    assert [word for word in sorted(words) if word not in page] == []


def test_every_drawing_says_in_words_what_it_shows(contracts):
    page = procedures_page(contracts)

    assert page.count("accTitle:") == page.count("accDescr:") == page.count("```mermaid") == 2
    assert "health-)justice: Giấy chứng sinh [birth-registration]" in page
    assert "onestop-)justice: Hồ sơ khai tử đã nộp [death-registration]" in page


def test_a_city_without_procedures_has_no_page(tmp_path):
    assert procedures_page(load_contracts(City.found(tmp_path).root)) is None


def test_release_writes_the_page_where_there_are_documents_and_then_nothing_is_due(city):
    assert release(city.root).pages == ()
    (city.root / "docs").mkdir()

    assert release(city.root, write=False).pages == (PAGE,)
    assert not (city.root / PAGE).exists()
    assert release(city.root).pages == (PAGE,)
    assert release(city.root, write=False).pages == ()
    assert "science" in (city.root / PAGE).read_text(encoding="utf-8")


def test_the_class_of_a_fact_that_ends_a_step_carries_its_legal_term(city):
    city.spoil(REOPENED, "label: Mở lại chợ", f"label: Mở lại {'chợ ' * 25}chợ")
    release(city.root)
    source = (city.root / "services/science/events.py").read_text(encoding="utf-8")
    found: dict[str, Any] = {}
    exec(compile(source, "events.py", "exec", dont_inherit=True), found)

    steps = {name: fact.STEP for name, fact in found["READS"].items()}
    assert steps.pop("trade.market-reopened.v1")[:2] == ("inspection", "reopening")
    assert found["MarketReopened"].STEP.working_days == 3
    assert set(steps.values()) == {None}


def test_a_city_with_a_procedure_is_sound(city):
    assert city.findings() == []


@pytest.mark.parametrize(
    ("file", "old", "new", "rule", "word"), SPOILED_PROCEDURES.values(), ids=SPOILED_PROCEDURES.keys()
)
def test_what_is_wrong_with_a_procedure_is_found_in_its_file_with_its_line(city, file, old, new, rule, word):
    city.spoil(file, old, new)
    findings = [finding for finding in city.findings() if finding.rule == rule]

    assert any(finding.file.as_posix() == file and word in finding.message for finding in findings), [
        str(finding) for finding in city.findings()
    ]
    assert all(finding.remedy and finding.line > 1 for finding in findings)
