"""What an official or a developer sees on the command line."""

from pathlib import Path

import orjson
import pytest
import typer
from typer.testing import CliRunner, Result

from lienthong.commands import contracts as commands
from lienthong.commands import release as release_commands
from lienthong.errors import BusNotUsable, ContractsNotSound
from tests.unit.contract_city import INSPECTION, City


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> City:
    monkeypatch.setenv("LIENTHONG_ROOT", str(tmp_path))
    return City.found(tmp_path)


def run(*words: str) -> Result:
    app = typer.Typer()
    commands.register(app)
    release_commands.register(app)
    return CliRunner().invoke(app, words)


def test_a_sound_city_is_told_so_with_exit_0(city: City) -> None:
    ran = run("contracts", "check")
    assert (ran.exit_code, ran.output) == (0, "Every contract is sound.\n")


def test_each_problem_is_one_line_with_file_and_line_number_and_exit_1(city: City) -> None:
    line = city.spoil(INSPECTION, "{minimum: 1, maximum: 100000}", "{minimum: 1}")
    ran = run("contracts", "check")
    assert ran.exit_code == 1
    first, last = ran.output.splitlines()
    assert first.startswith(f"{INSPECTION}:{line}: field `area_m2` is a number without bounds.")
    assert last == "1 problem."


def test_problems_come_as_json_too(city: City) -> None:
    city.spoil(INSPECTION, "{minimum: 1, maximum: 100000}", "{minimum: 1}")
    ran = run("contracts", "check", "--json")
    told = orjson.loads(ran.output)
    assert (ran.exit_code, told["sound"]) == (1, False)
    assert told["findings"][0].keys() == {"file", "line", "rule", "message", "remedy"}


def test_the_list_names_readers_and_until_when(city: City) -> None:
    ran = run("contracts", "list")
    assert ran.exit_code == 0
    assert "trade.market.v1" in ran.output
    rows = orjson.loads(run("contracts", "list", "--json").output)
    grants = {row["topic"]: [(g["group"], g["until"]) for g in row["grants"]] for row in rows}
    assert grants == {
        "trade.market.v1": [],
        "trade.market-inspected.v1": [("science.market-watch", "2028-12-31")],
    }


def test_release_tells_what_it_wrote_and_then_that_nothing_is_due(city: City) -> None:
    ran = run("release")
    assert ran.exit_code == 0
    assert "wrote schemas/trade/market/1.0.0.json" in ran.output
    again = run("release")
    assert (again.exit_code, again.output.startswith("Nothing to do: 2 contracts")) == (0, True)


def test_release_check_exits_1_while_something_is_due_and_writes_nothing(city: City) -> None:
    ran = run("release", "--check")
    assert ran.exit_code == 1
    assert "would write schemas/trade/market/1.0.0.json" in ran.output
    assert not (city.root / "schemas").exists()
    assert orjson.loads(run("release", "--check", "--json").output)["written"] == []
    assert "services/trade/events.py" in orjson.loads(run("release", "--json").output)["written"]
    assert run("release", "--check").exit_code == 0


def test_release_of_a_changed_shape_raises_the_error_the_command_line_turns_into_a_sentence(
    city: City,
) -> None:
    run("release")
    city.spoil(INSPECTION, "maximum: 100000", "maximum: 90000")
    ran = run("release")
    assert isinstance(ran.exception, ContractsNotSound)
    assert "/area_m2: bounds narrowed" in str(ran.exception)


@pytest.mark.parametrize(
    "words", [("contracts", "--help"), ("contracts", "check", "--help"), ("release", "--help")]
)
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    ran = run(*words)
    assert ran.exit_code == 0
    assert "Usage" in ran.output


# Versions.


def test_release_says_in_both_languages_what_a_new_version_holds_and_who_reads_it(city: City) -> None:
    run("release")
    city.spoil(INSPECTION, "{minItems: 1, maxItems: 50}", "{minItems: 1, maxItems: 60}")
    ran = run("release", "--check")
    assert "trade.market-inspected.v1: 1.0.0 → 1.1.0 (minor)" in ran.output
    assert "nới số phần tử" in ran.output
    assert "→ readers science.market-watch" in ran.output
    assert ran.exit_code == 1


def test_a_refused_release_comes_as_json_with_readers_witness_and_both_languages(city: City) -> None:
    run("release")
    city.spoil(INSPECTION, "          - {value: sound, description: Đạt}\n", "")
    ran = run("release", "--json")
    assert ran.exit_code == 1
    (version,) = orjson.loads(ran.output)["versions"]
    (change,) = version["changes"]
    assert (version["from"], version["to"], version["level"]) == ("1.0.0", None, "breaking")
    assert (change["path"], change["rule"], change["hurts"]) == ("/verdict", "code-removed", ["writers"])
    assert change["witness"]["document"]["verdict"] == "sound"
    assert change["en"]["remedy"]
    assert "phiên bản chính mới" in change["vi"]["remedy"]


