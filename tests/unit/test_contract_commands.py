"""What an official or a developer sees on the command line."""

from pathlib import Path

import orjson
import pytest
import typer
from typer.testing import CliRunner, Result

from lienthong.commands import contracts as commands
from lienthong.errors import ContractsNotSound
from tests.unit.contract_city import INSPECTION, City


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> City:
    monkeypatch.setenv("LIENTHONG_ROOT", str(tmp_path))
    return City.found(tmp_path)


def run(*words: str) -> Result:
    app = typer.Typer()
    commands.register(app)
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
    assert "/area_m2: maximum was 100000, is 90000" in str(ran.exception)


@pytest.mark.parametrize(
    "words", [("contracts", "--help"), ("contracts", "check", "--help"), ("release", "--help")]
)
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    ran = run(*words)
    assert ran.exit_code == 0
    assert "Usage" in ran.output
