"""The rooms' synthetic sources: repeatable, plausible, nobody's, and bad in the ways that were meant."""

import json
import re
import unicodedata
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from lienthong.demo import Papers, Scale, people
from lienthong.demo.spoil import SPOILS, put_all, put_at, write
from lienthong.errors import NotStrict, NotValid
from lienthong.gate import Gate
from lienthong.strict_json import loads
from services.health import demo as health
from services.justice import demo as justice
from services.onestop import demo as onestop
from services.police import demo as police
from services.science import demo as science
from services.trade import demo as trade
from services.trade import tax
from services.trade.publishers import USUAL_VND

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SCALE = Scale(seed=7, size=1_000, now=NOW)
GATE = Gate.load(Path(__file__).parents[2] / "schemas")
TOPICS = {
    "unit": "science.unit.v1",
    "birth": "health.birth-notified.v1",
    "dossier": "onestop.dossier-submitted.v1",
    "agency": "science.agency.v1",
    "death": "health.death-notified.v1",
    "death-dossier": "onestop.death-submitted.v1",
    "licence": "trade.retail-licence-granted.v1",
    "price": "trade.price-observed.v1",
}
BESIDE = ("replaces", "foreign_parent", "child_nationality_code")
"""What a counter enters beside the fields of a dossier."""


def play(scale: Scale = SCALE) -> tuple[list[tuple[str, bytes]], Papers]:
    papers: Papers = {}
    records: list[tuple[str, bytes]] = []
    for room in (science, health, onestop, justice, police, trade):
        records += room.feed(scale, papers)
    return records, papers


RECORDS, PAPERS = play()


def of(kind: str) -> list[bytes]:
    return [raw for told, raw in RECORDS if told == kind]


def judge(kind: str, raw: bytes) -> dict:
    """Read a raw record as the intake does, then ask the gate."""
    record = loads(raw)
    if kind == "dossier" and isinstance(record, dict) and set(BESIDE) & record.keys():
        raw = json.dumps({name: told for name, told in record.items() if name not in BESIDE}).encode()
    return GATE.check_data(TOPICS[kind], raw, time=NOW, recorded_at=NOW, subject=None, event_id="")


def _is_sound(kind: str, raw: bytes) -> bool:
    try:
        data = judge(kind, raw)
    except (NotStrict, NotValid):
        return False
    return not data.get("submitted_at", "").startswith("2099")  # the gate sees that in the envelope


SOUND = {kind: [json.loads(raw) for raw in of(kind) if _is_sound(kind, raw)] for kind in TOPICS}


def sound(kind: str) -> list[dict]:
    return SOUND[kind]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_the_same_seed_and_time_give_the_same_bytes():
    assert play() == (RECORDS, PAPERS)


def test_another_seed_gives_other_people():
    others, _ = play(Scale(seed=8, size=1_000, now=NOW))

    assert not {raw for kind, raw in others if kind == "birth"} & set(of("birth"))


def test_each_room_hands_in_what_its_intake_takes():
    counted = Counter(kind for kind, _ in RECORDS)

    assert counted["unit"] == 126
    assert counted["facility"] == 575
    assert 1_000 <= counted["birth"] <= 1_010
    assert 1_000 <= counted["dossier"] <= 1_010

    assert 200 <= counted["death"] <= 202
    assert 200 <= counted["death-dossier"] <= 202
    assert 300 <= counted["licence"] <= 302
    assert counted["price"] == 20_000
    assert min(counted[kind] for kind in ("home-birth", "birth-annulment", "correction", "annulment")) > 1
    assert min(counted[kind] for kind in ("resubmission", "feedback", "licence-end")) >= 10


@pytest.mark.parametrize("kind", ["death", "death-dossier", "licence"])
def test_about_three_of_a_hundred_of_the_others_are_wrong_too(kind):
    assert 1 <= len(of(kind)) - len(sound(kind)) <= len(of(kind)) * 0.04


