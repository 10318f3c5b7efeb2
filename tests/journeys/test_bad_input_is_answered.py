"""What comes in wrong: a sentence for each record, which stays whole where it came in; nobody waits."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from lienthong import intake
from lienthong.intake import Intake
from tests.journeys.papers import HOSPITAL, OTHER_WARD, WARD, birth, birth_dossier, death
from tests.journeys.test_trade_is_open import licence, price
from tests.journeys.town import Town

FLOOD = 10_000
MOST_IN_A_MINUTE = 120


async def take_in(town: Town, department: str, records: Iterable[tuple[str, bytes]]) -> None:
    """Hand raw records in and let the intake take them, without the wait for a quiet hour."""
    records, service = list(records), town.services[department]
    pool = town.pool(department)
    async with pool.acquire() as db:
        await intake.put(db, records)
    for kind in {kind for kind, _ in records}:
        take, _ = service.department.intakes[kind]
        taking = Intake(kind, take, None, service._settings, service.department.sifts.get(kind))
        waiting = "SELECT count(*) FROM lienthong.intake WHERE kind = $1"
        while await town.find(department, waiting, kind):
            await taking.take_waiting(pool)


async def problem_of(town: Town, department: str, raw: bytes) -> Any:
    """Find why a record was kept back, by its own bytes."""
    return await town.pool(department).fetchrow(
        "SELECT kind, code, reason FROM lienthong.intake_problems WHERE raw = $1", raw
    )


def flooding(town: Town) -> Iterator[bytes]:
    """Write what a client sends that has lost its way: another dossier every few milliseconds."""
    dossier = birth_dossier(town.new_dossier(OTHER_WARD), town.new_number())
    # A minute that no run before on the same bus has flooded.
    ago = timedelta(hours=2, minutes=int(town._run[-2:]))
    dossier["submitted_at"] = (datetime.now(UTC) - ago).isoformat()
    for number in range(FLOOD):
        code = f"H26.{OTHER_WARD}-{999_999 - int(town._run):06d}-{number:04d}"
        changed = {"dossier_code": code, "notification_id": f"{HOSPITAL}-1999-{number:06d}"}
        yield orjson.dumps(dossier | changed)


def _birth(town: Town, **changed: Any) -> dict[str, Any]:
    return birth(town.new_number()) | changed


def _dossier(town: Town, **changed: Any) -> dict[str, Any]:
    return birth_dossier(town.new_dossier(), town.new_number()) | changed


def _mother(**changed: Any) -> dict[str, Any]:
    return {"mother": birth("01169-2025-000001")["mother"] | changed}


def _death(town: Town, **changed: Any) -> dict[str, Any]:
    return death(town.new_notice()) | changed


SOON = datetime.now(UTC) + timedelta(days=2)
BAD = {
    "mother-number-of-another-year": (
        "health",
        "birth",
        lambda town: _birth(town, **_mother(personal_number="099300000001")),
        ("number-impossible", "names another year than born_on"),
    ),
    "mother-number-too-short": (
        "health",
        "birth",
        lambda town: _birth(town, **_mother(personal_number="09919900001")),
        ("not-valid", "/mother/personal_number"),
    ),
    "birth-in-the-future": (
        "health",
        "birth",
        lambda town: _birth(town, born_at=SOON.isoformat()),
        ("not-valid", "/born_at"),
    ),
    "death-before-birth": (
        "health",
        "death",
        lambda town: _death(
            town, died_at="1943-01-01T00:00:00+07:00", notified_at="1943-01-02T00:00:00+07:00"
        ),
        ("not-valid", "/deceased/born_on"),
    ),
    "tax-code-with-a-wrong-check-digit": (
        "trade",
        "licence",
        lambda town: licence(tax_code="0101243151"),
        ("tax-code-wrong", "wrong check digit"),
    ),
    "licence-for-a-unit-that-is-no-more": (
        "trade",
        "licence",
        lambda town: licence(unit_code="00007"),
        ("unit-not-then", "today it is Phường Ngọc Hà (00008)"),
    ),
    "price-of-zero": ("trade", "price", lambda town: price(price_vnd=0), ("not-valid", "/price_vnd")),
    "price-below-zero": (
        "trade",
        "price",
        lambda town: price(price_vnd=-18_500),
        ("not-valid", "/price_vnd"),
    ),
    "price-a-thousand-times-the-usual": (
        "trade",
        "price",
        lambda town: price(price_vnd=18_000_000),
        ("price-implausible", "10 times the usual"),
    ),
    "correction-of-what-never-was": (
        "justice",
        "correction",
        lambda town: {"number": town.new_number(), "full_name": "Trần Mẫu Ân", "ground": "clerical-error"},
        ("never-registered", "there is no registration of this number"),
    ),
    "annulment-of-what-never-was": (
        "justice",
        "annulment",
        lambda town: {"number": town.new_number()},
        ("never-registered", "there is no registration of this number"),
    ),
    "notice-taken-back-that-never-was": (
        "health",
        "birth-annulment",
        lambda town: {
            "notification_id": town.new_number(),
            "annulled_at": "2026-01-05T08:00:00+07:00",
            "reason": "stillbirth",
        },
        ("never-notified", "there is no notice"),
    ),
    "dossier-of-no-unit": (
        "onestop",
        "dossier",
        lambda town: _dossier(town, unit_code="\x00"),
        ("not-valid", "/unit_code"),
    ),
    "dossier-of-the-year-one": (
        "onestop",
        "dossier",
        lambda town: _dossier(town, submitted_at="0001-01-01T00:00:00+14:00"),
        ("not-valid", "/submitted_at"),
    ),
    "home-birth-where-no-station-is": (
        "health",
        "home-birth",
        lambda town: {
            **{
                name: value
                for name, value in birth("").items()
                if name not in {"notification_id", "facility_code"}
            },
            "unit_code": WARD,
        },
        ("no-station", "no health station of the list is in unit 00004"),
    ),
}
GOOD = {
    "dossier": _dossier,
    "birth": _birth,
    "death": _death,
    "licence": lambda town: licence(),
    "price": lambda town: price(),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_gets_a_sentence_and_stays_whole(town: Town, name: str) -> None:
    """Promise: a bad record is kept as it came, with what is wrong; the one behind it is taken."""
    department, kind, written, (code, words) = BAD[name]
    bad = orjson.dumps(written(town))
    records = [(kind, bad)]
    if kind in GOOD:
        records.append((kind, orjson.dumps(GOOD[kind](town))))
    await take_in(town, department, records)
    kept = await problem_of(town, department, bad)
    assert (kept["kind"], kept["code"]) == (kind, code)
    assert words in kept["reason"]
    assert kept["reason"].endswith((".", "?"))
    assert [raw for _, raw in records[1:] if await problem_of(town, department, raw)] == []


@pytest.mark.parametrize("kind", ["annulment", "birth-annulment"])
async def test_an_annulment_twice_is_answered(town: Town, kind: str) -> None:
    """Promise: the second annulment of one birth is refused with a sentence, and annuls nothing again."""
    number = town.new_number()
    await town.notify(number)
    code = await town.submit(number, procedures=["birth-registration"])
    await town.became(code, "completed")
    record: dict[str, Any] = {"number": number}
    if kind == "birth-annulment":
        record = {
            "notification_id": number,
            "annulled_at": "2026-01-05T08:00:00+07:00",
            "reason": "stillbirth",
        }
    department = "health" if kind == "birth-annulment" else "justice"
    first, second = orjson.dumps(record), orjson.dumps(record, option=orjson.OPT_INDENT_2)
    await take_in(town, department, [(kind, first), (kind, second)])
    assert await problem_of(town, department, first) is None
    assert (await problem_of(town, department, second))["code"] == "annulled-already"
    await town.became(code, "annulled")


async def test_feedback_for_anothers_dossier_is_answered(town: Town) -> None:
    """Promise: whoever does not know the number on the paper cannot rate the dossier, and hears why."""
    code = await town.submit(town.new_number())
    feedback = {"feedback_id": f"PA-2025-{code[-11:-5]}", "dossier_code": code, "rating": 1}
    feedback |= {"notice_number": town.new_number(), "received_at": datetime.now(UTC).isoformat()}
    raw = orjson.dumps(feedback)
    await take_in(town, "onestop", [("feedback", raw)])
    kept = await problem_of(town, "onestop", raw)
    assert kept["code"] == "not-yours"
    assert "does not know what dossier" in kept["reason"]
    rated = "SELECT count(*) FROM feedback WHERE dossier_code = $1"
    assert await town.find("onestop", rated, code) == 0


async def test_ten_thousand_dossiers_from_one_counter_in_a_minute_delay_nobody(town: Town) -> None:
    """Promise: a counter that floods hears it for each; a dossier behind the flood goes on in time."""
    flood = [("dossier", raw) for raw in flooding(town)]
    number, code = town.new_number(), town.new_dossier(WARD)
    await town.notify(number)
    await take_in(town, "onestop", [*flood, ("dossier", orjson.dumps(birth_dossier(code, number)))])
    await town.became(code, "completed")
    told = await town.pool("onestop").fetchrow(
        "SELECT count(*) AS records, count(DISTINCT raw) AS kept, min(reason) AS reason,"
        " count(DISTINCT refused_at) AS times"
        " FROM lienthong.intake_problems WHERE code = 'counter-flooded' AND raw = ANY($1::bytea[])",
        [raw for _, raw in flood],
    )
    assert told["records"] == told["kept"] == FLOOD - MOST_IN_A_MINUTE
    assert told["reason"].startswith("The event was refused: one counter submitted more than 120")
    assert told["times"] < FLOOD / 100, "whoever stands behind the flood waits for each of its records"


async def test_a_sift_that_fails_holds_nobody_up(town: Town) -> None:
    """Promise: whatever a record does to the code that turns floods away, others go on."""
    service = town.services["trade"]
    take, _ = service.department.intakes["price"]
    raws = [orjson.dumps(price()), orjson.dumps(price(price_vnd=0))]

    async def failing(records: Any, db: Any) -> Any:
        await db.execute("SELECT 1 / 0")

    pool = town.pool("trade")
    async with pool.acquire() as db:
        await intake.put(db, [("odd-price", raw) for raw in raws])
    taking = Intake("odd-price", take, None, service._settings, failing)
    assert await taking.take_waiting(pool) == len(raws)
    assert [bool(await problem_of(town, "trade", raw)) for raw in raws] == [False, True]
