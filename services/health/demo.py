"""The department's sources: the city's facility list as it is, and births as facilities report them."""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

from lienthong import Refused
from lienthong.demo import HANOI, Papers, Scale
from lienthong.demo.people import draw_person
from lienthong.demo.rooms import in_mixed_order
from lienthong.demo.spoil import SPOILS, put_all, write
from services.health import demo_deaths, publishers
from services.health.events import Facility, Unit

GIVES = ("birth-slip", "death-slip")
NEEDS = ("unit-list",)
COMES = {"facility": "first", "birth-annulment": "last"}

DATA = Path(__file__).parent / "data" / "hanoi_health_facilities.csv"
BAD_SHARE = 0.03
NAME = ("mother", "full_name")


def feed(scale: Scale, papers: Papers) -> Iterator[tuple[str, bytes]]:
    """Hand in the facility list, then births; each mother takes a slip home, whatever became of its copy."""
    rows = read_rows()
    facilities = sound_facilities(rows, papers["unit-list"])
    births = draw_births(scale, papers["unit-list"], facilities)
    papers["birth-slip"] = [_slip(birth) for birth in births]
    deaths = demo_deaths.draw(scale, papers["unit-list"], facilities)
    papers["death-slip"] = [demo_deaths.slip(death) for death in deaths]
    records = [("facility", json.dumps(row, ensure_ascii=False).encode()) for row in rows]
    told = [("birth", raw) for raw in _reported(births, scale.dice("health/bad"))]
    told += [("death", raw) for raw in demo_deaths.reported(deaths, scale.dice("health/bad-deaths"))]
    told += [("home-birth", raw) for raw in _at_home(scale, births, facilities)]
    told += [("birth-annulment", raw) for raw in _taken_back(scale, births)]
    return iter(records + in_mixed_order(told, scale.dice("health/order")))


def read_rows() -> list[dict[str, str]]:
    """Read the city's list as it was published."""
    with DATA.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def sound_facilities(rows: list[dict[str, str]], unit_list: list[dict[str, Any]]) -> list[Facility]:
    """List the facilities that will be published; of rows with one code, the first sound one."""
    units = [Unit.model_validate(unit) for unit in unit_list]
    sound: dict[str, Facility] = {}
    for record in rows:
        row = publishers.read_row(record)
        try:
            sound.setdefault(row["code"], publishers.place_facility(row, units))
        except Refused:
            continue
    return list(sound.values())


def draw_births(
    scale: Scale, unit_list: list[dict[str, Any]], facilities: list[Facility]
) -> list[dict[str, Any]]:
    """Draw births over the last five days, mothers over the units by population."""
    dice = scale.dice("health")
    today = scale.now.astimezone(HANOI).replace(second=0, microsecond=0)
    maternity = [f for f in facilities if f.kind == "hospital" or "obstetrics" in (f.specialties or ())]
    homes = dice.choices(
        [unit["unit_code"] for unit in unit_list], [unit["population"] for unit in unit_list], k=scale.size
    )
    near: dict[str, list[Facility]] = defaultdict(list)
    for facility in maternity:
        near[facility.unit_code].append(facility)
    births = [_birth(dice, today, dice.choice(near.get(home) or maternity), home) for home in homes]
    births.sort(key=lambda birth: birth["notified_at"])
    return _numbered(births)


def _birth(dice: Random, today: datetime, facility: Facility, home: str) -> dict[str, Any]:
    notified_at = today - timedelta(minutes=dice.randint(60, 5 * 24 * 60))
    born_at = notified_at - timedelta(minutes=dice.randint(30, 36 * 60))
    mother = draw_person(dice, "female", born_at.date())
    return {
        "notification_id": "",
        "facility_code": facility.facility_code,
        "born_at": born_at.isoformat(),
        "notified_at": notified_at.isoformat(),
        "sex": dice.choice(("female", "male")),
        "weight_g": round(min(max(dice.gauss(3150, 420), 900), 5200)),
        "mother": {
            "personal_number": mother.personal_number,
            "full_name": mother.full_name,
            "born_on": mother.born_on.isoformat(),
            "ethnicity_code": mother.ethnicity_code,
            "unit_code": home,
        },
    }


