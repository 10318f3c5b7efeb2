"""How long a retriable failure is tried again."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lienthong import Department
from lienthong.errors import SettingsNotUsable
from lienthong.patience import NONE_OF_ITS_OWN, Patience
from lienthong.settings import Settings

FIRST = datetime(2025, 11, 14, 20, 55, tzinfo=UTC)


def settings(**changed: Any) -> Settings:
    return Settings(
        bootstrap_servers="127.0.0.1:9092",
        username="health",
        password="secret",
        database_url="postgresql://health@127.0.0.1/health",
        security_protocol="SASL_PLAINTEXT",
        **changed,
    )


def after(patience: Patience, tries: int, **age: float) -> str | None:
    return patience.why_ended(tries, FIRST, FIRST + timedelta(**age))


def test_a_handler_that_names_no_limit_has_the_ones_that_were_set():
    limits = NONE_OF_ITS_OWN.or_of(settings(attempts=3, give_up_seconds=60))
    assert after(limits, 2, seconds=59) is None
    assert after(limits, 3, seconds=1) == "Given up after 3 tries."
    assert after(limits, 2, seconds=60) == "Given up 0:01:00 after the first of 2 tries."


def test_by_default_only_tries_count():
    assert after(NONE_OF_ITS_OWN.or_of(settings()), 11, days=400) is None
    assert after(NONE_OF_ITS_OWN.or_of(settings()), 12) == "Given up after 12 tries."


def test_a_handler_that_names_an_age_is_tried_as_often_as_it_takes():
    limits = Patience(give_up_after=timedelta(days=2)).or_of(settings())
    assert after(limits, 100_000, days=1) is None
    assert after(limits, 9, days=2) == "Given up 2 days, 0:00:00 after the first of 9 tries."


def test_a_handler_that_names_its_tries_has_all_the_time_for_them():
    limits = Patience(attempts=1).or_of(settings(give_up_seconds=1))
    assert after(limits, 1) == "Given up after 1 try."
    assert after(Patience(attempts=2).or_of(settings(give_up_seconds=1)), 1, days=9) is None


@pytest.mark.parametrize("limit", [{"attempts": 0}, {"give_up_after": timedelta(0)}])
def test_a_handler_cannot_give_up_before_its_first_try(limit: dict[str, Any]):
    with pytest.raises(SettingsNotUsable, match="before its first try"):
        Department("justice").reads("health.birth-notified.v1", purpose="birth-registration", **limit)
