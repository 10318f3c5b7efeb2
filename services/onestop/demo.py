"""The department's source: dossiers as citizens hand them in at the counters, with the slip of the birth."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import cycle
from random import Random
from typing import Any

from lienthong.demo import HANOI, Papers, Scale
from lienthong.demo.people import Person, draw_name, draw_person
from lienthong.demo.rooms import in_mixed_order
from lienthong.demo.spoil import SPOILS, put_all, write
from services.onestop import demo_deaths

GIVES = ()
NEEDS = ("birth-slip", "death-slip")
COMES = {"resubmission": "last", "feedback": "last"}

BAD_SHARE = 0.03
RETURNED_SHARE = 0.01
FOREIGN_SHARE = 0.2
"""Of the families that name no father by a Vietnamese number."""
FEEDBACK_SHARE = 0.05
NAME = ("child", "full_name")
ALL_THREE = ["birth-registration", "residence-registration", "health-insurance-card"]


def feed(scale: Scale, papers: Papers) -> Iterator[tuple[str, bytes]]:
    """Hand in a dossier for each slip, at the counter where mother or deceased lived, and feedback."""
    dossiers = draw_dossiers(scale, papers["birth-slip"])
    deaths = demo_deaths.draw(scale, papers["death-slip"])
    records = [("dossier", raw) for raw in _handed_in(dossiers, scale.dice("onestop/bad"))]
    records += [
        ("death-dossier", raw) for raw in demo_deaths.handed_in(deaths, scale.dice("onestop/bad-deaths"))
    ]
    records += [("resubmission", write(dossier)) for dossier in _corrected(dossiers)]
    records += [("feedback", raw) for raw in _feedback(scale, dossiers)]
    return iter(in_mixed_order(records, scale.dice("onestop/order")))


def draw_dossiers(scale: Scale, slips: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Draw what families declare: the child's name, mostly a father, who declares; in the order they come."""
    dice = scale.dice("onestop")
    now = scale.now.astimezone(HANOI).replace(microsecond=0)
    dossiers = [_dossier(dice, now, slip) for slip in slips]
    dossiers.sort(key=lambda dossier: dossier["submitted_at"])
    serials: Counter[str] = Counter()
    for dossier in dice.sample(dossiers, round(len(dossiers) * RETURNED_SHARE)):
        # What no gate can see: Justice turns it down, with its reason.
        dossier["child"]["full_name"] += " 2"
    for dossier in dossiers:
        day = f"H26.{dossier['unit_code']}-{datetime.fromisoformat(dossier['submitted_at']):%y%m%d}"
        serials[day] += 1
        dossier["dossier_code"] = f"{day}-{serials[day]:04d}"
    return dossiers


def _dossier(dice: Random, now: datetime, slip: dict[str, Any]) -> dict[str, Any]:
    notified_at = datetime.fromisoformat(slip["notified_at"])
    submitted_at = notified_at + (now - notified_at) * dice.uniform(0.1, 1)
    father = draw_person(dice, "male", now.date(), (20, 50)) if dice.random() < 0.9 else None
    child: dict[str, Any] = {
        "full_name": draw_name(dice, slip["sex"], father.full_name.split()[0] if father else None)
    }
    foreign = _foreign(dice, now) if father is None and dice.random() < FOREIGN_SHARE else {}
    if father and father.ethnicity_code != slip["ethnicity_code"] and dice.random() < 0.5:
        child["ethnicity_code"] = father.ethnicity_code
    return {
        "dossier_code": "",
        "notification_id": slip["notification_id"],
        "unit_code": slip["unit_code"],
        "submitted_at": submitted_at.replace(microsecond=0).isoformat(),
        "procedures": ALL_THREE if dice.random() < 0.8 else ALL_THREE[:1],
        "child": child,
        **({"father": _declared(father)} if father else foreign),
        "declarant": _declarant(dice, now, father),
    }


def _foreign(dice: Random, now: datetime) -> dict[str, Any]:
    """Draw a foreign father, by his passport, and the nationality agreed for the child."""
    born_on = now.date() - timedelta(days=dice.randint(25 * 366, 50 * 365))
    return {
        "foreign_parent": {
            "full_name": dice.choice(("Max Mustermann", "Jean Dupont", "Taro Yamada", "Gildong Hong")),
            "born_on": born_on.isoformat(),
            "nationality_code": dice.choice(("DE", "FR", "JP", "KR")),
            "passport_number": f"X{dice.randrange(10_000_000):07d}",
        },
        "child_nationality_code": "VN",
    }


def _declared(father: Person) -> dict[str, Any]:
    return {
        "personal_number": father.personal_number,
        "full_name": father.full_name,
        "born_on": father.born_on.isoformat(),
        "ethnicity_code": father.ethnicity_code,
    }


