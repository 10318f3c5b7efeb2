"""A process is killed at a step of an event's way; what it had promised is kept. All steps: `make faults`."""

import pytest

from tests.broker.scratch import City
from tests.broker.steps import Step
from tests.broker.struck import strike


@pytest.mark.parametrize(
    "step", [Step.ACKNOWLEDGED, Step.HANDLED, Step.COMMITTED], ids=lambda step: step.name
)
async def test_a_service_killed_at_a_step_loses_and_doubles_nothing(scratch: City, step: Step) -> None:
    assert await strike(scratch.take(), step) == []
