"""A new department, event or reader: what is written passes every check, and nothing is overwritten."""

import os
import re
import shutil
import subprocess
import sys
from datetime import date
from difflib import ndiff
from pathlib import Path

import orjson
import pytest
import typer
from typer.testing import CliRunner, Result

from lienthong.commands import apply as apply_commands
from lienthong.commands import contracts as contract_commands
from lienthong.commands import new
from lienthong.contracts import load_contracts
from lienthong.contracts.check import check
from lienthong.contracts.confirm import notices, refuse_guesses
from lienthong.contracts.release import release
from lienthong.errors import ContractsNotSound
from lienthong.scaffold import plan_department, plan_event, plan_reader
from lienthong.scaffold.classification import guess_classification, plain
from lienthong.scaffold.column import Column, draft_column, name_columns
from lienthong.scaffold.draft import rounded_bounds
from lienthong.scaffold.python_text import folded, imported
from lienthong.scaffold.reader import Wanted
from lienthong.scaffold.table import Table
from tests.unit.contract_city import City

REPOSITORY = Path(__file__).parents[2]
TODAY = date(2026, 1, 1)
CULTURE = "Sở Văn hóa và Thể thao"
RELIC = Table(
    "public",
    "di_tich",
    (
        Column(
            "ma_dt", "ma_dt_code", "character varying(12)", "varchar", True, "Mã di tích", 12, capitals=True
        ),
        Column(
            "ho_ten_chu", "ho_ten_chu", "text", "text", False, "Họ tên chủ sở hữu. Ghi theo sổ đỏ.", most=31
        ),
        Column("loai", "loai", "loai_di_tich", "enum", True, codes=("cap-tinh", "cap-quoc-gia")),
        Column("dien_tich", "dien_tich", "numeric(9,2)", "numeric", False, low=12.5, high=84_000.0),
        Column("ngay_xep_hang", "ngay_xep_hang_on", "date", "date", True, "Ngày xếp hạng"),
        Column("sua_luc", "sua_luc_at", "timestamp without time zone", "timestamp", True),
        Column("con_mo", "con_mo", "boolean", "bool", True),
    ),
    ("ma_dt",),
    ["Left out, because no field can hold it: toa_do (point)."],
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the city's contracts, schemas and rooms."""
    return copied(tmp_path)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A city of two departments: trade inspects markets, science reads."""
    return City.found(tmp_path).root


def copied(folder: Path) -> Path:
    for name in ("contracts", "schemas", "services"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignored)
    return folder


def wanted(**changes: object) -> Wanted:
    told = {
        "topic": "culture.relic-listed",
        "department": "science",
        "purpose": "heritage-lessons",
        "legal_basis": "Nghị định 278/2025/NĐ-CP, Điều 5",
        "until": "2028-12-31",
        "fields": ("listed_at",),
    }
    return Wanted(**{**told, **changes})


def begin(root: Path) -> None:
    """Begin culture with an event, a state, and both from a table; science reads them, and culture reads."""
    plan_department(root, "culture", title=CULTURE).carry_out()
    asked = ["unit_code:code:Phường, xã", "area_m2?:number:Diện tích", "is_open:boolean:Đang mở"]
    plan_event(root, "culture.relic-listed", title="Di tích đã xếp hạng", fields=asked).carry_out()
    plan_event(root, "culture.relic", title="Di tích", is_state=True).carry_out()
    plan_event(root, "culture.relic-surveyed", title="Di tích đã kiểm kê", table=RELIC).carry_out()
    plan_event(root, "culture.site", is_state=True, table=RELIC).carry_out()
    plan_reader(root, wanted(), TODAY).carry_out()
    plan_reader(root, wanted(topic="culture.relic", fields=()), TODAY).carry_out()
    plan_reader(
        root, wanted(topic="trade.market-inspected", department="culture", fields=()), TODAY
    ).carry_out()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A city in which much was begun and released."""
    root = City.found(tmp_path_factory.mktemp("city")).root
    (root / "services/__init__.py").write_text('"""The rooms."""\n')
    begin(root)
    release(root)
    shutil.copy(REPOSITORY / "pyproject.toml", root)
    shutil.copytree(
        REPOSITORY / "lienthong", root / "lienthong", ignore=shutil.ignore_patterns("__pycache__")
    )
    return root


def test_what_is_begun_is_sound_and_nothing_is_left_to_release(begun: Path) -> None:
    assert [str(finding) for finding in check(begun)] == []
    released = release(begun, write=False)
    assert (released.schemas, released.modules, released.pages) == ((), (), ())


@pytest.mark.parametrize(
    "words",
    [
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
        ("importlinter.cli", "lint"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_what_is_begun_passes_make_check(begun: Path, words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", *words]
    if words[0] == "importlinter.cli":
        called = "from importlinter.cli import lint_imports_command; lint_imports_command()"
        command = [sys.executable, "-c", called, "--no-cache", "--no-logo"]
    ran = subprocess.run(
        command, cwd=begun, env=environment(begun), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_tests_that_are_written_pass(begun: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit"]
    ran = subprocess.run(
        command, cwd=begun, env=environment(begun), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(list((begun / "tests/unit").glob("test_rooms_*.py"))) == 8


def environment(root: Path) -> dict[str, str]:
    told = {name: value for name, value in os.environ.items() if not name.startswith(("LIENTHONG_", "COV"))}
    return told | {"PYTHONPATH": str(root)}


def test_what_is_begun_holds_nothing_that_is_left_to_be_done(begun: Path) -> None:
    ours = [
        *(begun / "contracts/culture").iterdir(),
        *(begun / "services/culture").glob("*.py"),
        *(begun / "tests/unit").glob("*.py"),
    ]
    words = ("TODO", "FIXME", "XXX", "pass\n", "NotImplemented", "...")
    assert [(path.name, word) for path in ours for word in words if word in path.read_text("utf-8")] == []


def test_a_room_that_is_opened_handles_whatever_its_department_was_granted_before(begun: Path) -> None:
    handlers = (begun / "services/science/handlers.py").read_text("utf-8")
    assert '@science.reads("trade.market-inspected.v1", purpose=PURPOSE)' in handlers
    assert 'PURPOSE = "market-watch"' in handlers


def test_a_room_of_peoples_own_keeps_every_line_and_is_told_what_to_add(root: Path) -> None:
    before = {path: path.read_bytes() for path in (root / "services").rglob("*.py")}
    plan = plan_reader(root, wanted(topic="trade.price-observed", department="health", fields=()), TODAY)
    assert [path.as_posix() for path in plan.changes] == ["contracts/trade/price-observed.v1.yaml"]
    (remark,) = plan.remarks
    assert remark.startswith("The room of health was written by hand: its people add a handler,")
    assert '@health.reads("trade.price-observed.v1", purpose="heritage-lessons")' in remark
    plan.carry_out()
    assert {path: path.read_bytes() for path in (root / "services").rglob("*.py")} == before


def test_a_grant_is_added_behind_the_others_and_every_line_stays(root: Path) -> None:
    file = root / "contracts/trade/price-observed.v1.yaml"
    before = file.read_text("utf-8").splitlines()
    plan_reader(root, wanted(topic="trade.price-observed", department="health", fields=()), TODAY).carry_out()
    compared = ndiff(before, file.read_text("utf-8").splitlines())
    assert [line for line in compared if line.startswith("- ")] == []
    grants = load_contracts(root).contracts["trade.price-observed.v1"].grants
    assert [grant.group for grant in grants] == ["science.city-monitoring", "health.heritage-lessons"]
    assert grants[-1].fields == ("market_code", "good_code")


# Guesses.


def test_every_guess_is_told_with_its_line_and_is_no_problem(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIENTHONG_ROOT", str(begun))
    app = typer.Typer()
    contract_commands.register(app)
    ran = CliRunner().invoke(app, ["contracts", "check"])
    assert ran.exit_code == 0
    assert ran.output.endswith("Every contract is sound.\n")
    told = orjson.loads(CliRunner().invoke(app, ["contracts", "check", "--json"]).output)
    assert told["sound"] is True
    assert len(told["notices"]) == ran.output.count("[confirm]") == len(notices(begun)) > 10
    for notice in told["notices"]:
        line = (begun / notice["file"]).read_text("utf-8").splitlines()[notice["line"] - 1]
        assert "confirm:" in line


def test_no_guess_goes_to_another_cluster_than_the_embedded_one(begun: Path) -> None:
    with pytest.raises(ContractsNotSound) as refused:
        refuse_guesses(load_contracts(begun))
    assert "culture.relic-listed.v1: promises of the contract" in str(refused.value)
    refuse_guesses(load_contracts(REPOSITORY))


def test_a_guess_that_is_confirmed_is_told_no_more(small: Path) -> None:
    plan_department(small, "culture", title=CULTURE).carry_out()
    plan_event(small, "culture.relic-listed", title="Di tích đã xếp hạng").carry_out()
    file = small / "contracts/culture/relic-listed.v1.yaml"
    kept = [line for line in file.read_text("utf-8").splitlines() if "confirm:" not in line]
    file.write_text("\n".join(kept) + "\n", encoding="utf-8")
    assert check(small) == notices(small) == []


# What cannot be begun.


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Culture", "'Culture' is not a department's name. Use one lowercase English word: health."),
        ("van-hoa", "'van-hoa' is not a department's name. Use one lowercase English word: health."),
        ("admin", "admin means something else here: no department can be called so."),
        ("class", "class means something else here: no department can be called so."),
        ("store", "store means something else here: no department can be called so."),
        ("trade", "There is a department trade already: Sở Công Thương."),
    ],
)
def test_a_name_that_is_no_departments_gets_the_houses_sentence(
    small: Path, name: str, sentence: str
) -> None:
    with pytest.raises(ContractsNotSound) as refused:
        plan_department(small, name, title=CULTURE)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ("relic-listed", "'relic-listed' is not an event's name."),
        ("trade.RelicListed", "'trade.RelicListed' is not an event's name."),
        ("trade.relic_listed", "'trade.relic_listed' is not an event's name."),
        ("trade.relic", "relic is one word, and an event is a thing and a past participle: relic-listed."),
        ("tourism.relic-listed", "There is no department tourism here:"),
        ("trade.market-inspected", "contracts/trade/market-inspected.v1.yaml is there already"),
    ],
)
def test_an_event_that_cannot_be_gets_the_houses_sentence(small: Path, event: str, sentence: str) -> None:
    with pytest.raises(ContractsNotSound) as refused:
        plan_event(small, event, title="Di tích")
    assert str(refused.value).startswith(sentence)


def test_what_the_house_would_refuse_is_refused_before_anything_is_written(small: Path) -> None:
    with pytest.raises(ContractsNotSound) as refused:
        plan_event(small, "trade.relic-listed", title="Di tích", fields=["checked_on:text:Ngày xem"])
    assert "_on ends the name of every date, and of nothing else" in str(refused.value)
    with pytest.raises(ContractsNotSound, match="--field 'colour' is not understood"):
        plan_event(small, "trade.relic-listed", title="Di tích", fields=["colour"])
    assert not (small / "contracts/trade/relic-listed.v1.yaml").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"department": "tourism"}, "There is no department tourism here"),
        ({"department": "trade"}, "trade.market-inspected.v1 is trade's own."),
        ({"legal_basis": "theo quy định"}, "The legal basis 'theo quy định' names no law by its number."),
        ({"until": "2025-12-31"}, "The grant would have ended on 2025-12-31."),
        ({"until": "2028-02-30"}, "'2028-02-30' is no day that exists."),
        ({"fields": ("price",)}, "trade.market-inspected.v1 has no field price."),
        ({"purpose": "School Meals"}, "'School Meals' is not a purpose."),
        ({"topic": "trade.price"}, "There is no contract trade.price.v1 here."),
        (
            {"department": "science", "purpose": "market-watch"},
            "trade.market-inspected.v1 is granted to science for market-watch already.",
        ),
    ],
)
def test_a_grant_that_cannot_be_gets_a_sentence(
    small: Path, changes: dict[str, object], sentence: str
) -> None:
    asked = {"topic": "trade.market-inspected", "department": "science", "fields": (), **changes}
    with pytest.raises(ContractsNotSound) as refused:
        plan_reader(small, wanted(**asked), TODAY)
    assert str(refused.value).startswith(sentence)


def test_what_somebody_wrote_meanwhile_stays_and_nothing_is_half_done(small: Path) -> None:
    first = plan_department(small, "culture", title=CULTURE)
    second = plan_department(small, "culture", title="Sở Văn hóa khác")
    last = [*second.changes][-1]
    (small / last).parent.mkdir(parents=True)
    (small / last).write_text("của người khác", encoding="utf-8")
    with pytest.raises(ContractsNotSound, match="nothing was"):
        first.carry_out()
    assert (small / last).read_text("utf-8") == "của người khác"
    assert not (small / "contracts/culture").exists()


# The command.


@pytest.fixture
def typed(small: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIENTHONG_ROOT", str(small))
    app = typer.Typer()
    new.register(app)

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, ["new", *words])

    return run


def test_the_plan_is_shown_and_nothing_is_written_unasked(small: Path, typed) -> None:
    ran = typed("department", "culture", "--name", CULTURE)
    assert ran.exit_code == 1
    assert "write contracts/culture/department.yaml (6 lines)" in ran.output
    assert "there is nobody to ask. Run it with --yes." in ran.output
    assert not (small / "contracts/culture").exists()


def test_the_plan_is_carried_out_with_yes_and_told_as_json(small: Path, typed) -> None:
    told = orjson.loads(typed("department", "culture", "--name", CULTURE, "--json").output)
    assert (told["written"], [one["kind"] for one in told["changes"]]) == (False, ["write"] * 4)
    assert not (small / "services/culture").exists()
    told = orjson.loads(typed("department", "culture", "--name", CULTURE, "--json", "--yes").output)
    assert told["written"] is True
    assert [one["file"] for one in told["changes"] if not (small / one["file"]).exists()] == []


# Columns.


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        ([("id", "int8", True)], ["id"]),
        ([("Mã di tích", "text", True)], ["ma_di_tich_code"]),
        ([("created_at", "date", False)], ["created_on"]),
        ([("updatedOn", "timestamptz", False)], ["updated_at"]),
        ([("look_at", "text", False)], ["look_at_value"]),
        ([("class", "text", False), ("json", "text", False)], ["class_value", "json_value"]),
        ([("2025", "int4", False)], ["field_2025"]),
        ([("Tên", "text", False), ("ten", "text", False)], ["ten", "ten_2"]),
        ([("ngay", "date", True)], ["ngay_code"]),
        ([("a_at", "date", False), ("a", "date", False)], ["a_on", "a_2_on"]),
    ],
)
def test_a_column_becomes_a_field_that_is_named_by_the_house(columns, fields) -> None:
    assert [*name_columns(columns).values()] == fields