def _declarant(dice: Random, now: datetime, father: Person | None) -> dict[str, Any]:
    """Draw who comes to the counter: a parent, whom nobody asks twice, or a grandparent."""
    if dice.random() < 0.1:
        grandparent = draw_person(dice, "female", now.date(), (45, 75))
        return {
            "relationship": "relative",
            "personal_number": grandparent.personal_number,
            "full_name": grandparent.full_name,
        }
    return {"relationship": "father" if father and dice.random() < 0.6 else "mother"}


def _corrected(dossiers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Correct the dossiers that Justice turned down; each is submitted anew and names the one it replaces."""
    corrected = []
    for number, dossier in enumerate(
        dossier for dossier in dossiers if dossier["child"]["full_name"].endswith(" 2")
    ):
        child = {**dossier["child"], "full_name": dossier["child"]["full_name"].removesuffix(" 2")}
        code = f"{dossier['dossier_code'][:-4]}8{number % 1000:03d}"
        corrected.append(
            {**dossier, "child": child, "dossier_code": code, "replaces": dossier["dossier_code"]}
        )
    return corrected


def _feedback(scale: Scale, dossiers: list[dict[str, Any]]) -> list[bytes]:
    """Write feedback; of every hundred two are about another's dossier, and two about none."""
    dice = scale.dice("onestop/feedback")
    now = scale.now.astimezone(HANOI).replace(microsecond=0)
    written = []
    for number, dossier in enumerate(dice.sample(dossiers, round(len(dossiers) * FEEDBACK_SHARE)), 1):
        told = {
            "feedback_id": f"PA-{now.year}-{number:06d}",
            "dossier_code": dossier["dossier_code"],
            "notice_number": dossier["notification_id"],
            "rating": dice.choices((1, 2, 3, 4, 5), (3, 5, 12, 40, 40))[0],
            "received_at": now.isoformat(),
        }
        if number % 50 == 3:
            told["notice_number"] = "01ZZZ-2025-000001"
        elif number % 50 == 4:
            told["dossier_code"] = "H26.00000-250701-0001"
        elif number % 50 == 5:
            told["rating"] = 6
        written.append(write(told))
    return written


def _handed_in(dossiers: list[dict[str, Any]], dice: Random) -> list[bytes]:
    """Hand the dossiers in; of every hundred three are spoiled, or come twice, each in its own way."""
    kinds = cycle((*WRONG, *SPOILS, "twice", "second-dossier", "never-notified"))
    spoiled = dict(
        zip(dice.sample(range(len(dossiers)), round(len(dossiers) * BAD_SHARE)), kinds, strict=False)
    )
    handed_in = []
    for place, dossier in enumerate(dossiers):
        kind = spoiled.get(place)
        if kind in SPOILS:
            handed_in.append(SPOILS[kind](dossier, NAME))
        elif kind == "never-notified":
            handed_in.append(
                write({**dossier, "notification_id": f"01ZZZ-{dossier['submitted_at'][:4]}-{place:06d}"})
            )
        else:
            handed_in.append(write(put_all(dossier, WRONG[kind]) if kind in WRONG else dossier))
        if kind == "twice":
            handed_in.append(handed_in[-1])
        elif kind == "second-dossier":
            handed_in.append(
                write({**dossier, "dossier_code": f"{dossier['dossier_code'][:-4]}9{place % 1000:03d}"})
            )
    return handed_in


WRONG: dict[str, dict[tuple[str, ...], Any]] = {
    "child-missing": {("child",): None},
    "child-unnamed": {NAME: ""},
    "notification-misspelt": {("notification_id",): "01020/2025/731"},
    "unit-unknown": {("unit_code",): "99999", ("dossier_code",): "H26.99999-250701-0001"},
    "code-of-another-unit": {("dossier_code",): "H26.00000-250701-0001"},
    "father-of-another-year": {
        ("father",): {
            "personal_number": "099299000001",
            "full_name": "Trần Văn Mẫu",
            "born_on": "1996-05-02",
            "ethnicity_code": "01",
        }
    },
    "mother-declared-twice": {("declarant",): {"relationship": "mother", "personal_number": "099199000001"}},
    "relative-unnamed": {("declarant",): {"relationship": "relative"}},
    "number-with-blanks": {("father",): {"personal_number": "099 096 00001"}},
    "no-procedure": {("procedures",): []},
    "foreigner-of-no-country": {
        ("foreign_parent",): {
            "full_name": "Max Mustermann",
            "born_on": "1990-04-01",
            "nationality_code": "VN",
        },
        ("child_nationality_code",): "VN",
    },
    "submitted-in-2099": {("submitted_at",): "2099-01-01T08:00:00+07:00"},
    "field-unknown": {("mother",): {"full_name": "Đã có ở Sở Y tế"}},
}
"""Where a dossier is wrong, and what is written there."""
