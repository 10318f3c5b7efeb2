"""A release freezes shapes and writes typed classes; what is frozen stays frozen."""

import ast
import importlib.util
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from lienthong.contracts import compatibility, json_schema, load_contracts
from lienthong.contracts.frozen import one_at_a_time, write_frozen
from lienthong.contracts.release import Released, release
from lienthong.contracts.schema import schema_bytes
from lienthong.errors import ContractsNotSound
from tests.unit.contract_city import INSPECTION, MARKET, SCIENCE, City

FROZEN = "schemas/trade/market-inspected/1.0.0.json"
TRADE_EVENTS = "services/trade/events.py"
SCIENCE_EVENTS = "services/science/events.py"


@pytest.fixture
def city(tmp_path: Path) -> City:
    return City.found(tmp_path)


def contents(city: City) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in city.root.rglob("*") if path.is_file()}


def import_events(city: City, file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"events_{abs(hash(city.root))}", city.root / file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def refusal_of(city: City) -> list[tuple[str, str]]:
    with pytest.raises(ContractsNotSound) as caught:
        release(city.root)
    return [(finding.rule, finding.message) for finding in caught.value.findings]


# Freezing.


def test_the_first_release_freezes_each_contract_and_writes_each_room(city: City) -> None:
    released = release(city.root)
    assert [path.as_posix() for path in released.schemas] == [
        FROZEN,
        "schemas/trade/market/1.0.0.json",
        "schemas/index.json",
    ]
    assert [path.as_posix() for path in released.modules] == [SCIENCE_EVENTS, TRADE_EVENTS]
    assert city.findings() == []


def test_a_second_release_has_nothing_to_do(city: City) -> None:
    release(city.root)
    before = contents(city)
    assert release(city.root) == Released((), (), unchanged=2)
    assert contents(city) == before


def test_two_cities_with_the_same_contracts_get_the_same_bytes(
    city: City, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = City.found(tmp_path_factory.mktemp("other"))
    release(city.root)
    release(other.root)
    assert {path.relative_to(city.root): raw for path, raw in contents(city).items()} == {
        path.relative_to(other.root): raw for path, raw in contents(other).items()
    }


def test_a_dry_run_writes_nothing_and_says_what_is_due(city: City) -> None:
    before = contents(city)
    released = release(city.root, write=False)
    assert [path.name for path in (*released.schemas, *released.modules)] == [
        "1.0.0.json",
        "1.0.0.json",
        "events.py",
        "events.py",
    ]
    assert contents(city) == before


def test_the_second_major_begins_at_2_0_0_and_the_first_stays(city: City) -> None:
    release(city.root)
    for ending in ("yaml", "examples.yaml"):
        text = city.read(f"contracts/trade/market.v1.{ending}")
        city.write(
            f"contracts/trade/market.v2.{ending}",
            text.replace("market.v1", "market.v2").replace("version: 1.0.0", "version: 2.0.0"),
        )
    released = release(city.root)
    assert released.schemas[0].as_posix() == "schemas/trade/market/2.0.0.json"
    assert (city.root / "schemas/trade/market/1.0.0.json").exists()
    assert import_events(city, TRADE_EVENTS).PUBLISHES.keys() == {
        "trade.market.v1",
        "trade.market.v2",
        "trade.market-inspected.v1",
    }


def test_a_draft_is_neither_frozen_nor_given_a_class(city: City) -> None:
    city.spoil(INSPECTION, "status: active", "status: draft")
    release(city.root)
    assert not (city.root / FROZEN).exists()
    assert import_events(city, SCIENCE_EVENTS).READS == {}


def test_an_unsound_contract_freezes_nothing_at_all(city: City) -> None:
    city.spoil(INSPECTION, "{minimum: 1, maximum: 100000}", "{minimum: 1}")
    before = contents(city)
    with pytest.raises(ContractsNotSound):
        release(city.root)
    assert contents(city) == before


def test_a_folder_that_may_not_be_written_is_named(city: City) -> None:
    (city.root / "schemas").write_text("in the way")
    with pytest.raises(ContractsNotSound, match="schemas"):
        release(city.root)


# A changed shape: what is refused.

NOTE = (
    "      - name: note\n        businessName: Ghi chú\n        description: Ghi chú.\n"
    "        logicalType: string\n        logicalTypeOptions: {maxLength: 9}\n"
    "        required: false\n        classification: public\n        examples: [x]\n"
    "      - name: verdict\n"
)
REFUSED = {
    "required-field-added": ("      - name: verdict\n", NOTE.replace("false", "true", 1), "/note"),
    "field-removed": ("name: area_m2", "name: floor_m2", "/area_m2"),
    "became-required": (
        "required: false\n        classification: public",
        "required: true\n        classification: public",
        "/area_m2",
    ),
    "bound-narrowed": ("maximum: 100000", "maximum: 90000", "/area_m2"),
    "text-narrowed": ("^[0-9]{4}-[0-9]{6}$", "^[0-9]{4}-[0-9]{6}[0-9]$", "/inspection_id"),
    "items-narrowed": ("{minItems: 1, maxItems: 50}", "{minItems: 1, maxItems: 40}", "/stalls"),
    "code-removed": ("          - {value: unsound, description: Không đạt}\n", "", "/verdict"),
    "code-added": (
        "          - {value: sound, description: Đạt}\n",
        "          - {value: sound, description: Đạt}\n          - {value: unknown, description: Chưa rõ}\n",
        "/verdict",
    ),
    "size-lowered": ("value: 8192", "value: 4096", "the whole"),
    "rule-added": ('data.verdict == "sound" ||', "false ||", "the whole"),
}


@pytest.mark.parametrize(("rule", "case"), REFUSED.items(), ids=REFUSED.keys())
def test_a_breaking_change_is_refused_with_path_rule_readers_remedy_and_witness(
    city: City, rule: str, case: tuple[str, str, str]
) -> None:
    release(city.root)
    city.spoil(INSPECTION, *case[:2])
    before = contents(city)
    told = [message for name, message in refusal_of(city) if name == rule]
    assert [case[2] in message for message in told] == [True]
    assert "since 1.0.0" in told[0]
    assert "so với 1.0.0" in told[0]
    assert "Witness · ví dụ" in told[0]
    assert contents(city) == before
    assert rule in city.rules()


def test_a_lowered_classification_hurts_the_person(city: City) -> None:
    city.spoil(
        INSPECTION, 'classification: internal\n        examples: ["2025-12-01"]', DUE.format("personal")
    )
    release(city.root)
    city.spoil(INSPECTION, DUE.format("personal"), DUE.format("internal"))
    ((rule, message),) = refusal_of(city)
    assert rule == "protection-lowered"
    assert "hurts the person" in message
    assert "ảnh hưởng người dân" in message


DUE = 'classification: {}\n        examples: ["2025-12-01"]'


def test_only_readers_whose_grant_lists_the_field_are_named(city: City) -> None:
    release(city.root)
    city.spoil(INSPECTION, "name: area_m2", "name: floor_m2")
    city.spoil(INSPECTION, "          - {value: sound, description: Đạt}", MORE_CODES)
    told = dict(refusal_of(city))
    assert "science" not in told["field-removed"]
    assert "science.market-watch" in told["code-added"]


MORE_CODES = (
    "          - {value: sound, description: Đạt}\n          - {value: unknown, description: Chưa rõ}"
)


def test_a_refusal_names_the_line_of_the_field(city: City) -> None:
    release(city.root)
    line = city.spoil(INSPECTION, "maximum: 100000", "maximum: 90000")
    (finding,) = city.findings()
    assert line - 5 <= finding.line <= line


def test_all_changes_of_a_shape_are_told_at_once(city: City) -> None:
    release(city.root)
    city.spoil(INSPECTION, "maximum: 100000", "maximum: 90000")
    city.spoil(INSPECTION, "{minItems: 1, maxItems: 50}", "{minItems: 1, maxItems: 40}")
    assert [rule for rule, _ in refusal_of(city)] == ["bound-narrowed", "items-narrowed"]


# A changed shape: what takes a new version.

MINOR = {
    "an optional field": ("      - name: verdict\n", NOTE, "field-added"),
    "a wider bound": ("maximum: 100000", "maximum: 200000", "bound-widened"),
    "a wider pattern": ("^[0-9]{4}-[0-9]{6}$", "^[0-9]{4}-[0-9]{6,7}$", "text-widened"),
    "a longer list": ("{minItems: 1, maxItems: 50}", "{minItems: 1, maxItems: 60}", "items-widened"),
    "more protection": (DUE.format("internal"), DUE.format("personal"), "protection-raised"),
    "more bytes": ("value: 8192", "value: 16384", "size-raised"),
}


@pytest.mark.parametrize(("old", "new", "rule"), MINOR.values(), ids=MINOR.keys())
def test_what_hurts_nobody_takes_a_minor_version(city: City, old: str, new: str, rule: str) -> None:
    release(city.root)
    city.spoil(INSPECTION, old, new)
    released = release(city.root)
    assert released.schemas[0].as_posix() == "schemas/trade/market-inspected/1.1.0.json"
    assert [(verdict.version, {one.rule for one in verdict.changes}) for verdict in released.verdicts] == [
        ("1.1.0", {rule})
    ]
    assert import_events(city, TRADE_EVENTS).MarketInspected.SCHEMA_VERSION == "1.1.0"
    assert (city.root / FROZEN).exists()
    assert city.findings() == []
    assert release(city.root).schemas == ()


def test_versions_go_on_from_the_newest_one(city: City) -> None:
    release(city.root)
    for value in ("200000", "300000"):
        text = city.read(INSPECTION)
        city.write(
            INSPECTION, text.replace("maximum: 100000", f"maximum: {value}").replace("200000}", f"{value}}}")
        )
        release(city.root)
    city.spoil(INSPECTION, "businessName: Kết luận", "businessName: Kết luận của đoàn")
    assert [one.version for one in release(city.root).verdicts] == ["1.2.1"]
    city.spoil(INSPECTION, "maximum: 300000", "maximum: 100000")
    assert [rule for rule, _ in refusal_of(city)] == ["bound-narrowed"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("businessName: Kết luận", "businessName: Kết luận của đoàn"),
        ("description: Kết luận của đoàn", "description: Kết luận sau cùng của đoàn"),
        ("description: Không đạt}", "description: Chưa đạt}"),
        ("purpose: Kết quả", "purpose: Mọi kết quả"),
        ("name: Chợ đã được kiểm tra", "name: Chợ đã kiểm tra"),
        ("description: Không đạt thì", "description: Chợ không đạt thì"),
    ],
)
def test_words_take_a_patch_version(city: City, old: str, new: str) -> None:
    release(city.root)
    city.spoil(INSPECTION, old, new)
    released = release(city.root)
    assert released.schemas[0].as_posix() == "schemas/trade/market-inspected/1.0.1.json"
    assert city.findings() == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("property: latency, value: 5", "property: latency, value: 4"), ("stalls, due_on]", "due_on]")],
)
def test_promises_and_grants_take_no_version(city: City, old: str, new: str) -> None:
    release(city.root)
    city.spoil(INSPECTION, old, new)
    released = release(city.root)
    assert (released.schemas, released.weakened) == ((), ())
    assert city.findings() == []


