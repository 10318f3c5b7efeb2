"""The department's sources: licences as officials grant them, and prices as markets report them."""

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import cycle
from random import Random
from typing import Any

from lienthong.demo import HANOI, Papers, Scale
from lienthong.demo.people import draw_name
from lienthong.demo.rooms import in_mixed_order
from lienthong.demo.spoil import SPOILS, put_all, write
from services.trade import tax
from services.trade.publishers import USUAL_VND

GIVES = ()
NEEDS = ("unit-list",)

COMES = {"price": "steadily", "licence-end": "last"}
LICENCES, ENDS, PRICES = 0.3, 0.05, 20
"""How many come for each birth."""
PRICES_A_SECOND, PRICES_AT_ONCE = 200, 20_000
"""Prices come at a rate, but not fewer than make a stream where there are births enough."""
BAD_SHARE, BAD_PRICES = 0.03, 0.02
MARKETS = 60
NAME = ("business_name",)


def feed(scale: Scale, papers: Papers) -> Iterator[tuple[str, bytes]]:
    """Hand in licences, the ends of some, and prices, side by side."""
    units = papers["unit-list"]
    licences = draw_licences(scale, units)
    records = [("licence", raw) for raw in _granted(licences, scale.dice("trade/bad"))]
    records += [("licence-end", raw) for raw in _ended(scale, licences)]
    records += [("price", raw) for raw in _prices(scale, units)]
    return iter(in_mixed_order(records, scale.dice("trade/order")))


def draw_licences(scale: Scale, units: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Draw licences of the last weeks, over the units by population."""
    dice = scale.dice("trade")
    today = scale.now.astimezone(HANOI).date()
    licences = []
    for number in range(1, round(scale.size * LICENCES) + 1):
        unit = dice.choices(units, [unit["population"] for unit in units])[0]
        granted_on = today - timedelta(days=dice.randint(0, 20))
        licences.append(
            {
                "licence_number": f"GP-{granted_on.year}-{number:06d}",
                "tax_code": draw_tax_code(dice),
                "business_name": f"Cửa hàng {draw_name(dice, dice.choice(('female', 'male')))}",
                "unit_code": unit["unit_code"],
                "granted_on": granted_on.isoformat(),
                "valid_until_on": (granted_on + timedelta(days=5 * 365)).isoformat(),
            }
        )
    return licences


def draw_tax_code(dice: Random) -> str:
    """Draw a sound tax code that is nobody's: no province begins with 99."""
    while True:
        nine = f"99{dice.randrange(10_000_000):07d}"
        if (digit := tax.check_digit(nine)) is not None:
            return f"{nine}{digit}"


def _granted(licences: list[dict[str, Any]], dice: Random) -> list[bytes]:
    """Write the licences; of every hundred three are spoiled, each in its own way, or come twice."""
    places = dice.sample(range(len(licences)), round(len(licences) * BAD_SHARE))
    spoiled = dict(zip(places, cycle((*WRONG, *SPOILS, "twice")), strict=False))
    written = []
    for place, licence in enumerate(licences):
        kind = spoiled.get(place)
        if kind in SPOILS:
            written.append(SPOILS[kind](licence, NAME))
        else:
            written.append(write(put_all(licence, WRONG[kind]) if kind in WRONG else licence))
        if kind == "twice":
            written.append(written[-1])
    return written


def _ended(scale: Scale, licences: list[dict[str, Any]]) -> list[bytes]:
    """Write the ends of some licences, one twice, and one of a licence that never was."""
    dice = scale.dice("trade/ends")
    today = scale.now.astimezone(HANOI).date().isoformat()
    numbers = [licence["licence_number"] for licence in dice.sample(licences, round(scale.size * ENDS))]
    ends = [
        {"licence_number": number, "ended_on": today, "reason": dice.choice(("returned", "revoked"))}
        for number in [*numbers, *numbers[:1]]
    ]
    if ends:
        ends.append({**ends[0], "licence_number": f"GP-{today[:4]}-999999"})
    return [write(end) for end in ends]


def _prices(scale: Scale, units: list[dict[str, Any]]) -> Iterator[bytes]:
    """Write prices of the last hours; of every hundred two are wrong."""
    dice = scale.dice("trade/prices")
    now = scale.now.astimezone(HANOI).replace(microsecond=0)
    goods, kinds = list(USUAL_VND), cycle(WRONG_PRICES)
    markets = [f"{unit['unit_code']}-{dice.randint(1, 3):02d}" for unit in dice.sample(units, MARKETS)]
    most = max(PRICES_AT_ONCE, round(PRICES_A_SECOND * scale.seconds))
    for number in range(1, min(scale.size * PRICES, most) + 1):
        good, market = dice.choice(goods), dice.choice(markets)
        observed_at = now - timedelta(seconds=dice.randint(0, 3 * 3600))
        price = {
            "observation_id": f"{market}-{observed_at:%Y%m%d}-{number % 1_000_000:06d}",
            "market_code": market,
            "good_code": good,
            "price_vnd": round(USUAL_VND[good] * dice.gauss(1, 0.06) / 100) * 100,
            "observed_at": observed_at.isoformat(),
        }
        if dice.random() < BAD_PRICES:
            price |= wrong_price(next(kinds), price)
        yield json.dumps(price).encode()


def wrong_price(kind: str, price: dict[str, Any]) -> dict[str, Any]:
    """Write a price as it should not be."""
    factor, value = WRONG_PRICES[kind]
    return {"price_vnd": price["price_vnd"] * factor} if factor else value


WRONG: dict[str, dict[tuple[str, ...], Any]] = {
    "tax-code-mistyped": {("tax_code",): "9900000000"},
    "tax-code-short": {("tax_code",): "990000000"},
    "unit-ended": {("unit_code",): "00007"},
    "unit-unknown": {("unit_code",): "99999"},
    "unit-not-yet": {("granted_on",): "2025-06-01"},
    "ends-before": {("valid_until_on",): "2020-01-01"},
    "unnamed": {NAME: ""},
    "granted-in-2099": {("granted_on",): "2099-01-01", ("valid_until_on",): "2100-01-01"},
    "field-unknown": {("owner",): "Không được gửi"},
}
"""Where a licence is wrong, and what is written there."""

WRONG_PRICES: dict[str, tuple[int, dict[str, Any]]] = {
    "zero": (0, {"price_vnd": 0}),
    "below-zero": (-1, {}),
    "a-thousand-times": (1_000, {}),
    "in-words": (0, {"price_vnd": "mười tám nghìn"}),
    "good-unknown": (0, {"good_code": "gold"}),
    "market-of-another": (0, {"market_code": "00000-01"}),
    "in-2099": (0, {"observed_at": "2099-01-01T08:00:00+07:00"}),
}
"""How a price is wrong: times what, or which fields instead."""
