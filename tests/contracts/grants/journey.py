"""The city's procedures in one go, every turn of them: what a department uses of a grant shows in the end."""

from datetime import date
from itertools import count
from typing import Any

from pydantic import ValidationError

from tests.contracts.grants.stage import Stage
from tests.journeys import papers
from tests.journeys.papers import HOSPITAL, OTHER_WARD, STATION, WARD

BORN_AT, NOTIFIED_AT = "2025-11-14T20:55:00+07:00", "2025-11-15T08:00:00+07:00"
SUBMITTED_AT = "2025-11-17T09:30:00+07:00"
ASKED_ON = date(2025, 12, 1)
MERGED, MERGER = "00091", "00097"
FATHER = {
    "personal_number": "099096000001",
    "full_name": "Trần Văn Mẫu",
    "born_on": "1996-05-02",
    "ethnicity_code": "06",
}
DECEASED = {"personal_number": "099044000001", "unit_code": OTHER_WARD}
FOREIGN = {
    "full_name": "Max Mustermann",
    "born_on": "1990-04-01",
    "nationality_code": "DE",
    "passport_number": "C01X00T47",
}


class Townspeople:
    """Who hands things in, with numbers of their own."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.codes: list[str] = []
        self.numbers = count(1)

    def number(self) -> str:
        return f"{HOSPITAL}-2025-{next(self.numbers):06d}"

    async def notify(self, number: str, **changed: Any) -> None:
        record = papers.birth(number) | {"born_at": BORN_AT, "notified_at": NOTIFIED_AT} | changed
        await self.stage.hand_in("health", "birth", record)

    async def submit(self, number: str, unit: str = WARD, **changed: Any) -> str:
        code = f"H26.{unit}-251117-{next(self.numbers):04d}"
        record = papers.birth_dossier(code, number) | {"submitted_at": SUBMITTED_AT} | changed
        await self.stage.hand_in("onestop", "dossier", record)
        self.codes.append(code)
        return code

    async def declare(self, **changed: Any) -> tuple[str, str]:
        """Declare a birth that was notified; gives its notice and its dossier."""
        number = self.number()
        await self.notify(number)
        return number, await self.submit(number, **changed)

    async def declare_death(self, **deceased: Any) -> str:
        notice = f"{HOSPITAL}-2025-T{next(self.numbers):05d}"
        record = papers.death(notice) | {"died_at": "2025-11-18T03:20:00+07:00"}
        record |= {
            "notified_at": "2025-11-18T07:00:00+07:00",
            "deceased": record["deceased"] | DECEASED | deceased,
        }
        await self.stage.hand_in("health", "death", record)
        code = f"H26.{WARD}-251118-{next(self.numbers):04d}"
        dossier = papers.death_dossier(code, notice) | {"submitted_at": "2025-11-18T09:30:00+07:00"}
        await self.stage.hand_in("onestop", "death-dossier", dossier)
        self.codes.append(code)
        return notice

    async def annul_notice(self, number: str) -> None:
        annulled = {"notification_id": number, "annulled_at": SUBMITTED_AT, "reason": "stillbirth"}
        await self.stage.hand_in("health", "birth-annulment", annulled)


async def play(stage: Stage, chapter: str) -> None:
    """Play one chapter in a city that has just opened, and ask for every dossier in the end."""
    people = Townspeople(stage)
    await _open_the_city(stage)
    await CHAPTERS[chapter](people)
    await _ask(stage, people.codes)


async def _open_the_city(stage: Stage) -> None:
    for code, name, former in (
        (WARD, "Phường Ba Đình", ("00004", "Phường Trúc Bạch", False)),
        (OTHER_WARD, "Phường Ngọc Hà", ("00007", "Phường Cống Vị", False)),
    ):
        divided = (("00013", "Phường Quán Thánh", True), ("00019", "Phường Ngọc Hà", True))
        await stage.hand_in("science", "unit", _unit(code, name, former, *divided))
    for department in ("justice", "police", "insurance"):
        await stage.hand_in("science", "agency", _agency(department))
    for code, name, former in (
        (HOSPITAL, "Bệnh viện Mẫu", "Phường Trúc Bạch"),
        (STATION, "Trạm y tế phường Cống Vị", "Phường Cống Vị"),
        ("01C01", "Phòng khám Mẫu", "Phường Ngọc Hà"),
        ("01C02", "Phòng khám Hai nơi", "Phường Quán Thánh"),
    ):
        row = {"code": code, "name": name, "address": f"1 Phố Mẫu, {former}", "specialties": ""}
        await stage.hand_in("health", "facility", row | {"old_district": "Quận Ba Đình"})


async def _births(people: Townspeople) -> None:
    stage = people.stage
    number, code = await people.declare(
        father=FATHER,
        child={"full_name": "Trần Mẫu Bình", "ethnicity_code": "06"},
        declarant={
            "relationship": "relative",
            "personal_number": "099055000003",
            "full_name": "Trần Văn Ông",
        },
    )
    feedback = {"feedback_id": "PA-2025-000001", "dossier_code": code, "notice_number": number, "rating": 4}
    await stage.hand_in("onestop", "feedback", feedback | {"received_at": SUBMITTED_AT})
    await people.declare(declarant={"relationship": "father"}, father=FATHER, child={"full_name": "Trần An"})
    # A dossier before its notice, for the registration alone, at the other counter.
    number = people.number()
    await people.submit(number, OTHER_WARD, procedures=["birth-registration"])
    await people.notify(number, sex="male")
    await people.submit(people.number())  # its notice never comes
    # Two wards, one child; and a dossier that comes back and is submitted again.
    number, _ = await people.declare()
    await people.submit(number, OTHER_WARD)
    wrong = {"child": {"full_name": "Trần Mẫu 2"}, "father": FATHER | {"personal_number": "099299000001"}}
    number, code = await people.declare(**wrong)
    await people.submit(number, father=FATHER, replaces=code)
    for first in ("notice", "dossier"):
        number, foreign = people.number(), {"foreign_parent": FOREIGN, "child_nationality_code": "VN"}
        if first == "notice":
            await people.notify(number)
        await people.submit(number, **foreign)
        if first == "dossier":
            await people.notify(number)
            # Another dossier's father is not this child's.
            await people.submit(number, **{**foreign, "foreign_parent": FOREIGN | {"full_name": "Erika"}})


async def _two_units_merge(people: Townspeople) -> None:
    """A unit ends between notice and dossier."""
    stage = people.stage
    number = people.number()
    await stage.hand_in("science", "unit", _unit(MERGED, "Phường Cũ Mẫu", ("00092", "Phường Rất Cũ", False)))
    await people.notify(number, mother=papers.birth(number)["mother"] | {"unit_code": MERGED})
    await _merge_a_unit(stage)
    await people.submit(number, MERGER)
    await people.submit(people.number(), MERGED)


async def _merge_a_unit(stage: Stage) -> None:
    await stage.hand_in("science", "unit", _unit(MERGED, "Phường Cũ Mẫu", ("00092", "Phường Rất Cũ", False)))
    await stage.hand_in("science", "unit", _unit(MERGER, "Phường Mới Mẫu", (MERGED, "Phường Cũ Mẫu", False)))
    await stage.hand_in("science", "unit-end", {"unit_code": MERGED, "ended_on": "2025-11-16"})


async def _amendments(people: Townspeople) -> None:
    stage = people.stage
    for corrected in (
        {"full_name": "Trần Mẫu Ân", "ground": "clerical-error"},
        {"born_on": "2025-11-13", "ground": "clerical-error"},
        {"sex": "male", "ground": "sex-determined"},
    ):
        number, _ = await people.declare()
        await stage.hand_in("justice", "correction", {"number": number, **corrected})
        await stage.hand_in("justice", "correction", {"number": number, **corrected})
    number, _ = await people.declare()
    await people.annul_notice(number)
    await people.annul_notice(number)
    number, _ = await people.declare()
    await stage.hand_in("justice", "annulment", {"number": number})
    number = people.number()
    await people.notify(number)
    await people.annul_notice(number)
    await people.submit(number)
    number = people.number()
    await people.submit(number)
    await people.notify(number, sex="undetermined")


async def _deaths(people: Townspeople) -> None:
    stage = people.stage
    await people.declare_death()
    number, _ = await people.declare()
    registered = await stage.databases["justice"].fetchrow(
        "SELECT personal_number FROM registration WHERE notification_id = $1", number
    )
    # Where nobody numbered the child, its death is somebody else's: that too shows in the end.
    child = (registered and registered["personal_number"]) or "099225000009"
    deceased = {"personal_number": child, "born_on": "2025-11-14", "full_name": "Trần Mẫu An"}
    notice = await people.declare_death(**deceased)
    await people.declare_death(**deceased)
    await stage.hand_in("justice", "annulment", {"number": notice})


async def _trade(people: Townspeople) -> None:
    stage = people.stage
    await _merge_a_unit(stage)
    licence = {
        "licence_number": "GP-2025-000001",
        "tax_code": "0101243150",
        "business_name": "Cửa hàng Mẫu",
        "unit_code": WARD,
        "granted_on": "2025-11-10",
        "valid_until_on": "2030-11-09",
    }
    for number, changed in enumerate(
        ({}, {}, {"unit_code": MERGED}, {"granted_on": "2025-06-01"}, {"tax_code": "0101243151"}), 1
    ):
        await stage.hand_in(
            "trade", "licence", licence | {"licence_number": f"GP-2025-00000{number}"} | changed
        )
    ended = {"licence_number": "GP-2025-000002", "ended_on": "2026-01-05", "reason": "returned"}
    await stage.hand_in("trade", "licence-end", ended)
    for number, minute in enumerate((30, 10), 1):
        price = {"observation_id": f"00004-01-20251116-00000{number}", "market_code": "00004-01"}
        price |= {"good_code": "rice", "price_vnd": 18_000 + number}
        await stage.hand_in("trade", "price", price | {"observed_at": f"2025-11-16T08:{minute}:00+07:00"})


async def _two_agencies_merge(people: Townspeople) -> None:
    stage = people.stage
    await people.submit(people.number())
    joined = _agency("police") | {"agency_code": "H26.09", "name": "Cơ quan hợp nhất"}
    await stage.hand_in("science", "agency", joined | {"effective_on": "2025-12-01"})
    ended = {"ended_on": "2025-12-01", "successor_code": "H26.09"}
    for department in ("insurance", "police"):
        await stage.hand_in("science", "agency", _agency(department) | ended)


async def _ask(stage: Stage, codes: list[str]) -> None:
    from services.onestop import answers

    for code in codes:
        for day in (date(2025, 11, 28), ASKED_ON):
            try:
                told = await answers.answer(stage.databases["onestop"], code, day)
            except (AttributeError, ValidationError) as error:
                told = [f"nothing: {type(error).__name__}"]
            stage.outcome.answers[f"{code} on {day}"] = told


def _unit(code: str, name: str, *former: tuple[str, str, bool]) -> dict[str, Any]:
    """Write a ward with what it was before: code, name, and whether it is one part of several."""
    written = papers.unit(code, name, *((old, called) for old, called, _ in former))
    for line, (_, _, divided) in zip(written["former_units"], former, strict=True):
        line["divided"] = divided
    return written


def _agency(department: str) -> dict[str, Any]:
    number = {"justice": 1, "police": 2, "insurance": 3}[department]
    agency = {"agency_code": f"H26.0{number}", "name": f"Cơ quan {department}", "department": department}
    return agency | {"effective_on": "2008-08-01"}


CHAPTERS = {
    "two agencies merge": _two_agencies_merge,
    "trade": _trade,
    "two units merge": _two_units_merge,
    "deaths": _deaths,
    "amendments": _amendments,
    "births": _births,
}
