"""What a citizen is told and tells: how far a dossier is, why it is late, and what they think of it."""

from datetime import UTC, date, datetime, timedelta

import pytest

from lienthong import Refused
from lienthong.testing import until
from services.onestop import answers
from tests.journeys.town import OTHER_WARD, Town


async def test_a_citizen_hears_who_has_the_dossier_and_how_late_it_is(town: Town) -> None:
    """Promise: whoever asks is told each step, who has it, until when, and how late, in working days."""
    code = await town.submit(town.new_number(), submitted_at="2026-01-05T09:00:00+07:00")
    async with town.pool("onestop").acquire() as db:
        told = await answers.answer(db, code, date(2026, 1, 15))
    assert told[0] == "Đăng ký khai sinh: trễ 8 ngày làm việc tại Cơ quan justice, hạn 06/01/2026."
    assert told[2] == "Đăng ký thường trú: trễ 2 ngày làm việc tại Cơ quan police, hạn 13/01/2026."


async def test_feedback_about_ones_own_dossier_reaches_the_operations_desk(town: Town) -> None:
    """Promise: a citizen rates the own dossier, and the city counts it; another's dossier is refused."""
    number = town.new_number()
    code = await town.submit(number)
    feedback = {
        "feedback_id": f"PA-2025-{code[-11:-5]}",
        "dossier_code": code,
        "notice_number": number,
        "rating": 5,
        "received_at": datetime.now(UTC).isoformat(),
    }
    with pytest.raises(Refused, match="does not know"):
        await town.hand_in("onestop", "feedback", feedback | {"notice_number": "01169-2025-000001"})
    await town.hand_in("onestop", "feedback", feedback)
    counted = "SELECT rating FROM feedback WHERE feedback_id = $1"
    assert await until(lambda: town.find("science", counted, feedback["feedback_id"]), within=20) == 5


async def test_a_counter_that_floods_delays_nobody_else(town: Town) -> None:
    """Promise: thousands of dossiers from one counter in a minute are kept aside; others go on at once."""
    submitted_at = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    flooded = 0
    for _ in range(130):
        try:
            await town.submit(town.new_number(), town.new_dossier(OTHER_WARD), submitted_at=submitted_at)
        except Refused as refused:
            flooded += refused.code == "counter-flooded"
    assert flooded == 10
    number = town.new_number()
    await town.notify(number)
    await town.became(await town.submit(number), "completed")
