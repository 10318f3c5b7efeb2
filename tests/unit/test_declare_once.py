"""The declare-once ledger: forms held against contracts, and questions counted without counting too well."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lienthong.commands import main
from lienthong.contracts import Contracts, load_contracts
from lienthong.contracts.document import read_document
from lienthong.declare_once import (
    Form,
    Paper,
    Place,
    Question,
    account,
    check_forms,
    load_forms,
    reasked,
    spared,
)
from lienthong.declare_once.load import judge
from lienthong.declare_once.sums import Tally

ROOT = Path(__file__).parents[2]
CONTRACTS = load_contracts(ROOT)
BIRTH, DEATH = "services/onestop/forms/birth.yaml", "services/onestop/forms/death.yaml"
NOTICE, DOSSIER, MORE = "health.birth-notified.v1", "onestop.dossier-submitted.v1", "onestop.foreign.v1"


# A form against the contracts


class Rooms:
    """The city's forms in a folder of their own, beside the city's contracts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.contracts: Contracts = replace(CONTRACTS, root=root)
        for file in ROOT.glob("services/*/forms/*.yaml"):
            there = root / file.relative_to(ROOT)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, there)

    def spoil(self, file: str, old: str, new: str) -> int:
        text = (self.root / file).read_text("utf-8")
        assert old in text, f"{old!r} is not in {file}: the test would prove nothing"
        (self.root / file).write_text(text.replace(old, new, 1), "utf-8")
        return text[: text.index(old)].count("\n") + 1


@pytest.fixture
def rooms(tmp_path: Path) -> Rooms:
    return Rooms(tmp_path)


ASKED = "    asked: [onestop.dossier-submitted.v1#child.full_name]\n"
SPOILED = {
    "a field that no contract has": (
        "taken_from: health.birth-notified.v1#born_at",
        "taken_from: health.birth-notified.v1#born_when",
        "form-place",
        "health.birth-notified.v1#born_when",
    ),
    "a field that is granted to nobody": (
        "taken_from: health.birth-notified.v1#mother.personal_number",
        "taken_from: health.birth-notified.v1#weight_g",
        "form-grant",
        "granted to nobody who takes part",
    ),
    "a field of the dossier that nobody explains": (
        "    asked: [onestop.dossier-submitted.v1#declarant.relationship]\n",
        "    made: Đoán\n",
        "form-silent",
        "onestop.dossier-submitted.v1#declarant.relationship",
    ),
    "a fact on the bus that nobody ties": (
        "    sex: [child.sex]\n",
        "",
        "form-known",
        "health.birth-notified.v1#sex",
    ),
    "a tie that the form itself contradicts": (
        "    sex: [child.sex]\n",
        "    sex: [child.weight]\n",
        "form-known",
        "ties to child.weight",
    ),
    "an asked field that the dossier does not have": (
        "asked: [onestop.dossier-submitted.v1#child.full_name]",
        "asked: [onestop.dossier-submitted.v1#child.name]",
        "form-place",
        "onestop.dossier-submitted.v1#child.name",
    ),
    "a required field that is said to be asked at times": (
        ASKED,
        f"    asked_when: a\n    asked_when_en: a\n    made: b\n{ASKED}",
        "form-asked-when",
        "required",
    ),
    "a paper that is not there": (
        "papers: [birth, residence, insurance]",
        "papers: [birth, tax]",
        "form-paper",
        "`tax`",
    ),
    "a concept asked twice": (
        "concept: child.sex",
        "concept: child.born_on",
        "form-concept",
        "a second time",
    ),
    "a group without a grant": ("police.residence-registration", "police.dreaming", "form-group", "dreaming"),
    "a label in another Unicode form": ("Giới tính của trẻ", "Giơ\u0301i tính của trẻ", "nfc", "NFC"),
    "a junk key": ("    label_en: Child's sex\n", "    label_eng: Child's sex\n", "form-shape", "label_eng"),
    "no answer at all": ("    taken_from: health.birth-notified.v1#sex\n", "", "form-answer", "neither"),
    "another name than the file's": ("form: birth", "form: born", "form-name", "`born`"),
    "a dossier of another department": (
        "{topic: onestop.dossier-submitted.v1,",
        "{topic: police.person-numbered.v1,",
        "form-dossier",
        "no dataset of onestop",
    ),
}


