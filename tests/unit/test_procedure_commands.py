"""What an operator sees of `lienthong procedure` where no bus is needed."""

from pathlib import Path

import orjson
import pytest
import typer
from typer.testing import CliRunner, Result

from lienthong.commands import procedure as commands
from lienthong.errors import BusNotUsable
from tests.unit.contract_city import City
from tests.unit.contract_city.procedures import with_procedure


@pytest.fixture
def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> City:
    monkeypatch.setenv("LIENTHONG_ROOT", str(tmp_path))
    return City.found(tmp_path)


def run(*words: str) -> Result:
    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, ("procedure", *words))


def test_the_list_names_steps_departments_and_terms(city: City) -> None:
    with_procedure(city)

    ran = run("list")
    (row,) = orjson.loads(run("list", "--json").output)

    assert ran.exit_code == 0
    assert "Kiểm tra chợ · Inspection of a market (inspection)" in ran.output
    assert "Mở lại chợ: Sở Công Thương, 3 ngày làm việc" in ran.output
    assert [(step["step"], step["topic"]) for step in row["steps"]] == [
        ("reopening", "trade.market-reopened.v1")
    ]


def test_a_city_without_procedures_says_so(city: City) -> None:
    assert "Chưa hợp đồng nào mở một thủ tục" in run("list").output


@pytest.mark.parametrize("code", ["", "H26\x1b[31m", "9" * 65])
def test_what_can_be_no_code_is_a_wrong_call(city: City, code: str) -> None:
    assert run("show", code).exit_code == 2


def test_without_a_bus_the_sentence_says_how_to_start_one(city: City, tmp_path: Path) -> None:
    with_procedure(city)

    ran = run("show", "H26.00004-251116-0001", "--data", str(tmp_path / "data"))

    assert isinstance(ran.exception, BusNotUsable)
    assert "lienthong up" in str(ran.exception)
