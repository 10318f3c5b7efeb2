"""The department's sources, deaths: as facilities report them, and the slip that a family takes home."""

from collections import Counter
from datetime import timedelta
from itertools import cycle
from random import Random
from typing import Any

from lienthong.demo import HANOI, Scale
from lienthong.demo.people import draw_person
from lienthong.demo.spoil import SPOILS, put_all, write
from services.health.events import Facility

DEATHS = 0.2
"""How many come for each birth: of the deaths in the city, those in a hospital."""
BAD_SHARE = 0.03
NAME = ("deceased", "full_name")


def draw(scale: Scale, unit_list: list[dict[str, Any]], facilities: list[Facility]) -> list[dict[str, Any]]:
    """Draw deaths in hospitals over the last five days; the deceased over the units by population."""
    dice = scale.dice("health/deaths")
    now = scale.now.astimezone(HANOI).replace(second=0, microsecond=0)
    hospitals = [f for f in facilities if f.kind == "hospital"] or facilities
    deaths: list[dict[str, Any]] = []
    for _ in range(round(scale.size * DEATHS)):
        notified_at = now - timedelta(minutes=dice.randint(60, 5 * 24 * 60))
        died_at = notified_at - timedelta(minutes=dice.randint(20, 6 * 60))
        deceased = draw_person(dice, dice.choice(("female", "male")), died_at.date(), (45, 98))
        home = dice.choices(unit_list, [unit["population"] for unit in unit_list])[0]
        deaths.append(
            {
                "notice_id": "",
                "facility_code": dice.choice(hospitals).facility_code,
                "died_at": died_at.isoformat(),
                "notified_at": notified_at.isoformat(),
                "deceased": {
                    "personal_number": deceased.personal_number,
                    "full_name": deceased.full_name,
                    "born_on": deceased.born_on.isoformat(),
                    "unit_code": home["unit_code"],
                },
            }
        )
    deaths.sort(key=lambda death: death["notified_at"])
    serials: Counter[tuple[str, str]] = Counter()
    for death in deaths:
        book = (death["facility_code"], death["notified_at"][:4])
        serials[book] += 1
        death["notice_id"] = f"{book[0]}-{book[1]}-T{serials[book]:05d}"
    return deaths


def slip(death: dict[str, Any]) -> dict[str, Any]:
    """Write what the family takes home: enough to find the notice again."""
    return {
        "notice_id": death["notice_id"],
        "notified_at": death["notified_at"],
        "unit_code": death["deceased"]["unit_code"],
    }


def reported(deaths: list[dict[str, Any]], dice: Random) -> list[bytes]:
    """Report the deaths; of every hundred three are spoiled, each in its own way, or reported twice."""
    places = dice.sample(range(len(deaths)), round(len(deaths) * BAD_SHARE))
    spoiled = dict(zip(places, cycle((*WRONG, *SPOILS, "twice")), strict=False))
    told = []
    for place, death in enumerate(deaths):
        kind = spoiled.get(place)
        if kind in SPOILS:
            told.append(SPOILS[kind](death, NAME))
        else:
            told.append(write(put_all(death, WRONG[kind]) if kind in WRONG else death))
        if kind == "twice":
            told.append(told[-1])
    return told


WRONG: dict[str, dict[tuple[str, ...], Any]] = {
    "died-before-birth": {("died_at",): "1890-01-01T00:00:00+07:00"},
    "number-of-another-year": {("deceased", "personal_number"): "099300000001"},
    "died-in-2099": {("died_at",): "2099-01-01T00:00:00+07:00"},
    "facility-unknown": {("facility_code",): "01ZZZ", ("notice_id",): "01ZZZ-2025-T00001"},
    "deceased-unnamed": {NAME: None},
    "cause-told": {("cause",): "Không được gửi"},
}
"""Where a report is wrong, and what is written there."""
