"""Personal numbers as patients show them: one that cannot belong to its birthday was misread."""

import re
from datetime import date

from lienthong import Refused

NUMBER = re.compile(r"[0-9]{3}([0-9])([0-9]{2})[0-9]{6}")


class NumberImpossible(Refused):
    """A personal number names another year of birth than the birthday beside it."""

    code = "number-impossible"
    remedy = "Look at the identity card again, and correct the number or the birthday."


def check(person: object, role: str) -> None:
    """Check a person's number against the birthday; what is no number or no day the gate is about to refuse.

    Raises:
        NumberImpossible: the fourth digit says the century, the next two the year.
    """
    if not isinstance(person, dict):
        return
    found = NUMBER.fullmatch(str(person.get("personal_number")))
    try:
        born_on = date.fromisoformat(str(person.get("born_on")))
    except ValueError:
        return
    if found and (1900 + 100 * (int(found[1]) // 2) + int(found[2])) != born_on.year:
        raise NumberImpossible(reason=f"the personal number of the {role} names another year than born_on")
