"""A process is killed at each step of an event's way, sixteen of them; what it had promised is kept."""

import asyncio

from tests.broker.scratch import City, Pair
from tests.broker.steps import Step
from tests.broker.struck import freeze, strike

AT_ONCE = 4


async def test_a_service_killed_at_any_step_loses_and_doubles_nothing(scratch: City) -> None:
    free = asyncio.Semaphore(AT_ONCE)
    pairs = [scratch.take() for _ in Step]

    async def play(pair: Pair, step: Step) -> list[str]:
        async with free:
            return await strike(pair, step)

    found = await asyncio.gather(*map(play, pairs, Step))
    assert {step.name: problems for step, problems in zip(Step, found, strict=True) if problems} == {}


async def test_who_is_frozen_with_uncommitted_marks_holds_others_up_no_longer_than_a_transaction_may_lie(
    scratch: City,
) -> None:
    assert await freeze(scratch.take(), Step.MARKED) == []