@pytest.mark.parametrize(
    ("promise", "worse"),
    [("latency, value: 5", "50"), ("frequency, value: 1", "10"), ("retention, value: 90", "9")],
)
def test_readers_hear_of_a_weakened_promise_once(city: City, promise: str, worse: str) -> None:
    release(city.root)
    city.spoil(INSPECTION, f"property: {promise}", f"property: {promise.split(':', maxsplit=1)[0]}: {worse}")
    told = [(one.promise, one.readers) for one in release(city.root).weakened]
    assert told == [(f"{promise.split(',', maxsplit=1)[0]}_seconds", ("science.market-watch",))]
    assert release(city.root).weakened == ()


def test_an_open_code_list_may_grow_and_its_class_expects_that(city: City) -> None:
    city.spoil(INSPECTION, "        enum:\n", OPEN + "        enum:\n")
    release(city.root)
    city.spoil(INSPECTION, "          - {value: sound, description: Đạt}", MORE_CODES)
    assert [verdict.version for verdict in release(city.root).verdicts] == ["1.1.0"]
    read = import_events(city, SCIENCE_EVENTS).MarketInspected.model_validate(data(verdict="not-there-yet"))
    assert read.verdict == "not-there-yet"
    city.spoil(INSPECTION, OPEN, "")
    assert [verdict.version for verdict in release(city.root).verdicts] == ["1.2.0"]
    city.spoil(INSPECTION, "        enum:\n", OPEN + "        enum:\n")
    assert [rule for rule, _ in refusal_of(city)] == ["codes-opened"]