def test_two_of_a_hundred_prices_are_wrong_and_the_others_plausible():
    prices = [json.loads(raw) for raw in of("price")]
    usual = [
        price
        for price in prices
        if isinstance(price["price_vnd"], int)
        and 0.5 < price["price_vnd"] / USUAL_VND.get(price["good_code"], 1) < 2
    ]

    assert 0.97 < len(usual) / len(prices) < 1


def test_a_tax_code_of_the_demo_is_sound_and_nobodys():
    codes = [licence["tax_code"] for licence in sound("licence") if licence["tax_code"] != "9900000000"]

    assert all(tax.is_sound(code) and code.startswith("99") for code in codes)
    assert len(set(codes)) == len(codes)


def test_a_resubmitted_dossier_names_the_one_it_replaces():
    again = [json.loads(raw) for raw in of("resubmission")]
    before = {dossier["dossier_code"]: dossier for dossier in sound("dossier")}
    known = [dossier for dossier in again if dossier["replaces"] in before]

    assert len(known) > len(again) * 0.8
    for dossier in known:
        replaced = before[dossier["replaces"]]
        assert dossier["notification_id"] == replaced["notification_id"]
        assert replaced["child"]["full_name"] == dossier["child"]["full_name"] + " 2"


def test_the_facility_list_is_handed_in_as_it_is():
    assert [json.loads(raw) for raw in of("facility")] == health.read_rows()


def test_every_unit_is_sound():
    assert len(sound("unit")) == 126


@pytest.mark.parametrize("kind", ["birth", "dossier"])
def test_about_three_of_a_hundred_records_are_refused(kind):
    assert 15 <= len(of(kind)) - len(sound(kind)) <= 35


@pytest.mark.parametrize("size", [0, 1, 10])
def test_a_small_demo_plays_too(size):
    records, papers = play(Scale(seed=1, size=size, now=NOW))

    assert len(papers["birth-slip"]) == size
    assert sum(kind == "birth" for kind, _ in records) == size


@pytest.mark.parametrize("kind", ["birth", "dossier"])
def test_sound_texts_are_vietnamese_in_normal_form_c(kind):
    text = json.dumps(sound(kind), ensure_ascii=False)

    assert unicodedata.is_normalized("NFC", text)
    assert "Nguyễn" in text


def test_nothing_happens_later_than_now_or_in_the_wrong_order():
    notified = {}
    for birth in sound("birth"):
        notified[birth["notification_id"]] = instant(birth["notified_at"])
        assert NOW - timedelta(days=7) < instant(birth["born_at"]) < instant(birth["notified_at"]) < NOW
    for dossier in sound("dossier"):
        assert (
            notified.get(dossier["notification_id"], NOW - timedelta(days=7))
            < instant(dossier["submitted_at"])
            <= NOW
        )


def test_births_are_spread_over_the_units_by_population():
    units = sorted(PAPERS["unit-list"], key=lambda unit: unit["population"])
    homes = Counter(slip["unit_code"] for slip in PAPERS["birth-slip"])
    few, many = (sum(homes[unit["unit_code"]] for unit in part) for part in (units[:30], units[-30:]))

    assert many > 2 * few
    assert len(homes) > 100


def test_a_notification_is_numbered_by_its_facility_and_year():
    sound_codes = {f.facility_code for f in health.sound_facilities(health.read_rows(), PAPERS["unit-list"])}
    births = sound("birth")

    unknown = [birth for birth in births if birth["facility_code"] not in sound_codes]
    assert {birth["facility_code"] for birth in unknown} == {"01ZZZ"}, "the one that is meant to be unknown"
    for birth in births:
        if birth in unknown:
            continue
        assert birth["notification_id"][:10] == f"{birth['facility_code']}-{birth['notified_at'][:4]}"


