"""Health places addresses of before 1 July 2025 in today's units, and guesses nothing."""

from collections import Counter

import pytest

from lienthong import Refused
from services.health import addresses, demo, publishers
from services.health.events import Unit
from services.science.demo import read_units

UNITS = [Unit.model_validate(unit) for unit in read_units()]


def place(name: str, address: str, district: str) -> addresses.Place:
    return addresses.place(name, address, district, UNITS)


def test_the_126_units_hold_every_part_of_the_526_former_ones():
    former = [old for unit in UNITS for old in unit.former_units]

    assert len(UNITS) == publishers.UNITS_OF_THE_CITY
    assert len(former) == 794
    assert len({old.former_code for old in former}) == 526


def test_a_ward_that_went_whole_into_one_unit_is_placed_there():
    found = place("Trạm y tế xã An Mỹ (Trung tâm y tế h. Mỹ Đức)", "Xã An Mỹ", "Huyện Mỹ Đức")

    assert (found.found_by, found.former_unit, found.former_district) == (
        "whole-unit",
        "Xã An Mỹ",
        "Huyện Mỹ Đức",
    )
    assert found.unit_code in {unit.unit_code for unit in UNITS}


def test_a_divided_ward_is_placed_where_its_name_lives_on_and_says_so():
    found = place("Trạm y tế phường Việt Hưng", "Số 83/39 Phố Hoa Lâm, Phường Việt Hưng", "Quận Long Biên")

    assert (found.unit_code, found.found_by) == ("00127", "same-name")


def test_a_divided_ward_whose_name_is_gone_is_refused_with_the_units_it_may_be_in():
    with pytest.raises(addresses.UnitDivided) as refused:
        place("Trạm y tế phường Láng Hạ (TTYT Đống Đa)", "Phường Láng Hạ", "Quận Đống Đa")

    assert "Phường Giảng Võ (00025), Phường Láng (00199), Phường Đống Đa (00235)" in str(refused.value)


@pytest.mark.parametrize(
    ("address", "former_unit"),
    [
        ("PhườngYên Nghĩa", "Phường Yên Nghĩa"),
        ("phường  yên NGHĨA", "Phường Yên Nghĩa"),
        ("Tổ 3 P. Yên Nghĩa", "Phường Yên Nghĩa"),
        ("12 đường Mẫu - P.Yên Nghĩa", "Phường Yên Nghĩa"),
        ("Yên Nghĩa", "Phường Yên Nghĩa"),
        ("Mậu Lương, phường Kiến Hưng", "Phường Kiến Hưng"),
    ],
)
def test_dirt_in_an_address_does_not_hide_the_ward(address, former_unit):
    assert place("Phòng khám", address, "Quận Hà Đông").former_unit == former_unit


@pytest.mark.parametrize(
    ("one", "other"), [("Thuỵ Khuê", "Thụy Khuê"), ("Yên Hoà", "Yên Hòa"), ("Hoà Xá", "HÒA  XÁ")]
)
def test_a_tone_may_be_written_on_either_vowel(one, other):
    assert addresses.folded(one) == addresses.folded(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Mỹ Đình 1", "Mỹ Đình 2"), ("Tân Mai", "Tân Mài"), ("Đồng Tâm", "Đông Tâm")]
)
def test_other_letters_tones_and_numbers_make_another_name(one, other):
    assert addresses.folded(one) != addresses.folded(other)


def test_a_town_that_the_list_calls_a_commune_is_found():
    with pytest.raises(addresses.UnitDivided, match="Thị trấn Trâu Quỳ"):
        place("Trạm Y tế xã Trâu Quỳ", "Xã Trâu Quỳ", "Huyện Gia Lâm")


def test_the_name_helps_where_the_address_names_no_known_ward():
    found = place("Trạm y tế phường Yên Nghĩa (Trung tâm y tế)", "Tổ 13, Phường Nhân Mỹ", "Quận Hà Đông")

    assert found.former_unit == "Phường Yên Nghĩa"


@pytest.mark.parametrize(
    ("name", "address", "district"),
    [
        ("Phòng khám Trung tâm y tế Quận Thanh Xuân", "Ngõ 282 Khương Đình", "Quận Thanh Xuân"),
        ("Phòng khám đa khoa Bồ Đề", "Số 99 - Phố Bồ Đề", "Quận Long Biên"),
        ("Phòng khám đa khoa 50 Hàng Bún", "50 Hàng Bún", "Quận Ba Đình"),
    ],
)
def test_a_street_with_the_name_of_a_ward_proves_nothing(name, address, district):
    with pytest.raises(addresses.UnitNotNamed):
        place(name, address, district)


def test_an_address_in_two_wards_is_refused():
    with pytest.raises(addresses.UnitNotNamed, match="Phường Yên Nghĩa and Phường Kiến Hưng are named"):
        place("Phòng khám", "Phường Yên Nghĩa, phường Kiến Hưng", "Quận Hà Đông")


def test_a_ward_of_another_district_is_not_looked_for_there():
    with pytest.raises(addresses.UnitUnknown, match="Xã Tiền Yên was no unit of Huyện Thanh Trì"):
        place("Trạm y tế xã Tiền Yên", "Xã Tiền Yên", "Huyện Thanh Trì")


def test_a_district_that_never_was_places_nothing():
    with pytest.raises(addresses.UnitUnknown):
        place("Trạm y tế xã An Mỹ", "Xã An Mỹ", "Huyện Không Có")


def test_every_row_of_the_real_list_is_placed_or_refused_for_a_known_reason():
    fates: Counter[str] = Counter()
    for record in demo.read_rows():
        try:
            fates[publishers.place_facility(publishers.read_row(record), UNITS).unit_found_by] += 1
        except Refused as refused:
            fates[refused.code] += 1

    assert fates == {
        "whole-unit": 279,
        "same-name": 33,
        "unit-divided": 108,
        "unit-unknown": 136,
        "unit-not-named": 19,
    }


def test_of_rows_with_one_code_the_first_sound_one_holds_it():
    sound = {
        facility.facility_code: facility for facility in demo.sound_facilities(demo.read_rows(), read_units())
    }

    assert len(sound) == 297
    assert "Hát Môn" in sound["01I63"].name, "the row before it names a ward its district never had"
    assert sound["01L51"].address.former_district == "Huyện Chương Mỹ", "it comes before Thanh Oai's row"


def test_a_row_says_its_kind_and_specialties_in_the_words_of_the_contract():
    row = {
        "code": "01825",
        "name": "Bệnh viện đa khoa  huyện Mỹ Đức",
        "address": "Thị trấn Đại Nghĩa",
        "old_district": "Huyện Mỹ Đức",
        "specialties": "Sản phụ khoa; Tai Mũi Họng",
    }
    facility = publishers.place_facility(publishers.read_row(row), UNITS)

    assert facility.kind == "hospital"
    assert facility.name == "Bệnh viện đa khoa huyện Mỹ Đức"
    assert facility.specialties == ("obstetrics", "ear-nose-throat")


def test_a_row_without_its_columns_is_refused_by_their_names():
    with pytest.raises(Refused, match="no text in address, specialties"):
        publishers.read_row({"code": "01825", "name": "Trạm", "old_district": "Huyện Mỹ Đức", "address": 5})
