"""A birth and its dossier, in every order in which life brings them; seven departments on a real bus."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lienthong import NotValid
from lienthong.testing import until
from tests.journeys.town import OTHER_WARD, STATION, WARD, Town, birth, unit

REGISTERING = "justice.birth-registration"
NOTIFIED, SUBMITTED = "health.birth-notified.v1", "onestop.dossier-submitted.v1"


async def test_a_birth_declared_once_is_registered_numbered_housed_and_insured(town: Town) -> None:
    """Promise: a family declares a birth once at a counter, and four departments do the rest."""
    number = town.new_number()
    await town.notify(number)
    code = await town.submit(number)
    dossier = await town.became(code, "completed")
    registration = await town.registration(number)
    assert registration["dossier_code"] == code
    assert registration["registration_number"] == dossier["registration_number"]
    person = await town.pool("police").fetchrow(
        "SELECT * FROM person WHERE registration_number = $1", registration["registration_number"]
    )
    card = await town.pool("insurance").fetchrow("SELECT * FROM card WHERE dossier_code = $1", code)
    residence = await town.pool("police").fetchrow("SELECT * FROM residence WHERE dossier_code = $1", code)
    assert person["full_name"] == card["full_name"] == "Trần Mẫu An"
    assert person["personal_number"] == card["personal_number"]
    assert residence["unit_code"] == WARD
    await until(lambda: _numbered(town, number, person["personal_number"]))


async def test_what_was_not_asked_for_is_not_done(town: Town) -> None:
    """Promise: a dossier for the registration alone ends with it; no residence, no card."""
    number = town.new_number()
    await town.notify(number)
    code = await town.submit(number, procedures=["birth-registration"])
    await town.became(code, "completed")
    await until(lambda: _has_number(town, number))
    assert await town.find("police", "SELECT count(*) FROM residence WHERE dossier_code = $1", code) == 0
    assert await town.find("insurance", "SELECT count(*) FROM card WHERE dossier_code = $1", code) == 0


async def test_a_dossier_that_comes_before_its_notification_waits_for_it(town: Town) -> None:
    """Promise: whichever half comes first waits for the other."""
    number = town.new_number()
    code = await town.dealt_with(REGISTERING, SUBMITTED, lambda: town.submit(number))
    assert await town.registrations(number) == []
    await town.notify(number)
    await town.became(code, "completed")


async def test_a_notice_that_never_comes_is_seen_waiting_and_then_late(town: Town) -> None:
    """Promise: a dossier whose notice never comes is neither lost nor silent: both offices see it."""
    number = town.new_number()
    submitted_at = (datetime.now(UTC) - timedelta(days=30)).isoformat()
    code = await town.dealt_with(
        REGISTERING, SUBMITTED, lambda: town.submit(number, submitted_at=submitted_at)
    )
    awaits = await town.find("justice", "SELECT awaits FROM awaiting WHERE notification_id = $1", number)
    late = await town.pool("onestop").fetch("SELECT step FROM late_step WHERE dossier_code = $1", code)
    assert awaits == "notification"
    assert {row["step"] for row in late} == {
        "birth-registration",
        "residence-registration",
        "health-insurance-card",
    }


async def test_the_same_notification_twice_changes_nothing(town: Town) -> None:
    """Promise: a fact that is told twice, with another id, registers nobody twice."""
    number = town.new_number()
    await town.notify(number)
    code = await town.submit(number)
    await town.became(code, "completed")
    from services.health import health

    fact = birth(number)
    await town.dealt_with(REGISTERING, NOTIFIED, lambda: town.publish(health, fact, topic=NOTIFIED))
    assert len(await town.registrations(number)) == 1
    held = "SELECT count(*) FROM person p JOIN child USING (registration_number) WHERE notification_id = $1"
    assert await town.find("police", held, number) == 1


async def test_two_parents_in_two_wards_register_their_child_once(town: Town) -> None:
    """Promise: two dossiers for one birth make one registration; the second comes back with its reason."""
    number = town.new_number()
    await town.notify(number)
    first, second = await town.submit(number), await town.submit(number, town.new_dossier(OTHER_WARD))
    await until(lambda: _one_of_each(town, first, second), within=60)
    (registration,) = await town.registrations(number)
    returned = await town.dossier(second if registration["dossier_code"] == first else first)
    assert returned["reasons"][0] in {"already-registered", "other-dossier-first"}


async def test_twins_are_two_children(town: Town) -> None:
    """Promise: two births of one mother at one hour are two registrations, two numbers, two cards."""
    one, other = town.new_number(), town.new_number()
    born_at = (datetime.now(UTC) - timedelta(hours=30)).isoformat()
    codes = []
    for number, name in ((one, "Trần Mẫu Một"), (other, "Trần Mẫu Hai")):
        await town.notify(number, born_at=born_at)
        codes.append(await town.submit(number, child={"full_name": name}))
    for code in codes:
        await town.became(code, "completed")
    cards = await town.pool("insurance").fetch("SELECT * FROM card WHERE dossier_code = ANY($1)", codes)
    assert len({card["personal_number"] for card in cards}) == 2
    assert {card["full_name"] for card in cards} == {"Trần Mẫu Một", "Trần Mẫu Hai"}


async def test_a_birth_at_home_is_verified_by_the_health_station_of_the_ward(town: Town) -> None:
    """Promise: a child born at home is registered like any other; the ward's station gives the notice."""
    record = birth("")
    del record["notification_id"], record["facility_code"]
    taken = "SELECT notification_id FROM birth WHERE facility_code = $1 ORDER BY 1 DESC LIMIT 1"
    await town.hand_in("health", "home-birth", record | {"unit_code": OTHER_WARD})
    number = await town.find("health", taken, STATION)
    code = await town.submit(number)
    await town.became(code, "completed")
    entry = (await town.registration(number))["entry"]
    assert entry["child"]["birthplace"] == "Trạm y tế phường Mẫu, Phường Ngọc Hà"


