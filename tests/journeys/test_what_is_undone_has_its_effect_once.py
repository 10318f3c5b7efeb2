"""What is corrected, turned down or annulled later balances like any other fact."""

from contextlib import AsyncExitStack
from pathlib import Path

from lienthong.cluster.connection import admin_connection
from lienthong.contracts import load_contracts
from lienthong.ledger import balance
from lienthong.testing import until
from tests.journeys.conftest import REPOSITORY
from tests.journeys.town import Town


async def test_what_is_corrected_rejected_or_annulled_takes_effect_once_too(town: Town, data: Path) -> None:
    """Promise: whatever happens to a birth or a death later, each fact has its one effect everywhere."""
    number, notice = town.new_number(), town.new_notice()
    await town.notify(number)
    code = await town.submit(number)
    await town.notify_death(notice)
    death = await town.submit_death(notice)
    await town.became(code, "completed")
    await town.became(death, "completed")
    await town.became(await town.submit(number), "returned")
    await town.hand_in("justice", "correction", {"number": number, "sex": "male", "ground": "sex-determined"})
    await until(lambda: town.find("police", "SELECT true FROM person WHERE status = 'replaced'"), within=60)
    annulled = {"notification_id": number, "annulled_at": "2026-01-05T08:00:00+07:00", "reason": "stillbirth"}
    await town.hand_in("health", "birth-annulment", annulled)
    await town.hand_in("justice", "annulment", {"number": notice})
    await town.became(code, "annulled")
    await town.became(death, "annulled")
    unlike: list[str] = []

    async def effects_are_like_facts() -> bool:
        unlike[:] = await find_unlike(town, data)
        return not unlike

    try:
        await until(effects_are_like_facts, within=30)
    except AssertionError:
        assert unlike == []  # names them


async def find_unlike(town: Town, data: Path) -> list[str]:
    """Name the readers in the town whose effects are not those of the facts that they handled."""
    async with AsyncExitStack() as stack:
        databases = {
            name: await stack.enter_async_context(service.pool.acquire())
            for name, service in town.services.items()
            if service.pool is not None
        }
        ledger = await balance(load_contracts(REPOSITORY), databases, admin_connection(data).for_aiokafka())
    return [problem for problem in ledger.problems if "effect" in problem]
