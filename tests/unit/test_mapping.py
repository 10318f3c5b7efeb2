"""A newer major's facts told in the former one's words: what a mapping must give, and what it makes."""

from datetime import date
from pathlib import Path

import pytest

from lienthong.contracts import load_contracts
from lienthong.contracts.contract import Derivation, Field
from lienthong.contracts.mapping import Translation
from lienthong.contracts.mapping_bounds import wider
from lienthong.errors import ContractsNotSound
from tests.unit.contract_city import INSPECTION, MARKET, City
from tests.unit.contract_city.majors import END, SECOND, SECOND_EXAMPLES, add_second_major

FACT = {
    "inspection_id": "2025-000017",
    "market_code": "0042",
    "began_at": "2025-11-14T23:30:00+07:00",
    "finding": {"verdict": "grave"},
    "due_on": "2025-12-01",
    "area_ha": 0.01205,
    "stalls": [{"stall_number": "A12", "faults": 2}],
    "inspector": {"family_name": "Nguyễn Văn", "given_name": "Mẫu"},
}
VERDICT = "        - {field: verdict, from: finding/verdict, codes: {grave: unsound}}\n"


@pytest.fixture
def city(tmp_path: Path) -> City:
    city = City.found(tmp_path)
    add_second_major(city)
    return city


def translation(city: City) -> Translation:
    contracts = load_contracts(city.root).contracts
    return Translation(contracts["trade.market-inspected.v2"], contracts["trade.market-inspected.v1"])


def told(city: City) -> str:
    return " ".join(finding.message for finding in city.findings())


def test_two_majors_with_a_mapping_and_an_end_are_sound(city: City) -> None:
    assert city.findings() == []


def test_a_fact_is_told_in_the_former_majors_words(city: City) -> None:
    assert translation(city).data(FACT) == {
        "inspection_id": "2025-000017",
        "market_code": "0042",
        "began_at": "2025-11-14T23:30:00+07:00",
        "verdict": "unsound",
        "due_on": "2025-12-01",
        "area_m2": 120.5,
        "stalls": [{"stall_number": "A12", "faults": 2}],
        "inspector": {"full_name": "Nguyễn Văn Mẫu"},
    }


def test_what_is_absent_stays_absent(city: City) -> None:
    fact = {name: value for name, value in FACT.items() if name not in {"area_ha", "due_on"}}
    assert translation(city).data(fact).keys().isdisjoint({"area_m2", "due_on"})


def test_what_is_absent_is_given_by_otherwise(city: City) -> None:
    city.spoil(SECOND, "times: 10000", "times: 10000, otherwise: 1")
    fact = {name: value for name, value in FACT.items() if name != "area_ha"}
    assert translation(city).data(fact)["area_m2"] == 1


def test_a_constant_needs_no_source(city: City) -> None:
    city.spoil(SECOND, VERDICT, "        - {field: verdict, value: sound}\n")
    assert translation(city).data(FACT)["verdict"] == "sound"


def test_a_day_is_taken_from_an_instant_as_it_is_in_the_city(city: City) -> None:
    city.spoil(SECOND, VERDICT, f"{VERDICT}        - {{field: due_on, from: began_at}}\n")
    assert translation(city).data(FACT | {"began_at": "2025-11-14T18:30:00Z"})["due_on"] == "2025-11-15"


def test_a_mapping_that_loses_a_required_field_is_refused_with_what_to_do(city: City) -> None:
    line = city.spoil(SECOND, VERDICT, "")
    findings = [finding for finding in city.findings() if finding.rule == "mapping"]
    assert [finding.line for finding in findings] == [line - 1]
    assert "`verdict` is required in trade.market-inspected.v1" in findings[0].message
    assert "its readers would lose it" in findings[0].message
    assert "{field: verdict, from: …}" in findings[0].remedy
    with pytest.raises(ContractsNotSound, match="its readers would lose it"):
        load_contracts(city.root)