@pytest.mark.parametrize(
    ("name", "classification"),
    [
        ("so_cccd", "personal"),
        ("Họ tên", "personal"),
        ("email", "personal"),
        ("ghi_chu", "personal"),
        ("chan_doan", "sensitive"),
        ("dan_toc", "sensitive"),
        ("loai_code", "internal"),
    ],
)
def test_a_classification_is_guessed_on_the_safe_side(name: str, classification: str) -> None:
    assert guess_classification(name, is_text=True) == classification


def test_a_name_is_written_in_plain_letters() -> None:
    assert plain("Ngày xếp hạng (Đợt 2)") == "ngay_xep_hang_dot_2"
    assert plain("soNhaCu") == "so_nha_cu"


def test_no_value_of_a_row_is_in_a_guess() -> None:
    owner = Column("owner", "owner", "text", "text", False, most=31)
    assert draft_column(owner, key_position=None).options == {"maxLength": 40}
    assert rounded_bounds(12.5, 84_213.0) == {"minimum": 0, "maximum": 100_000}
    assert rounded_bounds(-3.0, 7.0) == {"minimum": -1_000, "maximum": 1_000}
    assert rounded_bounds(None, None) == {"minimum": 0, "maximum": 1_000}


@pytest.mark.parametrize(
    ("column", "pattern"),
    [
        (
            Column("so", "so_code", "char(5)", "bpchar", True, longest=5, most=5, least=5, digits=True),
            "^[0-9]{5}$",
        ),
        (Column("so", "so_code", "text", "text", True, most=21, least=3, capitals=True), "^[A-Z0-9-]{1,40}$"),
        (
            Column("so", "so_code", "text", "text", True, most=21, letters=True, capitals=False),
            "^[A-Za-z0-9._/-]{1,40}$",
        ),
        (Column("so", "so_id", "bigint", "int8", True, most=9, digits=True, least=2), "^-?[0-9]{1,19}$"),
        (Column("so", "so_code", "numeric", "numeric", True), "^-?[0-9]{1,19}(\\.[0-9]{1,19})?$"),
        (Column("co", "co_code", "boolean", "bool", True), "^(true|false)$"),
    ],
)
def test_the_form_of_a_key_is_guessed_from_the_data(column: Column, pattern: str) -> None:
    drafted = draft_column(column, key_position=1)
    assert (drafted.kind, drafted.options) == ("string", {"pattern": pattern})
    assert re.fullmatch(pattern, str(drafted.example))
    assert "confirm:bounds" in drafted.guesses


