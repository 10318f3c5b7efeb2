"""What was wrong is put right everywhere: rejections, corrections and annulments travel as facts do."""

from typing import Any

import pytest

from lienthong import Refused
from lienthong.testing import until
from tests.journeys.town import Town


async def _registered(town: Town) -> tuple[str, str, str]:
    """Register a birth with everything; gives notice, dossier and registration number."""
    number = town.new_number()
    await town.notify(number)
    code = await town.submit(number)
    await town.became(code, "completed")
    registration = (await town.registration(number))["registration_number"]
    return number, code, registration


async def test_a_dossier_is_returned_with_every_reason_corrected_and_resubmitted(town: Town) -> None:
    """Promise: the citizen hears all that is wrong at once, corrects it, and the procedure goes on."""
    number = town.new_number()
    await town.notify(number)
    father = {
        "personal_number": "099299000001",
        "full_name": "Trần Văn Mẫu",
        "born_on": "1996-05-02",
        "ethnicity_code": "01",
    }
    code = await town.submit(number, child={"full_name": "Trần Mẫu 2"}, father=father)
    returned = await town.became(code, "returned")
    assert returned["reasons"] == ["name-not-letters", "father-number-impossible"]
    father["personal_number"] = "099096000001"
    again = await town.submit(number, child={"full_name": "Trần Mẫu Hai"}, father=father, replaces=code)
    await town.became(again, "completed")
    assert (await town.dossier(code))["replaced_by"] == again
    assert (await town.registration(number))["dossier_code"] == again


async def test_a_dossier_that_was_not_returned_is_not_replaced(town: Town) -> None:
    """Promise: only what was returned is replaced; anything else is refused with a sentence."""
    number = town.new_number()
    with pytest.raises(Refused, match="was not returned"):
        await town.submit(number, replaces="H26.00004-250701-0001")


async def test_a_corrected_name_reaches_police_and_insurance(town: Town) -> None:
    """Promise: a name corrected in the register is corrected wherever it was used; the number stays."""
    number, code, registration = await _registered(town)
    before = await town.find(
        "police", "SELECT personal_number FROM person WHERE registration_number = $1", registration
    )
    await town.hand_in(
        "justice", "correction", {"number": number, "full_name": "Trần Mẫu Ân", "ground": "clerical-error"}
    )
    person = await until(lambda: _person_named(town, registration, "Trần Mẫu Ân"), within=60)
    await until(lambda: _card(town, registration, full_name="Trần Mẫu Ân"), within=60)
    assert person["personal_number"] == before
    assert (await town.registration(number))["entry"]["child"]["full_name"] == "Trần Mẫu Ân"
    assert (await town.dossier(code))["status"] == "completed"


async def test_a_corrected_sex_gives_another_number_and_card_and_register_follow(town: Town) -> None:
    """Promise: another sex means another personal number, and whoever holds the old one gets the new one."""
    number, _, registration = await _registered(town)
    await town.hand_in("justice", "correction", {"number": number, "sex": "male", "ground": "sex-determined"})
    held = "SELECT personal_number FROM person WHERE registration_number = $1 AND sex = 'male'"
    renumbered = await until(lambda: town.find("police", held, registration), within=60)
    await until(lambda: _card(town, registration, personal_number=renumbered), within=60)

    async def in_register() -> bool:
        return (await town.registration(number))["personal_number"] == renumbered

    await until(in_register, within=60)
    old = "SELECT status FROM person WHERE registration_number = $1 AND sex = 'female'"
    assert await town.find("police", old, registration) == "replaced"


async def test_a_stillbirth_notified_by_mistake_undoes_what_was_done(town: Town) -> None:
    """Promise: a notice taken back annuls the registration, the number, the residence and the card."""
    number, code, registration = await _registered(town)
    annulled = {
        "notification_id": number,
        "annulled_at": "2026-01-05T08:00:00+07:00",
        "reason": "stillbirth",
    }
    await town.hand_in("health", "birth-annulment", annulled)
    await town.became(code, "annulled")
    status = "SELECT status FROM person WHERE registration_number = $1"
    await until(lambda: _is(town, "police", status, registration, "cancelled"), within=60)
    closed = "SELECT closed_on IS NOT NULL FROM residence WHERE registration_number = $1"
    assert await town.find("police", closed, registration)
    card = "SELECT closed_on IS NOT NULL FROM card WHERE registration_number = $1"
    await until(lambda: town.find("insurance", card, registration), within=60)
    assert await town.registration(number) is None
    with pytest.raises(Refused, match="taken back before"):
        await town.hand_in("health", "birth-annulment", annulled)


async def test_a_notice_taken_back_before_the_dossier_returns_the_dossier(town: Town) -> None:
    """Promise: nothing is registered on a notice that was taken back; the dossier says why it is returned."""
    number = town.new_number()
    await town.notify(number)
    annulled = {
        "notification_id": number,
        "annulled_at": "2026-01-05T08:00:00+07:00",
        "reason": "wrong-person",
    }
    await town.dealt_with(
        "justice.birth-registration",
        "health.birth-notice-annulled.v1",
        lambda: town.hand_in("health", "birth-annulment", annulled),
    )
    returned = await town.became(await town.submit(number), "returned")
    assert returned["reasons"] == ["notice-annulled"]
    assert await town.registrations(number) == []


@pytest.mark.parametrize("kind", ["correction", "annulment"])
async def test_what_never_was_cannot_be_changed(town: Town, kind: str) -> None:
    """Promise: a correction of what never was is refused with a sentence."""
    with pytest.raises(Refused, match="there is no registration"):
        await town.hand_in("justice", kind, {"number": "00004-2025-999999", "ground": "clerical-error"})


async def test_a_correction_that_corrects_nothing_is_refused(town: Town) -> None:
    """Promise: nobody acts on a correction that says what the register says already."""
    number, *_ = await _registered(town)
    with pytest.raises(Refused, match="says so already"):
        await town.hand_in("justice", "correction", {"number": number, "ground": "clerical-error"})


async def _person_named(town: Town, registration: str, name: str) -> Any:
    return await town.pool("police").fetchrow(
        "SELECT * FROM person WHERE registration_number = $1 AND full_name = $2", registration, name
    )


async def _card(town: Town, registration: str, **wanted: str) -> bool:
    row = await town.pool("insurance").fetchrow(
        "SELECT * FROM card WHERE registration_number = $1", registration
    )
    return bool(row) and all(row[name] == value for name, value in wanted.items())


async def _is(town: Town, department: str, sql: str, key: str, value: str) -> bool:
    return bool(await town.find(department, sql, key) == value)
