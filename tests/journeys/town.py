"""A town in this process: seven departments on a real bus, two wards, a hospital and a health station."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lienthong import Department, Refused
from lienthong.database import Pool
from lienthong.service import Service
from lienthong.testing import running, until
from services.health import handlers as _health_handlers
from services.health import health
from services.health import publishers as _health_publishers
from services.health import store as health_store
from services.health.events import Facility
from services.insurance import handlers as _insurance_handlers
from services.insurance import insurance
from services.insurance import store as insurance_store
from services.justice import deaths as justice_deaths
from services.justice import handlers as _justice_handlers
from services.justice import justice
from services.justice import store as justice_store
from services.onestop import handlers as _onestop_handlers
from services.onestop import onestop
from services.onestop import store as onestop_store
from services.police import handlers as _police_handlers
from services.police import police
from services.police import store as police_store
from services.science import handlers as _science_handlers
from services.science import publishers as _science_publishers
from services.science import science
from services.science import store as science_store
from services.trade import handlers as _trade_handlers
from services.trade import publishers as _trade_publishers
from services.trade import store as trade_store
from services.trade import trade
from tests.journeys.papers import (
    HOSPITAL,
    NUMBERS,
    OTHER_WARD,
    STATION,
    WARD,
    birth,
    birth_dossier,
    death,
    death_dossier,
    unit,
)

__all__ = ["HOSPITAL", "OTHER_WARD", "STATION", "WARD", "Town", "birth", "death", "open_town", "unit"]

DECLARED = (
    _health_handlers,
    _health_publishers,
    _insurance_handlers,
    _justice_handlers,
    _onestop_handlers,
    _police_handlers,
    _science_handlers,
    _science_publishers,
    _trade_handlers,
    _trade_publishers,
)
"""Imported, because they declare what their departments read and take in."""

TABLES: dict[Department, str] = {
    health: health_store.TABLES,
    insurance: insurance_store.TABLES,
    justice: justice_store.TABLES + justice_deaths.TABLES,
    onestop: onestop_store.TABLES,
    police: police_store.TABLES,
    science: science_store.TABLES,
    trade: trade_store.TABLES,
}

FORMER = {
    WARD: ("00004", "Phường Trúc Bạch", "Phường Ba Đình"),
    OTHER_WARD: ("00007", "Phường Cống Vị", "Phường Ngọc Hà"),
}


class Town:
    """Seven departments that run in this process."""

    def __init__(self, services: dict[str, Service]) -> None:
        self.services = services
        # Numbers of another run on the same bus must not be met again.
        self._run = datetime.now(UTC).strftime("%H%M%S")

    def pool(self, department: str) -> Pool:
        pool = self.services[department].pool
        assert pool is not None
        return pool

    # What people bring

    def new_number(self) -> str:
        return f"{HOSPITAL}-{2000 + int(self._run[:3]):04d}-{int(self._run[3:]):03d}{next(NUMBERS):03d}"

    def new_notice(self) -> str:
        return f"{HOSPITAL}-{2000 + int(self._run[:3]):04d}-T{int(self._run[4:]):02d}{next(NUMBERS):03d}"

    def new_dossier(self, unit: str = WARD) -> str:
        return f"H26.{unit}-{self._run}-{next(NUMBERS):04d}"

    async def hand_in(self, department: str, kind: str, record: dict[str, Any]) -> None:
        """Hand a raw record in, as the intake does; what is wrong with it is raised."""
        take, _ = self.services[department].department.intakes[kind]
        async with self.pool(department).acquire() as db, db.transaction():
            await take(record, db)

    async def publish(self, department: Department, fact: Any, **more: Any) -> str:
        async with self.pool(department.name).acquire() as db, db.transaction():
            return await department.publish(db, fact, **more)

    async def notify(self, number: str, **changed: Any) -> None:
        """Notify a birth, as a hospital reports it."""
        await self.hand_in("health", "birth", birth(number) | changed)

    async def submit(self, number: str, code: str | None = None, **changed: Any) -> str:
        """Submit a birth dossier at a counter; gives its code."""
        unit = changed.get("unit_code", WARD)
        code = code or self.new_dossier(unit)
        await self.hand_in("onestop", "dossier", birth_dossier(code, number) | changed)
        return code

    async def notify_death(self, notice: str, **changed: Any) -> None:
        await self.hand_in("health", "death", death(notice) | changed)

    async def submit_death(self, notice: str, code: str | None = None, **changed: Any) -> str:
        code = code or self.new_dossier(changed.get("unit_code", WARD))
        await self.hand_in("onestop", "death-dossier", death_dossier(code, notice) | changed)
        return code

    # What the departments made of it

    async def find(self, department: str, sql: str, *values: Any) -> Any:
        return await self.pool(department).fetchval(sql, *values)

    async def registration(self, number: str) -> Any:
        return await self.pool("justice").fetchrow(
            "SELECT * FROM registration WHERE notification_id = $1 AND annulled_at IS NULL", number
        )

    async def registrations(self, number: str) -> list[Any]:
        rows = await self.pool("justice").fetch(
            "SELECT * FROM registration WHERE notification_id = $1", number
        )
        return list(rows)

    async def dossier(self, code: str) -> Any:
        return await self.pool("onestop").fetchrow("SELECT * FROM dossier WHERE dossier_code = $1", code)

    async def became(self, code: str, status: str, within: float = 60) -> Any:
        """Wait until a dossier has come to an end, and give it."""

        async def there() -> Any:
            row = await self.dossier(code)
            return row if row["status"] == status else None

        return await until(there, within=within)

    async def marks(self, group: str, topic: str) -> int:
        """Count what a group has dealt with of a topic."""
        return int(
            await self.find(
                group.partition(".")[0],
                "SELECT count(*) FROM lienthong.inbox WHERE consumer_group = $1 AND topic = $2",
                group,
                topic,
            )
        )

    async def dealt_with(self, group: str, topic: str, act: Callable[[], Awaitable[Any]]) -> Any:
        """Act, and wait until a group has dealt with what came of it."""
        before = await self.marks(group, topic)
        done = await act()

        async def more() -> bool:
            return await self.marks(group, topic) > before

        await until(more, within=60)
        return done


def _facility(code: str, name: str, kind: str, ward: str) -> Facility:
    address = {"line": "1 Phố Mẫu", "former_unit": FORMER[ward][1], "former_district": "Quận Ba Đình"}
    return Facility.model_validate(
        {
            "facility_code": code,
            "name": name,
            "kind": kind,
            "unit_code": ward,
            "unit_found_by": "whole-unit",
            "address": address,
        }
    )


@asynccontextmanager
async def open_town(data: Path, root: Path) -> AsyncIterator[Town]:
    """Start every department and hand in what all of them know: wards, agencies, facilities."""
    async with contextlib.AsyncExitStack() as stack:
        services = {
            department.name: await stack.enter_async_context(
                running(department, data=data, root=root, tables=sql)
            )
            for department, sql in TABLES.items()
        }
        town = Town(services)
        for code, (old, called, name) in FORMER.items():
            await town.hand_in("science", "unit", unit(code, name, (old, called)))
        for number, department in enumerate(("justice", "police", "insurance"), 1):
            agency = {"agency_code": f"H26.0{number}", "name": f"Cơ quan {department}"}
            agency |= {"department": department, "effective_on": "2008-08-01"}
            await town.hand_in("science", "agency", agency)
        for reader in ("health", "justice", "onestop", "trade"):
            await until(lambda reader=reader: _knows(town, reader, "science.unit.v1", 2), within=30)
        for facility in (
            _facility(HOSPITAL, "Bệnh viện Mẫu", "hospital", WARD),
            _facility(STATION, "Trạm y tế phường Mẫu", "health-station", OTHER_WARD),
        ):
            async with town.pool("health").acquire() as db, db.transaction():
                with contextlib.suppress(Refused):  # a run before on the same bus has it
                    await health_store.add_facility(db, facility)
                await health.publish(db, facility)
        await until(lambda: _knows(town, "justice", "health.facility.v1", 2), within=30)
        await until(lambda: _knows(town, "onestop", "science.agency.v1", 3), within=30)
        yield town


async def _knows(town: Town, department: str, topic: str, keys: int) -> bool:
    counted = await town.find(department, "SELECT count(*) FROM lienthong.state WHERE topic = $1", topic)
    return bool(counted >= keys)
