"""Legal terms run in working days, around Tết and the Saturdays that make up for a bridge day."""

from datetime import date, datetime

import pytest

from services.onestop import terms


@pytest.mark.parametrize(
    ("submitted_at", "working_days", "due_on"),
    [
        ("2025-11-17T09:00:00+07:00", 1, "2025-11-18"),
        ("2025-11-17T15:00:00+07:00", 1, "2025-11-19"),
        ("2025-11-21T09:00:00+07:00", 1, "2025-11-24"),
        ("2025-11-22T09:00:00+07:00", 1, "2025-11-25"),
        ("2025-11-16T20:00:00Z", 1, "2025-11-18"),
        ("2026-02-13T09:00:00+07:00", 1, "2026-02-23"),
        ("2025-01-24T09:00:00+07:00", 5, "2025-02-07"),
        ("2026-08-21T09:00:00+07:00", 1, "2026-08-22"),
        ("2026-08-28T09:00:00+07:00", 1, "2026-09-03"),
    ],
    ids=[
        "next-day",
        "after-three",
        "weekend",
        "on-a-saturday",
        "early-morning-in-hanoi",
        "tet-2026",
        "tet-2025",
        "saturday-worked",
        "national-day",
    ],
)
def test_a_term_ends_on_a_working_day(submitted_at, working_days, due_on):
    found = terms.due_on(datetime.fromisoformat(submitted_at), working_days)

    assert found == date.fromisoformat(due_on)
    assert terms.is_working_day(found)


def test_lateness_is_counted_in_working_days():
    assert terms.working_days_between(date(2026, 2, 13), date(2026, 2, 23)) == 1
    assert terms.working_days_between(date(2026, 2, 23), date(2026, 2, 13)) == 0


def test_the_table_holds_weekdays_off_and_saturdays_worked_only():
    wrong = [
        day
        for day, kind in terms.load_holidays().items()
        if (kind == "off") != (day.weekday() < 5) or kind not in {"off", "work"}
    ]

    assert wrong == []
    assert {day.year for day in terms.load_holidays()} == {2025, 2026, 2027}


def test_the_legal_terms_are_those_of_the_contracts():
    assert dict(terms.TERMS) == {
        "birth-registration": 1,
        "residence-registration": 7,
        "health-insurance-card": 5,
        "death-registration": 1,
        "residence-closing": 7,
        "card-closing": 5,
    }
    assert terms.DEPARTMENTS["residence-closing"] == "police"


def test_every_step_has_a_term_and_a_department():
    assert terms.TERMS.keys() == terms.DEPARTMENTS.keys()
    assert set(terms.DEATH_STEPS) < terms.TERMS.keys()
