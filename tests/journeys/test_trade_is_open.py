"""Licences and prices: checked where they arise, and read by the city's operations desk."""

from datetime import UTC, date, datetime
from itertools import count
from typing import Any

import pytest

from lienthong import NotValid, Refused
from lienthong.testing import until
from tests.journeys.town import WARD, Town

NUMBERS = count(int(datetime.now(UTC).strftime("%H%M%S")))


def licence(**changed: Any) -> dict[str, Any]:
    return {
        "licence_number": f"GP-2025-{next(NUMBERS):06d}",
        "tax_code": "0101243150",
        "business_name": "Cửa hàng Mẫu",
        "unit_code": WARD,
        "granted_on": "2025-11-10",
        "valid_until_on": "2030-11-09",
        **changed,
    }


def price(**changed: Any) -> dict[str, Any]:
    return {
        "observation_id": f"00004-01-20251116-{next(NUMBERS):06d}",
        "market_code": "00004-01",
        "good_code": "rice",
        "price_vnd": 18_500,
        "observed_at": datetime.now(UTC).isoformat(),
        **changed,
    }


async def test_a_licence_is_counted_until_it_ends_and_ends_once(town: Town) -> None:
    """Promise: the city knows which licences are in force; an end of nothing, or a second end, is refused."""
    granted = licence()
    number = granted["licence_number"]
    await town.hand_in("trade", "licence", granted)
    counted = "SELECT unit_code FROM licence WHERE licence_number = $1 AND NOT is_ended"
    assert await until(lambda: town.find("science", counted, number), within=60) == WARD
    ended = {"licence_number": number, "ended_on": date(2026, 1, 5).isoformat(), "reason": "returned"}
    await town.hand_in("trade", "licence-end", ended)
    await until(
        lambda: town.find("science", "SELECT is_ended FROM licence WHERE licence_number = $1", number),
        within=20,
    )
    with pytest.raises(Refused, match="ended before"):
        await town.hand_in("trade", "licence-end", ended)
    with pytest.raises(Refused, match="there is no licence"):
        await town.hand_in("trade", "licence-end", ended | {"licence_number": "GP-2025-999999"})


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"tax_code": "0101243151"}, "wrong check digit"),
        ({"unit_code": "00007"}, r"today it is Phường Ngọc Hà \(00008\)"),
        ({"granted_on": "2025-06-01"}, "began on 2025-07-01"),
    ],
    ids=["tax-code", "unit-that-ended", "unit-of-later"],
)
async def test_an_impossible_licence_is_refused_with_a_sentence(
    town: Town, changed: dict[str, Any], why: str
) -> None:
    """Promise: a mistyped tax code, or a unit that is not there on the day, is refused with what is right."""
    with pytest.raises(Refused, match=why):
        await town.hand_in("trade", "licence", licence(**changed))


async def test_the_newest_price_of_a_good_is_what_the_desk_sees(town: Town) -> None:
    """Promise: prices reach the operations desk as they are observed."""
    await town.hand_in("trade", "price", price(price_vnd=18_700))
    seen = "SELECT price_vnd FROM price WHERE market_code = '00004-01' AND price_vnd = 18700"
    await until(lambda: town.find("science", seen), within=60)


@pytest.mark.parametrize(
    ("amount", "refusal"), [(0, NotValid), (-18_500, NotValid), (18_500_000, Refused), (1_000, Refused)]
)
async def test_a_price_nobody_pays_is_refused(town: Town, amount: int, refusal: type[Refused]) -> None:
    """Promise: a price of zero, below, or a thousand times the usual never reaches the bus."""
    with pytest.raises(refusal):
        await town.hand_in("trade", "price", price(price_vnd=amount))