def test_a_new_major_is_drafted_with_its_examples_and_passes_the_check(city: City) -> None:
    run("release")
    before = city.read(INSPECTION)
    city.spoil(INSPECTION, "maximum: 100000", "maximum: 90000")
    ran = run("release", "--new-major", "trade.market-inspected.v1")
    assert ran.exit_code == 0, ran.output
    draft = city.read("contracts/trade/market-inspected.v2.yaml")
    assert "status: draft" in draft
    assert "maximum: 90000" in draft
    city.write(INSPECTION, before)
    assert city.findings() == []
    run("release")
    assert not (city.root / "schemas/trade/market-inspected/2.0.0.json").exists()
    city.spoil("contracts/trade/market-inspected.v2.yaml", "status: draft", "status: active")
    assert {finding.rule for finding in city.findings()} == {"promise"}, "the former major needs an end"
    end = 'slaProperties:\n  - {property: endOfLife, value: "2099-06-30"}\n'
    city.spoil(INSPECTION, "slaProperties:\n", end)
    run("release")
    assert (city.root / "schemas/trade/market-inspected/2.0.0.json").exists()
    assert city.findings() == []


@pytest.mark.parametrize("topic", ["trade.market.v7", "trade.nothing.v1", "../x", ""])
def test_a_new_major_of_what_is_not_there_is_a_sentence(city: City, topic: str) -> None:
    ran = run("release", "--new-major", topic)
    assert isinstance(ran.exception, ContractsNotSound)


def test_a_draft_is_not_drafted_again(city: City) -> None:
    run("release", "--new-major", "trade.market.v1")
    before = city.read("contracts/trade/market.v2.yaml")
    ran = run("release", "--new-major", "trade.market.v1")
    assert "has major 2 already" in str(ran.exception)
    assert city.read("contracts/trade/market.v2.yaml") == before


@pytest.mark.parametrize(
    ("language", "words"), [("vi", "nhiều nhất 50 phần tử"), ("en", "at most 50 elements")]
)
def test_two_versions_stand_side_by_side_in_either_language(city: City, language: str, words: str) -> None:
    run("release")
    city.spoil(INSPECTION, "{minItems: 1, maxItems: 50}", "{minItems: 1, maxItems: 60}")
    ran = run("diff", "trade.market-inspected.v1@1.0.0", INSPECTION, "--language", language)
    assert ran.exit_code == 2  # the file is named from another folder
    file = str(city.root / INSPECTION)
    ran = run("diff", "trade.market-inspected.v1@1.0.0", file, "--language", language, "--json")
    assert ran.exit_code == 1
    rows = {row["path"]: row for row in orjson.loads(ran.output)["rows"]}
    assert words in rows["/stalls"]["before"]
    assert [one["rule"] for one in rows["/stalls"]["changes"]] == ["items-widened"]
    assert rows["/verdict"]["changes"] == []
    shown = run(
        "diff", "trade.market-inspected.v1@1.0.0", "trade.market-inspected.v1", "--language", language
    )
    assert "/stalls" in shown.output


def test_the_same_version_twice_differs_in_nothing(city: City) -> None:
    run("release")
    ran = run("diff", "trade.market.v1@1.0.0", "trade.market.v1")
    assert (ran.exit_code, "Không có khác biệt." in ran.output) == (0, True)


@pytest.mark.parametrize(
    "words",
    [
        ("diff", "trade.market.v1@9.9.9", "trade.market.v1"),
        ("diff", "trade.market.v1", "nothing.yaml"),
        ("diff", "trade.market.v1", "trade.market.v1", "--language", "fr"),
        ("diff", "trade.market.v1"),
        ("release", "--against", "many"),
    ],
)
def test_a_wrong_call_is_exit_2(city: City, words: tuple[str, ...]) -> None:
    run("release")
    assert run(*words).exit_code == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "id: trade.market.v1\n", "id: trade.market.v1\nschema: 7\n"])
def test_a_file_that_is_no_version_is_a_sentence(city: City, text: str) -> None:
    run("release")
    for name in ("x.yaml", "x.json"):
        city.write(name, text)
        ran = run("diff", str(city.root / name), "trade.market.v1")
        assert (ran.exit_code, "Traceback" in ran.output) == (2, False)


def test_against_nothing_changed_needs_no_bus(city: City) -> None:
    run("release")
    assert run("release", "--against", "10").exit_code == 0


def test_against_needs_a_bus_and_says_so_before_anything_is_written(city: City) -> None:
    run("release")
    city.spoil(INSPECTION, "{minItems: 1, maxItems: 50}", "{minItems: 1, maxItems: 60}")
    ran = run("release", "--against", "10")
    assert isinstance(ran.exception, BusNotUsable)
    assert not (city.root / "schemas/trade/market-inspected/1.1.0.json").exists()
