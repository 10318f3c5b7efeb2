"""Every house rule of a contract: what breaks it is found, with its line and what to do."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lienthong.contracts import load_contracts
from lienthong.contracts.document import Document, read_document
from lienthong.contracts.folder import read_folder
from lienthong.contracts.house import odcs_findings
from lienthong.contracts.load import build_contracts
from lienthong.contracts.soundness import soundness_findings
from lienthong.errors import ContractsNotSound
from tests.unit.contract_city import (
    FILES,
    INSPECTION,
    INSPECTION_EXAMPLES,
    MARKET,
    MARKET_EXAMPLES,
    TRADE,
    City,
)
from tests.unit.contract_city.spoiled import SPOILED


@pytest.fixture
def city(tmp_path: Path) -> City:
    return City.found(tmp_path)


def test_a_sound_city_has_no_findings(city: City) -> None:
    assert city.findings() == []


@pytest.mark.parametrize(("file", "old", "new", "rule", "word"), SPOILED.values(), ids=SPOILED.keys())
def test_what_breaks_a_rule_is_found_in_its_file_with_a_remedy(
    city: City, file: str, old: str, new: str, rule: str, word: str
) -> None:
    city.spoil(file, old, new)
    findings = [finding for finding in city.findings() if finding.rule == rule]
    told = [str(finding) for finding in findings]
    assert any(finding.file.as_posix() == file and word in finding.message for finding in findings), (
        told or city.findings()
    )
    assert all(finding.remedy for finding in findings)


def test_a_finding_names_the_line_of_the_field_it_is_about(city: City) -> None:
    line = city.spoil(INSPECTION, "{minimum: 1, maximum: 100000}", "{minimum: 1}")
    assert [(finding.rule, finding.line) for finding in city.findings()] == [("bounds", line)]


def test_a_junk_key_is_found_at_every_level_of_every_file_and_all_at_once(city: City) -> None:
    expected = 0
    for file in FILES:
        data = load(city, file).data
        for mapping in list(iter_mappings(data, file)):
            mapping["junk"] = 1
            expected += 1
        city.write(file, json.dumps(data, ensure_ascii=False, indent=1))
    found = [finding for finding in city.findings() if finding.rule == "unknown-key"]
    assert expected >= 60
    assert len(found) == expected
    assert all("`junk`" in finding.message for finding in found)
    lines = {(finding.file, finding.line) for finding in found}
    assert len(lines) == expected


def test_a_junk_key_inside_an_examples_data_is_refused_by_the_gate(city: City) -> None:
    city.spoil(MARKET_EXAMPLES, 'market_code: "0042"', 'junk: 1, market_code: "0042"')
    assert ["/junk" in finding.message for finding in city.findings()] == [True]


def test_every_problem_of_every_file_is_told_at_once(city: City) -> None:
    for name in (
        "a pattern that explodes",
        "no legal basis",
        "no owner",
        "a promise of nothing",
        "a card with junk",
    ):
        file, old, new, _, _ = SPOILED[name]
        city.spoil(file, old, new)
    assert {"pattern", "grant", "missing-key", "form", "unknown-key"} <= city.rules()


def test_a_flaw_in_one_contract_does_not_hide_the_examples_of_another(city: City) -> None:
    city.spoil(INSPECTION, "maxItems: 50", "maxItem: 50")
    city.spoil(MARKET_EXAMPLES, 'market_code: "42"', 'market_code: "0043"')
    assert {"unknown-key", "example-admitted"} <= city.rules()


def test_loading_raises_once_with_everything_that_is_wrong(city: City) -> None:
    city.spoil(INSPECTION, "maxItems: 50", "maxItem: 50")
    city.spoil(TRADE, "contact: du-lieu@trade.example\n", "")
    with pytest.raises(ContractsNotSound) as caught:
        load_contracts(city.root)
    assert {finding.rule for finding in caught.value.findings} == {"unknown-key", "bounds", "missing-key"}
    assert TRADE in str(caught.value)


def test_a_sound_city_is_loaded_with_every_promise_and_grant(city: City) -> None:
    contracts = load_contracts(city.root)
    inspected = contracts.contracts["trade.market-inspected.v1"]
    market = contracts.contracts["trade.market.v1"]
    assert (inspected.key, inspected.partitions, inspected.retention_seconds) == (
        ("inspection_id",),
        3,
        90 * 86_400,
    )
    assert (inspected.latency_seconds, inspected.max_bytes, inspected.classification) == (
        5.0,
        8192,
        "personal",
    )
    assert (market.is_state, market.partitions, market.max_bytes) == (True, 6, 65_536)
    assert inspected.contact == "du-lieu@trade.example"
    assert [(c.topic.event, g.group) for c, g in contracts.readable_by("science")] == [
        ("market-inspected", "science.market-watch")
    ]
    assert [str(contract.topic) for contract in contracts.owned_by("trade")] == [
        "trade.market.v1",
        "trade.market-inspected.v1",
    ]
    code = next(field for path, field in inspected.iter_fields() if path == "market_code")
    assert (code.reference, code.reference_field) == ("trade.market.v1", "market_code")
    assert contracts.departments["trade"].name == "Sở Công Thương"


def test_the_partition_key_is_the_record_key_where_there_is_one(city: City) -> None:
    city.spoil(INSPECTION, "        partitioned: true\n        partitionKeyPosition: 1\n", "")
    city.spoil(
        INSPECTION, '        examples: ["0042"]\n', '        examples: ["0042"]\n        partitioned: true\n'
    )
    assert load_contracts(city.root).contracts["trade.market-inspected.v1"].key == ("market_code",)


def test_an_event_whose_class_would_hide_one_that_typed_classes_need_is_found(city: City) -> None:
    for file in (MARKET, MARKET_EXAMPLES):
        renamed = (
            city.read(file).replace("market.v1", "field.v1").replace("- name: market\n", "- name: field\n")
        )
        city.write(file.replace("market.v1", "field.v1"), renamed)
    assert [finding.message.split(",")[0] for finding in city.findings()] == [
        "the event's class would be called Field"
    ]


# Files and folders.


def test_a_folder_without_contracts_says_where_to_go(tmp_path: Path) -> None:
    with pytest.raises(ContractsNotSound, match="LIENTHONG_ROOT"):
        load_contracts(tmp_path)


@pytest.mark.parametrize(
    "file",
    [
        "contracts/trade/market.yaml",
        "contracts/trade/market.v1.yml",
        "contracts/trade/Market.v1.yaml",
        "contracts/trade/market.v0.yaml",
        "contracts/trade/notes.txt",
        "contracts/stray.yaml",
        "contracts/trade/deeper/market.v1.yaml",
    ],
)
def test_a_file_nobody_reads_is_found(city: City, file: str) -> None:
    city.write(file, "a: 1\n")
    assert city.rules() == {"file-name"}


def test_a_readme_and_hidden_files_are_left_alone(city: City) -> None:
    city.write("contracts/README.md", "x")
    city.write("contracts/trade/README.md", "x")
    city.write("contracts/trade/.market.v1.yaml.swp", b"\x00")
    assert city.findings() == []


def test_a_department_with_a_capital_letter_is_found(city: City) -> None:
    city.write("contracts/Health/department.yaml", "department: Health\n")
    assert city.rules() == {"department-name"}


def test_a_department_without_a_card_is_found(city: City) -> None:
    (city.root / TRADE).unlink()
    assert city.rules() == {"department-card"}


def test_a_contract_without_examples_and_examples_without_a_contract_are_found(city: City) -> None:
    (city.root / MARKET_EXAMPLES).rename(city.root / MARKET_EXAMPLES.replace("market.v1", "market.v2"))
    assert city.rules() == {"examples-missing", "examples-stray"}


def test_a_link_out_of_the_folder_is_not_followed(
    city: City, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "market.v2.yaml"
    outside.write_text("id: x\n")
    (city.root / "contracts/trade/market.v2.yaml").symlink_to(outside)
    assert city.rules() == {"file-link"}


def test_a_contract_that_cannot_be_read_is_not_called_missing_by_those_who_refer_to_it(city: City) -> None:
    city.write(MARKET, "a: [\n")
    assert city.rules() == {"yaml"}


@pytest.mark.parametrize("text", ["", "[]\n", "just text\n", "- a\n- b\n", "1\n"])
@pytest.mark.parametrize("file", [INSPECTION, INSPECTION_EXAMPLES, TRADE])
def test_a_file_that_is_no_mapping_is_found(city: City, file: str, text: str) -> None:
    city.write(file, text)
    assert "wrong-kind" in city.rules()


WRONG = ([], {}, "x", 1, None, [{}], [None])


@pytest.mark.parametrize("file", FILES)
def test_values_of_the_wrong_kind_anywhere_are_found_or_can_be_built_from(city: City, file: str) -> None:
    document = load(city, file)
    folder = read_folder(city.root)
    documents = next(
        of for of in (folder.contracts, folder.examples, folder.cards) if document in of.values()
    )
    name = next(name for name, one in documents.items() if one == document)
    for place in iter_places(document.data):
        for wrong in WRONG:
            documents[name] = replace(document, data=replaced(document.data, place, wrong))
            if not list(soundness_findings(folder)):
                build_contracts(folder)


def test_the_official_schema_has_a_word_of_its_own(city: City) -> None:
    document = load(city, INSPECTION)
    document.data["roles"][0]["role"] = 7
    document.data["schema"][0]["quality"][0]["dimension"] = "beauty"
    told = [finding.message for finding in odcs_findings(document, apart_from=[])]
    assert any("beauty" in message or "dimension" in message for message in told)
    assert any("role" in message for message in told)
    spoken_of = [("roles", 0, "role"), ("schema", 0)]
    assert list(odcs_findings(document, apart_from=spoken_of)) == []


def load(city: City, file: str) -> Document:
    document, findings = read_document(city.root / file, city.root)
    assert findings == []
    assert document is not None
    return document


def iter_mappings(data: Any, file: str) -> Iterator[dict[str, Any]]:
    """Walk every mapping whose keys are ours to define: all but the data of examples."""
    if isinstance(data, dict):
        yield data
        for key, value in data.items():
            if not (key == "data" and "examples" in file):
                yield from iter_mappings(value, file)
    elif isinstance(data, list):
        for value in data:
            yield from iter_mappings(value, file)


def iter_places(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Name every place in a document."""
    yield at
    steps = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, value in steps:
        yield from iter_places(value, (*at, step))


def replaced(data: Any, at: tuple[Any, ...], value: Any) -> Any:
    """Give a copy of a document with one place replaced."""
    if not at:
        return value
    copied = data.copy()
    copied[at[0]] = replaced(data[at[0]], at[1:], value)
    return copied


def test_references_that_lead_in_a_circle_are_found_once(city: City) -> None:
    city.spoil(
        MARKET,
        "        examples:",
        "        relationships:\n"
        "          - {type: foreignKey, to: "
        '"market-inspected.v1.yaml#/schema/market-inspected/properties/market_code"}\n'
        "        examples:",
    )
    city.spoil(INSPECTION, "required: true\n        classification: public", UNIQUE)
    (finding,) = [one for one in city.findings() if "circle" in one.message]
    circle = (
        "trade.market.v1#market_code → trade.market-inspected.v1#market_code → trade.market.v1#market_code"
    )
    assert finding.rule == "reference"
    assert (
        circle in finding.message
        or "trade.market-inspected.v1#market_code → trade.market.v1" in finding.message
    )


UNIQUE = "required: true\n        unique: true\n        classification: public"