OPEN = "        customProperties:\n          - {property: codes, value: open}\n"


def test_an_open_list_without_codes_is_found(city: City) -> None:
    city.spoil(INSPECTION, "        logicalTypeOptions: {minimum: 1, maximum: 100000}\n", OPEN + AREA)
    assert city.rules() == {"shape"}


AREA = "        logicalTypeOptions: {minimum: 1, maximum: 100000}\n"


def test_the_order_of_fields_and_codes_changes_no_shape(city: City) -> None:
    contract = load_contracts(city.root).contracts["trade.market-inspected.v1"]
    schema = json_schema(contract, "1.0.0")
    turned = json_schema(contract, "1.0.0")
    turned["properties"] = dict(reversed(turned["properties"].items()))
    turned["properties"]["verdict"] |= {"enum": ["unsound", "sound"]}
    assert compatibility.changes(schema, turned) == []


# Two releases at once.


def test_a_release_that_meets_another_one_writes_nothing_and_says_so(city: City) -> None:
    with one_at_a_time(city.root):
        before = contents(city)
        with pytest.raises(ContractsNotSound, match="Another release is at work"):
            release(city.root)
        assert contents(city) == before
    assert release(city.root).schemas != ()


def test_a_frozen_file_that_somebody_else_put_there_meanwhile_is_never_overwritten(city: City) -> None:
    release(city.root)
    index = orjson.loads(city.read("schemas/index.json"))
    added = {"trade/market/1.1.0.json": b"mine", "trade/market-inspected/1.0.0.json": b"theirs is there"}
    before = contents(city)
    with pytest.raises(FileExistsError):
        write_frozen(city.root, added, index)
    assert contents(city) == before


