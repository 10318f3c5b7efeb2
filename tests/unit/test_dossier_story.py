"""The story of a dossier, from records alone: which are its own, what they mean, what is never told."""

from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest

from lienthong.contracts import Contracts, load_contracts
from lienthong.event import RawEvent, to_headers
from lienthong.procedures import derive
from lienthong.procedures.story import Story, tell
from lienthong.procedures.telling import lines_of
from lienthong.procedures.trail import Record, Trail

ROOT = Path(__file__).parents[2]
DOSSIER, LATER, NOTICE = "H26.10441-251117-0001", "H26.10441-251118-0002", "01169-2025-000731"
NUMBER = "10441-2025-000012"
MONDAY = datetime(2025, 11, 17, 2, tzinfo=UTC)
TODAY = MONDAY.date()
NUMBERS = count(1)
SUBMITTED, REGISTERED = "onestop.dossier-submitted.v1", "justice.birth-registered.v1"
NOTIFIED, NUMBERED = "health.birth-notified.v1", "police.person-numbered.v1"
RESIDENCE, CARD = "police.residence-registered.v1", "insurance.card-issued.v1"
ALL = ["birth-registration", "residence-registration", "health-insurance-card"]
PERSONAL = ("Nguyễn Thị Mẫu", "099199000001", "Trần Mẫu An", "099325000001", "1999-03-08")


@pytest.fixture(scope="module")
def contracts() -> Contracts:
    return load_contracts(ROOT)


