"""Legal terms: how many working days each step may take, as the contracts of the facts that end it say."""

from types import MappingProxyType
from typing import Final

from lienthong.working_days import HANOI, due_on, is_working_day, load_holidays, working_days_between
from services.onestop.events import READS

__all__ = [
    "DEATH_STEPS",
    "DEPARTMENTS",
    "HANOI",
    "STEPS",
    "TERMS",
    "due_on",
    "is_working_day",
    "load_holidays",
    "working_days_between",
]

STEPS: Final = MappingProxyType({fact.STEP.name: fact.STEP for fact in READS.values() if fact.STEP})
"""Every step that the department follows, by its name."""

TERMS: Final = MappingProxyType({name: step.working_days for name, step in STEPS.items()})
"""Working days from submission to the end of a step."""

DEPARTMENTS: Final = MappingProxyType(
    {fact.STEP.name: fact.TOPIC.partition(".")[0] for fact in READS.values() if fact.STEP}
)
"""Who does a step, by the name on the bus."""

DEATH_STEPS: Final = tuple(name for name, step in STEPS.items() if step.procedure == "death")
"""A death's dossier asks for all of them."""