# Frozen files touched by hand.


def test_a_frozen_file_edited_by_hand_is_named_and_stops_the_release(city: City) -> None:
    release(city.root)
    city.spoil(FROZEN, '"maximum": 100000', '"maximum": 200000')
    findings = [finding for finding in city.findings() if finding.rule == "frozen-changed"]
    assert [finding.file.as_posix() for finding in findings] == [FROZEN]
    assert "version control" in findings[0].remedy
    assert "frozen-changed" in {rule for rule, _ in refusal_of(city)}


def test_even_one_more_empty_line_in_a_frozen_file_is_seen(city: City) -> None:
    release(city.root)
    city.write(FROZEN, city.read(FROZEN) + "\n")
    assert city.rules() == {"frozen-changed"}


def test_a_frozen_file_that_went_missing_is_not_written_again_in_silence(city: City) -> None:
    release(city.root)
    (city.root / FROZEN).unlink()
    assert city.rules() == {"frozen-missing"}
    assert [rule for rule, _ in refusal_of(city)] == ["frozen-missing"]
    assert not (city.root / FROZEN).exists()


def test_a_file_put_among_the_frozen_ones_by_hand_is_found(city: City) -> None:
    release(city.root)
    city.write("schemas/trade/market/1.1.0.json", city.read("schemas/trade/market/1.0.0.json"))
    city.write("schemas/notes.txt", "x")
    (city.root / "schemas/trade/market/1.2.0.json").symlink_to(city.root / FROZEN)
    assert city.rules() == {"frozen-unknown", "frozen-stray"}