@pytest.mark.parametrize(("old", "new", "rule", "word"), SPOILED.values(), ids=SPOILED.keys())
def test_what_a_form_says_and_no_contract_does_is_found_with_a_remedy(
    rooms: Rooms, old: str, new: str, rule: str, word: str
) -> None:
    assert check_forms(rooms.contracts) == []
    rooms.spoil(BIRTH, old, new)
    found = check_forms(rooms.contracts)
    assert [one for one in found if one.rule == rule and word in one.message], list(map(str, found))
    assert {one.file.as_posix() for one in found} == {BIRTH}
    assert all(one.remedy for one in found)


def test_a_finding_names_the_line_of_its_question(rooms: Rooms) -> None:
    line = rooms.spoil(DEATH, "  - concept: death.place\n", "  - concept: death.notice\n")
    found = [(one.rule, one.line) for one in check_forms(rooms.contracts)]
    assert ("form-known", line) in found


def test_forms_of_two_rooms_have_two_names(rooms: Rooms) -> None:
    shutil.copy(rooms.root / DEATH, rooms.root / "services/trade/forms/death.yaml")
    assert "form-name" in {one.rule for one in check_forms(rooms.contracts)}


def test_a_link_out_of_the_folder_is_not_read(rooms: Rooms, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "form.yaml"
    elsewhere.write_text("form: stolen\n", "utf-8")
    (rooms.root / "services/trade/forms/form.yaml").symlink_to(elsewhere)
    assert [one.rule for one in check_forms(rooms.contracts)] == ["file-link"]


def test_whatever_stands_in_a_form_is_judged_and_nothing_else_happens(rooms: Rooms) -> None:
    """Every part of a form in turn is something else: a finding, never a crash."""
    document, _ = read_document(rooms.root / BIRTH, rooms.root)
    assert document is not None
    accepted = []
    for where in places_of(document.data):
        for junk in (7, None, ["x"], {}, {"x": 1}):
            _, found = judge(replace(document, data=put(document.data, where, junk)), rooms.contracts)
            accepted += [] if found else [(where, junk)]
    assert accepted == []


def places_of(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the place of every part of a document, of lists the first item only."""
    inner = data.items() if isinstance(data, dict) else enumerate(data[:1]) if isinstance(data, list) else ()
    for name, value in inner:
        yield (*at, name)
        yield from places_of(value, (*at, name))


def put(data: Any, where: tuple[Any, ...], junk: Any) -> Any:
    """Copy a document with something else at one place."""
    copied = copy.deepcopy(data)
    holder = copied
    for name in where[:-1]:
        holder = holder[name]
    holder[where[-1]] = junk
    return copied


def ask_for_the_mother(rooms: Rooms) -> None:
    """Make the form ask the declarant for the mother's name, which the birth notice holds."""
    place = "onestop.dossier-submitted.v1#declarant.full_name"
    rooms.spoil(
        BIRTH,
        f"    asked: [{place}]\n    asked_when: người khai không phải cha mẹ\n"
        "    asked_when_en: the declarant is no parent\n",
        "",
    )
    rooms.spoil(BIRTH, "taken_from: health.birth-notified.v1#mother.full_name", f"asked: [{place}]")


def test_a_form_that_asks_what_the_bus_holds_is_a_listed_defect(rooms: Rooms) -> None:
    ask_for_the_mother(rooms)
    forms = load_forms(rooms.contracts)
    assert [(one.form, one.question.concept, str(one.held)) for one in reasked(forms, rooms.contracts)] == [
        ("birth", "mother.full_name", "health.birth-notified.v1#mother.full_name")
    ]


def test_what_another_form_knows_is_known_to_all(rooms: Rooms) -> None:
    rooms.spoil("services/trade/forms/retail-licence.yaml", "business.name", "deceased.full_name")
    forms = load_forms(rooms.contracts)
    assert [one.form for one in reasked(forms, rooms.contracts)] == ["retail-licence"]


# Counting


def small_form() -> Form:
    """A form of two papers: the second is needed only where the dossier asks for a card."""
    name, sex, code = Place(DOSSIER, "child.name"), Place(NOTICE, "sex"), Place(DOSSIER, "code")
    father, number = Place(DOSSIER, "father.name"), Place(MORE, "passport")
    return Form(
        department="onestop",
        form="small",
        name="Nhỏ",
        name_en="Small",
        legal_basis="",
        topic=DOSSIER,
        code="code",
        besides=(MORE,),
        groups=(),
        papers=(
            Paper("birth", "Khai sinh", "Birth"),
            Paper("card", "Thẻ", "Card", Place(DOSSIER, "wishes"), "card"),
        ),
        known={sex: ("child.sex",)},
        questions=(
            Question("child.name", "Tên", "Name", ("birth", "card"), asked=(name,)),
            Question("child.sex", "Giới", "Sex", ("birth", "card"), taken_from=sex),
            Question("father.name", "Cha", "Father", ("birth",), asked=(father, Place(MORE, "name"))),
            Question("father.passport", "Hộ chiếu", "Passport", (), asked=(number,)),
            Question("father.home", "Nơi ở", "Home", ("birth",), outside="sổ khác", when=(father,)),
            Question(
                "child.race",
                "Dân tộc",
                "Ethnicity",
                ("birth", "card"),
                asked=(Place(DOSSIER, "race"),),
                asked_when="khác",
                asked_when_en="it differs",
                taken_from=sex,
            ),
            Question("dossier.code", "Mã", "Code", (), made="quầy", fills=(code,)),
        ),
    )


def count(*records: tuple[str, dict[str, Any]], form: Form | None = None) -> Any:
    tally = Tally(form or small_form())
    for topic, data in records:
        tally.note(topic, str(data.get("code")).encode(), orjson.dumps(data))
    return tally.sums()


def test_a_field_on_three_papers_is_three_lines_on_paper_and_one_question_now() -> None:
    told = account(small_form())
    assert (told.paper, told.outside, told.asked, told.sometimes) == (7, 1, 3, 1)
    assert (told.taken, told.made, told.asked_lines) == ({NOTICE: 4}, 0, 3)


def test_a_paper_that_was_not_needed_is_not_counted() -> None:
    without = count((DOSSIER, {"code": "1", "child": {"name": "A"}, "wishes": ["birth"]})).total
    with_card = count((DOSSIER, {"code": "1", "child": {"name": "A"}, "wishes": ["birth", "card"]})).total
    assert (without.paper, without.asked, without.spared) == (3, 1, 2)
    assert (with_card.paper, with_card.asked, with_card.spared) == (6, 1, 5)


def test_a_line_left_blank_is_no_question_spared() -> None:
    """No father is named: paper would have stayed blank there too."""
    plain = {"code": "1", "child": {"name": "A"}, "wishes": []}
    without, named = count((DOSSIER, plain)).total, count((DOSSIER, plain | {"father": {"name": "B"}})).total
    assert (named.paper, named.asked, named.outside) == (without.paper + 1, without.asked + 1, 1)
    assert without.outside == 0
    assert count((DOSSIER, plain | {"father": None})).total == without


def test_what_is_asked_at_times_is_spared_where_it_was_not_asked() -> None:
    plain = {"code": "1", "child": {"name": "A"}, "wishes": []}
    taken, asked = count((DOSSIER, plain)).total, count((DOSSIER, plain | {"race": "06"})).total
    assert (taken.taken[NOTICE], taken.asked) == (2, 1)
    assert (asked.taken[NOTICE], asked.asked, asked.sometimes) == (1, 2, 1)
    assert asked.paper == taken.paper


def test_what_is_said_besides_belongs_to_its_dossier_in_whichever_order() -> None:
    dossier = (DOSSIER, {"code": "1", "child": {"name": "A"}, "wishes": []})
    besides = (MORE, {"code": "1", "name": "Max", "passport": "C01X00T47"})
    told = count(dossier, besides)
    assert told == count(besides, dossier)
    assert (told.dossiers, told.total.paper, told.total.asked) == (1, 4, 3)
    assert count(besides).dossiers == 0


def test_a_dossier_that_came_twice_is_one() -> None:
    record = (DOSSIER, {"code": "1", "child": {"name": "A"}, "wishes": []})
    assert count(record, record) == count(record)


def test_a_record_that_is_no_dossier_is_counted_as_such() -> None:
    tally = Tally(small_form())
    for value in (b"{", b"[]", b"null", b'{"child": 1}', b'"code"'):
        tally.note(DOSSIER, None, value)
    told = tally.sums()
    assert (told.dossiers, told.unreadable) == (0, 5)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"code": st.integers(0, 3).map(str), "child": st.just({"name": "A"})},
            optional={
                "wishes": st.lists(st.sampled_from(("birth", "card"))),
                "father": st.none() | st.just({"name": "B"}),
                "race": st.sampled_from(("01", "06")),
            },
        ),
        max_size=6,
    )
)
def test_the_lines_on_paper_are_always_all_explained(records: list[dict[str, Any]]) -> None:
    told = count(*((DOSSIER, record) for record in records))
    total = told.total
    assert total.paper == total.asked_lines + total.taken.total() + total.made
    assert told.dossiers == len({record["code"] for record in records})
    assert total.spared == total.paper - total.asked >= 0