def test_a_day_may_be_part_of_a_key() -> None:
    drafted = draft_column(Column("ngay", "ngay_code", "date", "date", True), key_position=2)
    assert (drafted.kind, drafted.source) == ("string", '{row}."ngay"::text')
    assert re.fullmatch(str(drafted.options["pattern"]), str(drafted.example))
    assert "confirm:bounds" not in drafted.guesses


def test_a_key_of_other_characters_is_refused() -> None:
    column = Column("ten", "ten_code", "text", "text", True, most=9, capitals=False, letters=False)
    with pytest.raises(ContractsNotSound, match="The key ten holds other characters"):
        draft_column(column, key_position=1)


# Python as the formatter leaves it.


def test_what_is_too_long_for_a_line_is_folded() -> None:
    assert folded("f", ["a", "b"], " -> None:") == "f(a, b) -> None:"
    one = folded("call_of_some", ["a" * 50, "b" * 48], "", "    ")
    assert one.splitlines() == ["    call_of_some(", f"        {'a' * 50}, {'b' * 48}", "    )"]
    many = folded("f", ["a" * 60, "b" * 60], "")
    assert many.splitlines() == ["f(", f"    {'a' * 60},", f"    {'b' * 60},", ")"]
    assert imported("m", ["b", "B", "a"], unused=True) == "from m import B, a, b  # noqa: F401"
    assert imported("m", ["a" * 60, "b" * 60]).splitlines() == [
        "from m import (",
        f"    {'a' * 60},",
        f"    {'b' * 60},",
        ")",
    ]


