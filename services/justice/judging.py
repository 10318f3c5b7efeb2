"""What stands in the way of a dossier, judged on what it says: every reason at once."""

import re
import unicodedata
from datetime import date

from services.justice.events import DeathSubmitted, DossierSubmitted

NUMBER = re.compile(r"([0-9]{3})([0-9])([0-9]{2})[0-9]{6}")

# fmt: off
PLACES = frozenset(
    {
        "001", "002", "004", "006", "008", "010", "011", "012", "014", "015", "017", "019", "020",
        "022", "024", "025", "026", "027", "030", "031", "033", "034", "035", "036", "037", "038",
        "040", "042", "044", "045", "046", "048", "049", "051", "052", "054", "056", "058", "060",
        "062", "064", "066", "067", "068", "070", "072", "074", "075", "077", "079", "080", "082",
        "083", "084", "086", "087", "089", "091", "092", "093", "094", "095", "096", "099",
    }
)
# fmt: on
"""Codes of the 63 provinces of birth, which old numbers keep; 099 is no place: synthetic people have it."""


def reasons_against_birth(dossier: DossierSubmitted) -> list[str]:
    """List what stands in the way of a birth dossier."""
    reasons = []
    if not is_letters(dossier.child.full_name):
        reasons.append("name-not-letters")
    father, declarant = dossier.father, dossier.declarant
    if father and not is_possible(father.personal_number, "male", father.born_on):
        reasons.append("father-number-impossible")
    if declarant.personal_number and not is_possible(declarant.personal_number):
        reasons.append("declarant-number-impossible")
    return reasons


def reasons_against_death(dossier: DeathSubmitted) -> list[str]:
    """List what stands in the way of a death dossier."""
    return [] if is_possible(dossier.declarant.personal_number) else ["declarant-number-impossible"]


def is_letters(full_name: str) -> bool:
    """Tell whether a name is letters only, as Bộ luật Dân sự 2015, Điều 26 asks of a Vietnamese name."""
    return all(unicodedata.category(sign)[0] in "LM" for word in full_name.split(" ") for sign in word)


def is_possible(number: str, sex: str | None = None, born_on: date | None = None) -> bool:
    """Tell whether a personal number could be somebody's: place, century with sex, year of birth."""
    found = NUMBER.fullmatch(number)
    if found is None or found[1] not in PLACES:
        return False
    century, year = int(found[2]) // 2, int(found[3])
    if sex is not None and int(found[2]) % 2 != (sex == "female"):
        return False
    return born_on is None or 1900 + 100 * century + year == born_on.year
