"""Anybody who runs the bus can follow a dossier through all departments, and learns nothing of the people."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from lienthong.cluster.connection import admin_connection
from lienthong.contracts import load_contracts
from lienthong.procedures import derive, search
from lienthong.procedures.story import Story, tell
from lienthong.procedures.telling import lines_of
from lienthong.procedures.trail import Trail
from lienthong.testing import until
from lienthong.working_days import due_on
from tests.broker.scratch import City
from tests.journeys.papers import ALL_THREE, birth, birth_dossier, death, death_dossier
from tests.journeys.town import Town

SUBMITTED, COMPLETED = "onestop.dossier-submitted.v1", "onestop.dossier-completed.v1"
Asked = Callable[..., Awaitable[tuple[int, str, str]]]
Told = Callable[..., Awaitable[Story]]


@pytest.fixture
def ask(scratch: City, data: Path, repository: Path) -> Asked:
    """Type `lienthong procedure …`; gives exit status, standard output and standard error."""

    async def typed(*words: str) -> tuple[int, str, str]:
        environment = {name: text for name, text in os.environ.items() if not name.startswith("LIENTHONG_")}
        environment |= {"LIENTHONG_ROOT": str(scratch.root), "PYTHONPATH": str(repository)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "lienthong", "procedure", *words, "--data", str(data)),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        return process.returncode or 0, output.decode(), errors.decode()

    return typed


@pytest.fixture(scope="module")
def told(data: Path, repository: Path) -> Told:
    """Follow a dossier until the bus tells so many events of a topic; gives its story."""
    contracts = load_contracts(repository)
    client = admin_connection(data).for_confluent()

    async def followed(dossier: str, topic: str, events: int = 1) -> Story:
        async def look() -> Story | None:
            trail = Trail(dossier, derive(contracts), contracts.contracts)
            await asyncio.to_thread(search.follow, trail, client, lambda *_: None)
            story = tell(trail, contracts, datetime.now(UTC).date())
            there = [event for event in story.events if event.topic == topic] if story else []
            return story if len(there) >= events else None

        story = await until(look, within=60)
        assert story is not None
        return story

    return followed


async def test_a_complete_birth_is_told_step_by_step_and_nothing_of_the_family(
    town: Town, ask: Asked, told: Told
) -> None:
    """Promise: one command tells each step of a dossier, when, by which event, and no personal data."""
    number = town.new_number()
    await town.notify(number)
    code = await town.submit(number)
    await told(code, COMPLETED)

    (failed, output, _), (_, spoken, _) = await asyncio.gather(ask("show", code, "--json"), ask("show", code))
    story = orjson.loads(output)
    assert (failed, story["status"], story["procedure"]) == (0, "completed", "birth")
    assert {step["step"]: (step["status"], step["department"]) for step in story["steps"]} == {
        "birth-registration": ("done", "Sở Tư pháp"),
        "residence-registration": ("done", "Công an Thành phố"),
        "health-insurance-card": ("done", "Bảo hiểm xã hội Thành phố"),
    }
    by = {event["topic"]: event for event in story["events"]}
    registration = await town.registration(number)
    registered = by["justice.birth-registered.v1"]
    assert registered["codes"]["Số đăng ký khai sinh"] == [registration["registration_number"]]
    assert registered["cause"] in {
        by["onestop.dossier-submitted.v1"]["event_id"],
        by["health.birth-notified.v1"]["event_id"],
    }
    assert by["police.person-numbered.v1"]["cause"] == registered["event_id"]
    assert f"{registered['topic']}[{registered['partition']}]@{registered['offset']}" in spoken
    person = await town.pool("police").fetchrow(
        "SELECT * FROM person WHERE registration_number = $1", registration["registration_number"]
    )
    people = [*_personal(birth(number)), *_personal(birth_dossier(code, number)), person["personal_number"]]
    assert len(people) == 4
    assert [secret for secret in people if secret in output + spoken] == []


async def test_a_returned_dossier_names_its_reasons_and_the_one_that_took_its_place(
    town: Town, told: Told
) -> None:
    """Promise: a returned dossier says why and which one took its place; that one, whose place it took."""
    number = town.new_number()
    await town.notify(number)
    code = await town.submit(number, child={"full_name": "Trần Mẫu 2"})
    await town.became(code, "returned")
    again = await town.submit(number, procedures=["birth-registration"], replaces=code)
    later, returned = await told(again, COMPLETED), await told(code, "justice.dossier-rejected.v1")

    assert (returned.status, returned.replaced_by) == ("returned", again)
    assert returned.reasons == ("Tên có chữ số hoặc ký tự không phải chữ",)
    assert {step.status for step in returned.steps} == {"ended"}
    assert (later.status, later.replaces) == ("completed", code)
    assert [step.step for step in later.steps] == ["birth-registration"]


async def test_a_dossier_without_its_notice_says_what_it_awaits_and_until_when(
    town: Town, told: Told
) -> None:
    """Promise: who waits for whom is seen at once, with the legal term in working days and how late it is."""
    code = await town.submit(town.new_number(), submitted_at="2026-01-05T09:00:00+07:00")
    story = await told(code, "onestop.dossier-submitted.v1")

    assert story.status == "open"
    told_of = {step.step: (step.due_on, [one.topic for one in step.awaits]) for step in story.steps}
    assert told_of == {
        "birth-registration": (date(2026, 1, 6), ["health.birth-notified.v1"]),
        # Saturday the 10th makes up for the day after New Year.
        "health-insurance-card": (date(2026, 1, 10), ["police.person-numbered.v1"]),
        "residence-registration": (date(2026, 1, 13), ["justice.birth-registered.v1"]),
    }
    assert all(step.late_working_days > 0 for step in story.steps)
    spoken = "\n".join(lines_of(story))
    assert "chờ · awaits Giấy chứng sinh (Sở Y tế), hạn · due 06/01/2026, trễ" in spoken


async def test_a_death_is_told_to_its_last_step(town: Town, told: Told) -> None:
    """Promise: a death's dossier tells its own steps, each with its term from the submission."""
    notice = town.new_notice()
    await town.notify_death(notice)
    code = await town.submit_death(notice)
    story = await told(code, COMPLETED)

    submitted_at = (await town.dossier(code))["submitted_at"]
    assert story.procedure == "death"
    assert {step.step: (step.status, step.due_on) for step in story.steps} == {
        "death-registration": ("done", due_on(submitted_at, 1)),
        "card-closing": ("done", due_on(submitted_at, 5)),
        "residence-closing": ("done", due_on(submitted_at, 7)),
    }
    steps = await town.pool("onestop").fetch("SELECT step, due_on FROM step WHERE dossier_code = $1", code)
    assert {row["step"]: row["due_on"] for row in steps} == {step.step: step.due_on for step in story.steps}
    people = [*_personal(death(notice))[1:], *_personal(death_dossier(code, notice))]
    assert [secret for secret in people if secret in str(story)] == []