# In rooms that people wrote.


def test_an_event_joins_a_room_that_people_wrote_in_modules_of_its_own(root: Path) -> None:
    before = {
        path: path.read_text("utf-8") for path in (root / "services/insurance").iterdir() if path.is_file()
    }
    plan = plan_event(root, "insurance.card-lost", title="Thẻ đã báo mất")
    assert {path.name for path in plan.changes} == {
        "card-lost.v1.yaml",
        "card-lost.v1.examples.yaml",
        "publish_card_lost.py",
        "demo_card_lost.py",
        "test_rooms_insurance_publishes_card_lost.py",
        "app.py",
        "README.md",
    }
    assert [remark.partition(":")[0] for remark in plan.remarks] == [
        "services/insurance/demo.py was written by hand"
    ]
    plan.carry_out()
    changed = {path.name for path, text in before.items() if path.read_text("utf-8") != text}
    assert changed == {"app.py", "README.md"}
    assert "import handlers, insurance, publish_card_lost, publishers, store  # noqa: F401" in (
        root / "services/insurance/app.py"
    ).read_text("utf-8")
    assert "`insurance.card-closed.v1` · `insurance.card-lost.v1` |" in (
        root / "services/insurance/README.md"
    ).read_text("utf-8")


def test_a_class_that_gets_a_longer_name_is_told(small: Path) -> None:
    plan_department(small, "culture", title=CULTURE).carry_out()
    plan_event(small, "culture.market-inspected", title="Chợ đã kiểm tra").carry_out()
    plan = plan_reader(small, wanted(topic="culture.market-inspected", fields=()), TODAY)
    assert any(
        "is called TradeMarketInspected from now on, no more MarketInspected" in one for one in plan.remarks
    )


def test_apply_takes_no_guess_to_another_cluster(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIENTHONG_ROOT", str(small))
    plan_event(small, "trade.market-closed", title="Chợ đã đóng cửa").carry_out()
    app = typer.Typer()
    apply_commands.register(app)
    ran = CliRunner().invoke(app, ["apply", "--bootstrap-servers", "bus.example:9093"])
    assert isinstance(ran.exception, ContractsNotSound)
    assert "guesses wait for a person: trade.market-closed.v1: promises of the contract" in str(ran.exception)