def _numbered(births: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Number the notifications as each facility does, from one in a year; a few babies were not weighed."""
    serials: Counter[tuple[str, str]] = Counter()
    for place, birth in enumerate(births):
        book = (birth["facility_code"], birth["notified_at"][:4])
        serials[book] += 1
        birth["notification_id"] = f"{book[0]}-{book[1]}-{serials[book]:06d}"
        if place % 17 == 0:
            del birth["weight_g"]
    return births


def _slip(birth: dict[str, Any]) -> dict[str, Any]:
    """Write what the mother takes home: enough to find the notification again."""
    return {
        "notification_id": birth["notification_id"],
        "notified_at": birth["notified_at"],
        "sex": birth["sex"],
        "unit_code": birth["mother"]["unit_code"],
        "ethnicity_code": birth["mother"]["ethnicity_code"],
    }


def _at_home(scale: Scale, births: list[dict[str, Any]], facilities: list[Facility]) -> list[bytes]:
    """Write births at home, five in a thousand, as stations verified them; no family comes for these."""
    dice = scale.dice("health/home")
    stations = sorted({f.unit_code for f in facilities if f.kind == "health-station"})
    written: list[bytes] = []
    for birth in dice.sample(births, min(len(births), len(births) * 5 // 1_000 + 2)):
        told = {
            name: value for name, value in birth.items() if name not in {"notification_id", "facility_code"}
        }
        mother = draw_person(dice, "female", datetime.fromisoformat(birth["born_at"]).date())
        told["mother"] = {
            **birth["mother"],
            "personal_number": mother.personal_number,
            "full_name": mother.full_name,
            "born_on": mother.born_on.isoformat(),
        }
        # One unit without a station, so that somebody has to look.
        told["unit_code"] = "99999" if not written else dice.choice(stations)
        written.append(write(told))
    return written


def _taken_back(scale: Scale, births: list[dict[str, Any]]) -> list[bytes]:
    """Write notices taken back, four in a thousand, one of them twice, and one that never was."""
    dice = scale.dice("health/back")
    now = scale.now.astimezone(HANOI).replace(microsecond=0).isoformat()
    numbers = [
        birth["notification_id"]
        for birth in dice.sample(births, min(len(births), len(births) * 4 // 1_000 + 1))
    ]
    told = [
        {"notification_id": number, "annulled_at": now, "reason": dice.choice(("stillbirth", "issued-twice"))}
        for number in [*numbers, *numbers[:1]]
    ]
    if told:
        told.append({**told[0], "notification_id": f"01ZZZ-{now[:4]}-000001"})
    return [write(one) for one in told]


def _reported(births: list[dict[str, Any]], dice: Random) -> list[bytes]:
    """Report the births; of every hundred three are spoiled, each in its own way, or reported twice."""
    spoiled = dict(
        zip(
            dice.sample(range(len(births)), round(len(births) * BAD_SHARE)),
            cycle((*WRONG, *SPOILS, "twice")),
            strict=False,
        )
    )
    reported = []
    for place, birth in enumerate(births):
        kind = spoiled.get(place)
        if kind in SPOILS:
            reported.append(SPOILS[kind](birth, NAME))
        else:
            reported.append(write(put_all(birth, WRONG[kind]) if kind in WRONG else birth))
        if kind == "twice":
            reported.append(reported[-1])
    return reported


WRONG: dict[str, dict[tuple[str, ...], Any]] = {
    "mother-missing": {("mother",): None},
    "mother-unnamed": {NAME: None},
    "weight-in-kilograms": {("weight_g",): 3},
    "born-after-notified": {("born_at",): "2099-01-01T00:00:00+07:00"},
    "born-without-offset": {("born_at",): "2025-07-01T08:00:00"},
    "facility-unknown": {("facility_code",): "01ZZZ", ("notification_id",): "01ZZZ-2025-000001"},
    "unit-unknown": {("mother", "unit_code"): "99999"},
    "personal-number-short": {("mother", "personal_number"): "09919912345"},
    "sex-in-words": {("sex",): "Nữ"},
    "number-of-another-year": {("mother", "personal_number"): "099100000001"},
    "field-unknown": {("diagnosis",): "không"},
}
"""Where a report is wrong, and what is written there."""