@pytest.mark.parametrize("first", ["notice", "dossier"])
async def test_a_foreign_father_is_in_the_register_whichever_comes_first(town: Town, first: str) -> None:
    """Promise: a father without a personal number is declared by his passport, and never asked twice."""
    number = town.new_number()
    if first == "notice":
        await town.notify(number)
    father = {
        "full_name": "Max Mustermann",
        "born_on": "1990-04-01",
        "nationality_code": "DE",
        "passport_number": "C01X00T47",
    }
    await town.submit(number, foreign_parent=father, child_nationality_code="VN")
    if first == "dossier":
        await town.notify(number)

    async def entered() -> Any:
        row = await town.registration(number)
        return row["entry"] if row and row["entry"]["father"] else None

    entry = await until(entered, within=60)
    assert entry["father"] == father
    assert entry["child"]["nationality_code"] == "VN"


async def test_a_foreign_father_stays_with_his_dossier(town: Town) -> None:
    """Promise: what a second dossier for the same birth declares does not change the first one's."""
    number = town.new_number()
    father = {
        "full_name": "Max Mustermann",
        "born_on": "1990-04-01",
        "nationality_code": "DE",
        "passport_number": "C01X00T47",
    }
    other = father | {"full_name": "Jean Dupont", "nationality_code": "FR"}
    declared = "onestop.foreign-parent-declared.v1"
    for declares in (father, other):
        await town.dealt_with(
            "justice.birth-registration",
            declared,
            lambda declares=declares: town.submit(
                number, foreign_parent=declares, child_nationality_code="VN"
            ),
        )
    await town.notify(number)
    row = await until(lambda: town.registration(number), within=60)
    assert row["entry"]["father"] == father


async def test_a_ward_that_is_merged_between_birth_and_dossier_stays_named(town: Town) -> None:
    """Promise: a unit merged between fact and dossier still resolves, and is named as it was."""
    old, new, number = "00091", "00097", town.new_number()
    await town.hand_in("science", "unit", unit(old, "Phường Cũ Mẫu", ("00092", "Phường Rất Cũ")))
    for reader in ("health", "onestop", "justice"):
        await until(lambda reader=reader: _keeps(town, reader, old))
    await town.notify(number, mother=birth(number)["mother"] | {"unit_code": old})
    code = await town.submit(number, town.new_dossier(old), unit_code=old, procedures=["birth-registration"])
    await town.became(code, "completed")
    late = town.new_number()
    await town.notify(late, mother=birth(late)["mother"] | {"unit_code": old})
    await town.hand_in("science", "unit", unit(new, "Phường Mới Mẫu", (old, "Phường Cũ Mẫu")))
    await town.hand_in("science", "unit-end", {"unit_code": old, "ended_on": "2026-01-01"})
    for reader in ("onestop", "justice"):
        await until(lambda reader=reader: _keeps(town, reader, new))
        await until(lambda reader=reader: _forgot(town, reader, old))
    code = await town.submit(late, town.new_dossier(new), unit_code=new)
    await town.became(code, "completed")
    entry = (await town.registration(late))["entry"]
    assert entry["registered_by"] == "Phường Mới Mẫu"
    assert entry["mother"]["residence"] == "Phường Cũ Mẫu (nay là Phường Mới Mẫu)"


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"facility_code": "01ZZZ", "notification_id": "01ZZZ-2025-000001"}, "/facility_code"),
        ({"born_at": "2099-01-01T00:00:00+07:00"}, "/born_at"),
        ({"weight_g": 3}, "/weight_g"),
        ({"notification_id": "không có số"}, "/notification_id"),
    ],
    ids=["unknown-facility", "born-in-the-future", "weight-in-kilograms", "misspelt-number"],
)
async def test_an_unsound_notification_is_refused_where_it_arises(
    town: Town, changed: dict[str, Any], path: str
) -> None:
    """Promise: what is wrong is said at once, where, and no value is repeated."""
    with pytest.raises(NotValid) as refused:
        await town.notify(town.new_number(), **changed)
    assert path in {problem.path for problem in refused.value.problems}


async def _numbered(town: Town, number: str, personal_number: str) -> bool:
    return (await town.registration(number))["personal_number"] == personal_number


async def _has_number(town: Town, number: str) -> bool:
    return (await town.registration(number))["personal_number"] is not None


async def _one_of_each(town: Town, first: str, second: str) -> bool:
    ends = [(await town.dossier(code))["status"] for code in (first, second)]
    return sorted(ends) == ["completed", "returned"]


async def _keeps(town: Town, department: str, code: str) -> bool:
    return bool(await town.find(department, "SELECT count(*) FROM lienthong.state WHERE key = $1", code))


async def _forgot(town: Town, department: str, code: str) -> bool:
    return not await _keeps(town, department, code)
