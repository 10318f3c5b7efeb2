"""Liên Thông: departments share facts as events, by contract. The whole face that a room needs."""

from lienthong.database import Connection
from lienthong.department import Department
from lienthong.errors import NotHandled, NotValid, NotYet, Problem, Refused
from lienthong.event import Data, Event, Step
from lienthong.intake import after_quiet

__all__ = [
    "Connection",
    "Data",
    "Department",
    "Event",
    "NotHandled",
    "NotValid",
    "NotYet",
    "Problem",
    "Refused",
    "Step",
    "after_quiet",
]