@pytest.mark.parametrize("text", ["", "[]", '{"trade/market/1.0.0.json": 1}', "{"])
def test_an_index_that_is_none_is_found(city: City, text: str) -> None:
    release(city.root)
    city.write("schemas/index.json", text)
    assert "frozen-index" in city.rules()


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_a_frozen_file_that_is_no_schema_is_found_and_nothing_crashes(city: City, text: str) -> None:
    release(city.root)
    city.write(FROZEN, text)
    assert city.rules() == {"frozen-changed"}


OTHERS = ["contracts/trade/market-examined.v1", "contracts/science/market-inspected.v1"]


@pytest.mark.parametrize("target", OTHERS)
def test_a_contract_given_another_name_or_owner_hears_that_the_old_one_stays(city: City, target: str) -> None:
    release(city.root)
    department, event = Path(target).parts[1], Path(target).name.removesuffix(".v1")
    for ending in ("yaml", "examples.yaml"):
        text = city.read(f"contracts/trade/market-inspected.v1.{ending}")
        (city.root / f"contracts/trade/market-inspected.v1.{ending}").unlink()
        text = text.replace("trade.market-inspected", f"{department}.{event}").replace(
            "name: market-inspected", f"name: {event}"
        )
        city.write(
            f"{target}.{ending}",
            text.replace("domain: trade", f"domain: {department}").replace(
                "market.v1.yaml#", "../trade/market.v1.yaml#"
            ),
        )
    ((rule, message),) = refusal_of(city)
    assert rule == "contract-missing"
    assert f"{department}.{event}.v1" in message


def test_a_contract_that_changes_its_key_is_refused(city: City) -> None:
    release(city.root)
    city.spoil(INSPECTION, PARTITIONED, "")
    code = '{pattern: "^[0-9]{4}$"}\n        required: true\n'
    city.spoil(INSPECTION, code, code + PARTITIONED)
    ((rule, message),) = refusal_of(city)
    assert rule == "key-changed"
    assert "was inspection_id, is market_code" in message


PARTITIONED = "        partitioned: true\n        partitionKeyPosition: 1\n"


def test_a_frozen_schema_whose_contract_is_gone_is_found(city: City) -> None:
    release(city.root)
    for file in (INSPECTION, INSPECTION.replace(".yaml", ".examples.yaml")):
        (city.root / file).unlink()
    assert city.rules() == {"contract-missing"}


# The schema.


def test_a_schema_is_closed_at_every_level_and_says_all_that_the_gate_needs(city: City) -> None:
    release(city.root)
    schema = orjson.loads(city.read(FROZEN))
    objects = [schema, schema["properties"]["stalls"]["items"], schema["properties"]["inspector"]]
    assert [one["additionalProperties"] for one in objects] == [False, False, False]
    assert {key: schema[key] for key in schema if key.startswith("x-")} == {
        "x-classification": "personal",
        "x-key": ["inspection_id"],
        "x-max-bytes": 8192,
        "x-references": {"/market_code": {"topic": "trade.market.v1", "field": "market_code"}},
        "x-rules": [
            {
                "name": "due-when-unsound",
                "expression": 'data.verdict == "sound" || has(data.due_on)',
                "description": "Không đạt thì phải có hạn khắc phục.",
            }
        ],
        "x-state": False,
        "x-topic": "trade.market-inspected.v1",
    }
    assert schema["$id"] == "urn:vn.gov.hanoi:trade:market-inspected:1.0.0"
    assert schema["properties"]["began_at"]["format"] == "date-time"
    assert schema["properties"]["due_on"]["format"] == "date"
    assert schema["properties"]["verdict"]["enum"] == ["sound", "unsound"]
    assert "due_on" not in schema["required"]


