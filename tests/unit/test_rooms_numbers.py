"""Numbers of people and of businesses: built as the law says, and noticed where they cannot be."""

import os
from datetime import date

import pytest

from services.health import numbers as health_numbers
from services.insurance.publishers import valid_until
from services.justice import judging
from services.onestop.answers import name_on, successor_on
from services.onestop.events import Agency
from services.police import numbers
from services.trade import tax


@pytest.mark.parametrize(
    ("sex", "born_on", "start"),
    [
        ("male", date(1996, 5, 2), "099096"),
        ("female", date(1999, 12, 31), "099199"),
        ("male", date(2000, 1, 1), "099200"),
        ("female", date(2025, 11, 14), "099325"),
        ("male", date(2100, 1, 1), "099400"),
    ],
)
def test_a_personal_number_tells_place_century_sex_and_year(sex, born_on, start):
    number = numbers.draw(sex, born_on, os.urandom)

    assert number.startswith(start)
    assert len(number) == 12
    assert numbers.still_fits(number, sex, born_on)
    assert judging.is_possible(number, sex, born_on)


def test_another_sex_or_year_needs_another_number():
    number = numbers.draw("female", date(2025, 11, 14), os.urandom)

    assert not numbers.still_fits(number, "male", date(2025, 11, 14))
    assert not numbers.still_fits(number, "female", date(2024, 11, 14))
    assert numbers.still_fits(number, "female", date(2025, 1, 1))


@pytest.mark.parametrize(
    ("number", "sex", "born_on"),
    [
        ("003096000001", None, None),
        ("000096000001", None, None),
        ("09909600001", None, None),
        ("099196000001", "male", None),
        ("099096000001", "male", date(1997, 5, 2)),
        ("099296000001", "male", date(1996, 5, 2)),
    ],
    ids=["no-such-place", "place-zero", "short", "of-a-woman", "another-year", "another-century"],
)
def test_an_impossible_personal_number_is_noticed(number, sex, born_on):
    assert not judging.is_possible(number, sex, born_on)


def test_a_misread_number_of_a_patient_is_named_by_its_role_and_not_repeated():
    with pytest.raises(health_numbers.NumberImpossible, match="of the mother") as refused:
        health_numbers.check({"personal_number": "099100000001", "born_on": "1999-03-08"}, "mother")

    assert "099100000001" not in str(refused.value)
    health_numbers.check({"personal_number": "099199000001", "born_on": "1999-03-08"}, "mother")
    health_numbers.check({"personal_number": "x", "born_on": "y"}, "mother")
    health_numbers.check(None, "mother")


@pytest.mark.parametrize("name", ["Trần Thị Mẫu Con", "Y Ban", "Nguyễn Đỗ Ôn"])
def test_a_name_is_letters(name):
    assert judging.is_letters(name)


@pytest.mark.parametrize("name", ["Trần Mẫu 2", "Trần @ Mẫu", "An-na", "Trần_Mẫu"])
def test_digits_and_signs_are_no_name(name):
    assert not judging.is_letters(name)


@pytest.mark.parametrize("code", ["0101243150", "0100109106", "0101243150-001"])
def test_a_tax_code_with_its_check_digit_is_sound(code):
    assert tax.is_sound(code)


@pytest.mark.parametrize("digit", "123456789")
def test_a_tax_code_with_any_other_last_digit_is_not(digit):
    assert not tax.is_sound(f"010124315{digit}")


@pytest.mark.parametrize("code", ["010124315", "01012431500", "0101243150-01", "O101243150", ""])
def test_what_has_not_the_form_of_a_tax_code_is_not_sound(code):
    assert not tax.is_sound(code)


@pytest.mark.parametrize(
    ("born_on", "until"),
    [
        (date(2025, 5, 14), date(2031, 9, 30)),
        (date(2025, 9, 30), date(2031, 9, 30)),
        (date(2025, 11, 14), date(2031, 11, 30)),
        (date(2024, 2, 29), date(2030, 9, 30)),
    ],
)
def test_a_childs_card_holds_until_six_or_until_school(born_on, until):
    assert valid_until(born_on) == until


def agency(code, name, department=None, began="2008-08-01", ended=None, successor=None):
    return Agency.model_validate(
        {
            "agency_code": code,
            "name": name,
            "department": department,
            "effective_on": began,
            "ended_on": ended,
            "successor_code": successor,
        }
    )


AGENCIES = [
    agency("H26.01", "Sở Khoa học và Công nghệ", "science", began="2025-03-01"),
    agency("H26.91", "Sở Thông tin và Truyền thông", ended="2025-03-01", successor="H26.01"),
    agency("H26.92", "Sở Khoa học cũ", "science", ended="2025-03-01", successor="H26.01"),
]


def test_a_department_is_called_as_it_was_on_the_day():
    assert name_on(AGENCIES, "science", date(2025, 2, 28)) == "Sở Khoa học cũ"
    assert name_on(AGENCIES, "science", date(2025, 3, 1)) == "Sở Khoa học và Công nghệ"
    assert name_on(AGENCIES, "police", date(2025, 3, 1)) == "police"


def test_an_old_agency_code_still_resolves():
    found = successor_on(AGENCIES, "H26.91", date(2026, 1, 1))

    assert found is not None
    assert found.agency_code == "H26.01"
    assert successor_on(AGENCIES, "H26.99", date(2026, 1, 1)) is None


def test_a_circle_of_successors_ends():
    circle = [
        agency("H26.93", "Sở Một", ended="2025-01-01", successor="H26.94"),
        agency("H26.94", "Sở Hai", ended="2025-01-01", successor="H26.93"),
    ]

    assert successor_on(circle, "H26.93", date(2026, 1, 1)) is None