def test_a_dossier_is_numbered_by_its_counter_and_day():
    dossiers = sound("dossier")
    codes = Counter(dossier["dossier_code"] for dossier in dossiers)

    for dossier in dossiers:
        if dossier["unit_code"] != "99999":
            day = instant(dossier["submitted_at"]).strftime("%y%m%d")
            assert re.fullmatch(rf"H26\.{dossier['unit_code']}-{day}-\d{{4}}", dossier["dossier_code"])
    repeated = {code: times for code, times in codes.items() if times > 1 and "99999" not in code}
    assert set(repeated.values()) == {2}, "a dossier that came twice"


def test_a_dossier_names_the_notification_of_a_slip_and_never_the_mother():
    slips = {slip["notification_id"] for slip in PAPERS["birth-slip"]}
    dossiers = sound("dossier")
    strangers = [dossier for dossier in dossiers if dossier["notification_id"] not in slips]

    assert 0 < len(strangers) < 5, "a few name a notification that never comes"
    assert all("mother" not in dossier for dossier in dossiers)


def test_a_birth_has_a_second_dossier_now_and_then():
    births = Counter(dossier["notification_id"] for dossier in sound("dossier"))
    codes = {(dossier["notification_id"], dossier["dossier_code"]) for dossier in sound("dossier")}
    pairs = Counter(notification for notification, _ in codes)

    assert max(births.values()) == 2
    assert 0 < sum(times == 2 for times in pairs.values()) < 5


def test_personal_numbers_are_12_digits_that_nobody_can_hold():
    text = b"".join(of("birth") + of("dossier")).decode(errors="ignore")
    numbers = re.findall(r'"personal_number":"(\d{12})"', text)

    assert len(numbers) > 1_800
    assert {number[:3] for number in numbers} == {people.NOWHERE}
    assert len(set(numbers)) > len(numbers) * 0.9


@pytest.mark.parametrize(
    ("sex", "born_on", "digits"),
    [
        ("male", date(1996, 5, 2), "099096"),
        ("female", date(1999, 3, 8), "099199"),
        ("male", date(2001, 1, 1), "099201"),
        ("female", date(2007, 10, 1), "099307"),
    ],
)
def test_a_personal_number_tells_century_sex_and_year(sex, born_on, digits):
    assert people.personal_number(Random(1), sex, born_on).startswith(digits)


def test_grown_ups_are_as_old_as_asked():
    dice = Random(1)
    ages = {
        (date(2026, 1, 1) - people.draw_person(dice, "female", date(2026, 1, 1)).born_on).days // 365.25
        for _ in range(500)
    }

    assert min(ages) >= 19
    assert max(ages) <= 42


RECORD = {
    "notification_id": "01169-2025-000731",
    "mother": {"full_name": "Nguyễn Thị Mẫu", "unit_code": "00004"},
}
NAME = ("mother", "full_name")


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("broken-json", "json"),
        ("not-utf8", "encoding"),
        ("repeated-key", "repeated-name"),
        ("long-integer", "integer-size"),
        ("lone-surrogate", "encoding"),
        ("not-nfc", "nfc"),
        ("control-character", "characters"),
        ("too-large", "size"),
        ("too-deep", "depth"),
    ],
)
def test_every_way_of_spoiling_is_noticed_for_what_it_is(kind, rule):
    raw = SPOILS[kind](RECORD, NAME)

    with pytest.raises((NotStrict, NotValid)) as noticed:
        judge("birth", raw)
    assert rule in {problem.rule for problem in noticed.value.problems}


def test_no_way_of_spoiling_is_forgotten():
    used = {kind for kind in SPOILS if SPOILS[kind](RECORD, NAME) != write(RECORD)}

    assert used == set(SPOILS)
    assert len(SPOILS) == 9


def test_the_record_that_is_spoiled_stays_as_it_was():
    changed = put_all(RECORD, {NAME: "Khác", ("notification_id",): None})

    assert changed == {"mother": {"full_name": "Khác", "unit_code": "00004"}}
    assert RECORD["mother"]["full_name"] == "Nguyễn Thị Mẫu"
    assert put_at(RECORD, ("mother", "unit_code"), None)["mother"] == {"full_name": "Nguyễn Thị Mẫu"}