def test_a_rule_that_only_warns_is_not_in_the_schema(city: City) -> None:
    city.spoil(INSPECTION, "severity: error", "severity: warning")
    contract = load_contracts(city.root).contracts["trade.market-inspected.v1"]
    assert json_schema(contract, "1.0.0")["x-rules"] == []


def test_a_schemas_bytes_keep_vietnamese_readable(city: City) -> None:
    contract = load_contracts(city.root).contracts["trade.market.v1"]
    assert "Tên chợ".encode() in schema_bytes(json_schema(contract, "1.0.0"))


# The typed classes.


def data(**changed: Any) -> dict[str, Any]:
    return {
        "inspection_id": "2025-000017",
        "market_code": "0042",
        "began_at": "2025-11-14T08:00:00+07:00",
        "verdict": "unsound",
        "due_on": "2025-12-01",
        "stalls": [{"stall_number": "A12", "faults": 2}],
        "inspector": {"full_name": "Nguyễn Văn Mẫu"},
    } | changed


def test_a_publisher_gets_a_typed_class_of_its_event(city: City) -> None:
    release(city.root)
    events = import_events(city, TRADE_EVENTS)
    event = events.MarketInspected.model_validate(data())
    assert event.began_at == datetime(2025, 11, 14, 1, tzinfo=UTC)
    assert event.due_on == date(2025, 12, 1)
    assert event.stalls == (events.MarketInspectedStalls(stall_number="A12", faults=2),)
    assert (event.TOPIC, event.SCHEMA_VERSION) == ("trade.market-inspected.v1", "1.0.0")
    assert events.MarketInspected.__doc__ == "Chợ đã được kiểm tra."


def test_a_reader_gets_the_granted_fields_only(city: City) -> None:
    release(city.root)
    events = import_events(city, SCIENCE_EVENTS)
    assert list(events.READS.items()) == [("trade.market-inspected.v1", events.MarketInspected)]
    assert list(events.MarketInspected.model_fields) == [
        "inspection_id",
        "market_code",
        "due_on",
        "verdict",
        "stalls",
    ]
    read = events.MarketInspected.model_validate(data(later_field=1))
    assert not hasattr(read, "inspector")


def test_two_grants_to_one_department_give_one_class_with_both_grants_fields(city: City) -> None:
    grant = city.read(INSPECTION).partition("roles:\n")[2].partition("slaProperties:")[0]
    second = grant.replace("market-watch", "road-works").replace(
        "market_code, verdict, stalls, due_on", "area_m2"
    )
    city.spoil(INSPECTION, "slaProperties:", second + "slaProperties:")
    release(city.root)
    fields = import_events(city, SCIENCE_EVENTS).MarketInspected.model_fields
    assert {"area_m2", "verdict"} <= fields.keys()


def test_personal_fields_are_not_shown(city: City) -> None:
    release(city.root)
    event = import_events(city, TRADE_EVENTS).MarketInspected.model_validate(data())
    assert "Mẫu" not in repr(event)
    assert "Mẫu" not in str(event.inspector)


def test_a_class_refuses_an_instant_without_offset_and_an_unknown_code(city: City) -> None:
    release(city.root)
    events = import_events(city, TRADE_EVENTS)
    with pytest.raises(ValidationError) as caught:
        events.MarketInspected.model_validate(data(began_at="2025-11-14T08:00:00", verdict="fine"))
    assert {error["loc"][0] for error in caught.value.errors()} == {"began_at", "verdict"}


