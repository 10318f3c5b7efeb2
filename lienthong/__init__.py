"""Liên Thông: departments share facts as events, by contract. The whole face that a room needs.

Each name is fetched when it is asked for: who only types a command does not wait for what a service needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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

_WHERE: Final = {
    "Connection": "database",
    "Department": "department",
    "after_quiet": "intake",
    **dict.fromkeys(("Data", "Event", "Step"), "event"),
    **dict.fromkeys(("NotHandled", "NotValid", "NotYet", "Problem", "Refused"), "errors"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = found
    return found
