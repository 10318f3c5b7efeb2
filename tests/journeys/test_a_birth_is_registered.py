"""A birth and its dossier, in every order in which life brings them; real departments on a real bus."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lienthong import NotValid
from lienthong.service import Service
from lienthong.testing import running, until
from services.health import handlers as _health_handlers  # noqa: F401 - they declare what Health keeps
from services.health import health
from services.health import store as health_store
from services.health.events import BirthNotified, BirthNotifiedMother, Facility, FacilityAddress
from services.justice import handlers as _justice_handlers  # noqa: F401 - they declare what Justice reads
from services.justice import justice
from services.justice import store as justice_store
from services.onestop import handlers as _onestop_handlers  # noqa: F401
from services.onestop import onestop
from services.onestop import store as onestop_store
from services.onestop.events import DossierSubmitted, DossierSubmittedChild, DossierSubmittedDeclarant
from services.science import science
from services.science.events import Unit, UnitFormerUnits
from tests.broker.scratch import City

FACILITY, UNIT = "01169", "00004"
NUMBERS = count(1)


class Town:
    """Four departments that run in this process, with one unit and one facility."""

    def __init__(self, services: dict[str, Service]) -> None:
        self.services = services

    def new_number(self) -> str:
        return f"{FACILITY}-2025-{next(NUMBERS):06d}"

    async def publish(self, department: Any, fact: Any, happened_at: datetime) -> str:
        pool = self.services[department.name].pool
        assert pool is not None
        async with pool.acquire() as db, db.transaction():
            event_id: str = await department.publish(db, fact, happened_at=happened_at)
            return event_id

    async def notify(self, number: str, **changed: Any) -> str:
        now = datetime.now(UTC)
        mother = BirthNotifiedMother(
            personal_number="099199000001",
            full_name="Nguyễn Thị Mẫu",
            born_on=date(1999, 3, 8),
            ethnicity_code="01",
            unit_code=UNIT,
        )
        fact = {
            "notification_id": number,
            "facility_code": FACILITY,
            "born_at": now - timedelta(hours=30),
            "notified_at": now - timedelta(hours=20),
            "sex": "female",
            "mother": mother,
        }
        return await self.publish(health, BirthNotified(**(fact | changed)), now)

    async def submit(self, number: str, code: str | None = None) -> str:
        now = datetime.now(UTC)
        code = code or f"H26.{UNIT}-251114-{next(NUMBERS) % 10_000:04d}"
        dossier = DossierSubmitted(
            dossier_code=code,
            notification_id=number,
            unit_code=UNIT,
            submitted_at=now - timedelta(hours=1),
            procedures=("birth-registration",),
            child=DossierSubmittedChild(full_name="Trần Mẫu An"),
            declarant=DossierSubmittedDeclarant(relationship="mother"),
        )
        pool = self.services["onestop"].pool
        assert pool is not None
        async with pool.acquire() as db, db.transaction():
            await onestop_store.open_dossier(db, dossier)
            await onestop.publish(db, dossier, happened_at=now)
        return code

    async def registrations(self, number: str) -> list[Any]:
        pool = self.services["justice"].pool
        assert pool is not None
        return list(await pool.fetch("SELECT * FROM registration WHERE notification_id = $1", number))

    async def marks(self, code: str | None = None) -> int:
        pool = self.services["justice"].pool
        assert pool is not None
        found: int = await pool.fetchval(
            "SELECT count(*) FROM lienthong.inbox WHERE consumer_group = 'justice.birth-registration'"
            " AND ($1::text IS NULL OR code = $1)",
            code,
        )
        return found


@pytest.fixture(scope="module")
async def town(scratch: City, data: Path) -> AsyncIterator[Town]:
    tables = {
        health: health_store.TABLES,
        justice: justice_store.TABLES,
        onestop: onestop_store.TABLES,
        science: "",
    }
    async with contextlib.AsyncExitStack() as stack:
        services = {
            department.name: await stack.enter_async_context(
                running(department, data=data, root=scratch.root, tables=sql)
            )
            for department, sql in tables.items()
        }
        town = Town(services)
        now = datetime.now(UTC)
        former = UnitFormerUnits(
            former_code=UNIT, name="Phường Trúc Bạch", district="Quận Ba Đình", divided=False
        )
        unit = Unit(
            unit_code=UNIT,
            name="Phường Ba Đình",
            kind="ward",
            effective_on=date(2025, 7, 1),
            former_units=(former,),
        )
        await town.publish(science, unit, now)
        pools = [services[name].pool for name in ("health", "onestop", "justice")]
        for pool in pools:
            assert pool is not None
            await until(lambda pool=pool: pool.fetchval("SELECT count(*) FROM lienthong.state"))
        facility = Facility(
            facility_code=FACILITY,
            name="Bệnh viện Mẫu",
            kind="hospital",
            unit_code=UNIT,
            unit_found_by="whole-unit",
            address=FacilityAddress(
                line="1 Phố Mẫu", former_unit="Phường Trúc Bạch", former_district="Quận Ba Đình"
            ),
        )
        await town.publish(health, facility, now)
        await until(lambda: pools[2].fetchval("SELECT count(*) = 2 FROM lienthong.state"))  # type: ignore[union-attr]
        yield town


async def test_a_notification_and_then_its_dossier_are_registered_once(town: Town) -> None:
    """Promise: a birth is registered once, and the counter hears of it."""
    number = town.new_number()
    await town.notify(number)
    code = await town.submit(number)
    (row,) = await until(lambda: town.registrations(number))
    assert row["dossier_code"] == code
    pool = town.services["onestop"].pool
    assert pool is not None
    await until(
        lambda: pool.fetchval("SELECT registration_number FROM dossier WHERE dossier_code = $1", code)
    )


async def test_a_dossier_that_comes_before_its_notification_waits_for_it(town: Town) -> None:
    """Promise: whichever half comes first waits for the other."""
    number = town.new_number()
    seen = await town.marks()
    await town.submit(number)
    await until(lambda: _more(town, seen))
    assert await town.registrations(number) == []
    await town.notify(number)
    await until(lambda: town.registrations(number))


async def test_a_second_dossier_for_the_same_birth_is_set_aside_with_its_reason(town: Town) -> None:
    """Promise: two dossiers for one birth make one registration; the second is set aside, not lost."""
    number = town.new_number()
    before = await town.marks("second-dossier")
    await town.notify(number)
    first = await town.submit(number)
    await until(lambda: town.registrations(number))
    await town.submit(number)
    await until(lambda: _more(town, before, "second-dossier"))
    assert [row["dossier_code"] for row in await town.registrations(number)] == [first]


async def test_the_same_notification_twice_changes_nothing(town: Town) -> None:
    """Promise: a fact that is told twice, with another id, registers nobody twice."""
    number = town.new_number()
    await town.notify(number)
    await town.submit(number)
    await until(lambda: town.registrations(number))
    seen = await town.marks()
    await town.notify(number)
    await until(lambda: _more(town, seen))
    assert len(await town.registrations(number)) == 1


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"facility_code": "01ZZZ", "notification_id": "01ZZZ-2025-000001"}, "/facility_code"),
        ({"notified_at": datetime(2025, 7, 1, tzinfo=UTC)}, "/born_at"),
        ({"weight_g": 3}, "/weight_g"),
        ({"notification_id": "không có số"}, "/notification_id"),
    ],
    ids=["unknown-facility", "born-after-notified", "weight-in-kilograms", "misspelt-number"],
)
async def test_an_unsound_notification_is_refused_where_it_arises(
    town: Town, changed: dict[str, Any], path: str
) -> None:
    """Promise: what is wrong is said at once, where, and no value is repeated."""
    with pytest.raises(NotValid) as refused:
        await town.notify(town.new_number(), **changed)
    assert path in {problem.path for problem in refused.value.problems}


async def _more(town: Town, seen: int, code: str | None = None) -> bool:
    return await town.marks(code) > seen
