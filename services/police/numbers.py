"""Personal numbers: how they are built, and which are impossible (Nghị định 70/2024/NĐ-CP).

Twelve digits: place where the birth was registered (3), century and sex (1), year of birth (2), random (6).
"""

from collections.abc import Callable
from datetime import date
from typing import Literal

PLACE = "099"
"""Hà Nội's is 001; no place has 099, so that no number made here is anybody's."""

Sex = Literal["female", "male"]


def century_digit(sex: Sex, year: int) -> int:
    """Give the fourth digit: 0 and 1 for men and women born in the 1900s, 2 and 3 in the 2000s, and so on."""
    return 2 * (year // 100 - 19) + (sex == "female")


def draw(sex: Sex, born_on: date, random: Callable[[int], bytes]) -> str:
    """Draw a number; another draw gives another one. `random` gives so many random bytes."""
    serial = int.from_bytes(random(8), "big") % 1_000_000
    return f"{PLACE}{century_digit(sex, born_on.year)}{born_on:%y}{serial:06d}"


def still_fits(number: str, sex: Sex, born_on: date) -> bool:
    """Tell whether a number agrees with sex and year of birth after these were corrected."""
    return number[3:6] == f"{century_digit(sex, born_on.year)}{born_on:%y}"
