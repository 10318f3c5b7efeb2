"""A death and its dossier: registered once, and what the deceased had is closed; or opened again."""

from typing import Any

import pytest

from lienthong import NotValid, Refused
from lienthong.testing import until
from tests.journeys.town import Town, death


async def test_a_death_declared_once_is_registered_and_residence_and_card_are_closed(town: Town) -> None:
    """Promise: a family declares a death once, and three departments do the rest."""
    notice = town.new_notice()
    await town.notify_death(notice)
    code = await town.submit_death(notice)
    dossier = await town.became(code, "completed")
    assert "-KT" in dossier["registration_number"]
    for department in ("police", "insurance"):
        closing = "SELECT count(*) FROM closing WHERE registration_number = $1"
        assert await town.find(department, closing, dossier["registration_number"]) == 1


async def test_a_death_dossier_before_its_notice_waits_for_it(town: Town) -> None:
    """Promise: whichever half comes first waits for the other."""
    notice = town.new_notice()
    code = await town.dealt_with(
        "justice.death-registration", "onestop.death-submitted.v1", lambda: town.submit_death(notice)
    )
    await town.notify_death(notice)
    await town.became(code, "completed")


async def test_nobody_is_registered_dead_twice(town: Town) -> None:
    """Promise: two notices for one person make one registration; the second dossier comes back."""
    first, second = town.new_notice(), town.new_notice()
    deceased = death(first)["deceased"]
    await town.notify_death(first, deceased=deceased)
    await town.became(await town.submit_death(first), "completed")
    await town.notify_death(second, deceased=deceased)
    returned = await town.became(await town.submit_death(second), "returned")
    assert returned["reasons"] == ["died-already"]


async def test_a_death_that_was_a_mistake_opens_everything_again(town: Town) -> None:
    """Promise: when a death is annulled, residence and card are open again and the family is told."""
    number, notice = town.new_number(), town.new_notice()
    await town.notify(number)
    await town.became(await town.submit(number), "completed")
    registration = (await town.registration(number))["registration_number"]
    person = await town.pool("police").fetchrow(
        "SELECT * FROM person WHERE registration_number = $1", registration
    )
    deceased = death(notice)["deceased"] | {
        "personal_number": person["personal_number"],
        "born_on": person["born_on"].isoformat(),
    }
    await town.notify_death(notice, deceased=deceased)
    code = await town.submit_death(notice)
    await town.became(code, "completed")
    assert await _open_for(town, registration) == (False, False)
    await town.hand_in("justice", "annulment", {"number": notice})
    await town.became(code, "annulled")

    async def open_again() -> bool:
        return await _open_for(town, registration) == (True, True)

    await until(open_again, within=60)
    with pytest.raises(Refused, match="annulled before"):
        await town.hand_in("justice", "annulment", {"number": notice})


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"died_at": "1890-01-01T00:00:00+07:00"}, "/deceased/born_on"),
        ({"cause": "Không được phép"}, "/cause"),
    ],
    ids=["died-before-birth", "cause-told"],
)
async def test_an_unsound_death_is_refused_where_it_arises(
    town: Town, changed: dict[str, Any], path: str
) -> None:
    """Promise: what is wrong is said at once, and where."""
    with pytest.raises(NotValid) as refused:
        await town.notify_death(town.new_notice(), **changed)
    assert path in {problem.path for problem in refused.value.problems}


async def test_a_personal_number_of_another_year_is_refused_with_a_sentence(town: Town) -> None:
    """Promise: a number that cannot belong to its birthday is noticed where it was misread."""
    notice = town.new_notice()
    deceased = death(notice)["deceased"] | {"personal_number": "099300000001"}
    with pytest.raises(Refused, match="names another year") as refused:
        await town.notify_death(notice, deceased=deceased)
    assert "099300000001" not in str(refused.value)


async def _open_for(town: Town, registration: str) -> tuple[bool, bool]:
    residence = "SELECT closed_on IS NULL FROM residence WHERE registration_number = $1"
    card = "SELECT closed_on IS NULL FROM card WHERE registration_number = $1"
    return await town.find("police", residence, registration), await town.find(
        "insurance", card, registration
    )
