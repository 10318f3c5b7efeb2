"""People who do not exist: plausible Vietnamese names, and personal numbers nobody can hold."""

from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Final, Literal

NOWHERE: Final = "099"
"""Personal numbers begin with the code of a province of birth; the 63 old provinces end at 096."""

ETHNICITIES: Final = {"01": 95, "06": 2, "02": 1, "07": 1, "03": 1}
"""Codes of Kinh, Mường, Tày, Nùng, Thái, roughly as often as one meets them in Hanoi (percent)."""

SURNAMES: Final = {
    "Nguyễn": 38, "Trần": 11, "Lê": 10, "Phạm": 7, "Hoàng": 5, "Vũ": 5, "Phan": 4, "Đặng": 3, "Bùi": 3,
    "Đỗ": 3, "Ngô": 2, "Dương": 2, "Lý": 1, "Đinh": 1, "Trịnh": 1, "Đoàn": 1, "Lương": 1, "Mai": 1, "Tạ": 1,
}  # fmt: skip
MIDDLE: Final = {
    "female": ("Thị", "Thị Thu", "Thị Ngọc", "Minh", "Thanh", "Khánh", "Bảo", "Phương", "Thùy", "Hoài"),
    "male": ("Văn", "Đức", "Minh", "Quang", "Hữu", "Gia", "Tuấn", "Xuân", "Thế", "Bảo"),
}
GIVEN: Final = {
    "female": (
        "Hương",
        "Lan",
        "Hằng",
        "Trang",
        "Linh",
        "Ánh",
        "Yến",
        "Thảo",
        "Vân",
        "Hà",
        "Châu",
        "Mỹ",
        "Nhung",
        "Quỳnh",
    ),
    "male": (
        "Nam",
        "Hùng",
        "Dũng",
        "Tùng",
        "Sơn",
        "Khôi",
        "Phúc",
        "Đạt",
        "Huy",
        "Long",
        "Kiên",
        "Việt",
        "Trường",
    ),
}

Sex = Literal["female", "male"]


@dataclass(frozen=True, slots=True)
class Person:
    """A grown-up who does not exist."""

    personal_number: str
    full_name: str
    born_on: date
    ethnicity_code: str


def draw_name(dice: Random, sex: Sex, surname: str | None = None) -> str:
    """Draw a full name: surname, middle, given; in normal form C."""
    surname = surname or dice.choices(list(SURNAMES), list(SURNAMES.values()))[0]
    return f"{surname} {dice.choice(MIDDLE[sex])} {dice.choice(GIVEN[sex])}"


def draw_person(dice: Random, sex: Sex, today: date, ages: tuple[int, int] = (19, 42)) -> Person:
    """Draw a grown-up; `ages` are the youngest and the oldest, in years."""
    born_on = today - timedelta(days=dice.randint(ages[0] * 366, ages[1] * 365))
    ethnicity_code = dice.choices(list(ETHNICITIES), list(ETHNICITIES.values()))[0]
    return Person(personal_number(dice, sex, born_on), draw_name(dice, sex), born_on, ethnicity_code)


def personal_number(dice: Random, sex: Sex, born_on: date) -> str:
    """Make 12 digits: province of birth, century with sex (0, 1: 1900s; 2, 3: 2000s), year, serial."""
    century = 2 * (born_on.year // 100 - 19) + (sex == "female")
    return f"{NOWHERE}{century}{born_on:%y}{dice.randrange(1_000_000):06d}"
