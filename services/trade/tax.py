"""Tax codes: ten digits whose last checks the others, thirteen for a branch (Thông tư 105/2020/TT-BTC)."""

import re

CODE = re.compile(r"([0-9]{9})([0-9])(?:-[0-9]{3})?")
WEIGHTS = (31, 29, 23, 19, 17, 13, 7, 5, 3)


def check_digit(nine: str) -> int | None:
    """Compute the tenth digit of a tax code; None where these nine are never given out."""
    digit = 10 - sum(weight * int(digit) for weight, digit in zip(WEIGHTS, nine, strict=True)) % 11
    return digit if digit < 10 else None


def is_sound(code: str) -> bool:
    """Tell whether a tax code has its form and its check digit."""
    found = CODE.fullmatch(code)
    return found is not None and check_digit(found[1]) == int(found[2])