def test_a_long_code_list_gets_a_name_of_its_own(city: City) -> None:
    codes = "".join(f"          - {{value: finding-number-{n}, description: Lỗi {n}}}\n" for n in range(20))
    city.spoil(INSPECTION, "        enum:\n", "        enum:\n" + codes)
    release(city.root)
    assert "MarketInspectedVerdict = Literal[\n" in city.read(TRADE_EVENTS)
    assert import_events(city, TRADE_EVENTS).MarketInspected.model_validate(data(verdict="finding-number-7"))


def test_modules_are_as_the_formatter_would_write_them(city: City) -> None:
    codes = "".join(f"          - {{value: finding-number-{n}, description: Lỗi {n}}}\n" for n in range(20))
    city.spoil(INSPECTION, "        enum:\n", "        enum:\n" + codes)
    city.write("contracts/police/department.yaml", city.read(SCIENCE).replace("science", "police", 1))
    (city.root / "services/police").mkdir()
    release(city.root)
    run = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "110", "--diff", "."]
    ran = subprocess.run(run, cwd=city.root / "services", capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_text_of_a_contract_cannot_become_code(city: City) -> None:
    hostile = 'Chợ\\\\\\" \\"\\"\\"\\nimport os\\n'
    city.spoil(INSPECTION, "name: Chợ đã được kiểm tra", f'name: "{hostile}"')
    city.spoil(INSPECTION, "businessName: Người kiểm tra", f'businessName: "{hostile}"')
    release(city.root)
    tree = ast.parse(city.read(TRADE_EVENTS))
    kinds = {type(node).__name__ for node in tree.body}
    assert kinds == {"Expr", "ImportFrom", "ClassDef", "AnnAssign"}
    assert "os" not in {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }


def test_a_department_without_a_room_gets_no_module_and_a_room_without_a_card_neither(city: City) -> None:
    (city.root / "services/science").rmdir()
    (city.root / "services/console").mkdir()
    release(city.root)
    assert [path.parent.name for path in sorted(city.root.rglob("events.py"))] == ["trade"]


def test_events_of_one_name_from_two_departments_carry_their_department(city: City) -> None:
    for file in (
        INSPECTION,
        INSPECTION.replace(".yaml", ".examples.yaml"),
        MARKET,
        MARKET.replace(".yaml", ".examples.yaml"),
    ):
        city.write(
            file.replace("trade", "health"),
            city.read(file)
            .replace("trade.market", "health.market")
            .replace("domain: trade", "domain: health"),
        )
    city.write("contracts/health/department.yaml", city.read(SCIENCE).replace("science", "health", 1))
    release(city.root)
    reads = import_events(city, SCIENCE_EVENTS).READS
    assert {topic: cls.__name__ for topic, cls in reads.items()} == {
        "health.market-inspected.v1": "HealthMarketInspected",
        "trade.market-inspected.v1": "TradeMarketInspected",
    }


def test_two_classes_of_one_name_in_one_room_are_found(city: City) -> None:
    for file in (MARKET, MARKET.replace(".yaml", ".examples.yaml")):
        renamed = (
            city.read(file)
            .replace("market.v1", "market-inspected-stalls.v1")
            .replace("- name: market\n", "- name: market-inspected-stalls\n")
        )
        city.write(file.replace("market.v1", "market-inspected-stalls.v1"), renamed)
    assert city.rules() == {"class-name"}
    assert [rule for rule, _ in refusal_of(city)] == ["class-name"]


def test_a_word_changed_in_a_contract_reaches_the_rooms_and_a_file_of_its_own(city: City) -> None:
    release(city.root)
    city.spoil(INSPECTION, "name: Chợ đã được kiểm tra", "name: Chợ đã kiểm tra")
    released = release(city.root)
    assert (released.schemas[0].name, len(released.modules)) == ("1.0.1.json", 2)
    assert "Chợ đã kiểm tra." in city.read(SCIENCE_EVENTS)