SPOILED = {
    "a required field from an optional one": (
        "from: finding/verdict, codes: {grave: unsound}}",
        "from: due_on}",
        "`verdict` is required",
    ),
    "another type": ("from: finding/verdict, codes: {grave: unsound}", "from: area_ha", "is of type number"),
    "a code that the former has not": (", codes: {grave: unsound}", "", "no code for grave"),
    "a translation of no code": ("{grave: unsound}", "{grave: unsound, odd: sound}", "odd, which is no code"),
    "a translation into no code": ("{grave: unsound}", "{grave: odd}", "no code for grave"),
    "a translation of no text": ("times: 10000", "codes: {grave: sound}", "only codes can be translated"),
    "a text where a code is asked": (
        "from: finding/verdict, codes: {grave: unsound}",
        "from: market_code",
        "any text may stand in it",
    ),
    "a personal value in a public field": (
        "from: finding/verdict, codes: {grave: unsound}",
        "from: inspector/given_name",
        "it is personal, and the former field only public",
    ),
    "a number out of bounds": ("times: 10000", "times: 100000", "values above 100000 are allowed"),
    "a multiplied text": ("codes: {grave: unsound}", "times: 2", "only numbers can be multiplied"),
    "joined numbers": (
        "from: [inspector/family_name, inspector/given_name]",
        "from: [area_ha, area_ha]",
        "only texts can be joined",
    ),
    "a text that is too long": ("maxLength: 59", "maxLength: 60", "texts of up to 121 characters"),
    "a field that is not there": ("field: area_m2", "field: area", "`area` is no field of"),
    "a source that is not there": ("from: area_ha", "from: area", "`area` is no field of"),
    "a line without a source": (
        "from: finding/verdict, codes: {grave: unsound}",
        "codes: {grave: unsound}",
        "needs either `from` or `value`",
    ),
    "a line with source and value": ("from: area_ha", "from: area_ha, value: 3", "needs either"),
    "a value that the field refuses": (
        "times: 10000",
        "times: 10000, otherwise: 0.5",
        "a value that its own field refuses",
    ),
    "a field derived twice": (VERDICT, VERDICT * 2, "`verdict` is derived twice"),
    "another event": ("topic: trade.market-inspected.v1", "topic: trade.market.v1", "no former major"),
    "no contract": ("topic: trade.market-inspected.v1", "topic: trade.market-inspected.v9", "no contract"),
    "no topic": ("topic: trade.market-inspected.v1", "topic: nonsense", "no contract"),
    "a junk key": ("times: 10000", "scaled: 10000", "`scaled`"),
}


@pytest.mark.parametrize(("old", "new", "words"), SPOILED.values(), ids=SPOILED.keys())
def test_a_mapping_that_cannot_be_kept_is_refused(city: City, old: str, new: str, words: str) -> None:
    city.spoil(SECOND, old, new)
    assert words in told(city)


def test_a_list_that_may_be_longer_is_refused(city: City) -> None:
    city.spoil(SECOND, "maxItems: 50", "maxItems: 51")
    assert "`stalls`: lists of more than 50 are allowed" in told(city)


def test_what_a_list_holds_must_fit_too(city: City) -> None:
    city.spoil(SECOND, "{minimum: 0, maximum: 99}", "{minimum: 0, maximum: 100}")
    assert "`stalls/*/faults`: values above 99 are allowed" in told(city)
    city.spoil(SECOND, "            - name: faults", "            - name: fault_count")
    assert "`stalls/*/faults` is required" in told(city)


def test_a_state_is_not_continued_by_an_event(city: City) -> None:
    city.spoil(SECOND, "{property: partitions, value: 3}", "{property: kind, value: state}")
    assert "is a state, the other is not" in told(city)


def test_the_valid_examples_are_asked_of_the_former_majors_gate_too(city: City) -> None:
    city.spoil(SECOND, 'data.finding.verdict == "sound" || has(data.due_on)', "data.stalls.size() > 0")
    assert city.findings() == []
    city.spoil(SECOND_EXAMPLES, '      due_on: "2025-12-01"\n', "")
    (finding,) = city.findings()
    assert (finding.rule, finding.file.as_posix()) == ("mapping-example", SECOND_EXAMPLES)
    assert "trade.market-inspected.v1, is refused there" in finding.message