def test_the_sums_are_told_in_one_line() -> None:
    told = count((DOSSIER, {"code": "1", "child": {"name": "A"}, "wishes": ["card"]}))
    assert spared([told]) == (
        "Khai một lần: 1 hồ sơ, giấy hỏi 6 câu, nay hỏi 1, bớt 5 (83%)."
        " · 1 dossiers: 6 questions on paper, 1 asked now, 5 spared."
    )
    assert "0%" in spared([])


# The command


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Any, str, str]]]:
    """Type `lienthong declare-once …` in a folder with the city's contracts and forms, without a bus."""
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts")
    monkeypatch.setenv("LIENTHONG_ROOT", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def typed(*words: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["declare-once", *words])
        return (ended.value.code or 0, *capsys.readouterr())

    return typed


def test_without_a_bus_a_form_is_told_question_by_question(rooms: Rooms, run: Callable[..., Any]) -> None:
    status, told, _ = run("death")
    assert status == 0
    for question in load_forms(rooms.contracts)[1].questions:
        assert question.label in told
    assert "Số giấy chứng sinh" not in told
    assert "Nothing is asked that the bus holds." in told
    assert "Sở Y tế: Giấy báo tử" in told
    assert "No bus is running" in told


def test_the_report_comes_as_json_too(rooms: Rooms, run: Callable[..., Any]) -> None:
    ask_for_the_mother(rooms)
    status, told, _ = run("--json")
    report = json.loads(told)
    assert (status, report["running"]) == (0, False)
    defects = [one["concept"] for one in report["procedures"]["birth"]["reasked"]]
    assert defects == ["mother.full_name"]
    for name, told_form in report["procedures"].items():
        lines = sum(len(question["papers"]) for question in told_form["questions"])
        assert lines == told_form["paper"] + told_form["outside"], name
        assert told_form["sums"] is None
    assert report["procedures"]["birth"]["owners"]["health.birth-notified.v1"] == "health"


def test_a_defect_is_told_and_fails_the_check(rooms: Rooms, run: Callable[..., Any]) -> None:
    ask_for_the_mother(rooms)
    status, told, _ = run("--check")
    assert status == 1
    assert "người dân bị hỏi lại «Họ, chữ đệm, tên người mẹ»" in told


def test_an_unsound_form_is_told_with_its_line_and_exit_1(rooms: Rooms, run: Callable[..., Any]) -> None:
    rooms.spoil(BIRTH, "taken_from: health.birth-notified.v1#sex", "taken_from: health.birth-notified.v1#x")
    status, _, error = run()
    assert status == 1
    assert f"{BIRTH}:" in error
    assert "[form-place]" in error


def test_an_unknown_form_is_a_wrong_call(rooms: Rooms, run: Callable[..., Any]) -> None:
    status, _, error = run("bith")
    assert status == 2
    assert "there is no form bith" in error


def test_the_check_of_contracts_judges_the_forms(
    rooms: Rooms, run: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "schemas", rooms.root / "schemas")
    rooms.spoil(BIRTH, "concept: child.sex", "concept: child.born_on")
    with pytest.raises(SystemExit) as ended:
        main(["contracts", "check"])
    assert ended.value.code == 1
    assert "[form-concept]" in capsys.readouterr().out
