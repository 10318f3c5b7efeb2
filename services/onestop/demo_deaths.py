"""The department's source, deaths: dossiers as families hand them in, with the slip of the notice."""

from collections import Counter
from datetime import datetime
from itertools import cycle
from random import Random
from typing import Any

from lienthong.demo import HANOI, Scale
from lienthong.demo.people import draw_person
from lienthong.demo.spoil import SPOILS, put_all, write

BAD_SHARE = 0.03
NAME = ("declarant", "full_name")


def draw(scale: Scale, slips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Draw a dossier for each slip, at the counter of the deceased's unit; in the order they come."""
    dice = scale.dice("onestop/deaths")
    now = scale.now.astimezone(HANOI).replace(microsecond=0)
    dossiers: list[dict[str, Any]] = []
    for slip in slips:
        notified_at = datetime.fromisoformat(slip["notified_at"])
        submitted_at = notified_at + (now - notified_at) * dice.uniform(0.1, 1)
        declarant = draw_person(dice, dice.choice(("female", "male")), now.date(), (25, 75))
        dossiers.append(
            {
                "dossier_code": "",
                "notice_id": slip["notice_id"],
                "unit_code": slip["unit_code"],
                "submitted_at": submitted_at.replace(microsecond=0).isoformat(),
                "declarant": {
                    "relationship": dice.choice(("spouse", "child", "child", "relative")),
                    "personal_number": declarant.personal_number,
                    "full_name": declarant.full_name,
                },
            }
        )
    dossiers.sort(key=lambda dossier: dossier["submitted_at"])
    serials: Counter[str] = Counter()
    for dossier in dossiers:
        day = f"H26.{dossier['unit_code']}-{datetime.fromisoformat(dossier['submitted_at']):%y%m%d}"
        serials[day] += 1
        # Births and deaths of a counter share its day's numbers; deaths take those from 5000 on.
        dossier["dossier_code"] = f"{day}-{5000 + serials[day]:04d}"
    return dossiers


def handed_in(dossiers: list[dict[str, Any]], dice: Random) -> list[bytes]:
    """Hand them in; of every hundred three are spoiled, or come twice, each in its own way."""
    places = dice.sample(range(len(dossiers)), round(len(dossiers) * BAD_SHARE))
    spoiled = dict(zip(places, cycle((*WRONG, *SPOILS, "twice", "second-dossier")), strict=False))
    told = []
    for place, dossier in enumerate(dossiers):
        kind = spoiled.get(place)
        if kind in SPOILS:
            told.append(SPOILS[kind](dossier, NAME))
        else:
            told.append(write(put_all(dossier, WRONG[kind]) if kind in WRONG else dossier))
        if kind == "twice":
            told.append(told[-1])
        elif kind == "second-dossier":
            told.append(
                write({**dossier, "dossier_code": f"{dossier['dossier_code'][:-4]}9{place % 1000:03d}"})
            )
    return told


WRONG: dict[str, dict[tuple[str, ...], Any]] = {
    "number-impossible": {("declarant", "personal_number"): "999070000003"},
    "deceased-told-again": {("deceased",): {"full_name": "Đã có ở Sở Y tế"}},
    "code-of-another-unit": {("dossier_code",): "H26.00000-250701-0001"},
    "notice-misspelt": {("notice_id",): "01169-2025-000012"},
    "declarant-unnamed": {NAME: ""},
}
"""Where a dossier is wrong, and what is written there."""