async def test_a_correction_and_an_annulment_are_part_of_the_story(town: Town, told: Told) -> None:
    """Promise: what was put right after the end is told too, with the steps that it took back."""
    number = town.new_number()
    await town.notify(number)
    code = await town.submit(number)
    await town.became(code, "completed")
    changed = {"number": number, "full_name": "Trần Mẫu Ân", "ground": "clerical-error"}
    await town.hand_in("justice", "correction", changed)
    corrected = await told(code, "insurance.card-issued.v1", 2)
    annulled = {"notification_id": number, "annulled_at": "2026-01-05T08:00:00+07:00", "reason": "stillbirth"}
    await town.hand_in("health", "birth-annulment", annulled)
    story = await told(code, "insurance.card-closed.v1")

    assert (corrected.status, corrected.corrected) == ("completed", True)
    assert story.status == "annulled"
    assert {step.step: step.status for step in story.steps} == dict.fromkeys(ALL_THREE, "undone")
    assert "stillbirth" not in str(story)


async def test_a_dossier_that_nobody_opened_is_told_so(town: Town, ask: Asked) -> None:
    """Promise: an unknown code gets a sentence and exit status 1."""
    failed, output, errors = await ask("show", "H26.00004-250701-9999")
    assert (failed, output) == (1, "")
    assert "không có hồ sơ H26.00004-250701-9999" in errors


async def test_who_has_no_code_is_shown_the_newest(town: Town, told: Told, ask: Asked) -> None:
    """Promise: nobody needs to know a code to begin with."""
    code = await town.submit(town.new_number())
    await told(code, SUBMITTED)
    status, output, _ = await ask("show", "--json")
    assert status == 0
    assert code in [dossier["dossier"] for dossier in orjson.loads(output)]


def _personal(record: dict[str, Any]) -> list[str]:
    """The names and numbers of people in a raw record."""
    people = [person for person in record.values() if isinstance(person, dict)]
    return [person[name] for person in people for name in ("full_name", "personal_number") if name in person]
