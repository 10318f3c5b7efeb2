"""What a citizen is told and tells: how far a dossier is, why it is late, and what they think of it."""

from datetime import UTC, date, datetime

import pytest

from lienthong import Refused
from lienthong.testing import until
from services.onestop import answers
from tests.journeys.town import Town


async def test_a_citizen_hears_who_has_the_dossier_and_how_late_it_is(town: Town) -> None:
    """Promise: whoever asks is told each step, who has it, until when, and how late, in working days."""
    code = await town.submit(town.new_number(), submitted_at="2026-01-05T09:00:00+07:00")
    async with town.pool("onestop").acquire() as db:
        told = await answers.answer(db, code, date(2026, 1, 15))
    assert told[0] == "Đăng ký khai sinh: trễ 8 ngày làm việc tại Cơ quan justice, hạn 06/01/2026."
    assert told[2] == "Đăng ký thường trú: trễ 2 ngày làm việc tại Cơ quan police, hạn 13/01/2026."


async def test_two_agencies_that_merged_are_named_as_they_were_on_the_day(town: Town) -> None:
    """Promise: when two agencies merge, a dossier of before is found with the one that has their duties."""
    code = await town.submit(town.new_number(), submitted_at="2026-02-26T09:00:00+07:00")
    joined = {"agency_code": "H26.20", "name": "Cơ quan hợp nhất", "effective_on": "2026-03-01"}
    await town.hand_in("science", "agency", joined)
    ended = {"effective_on": "2008-08-01", "ended_on": "2026-03-01", "successor_code": "H26.20"}
    for number, department in ((2, "police"), (3, "insurance")):
        agency = {"agency_code": f"H26.0{number}", "name": f"Cơ quan {department}", "department": department}
        await town.hand_in("science", "agency", agency | ended)
    known = "SELECT count(*) = 2 FROM lienthong.state WHERE data ->> 'successor_code' = 'H26.20'"
    await until(lambda: town.find("onestop", known), within=60)
    async with town.pool("onestop").acquire() as db:
        before = await answers.answer(db, code, date(2026, 2, 27))
        after = await answers.answer(db, code, date(2026, 3, 2))
    assert [
        name for name in ("police", "insurance") if not any(f"Cơ quan {name}" in one for one in before)
    ] == []
    assert [one for one in after if "Cơ quan hợp nhất đang giải quyết" in one] == after[1:]


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
    assert await until(lambda: town.find("science", counted, feedback["feedback_id"]), within=60) == 5
