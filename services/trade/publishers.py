"""Facts that leave the department: licences granted and ended, and what essential goods cost."""

from datetime import date, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

from lienthong import Connection, Refused
from services.trade import store, tax, trade
from services.trade.events import PriceObserved, RetailLicenceEnded, RetailLicenceGranted, Unit

HANOI = timezone(timedelta(hours=7))
UNITS_OF_THE_CITY = 126

USUAL_VND = MappingProxyType(
    {
        "rice": 18_000,
        "pork": 130_000,
        "eggs": 35_000,
        "cooking-oil": 55_000,
        "sugar": 26_000,
        "petrol": 20_000,
    }
)
"""What a good usually costs. The department looks at the table each quarter."""
PLAUSIBLE_TIMES = 10
"""A price ten times the usual, or a tenth of it, was mistyped."""


class TaxCodeWrong(Refused):
    """The last digit of the tax code does not check the others."""

    code = "tax-code-wrong"
    remedy = "Copy the tax code from the registration certificate again."


class UnitNotThen(Refused):
    """The ward or commune did not exist on the day of the licence."""

    code = "unit-not-then"
    remedy = "Name the unit of that day."


class PriceImplausible(Refused):
    """A price many times the usual, or a small part of it."""

    code = "price-implausible"
    remedy = "Look at the market's sheet again: are thousands written out, is it the right good and measure?"


async def units_are_known(db: Connection) -> bool:
    """Tell whether a place of business can be checked yet: all of today's units have come."""
    return await trade.count_state(db, Unit) >= UNITS_OF_THE_CITY


async def licences_are_taken(db: Connection) -> bool:
    """Tell whether every licence handed in is in the register: one may end on the day it came."""
    return not await store.licences_wait(db)


@trade.takes("licence", ready=units_are_known)
async def grant_licence(record: dict[str, Any], db: Connection) -> None:
    """Publish a licence as it was granted: its tax code is sound, its unit exists on the day."""
    if (
        isinstance(code := record.get("tax_code"), str)
        and tax.CODE.fullmatch(code)
        and not tax.is_sound(code)
    ):
        raise TaxCodeWrong(reason="the tax code has a wrong check digit")
    granted_on = _day(record.get("granted_on"))
    await _check_unit(db, record.get("unit_code"), granted_on)
    await trade.publish(db, record, topic=RetailLicenceGranted.TOPIC, happened_at=_morning(granted_on))
    await store.add(db, RetailLicenceGranted.model_validate(record))


@trade.takes("licence-end", ready=licences_are_taken)
async def end_licence(record: dict[str, Any], db: Connection) -> None:
    """Publish that a licence ended."""
    happened_at = _morning(_day(record.get("ended_on")))
    await trade.publish(db, record, topic=RetailLicenceEnded.TOPIC, happened_at=happened_at)
    await store.end(db, RetailLicenceEnded.model_validate(record))


@trade.takes("price")
async def observe_price(record: dict[str, Any], db: Connection) -> None:
    """Publish a price as a market reported it."""
    usual, price = USUAL_VND.get(str(record.get("good_code"))), record.get("price_vnd")
    if (
        usual
        and isinstance(price, int)
        and price > 0
        and not usual / PLAUSIBLE_TIMES <= price <= usual * PLAUSIBLE_TIMES
    ):
        raise PriceImplausible(
            reason=f"the price is beyond {PLAUSIBLE_TIMES} times the usual, or below its part"
        )
    await trade.publish(
        db, record, topic=PriceObserved.TOPIC, happened_at=_instant(record.get("observed_at"))
    )


async def _check_unit(db: Connection, code: object, day: date | None) -> None:
    """Check that a unit is there on a day, and name today's where it has ended.

    Raises:
        UnitNotThen: it had ended, or not begun. What never was a unit the gate is about to refuse.
    """
    if not isinstance(code, str) or day is None:
        return
    unit = await trade.find_state(db, Unit, code)
    if unit is None:
        if today := await store.find_successors(db, code):
            named = ", ".join(f"{one.name} ({one.unit_code})" for one in today)
            raise UnitNotThen(reason=f"unit {code} has ended; today it is {named}")
    elif day < unit.effective_on:
        raise UnitNotThen(reason=f"unit {code} began on {unit.effective_on}, after the day of the licence")


def _day(text: object) -> date | None:
    """Read a day; what is none the gate is about to refuse."""
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        return None


def _morning(day: date | None) -> datetime | None:
    return datetime(day.year, day.month, day.day, tzinfo=HANOI) if day else None


def _instant(text: object) -> datetime | None:
    """Read when it happened; what is no instant with an offset the gate is about to refuse."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