class Log:
    """A bus as a list of records, in the order in which they were recorded."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.ids: list[str] = []

    def add(self, topic: str, cause: str | None = None, event_id: str = "", **data: Any) -> str:
        number = next(NUMBERS)
        event_id = event_id or f"01990000-0000-7000-8000-{number:012d}"
        at = MONDAY + timedelta(minutes=len(self.records))
        value = orjson.dumps(data)
        raw = RawEvent(
            event_id,
            "/x",
            "vn.gov.hanoi.x.y",
            None,
            at,
            at,
            "urn:x",
            "k",
            "internal",
            event_id,
            cause,
            None,
            value,
        )
        headers = tuple(to_headers(raw))
        self.records.append(Record(topic, 0, len(self.records), 0, b"k", value, headers))
        return event_id

    def submit(self, dossier: str = DOSSIER, **changed: Any) -> str:
        data = {
            "dossier_code": dossier,
            "notification_id": NOTICE,
            "unit_code": "10441",
            "submitted_at": "2025-11-17T09:00:00+07:00",
            "procedures": ALL,
            "child": {"full_name": "Trần Mẫu An"},
            "declarant": {"relationship": "mother"},
        }
        return self.add(SUBMITTED, **data | changed)

    def notify(self) -> str:
        mother = {"full_name": "Nguyễn Thị Mẫu", "personal_number": "099199000001", "born_on": "1999-03-08"}
        return self.add(NOTIFIED, notification_id=NOTICE, facility_code="01169", sex="female", mother=mother)

    def register(self, cause: str | None = None, dossier: str = DOSSIER) -> str:
        data = {"registration_number": NUMBER, "dossier_code": dossier, "notification_id": NOTICE}
        return self.add(REGISTERED, cause, unit_code="10441", **data)

    def complete(self) -> None:
        person = {"personal_number": "099325000001", "full_name": "Trần Mẫu An", "born_on": "2025-11-14"}
        known = {"registration_number": NUMBER, "dossier_code": DOSSIER}
        self.add(NUMBERED, **known, **person)
        self.add(RESIDENCE, residence_number="TT-2025-000009", **known, unit_code="10441")
        self.add(CARD, issue_number="BH-2025-000005", dossier_code=DOSSIER)

    def reject(self, dossier: str = DOSSIER) -> str:
        return self.add("justice.dossier-rejected.v1", dossier_code=dossier, reasons=["name-not-letters"])

    def story(self, contracts: Contracts, dossier: str = DOSSIER, today: date = TODAY) -> Story | None:
        trail = Trail(dossier, derive(contracts), contracts.contracts)
        for topics, codes in trail.rounds():
            for record in self.records:
                if record.topic in topics and any(code in (record.value or b"") for code in codes):
                    trail.take(record)
        return tell(trail, contracts, today)


def statuses(story: Story) -> dict[str, str]:
    return {step.step: step.status for step in story.steps}


def test_a_complete_dossier_is_told_step_by_step_with_what_caused_each(contracts):
    log = Log()
    notified, submitted = log.notify(), log.submit()
    registered = log.register(cause=submitted)
    log.complete()
    log.add(REGISTERED, registration_number="10441-2025-000099", dossier_code=LATER, notification_id="x")

    story = log.story(contracts)

    assert (story.status, story.procedure) == ("completed", "birth")
    assert statuses(story) == dict.fromkeys(ALL, "done")
    assert [event.topic for event in story.events] == [
        NOTIFIED,
        SUBMITTED,
        REGISTERED,
        NUMBERED,
        RESIDENCE,
        CARD,
    ]
    assert [event.event_id for event in story.events][:3] == [notified, submitted, registered]
    assert story.events[2].cause == submitted
    assert story.events[2].codes["Số đăng ký khai sinh"] == [NUMBER]
    assert [step.due_on for step in story.steps] == [
        date(2025, 11, 18),
        date(2025, 11, 24),
        date(2025, 11, 26),
    ]


def test_a_dossier_whose_notice_never_came_awaits_it_until_its_legal_term_and_is_then_late(contracts):
    log = Log()
    log.submit()

    story = log.story(contracts, today=date(2025, 11, 20))

    assert story.status == "open"
    birth, card, residence = story.steps
    assert [(one.title, one.department) for one in birth.awaits] == [("Giấy chứng sinh", "Sở Y tế")]
    assert [one.topic for one in card.awaits] == [NUMBERED]
    assert [one.topic for one in residence.awaits] == [REGISTERED]
    assert [step.late_working_days for step in (birth, card, residence)] == [2, 0, 0]
    told = "\n".join(lines_of(story))
    assert "chờ · awaits Giấy chứng sinh (Sở Y tế), hạn · due 18/11/2025, trễ 2 ngày làm việc" in told


def test_where_all_has_come_the_department_itself_is_at_it(contracts):
    log = Log()
    log.submit()
    log.notify()

    story = log.story(contracts)

    assert story.steps[0].awaits == ()
    assert "Sở Tư pháp đang giải quyết" in "\n".join(lines_of(story))


def test_only_the_steps_that_were_asked_for_are_awaited(contracts):
    log = Log()
    log.submit(procedures=["birth-registration"])
    log.notify()
    log.register()

    story = log.story(contracts)

    assert statuses(story) == {"birth-registration": "done"}
    assert story.status == "completed"


def test_a_returned_dossier_says_why_and_which_one_took_its_place(contracts):
    log = Log()
    log.notify()
    log.submit()
    log.reject()
    log.submit(LATER)
    log.register(dossier=LATER)

    story, later = log.story(contracts), log.story(contracts, LATER)

    assert (story.status, story.reasons) == ("returned", ("Tên có chữ số hoặc ký tự không phải chữ",))
    assert statuses(story) == dict.fromkeys(ALL, "ended")
    assert (story.replaced_by, story.replaces) == (LATER, None)
    assert (later.replaced_by, later.replaces) == (None, DOSSIER)
    assert later.status == "open"
    assert REGISTERED not in {event.topic for event in story.events}


def test_two_dossiers_for_one_birth_know_of_each_other(contracts):
    log = Log()
    log.submit()
    log.submit(LATER)
    log.reject(LATER)

    first, second = log.story(contracts), log.story(contracts, LATER)

    assert (first.other_dossiers, first.replaced_by, first.replaces) == ((LATER,), None, None)
    assert (second.other_dossiers, second.replaced_by) == ((DOSSIER,), None)


def test_a_correction_and_an_annulment_that_name_no_dossier_belong_to_its_story(contracts):
    log = Log()
    log.notify()
    log.submit()
    log.register()
    log.complete()
    log.add(
        "justice.birth-corrected.v1",
        correction_number="CC-2025-000004",
        registration_number=NUMBER,
        full_name="Trần Mẫu An",
        sex="female",
        ground="clerical-error",
    )
    corrected = log.story(contracts)
    log.add("health.birth-notice-annulled.v1", notification_id=NOTICE, reason="stillbirth")
    log.add(
        "justice.birth-annulled.v1",
        registration_number=NUMBER,
        dossier_code=DOSSIER,
        reason="notice-annulled",
    )
    annulled = log.story(contracts)

    assert (corrected.status, corrected.corrected) == ("completed", True)
    assert corrected.events[-1].codes == {
        "Số cải chính": ["CC-2025-000004"],
        "Số đăng ký khai sinh": [NUMBER],
        "Căn cứ": ["Sai sót khi đăng ký"],
    }
    assert annulled.status == "annulled"
    assert statuses(annulled) == dict.fromkeys(ALL, "undone")
    assert annulled.reasons == ("Cơ sở y tế đã thu hồi giấy chứng sinh",)
    # Why a notice was taken back is sensitive: only that it was is told.
    assert annulled.events[-2].codes == {"Số giấy chứng sinh": [NOTICE]}


def test_a_death_has_its_own_steps(contracts):
    log = Log()
    notice = "01169-2025-T00012"
    log.add(
        "onestop.death-submitted.v1",
        dossier_code=DOSSIER,
        notice_id=notice,
        submitted_at="2025-11-17T15:30:00+07:00",
    )
    log.add("health.death-notified.v1", notice_id=notice)
    log.add("justice.death-registered.v1", registration_number="10441-KT2025-000003", dossier_code=DOSSIER)
    log.add("police.residence-closed.v1", closing_number="XT-2025-000002", dossier_code=DOSSIER)

    story = log.story(contracts)

    assert statuses(story) == {
        "death-registration": "done",
        "card-closing": "awaited",
        "residence-closing": "done",
    }
    # What came after three in the afternoon counts from the next working day.
    assert [step.due_on for step in story.steps] == [
        date(2025, 11, 19),
        date(2025, 11, 25),
        date(2025, 11, 27),
    ]


def test_what_came_before_the_opening_was_deleted_is_told_without_terms(contracts):
    log = Log()
    log.register()
    log.complete()

    story = log.story(contracts)

    assert story.submitted_at is None
    assert statuses(story) == dict.fromkeys(ALL, "done")
    assert {step.due_on for step in story.steps} == {None}


def test_no_name_number_or_birthday_is_told(contracts):
    log = Log()
    log.notify()
    log.submit()
    log.register()
    log.complete()

    story = log.story(contracts)
    told = orjson.dumps(story.as_json()).decode() + "\n".join(lines_of(story))

    assert "BH-2025-000005" in told
    assert [secret for secret in PERSONAL if secret in told] == []


def test_an_id_or_a_code_of_a_foreign_program_that_is_none_is_not_repeated(contracts):
    log = Log()
    log.submit()
    log.add(
        REGISTERED,
        event_id="099199000001",
        dossier_code=DOSSIER,
        registration_number="Nguyễn Thị Mẫu",
        unit_code="10441",
    )

    told = "\n".join(lines_of(log.story(contracts)))

    assert "Khai sinh đã đăng ký" in told
    assert [secret for secret in PERSONAL if secret in told] == []


def test_a_record_that_cannot_be_read_is_counted(contracts):
    log = Log()
    log.submit()
    log.records.append(Record(REGISTERED, 0, 99, 0, None, b"{" + DOSSIER.encode(), ()))

    story = log.story(contracts)

    assert (story.unreadable, len(story.events)) == (1, 1)
    assert "không đọc được" in "\n".join(lines_of(story))


def test_a_dossier_that_the_bus_does_not_know_has_no_story(contracts):
    log = Log()
    log.submit(LATER)

    assert log.story(contracts) is None