def test_a_major_that_is_followed_by_another_needs_an_end_and_the_other_a_mapping(city: City) -> None:
    city.spoil(INSPECTION, END, "")
    text = city.read(SECOND)
    begin = text.index("  - property: continues")
    city.write(SECOND, text[:begin] + text[text.index("  - {property: partitions") :])
    findings = {finding.file.as_posix(): finding.message for finding in city.findings()}
    assert "has no end, although trade.market-inspected.v2 is in force" in findings[INSPECTION]
    assert "nothing says how its readers get these facts" in findings[SECOND]


def test_three_majors_are_not_in_force_at_once(city: City) -> None:
    text = city.read(SECOND).replace("market-inspected.v1", "market-inspected.v2")
    third = text.replace("id: trade.market-inspected.v2", "id: trade.market-inspected.v3")
    third = third.replace(
        "physicalName: trade.market-inspected.v2", "physicalName: trade.market-inspected.v3"
    )
    begin, end = third.index("      mapping:\n"), third.index("  - {property: partitions")
    third = (third[:begin] + third[end:]).replace("version: 2.0.0", "version: 3.0.0")
    city.write(SECOND.replace(".v2", ".v3"), third)
    city.write(SECOND_EXAMPLES.replace(".v2", ".v3"), city.read(SECOND_EXAMPLES))
    city.write(SECOND, city.read(SECOND).replace("slaProperties:\n", f"slaProperties:\n{END}"))
    assert "three majors at once" in told(city)
    city.spoil(INSPECTION, "status: active", "status: retired")
    city.spoil(INSPECTION, END, END.replace("2099", "2020"))
    assert "three majors at once" not in told(city)


def test_the_key_of_a_retracted_state_is_told_too(tmp_path: Path) -> None:
    city = City.found(tmp_path)
    for ending in (".yaml", ".examples.yaml"):
        file = MARKET.replace(".yaml", ending)
        city.write(file.replace(".v1", ".v2"), city.read(file).replace("market.v1", "market.v2"))
    continued = "customProperties:\n  - {property: continues, value: {topic: trade.market.v1}}\n"
    second = MARKET.replace(".v1", ".v2")
    city.spoil(second, "customProperties:\n", continued)
    city.spoil(second, "version: 1.0.0", "version: 2.0.0")
    city.spoil(MARKET, "slaProperties:\n", f"slaProperties:\n{END}")
    assert city.findings() == []
    contracts = load_contracts(city.root).contracts
    made = Translation(contracts["trade.market.v2"], contracts["trade.market.v1"])
    assert made.key("0042") == "0042"
    city.spoil(
        second,
        "{topic: trade.market.v1}",
        "{topic: trade.market.v1, mapping: [{field: market_code, from: name}]}",
    )
    assert "a retraction would not find its state" in told(city)


def test_the_end_is_read(city: City) -> None:
    contracts = load_contracts(city.root).contracts
    assert contracts["trade.market-inspected.v1"].end_of_life == date(2099, 6, 30)
    assert contracts["trade.market-inspected.v2"].end_of_life is None


def test_an_end_is_a_day_that_exists(city: City) -> None:
    city.spoil(INSPECTION, "2099-06-30", "2099-06-31")
    assert "a day that does not exist" in told(city)


def number(**options: float) -> Field:
    return Field("n", "n", "n", "number", required=True, classification="public", options=options)


@pytest.mark.parametrize(
    ("old", "new", "times", "is_wider"),
    [
        ({"minimum": 1}, {"minimum": 1}, None, False),
        ({"minimum": 1}, {"exclusiveMinimum": 1}, None, False),
        ({"exclusiveMinimum": 1}, {"minimum": 1}, None, True),
        ({"exclusiveMaximum": 9}, {"maximum": 9}, None, True),
        ({"maximum": 9}, {"exclusiveMaximum": 9}, None, False),
        ({"maximum": 9}, {"maximum": 0.9}, 10.0, False),
        ({"maximum": 9}, {"maximum": 0.91}, 10.0, True),
        ({"maximum": 9}, {}, None, True),
        ({}, {"maximum": 9}, None, False),
    ],
)
def test_bounds_are_compared_to_the_hair(old: dict, new: dict, times: float | None, is_wider: bool) -> None:
    assert bool(wider(number(**old), [number(**new)], Derivation("n", ("n",), times=times))) is is_wider
